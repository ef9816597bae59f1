//! The operator's guide is typed, on: what happens in a cluster's life. Each page has a cluster of its own.

use quorate_lab::control::Press;
use quorate_lab::{Lab, What};
use quorate_suites::guide::Page;
use quorate_suites::hand::{BOTH_LINKS, ONE_LINK, steps};
use quorate_suites::life::WITNESS;
use quorate_suites::{Fleet, told};

use crate::life_joins::counted_and_bare;
use crate::life_members::seen_gone;
use crate::upgrade::{Stage, next};

const THREE: [&str; 3] = ["prox1", "prox2", "prox3"];

async fn plan_is_empty(fleet: &Fleet) {
    let plan = fleet.json(&["plan", "hk1.toml"]).await;
    assert!(steps(&plan).is_empty(), "{plan:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_adopt_and_add_a_link() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(10.0)).await;
    fleet.made_by_hand(&THREE, ONE_LINK).await;
    let mut page = Page::open("adopt.md");
    let adopted = page.types(&fleet, "quorate adopt hk1").enter().await;
    assert!(adopted.stderr.contains("Its plan is empty"), "{}", told(&adopted));

    let mut page = Page::open("add-a-link.md");
    let file = fleet.lab.layout().coordinator().join("hk1.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let before = text.lines().find(|line| line.starts_with("links")).unwrap();
    let links = page.block("toml", "links = ");
    std::fs::write(&file, text.replace(before, links.trim_end())).unwrap();
    let plan = page.types(&fleet, "quorate plan hk1.toml").enter().await;
    assert!(plan.stdout.contains("link"), "{}", told(&plan));
    page.types(&fleet, "quorate apply hk1.toml").yes().enter().await;
    let conf = fleet.read("prox3", "/etc/pve/corosync.conf");
    assert_eq!(conf.matches("ring1_addr").count(), 3, "{conf}");
    plan_is_empty(&fleet).await;
    assert_eq!(
        BOTH_LINKS.len(),
        links.matches('/').count(),
        "the page's links are the lab's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_third_vote() {
    let fleet = Fleet::bare(Lab::builder().nodes(2).qnetd(WITNESS).speed(10.0)).await;
    for node in ["prox1", "prox2"] {
        fleet.enrol(node).await;
        fleet.lab.start_agent(node).unwrap();
    }
    let mut page = Page::open("third-vote.md");
    let lab = fleet.lab.node(WITNESS).unwrap();
    let (address, public) = (lab.address.to_string(), lab.public_address.to_string());
    let invited = page
        .types(&fleet, "quorate node invite hk1/witness1 --address 192.168.1.20")
        .put("192.168.1.20", &address)
        .and(&["-o", "json"])
        .enter()
        .await;
    let invited: serde_json::Value = serde_json::from_str(&invited.stdout).unwrap();
    let claimed = fleet.claim(WITNESS, invited["token"].as_str().unwrap()).await;
    assert!(claimed.success(), "{}", told(&claimed));
    fleet.lab.start_agent(WITNESS).unwrap();
    fleet.connected(&fleet.lab.names()).await;
    let file = page
        .block("toml", "qdevice = \"witness1\"")
        .replace("192.168.1.20", &public);
    drop(fleet.write_file("hk1.toml", &file));
    let applied = fleet.ok(&["apply", "hk1.toml", "--yes"]).await;
    assert!(applied.stdout.contains("8 of 8 steps verified"), "{}", told(&applied));
    fleet.third_votes(&["prox1", "prox2"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_half_done() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    fleet.made_by_hand(&THREE[..2], ONE_LINK).await;
    counted_and_bare(&fleet, "prox3").await;
    drop(fleet.linked_file("hk1.toml", &THREE, ONE_LINK, ""));
    let mut page = Page::open("half-done.md");
    page.types(&fleet, "quorate apply hk1.toml --undo-join prox3")
        .yes()
        .enter()
        .await;
    fleet.all_in(&THREE[..2]).await;
    assert_eq!(fleet.read("prox3", "/etc/corosync/corosync.conf"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_remove_or_replace() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(6).speed(20.0)).await;
    let five = ["prox1", "prox2", "prox3", "prox4", "prox5"];
    drop(fleet.linked_file("hk1.toml", &five, ONE_LINK, ""));
    fleet
        .ok_within(&["apply", "hk1.toml", "--yes"], std::time::Duration::from_secs(300))
        .await;
    fleet.all_in(&five).await;

    let mut page = Page::open("remove-or-replace.md");
    page.types(&fleet, "quorate node remove hk1/prox3")
        .put("prox3", "prox5")
        .yes()
        .enter()
        .await;
    fleet.all_in(&five[..4]).await;

    fleet.lab.power("prox4", Press::Pull).await.unwrap();
    seen_gone(&fleet, "prox4", &five[..3]).await;
    page.types(&fleet, "quorate node remove hk1/prox3 --is-off")
        .put("prox3", "prox4")
        .yes()
        .enter()
        .await;
    fleet.all_in(&five[..3]).await;

    fleet.lab.power("prox3", Press::Pull).await.unwrap();
    seen_gone(&fleet, "prox3", &five[..2]).await;
    let address = fleet.lab.node("prox6").unwrap().public_address.to_string();
    page.types(&fleet, "quorate node replace hk1/prox3 prox4 --is-off")
        .put("prox4", "prox6")
        // What it is enrolled under is a loopback address in the lab.
        .and(&["--address", &address])
        .yes()
        .enter()
        .await;
    fleet.all_in(&["prox1", "prox2", "prox6"]).await;
    fleet.nothing_twice();
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_when_to_change() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(10.0)).await;
    drop(fleet.linked_file("hk1.toml", &THREE, ONE_LINK, ""));
    let mut page = Page::open("when-to-change.md");
    page.types(&fleet, "quorate apply hk1.toml --dry-run").enter().await;
    let nothing = page
        .types(&fleet, "quorate apply hk1.toml --only packages")
        .yes()
        .enter()
        .await;
    assert!(nothing.stdout.contains("Nothing to do"), "{}", told(&nothing));
    assert_eq!(fleet.happened(What::ClusterCreated), 0);
    page.types(&fleet, "quorate apply hk1.toml --until cluster.join/prox2")
        .yes()
        .enter()
        .await;
    fleet.all_in(&THREE[..2]).await;

    let frozen = page
        .types(&fleet, "quorate freeze hk1 --reason \"customer's sale until Monday\"")
        .enter()
        .await;
    assert!(frozen.stdout.contains("hk1 is frozen"), "{}", told(&frozen));
    assert!(
        fleet
            .run(&["status"])
            .await
            .stdout
            .contains("customer's sale until Monday")
    );
    page.types(&fleet, "quorate freeze hk1 --off").enter().await;

    page.types(&fleet, "quorate plan hk1.toml --out plan.json")
        .enter()
        .await;
    let applied = page.types(&fleet, "quorate apply --plan plan.json").yes().enter().await;
    assert!(applied.stdout.contains("1 of 1 steps verified"), "{}", told(&applied));
    fleet.all_in(&THREE).await;

    let list = fleet.json(&["rollout", "list"]).await;
    let id = list[0]["id"].as_str().unwrap();
    let shown = page
        .types(&fleet, "quorate rollout undo-info ID")
        .put("ID", id)
        .enter()
        .await;
    assert!(shown.stdout.contains("corosync.conf"), "{}", told(&shown));
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_lost_disk() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(10.0)).await;
    drop(fleet.linked_file("hk1.toml", &THREE, ONE_LINK, ""));
    let rollout = fleet.begins(&["apply", "hk1.toml"]).await;
    fleet
        .until("prox2 is taken in", async || {
            fleet.happened(What::AddnodeCommitted) >= 1
        })
        .await;
    fleet.lab.kill_coordinator();
    std::fs::remove_dir_all(fleet.state_dir().join("journal")).unwrap();
    fleet.start_coordinator(&[]).await;
    fleet.connected(&fleet.lab.names()).await;

    let mut page = Page::open("lost-disk.md");
    let status = page.types(&fleet, "quorate status").ends(9).enter().await;
    assert!(status.stdout.contains("QRT-JOURNAL-DAMAGED"), "{}", told(&status));
    fleet
        .until("the lost rollout is listed, and what it began has ended", async || {
            let list = fleet.run(&["rollout", "list"]).await.stdout;
            let told = list
                .lines()
                .any(|line| line.contains(&rollout) && line.contains("ABANDONED"));
            told && fleet.under_way("prox2", "pvecm", "add") == 0
                && fleet.run(&["plan", "hk1.toml"]).await.code() == Some(0)
        })
        .await;
    page.types(&fleet, "quorate rollout list").enter().await;
    page.types(&fleet, "quorate plan hk1.toml").enter().await;
    page.types(&fleet, "quorate apply hk1.toml").yes().enter().await;
    fleet.all_in(&THREE).await;
    plan_is_empty(&fleet).await;
}

#[test]
fn guide_lab() {
    let mut page = Page::open("lab.md");
    let shown = "tests/lab/tests/command plays it";
    for line in [
        "cargo lab demo",
        "cargo lab demo cluster",
        "cargo lab demo drill --kill-coordinator",
        "cargo lab demo two-servers",
        "cargo lab demo --keep",
    ] {
        page.elsewhere(line, shown);
    }
    page.elsewhere(
        "cargo lab ha-scenario --check tests/lab/ha/scenarios/*/",
        "tests/lab/ha/tests/scenarios.rs plays all of them",
    );
    for line in [
        "cargo lab drills",
        "cargo lab drills --seeds 200",
        "cargo lab drills --seeds 1 --first 17",
        "cargo lab drills --seeds 200 --list",
    ] {
        page.elsewhere(line, "drills.rs of the suites plays the first seeds");
    }
    for line in [
        "cargo lab up",
        "cargo lab up --enrolled",
        "cargo lab up --enrolled --nodes 6 --vote",
        "cargo lab status",
        "cargo lab shell prox1",
        "cargo lab cut prox2",
        "cargo lab heal prox2",
        "cargo lab way prox1 prox2 --rtt 7 --loss 3 --mtu 1400",
        "cargo lab power prox2 pull",
        "cargo lab down",
    ] {
        page.elsewhere(line, shown);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_upgrade() {
    let stage = Stage::new(3).await;
    let fleet = &stage.fleet;
    fleet.ok(&["apply", &stage.file, "--yes"]).await;
    drop(stage.package(&next()));
    let mut page = Page::open("upgrade.md");
    for (command, said) in [
        (
            "quorate node upgrade --cluster hk1 --package quorate-agent_0.2.0_amd64.deb",
            "3 of 3 steps verified",
        ),
        (
            "quorate node upgrade hk1/prox2 --package quorate-agent_0.2.0_amd64.deb",
            "",
        ),
    ] {
        let typed = page.types(fleet, command).put("0.2.0", next()).yes().enter().await;
        assert!(typed.stdout.contains(said), "{}", told(&typed));
    }
    let listed = page.types(fleet, "quorate node list").enter().await;
    assert_eq!(listed.stdout.matches(&next()).count(), 3, "{}", told(&listed));
}
