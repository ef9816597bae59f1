//! A link more for a cluster that runs: one edit, and proof from every member that corosync took it over.

use quorate_lab::Lab;
use quorate_lab::What;
use quorate_suites::hand::{BOTH_LINKS, ONE_LINK, findings, raised, steps, version};
use quorate_suites::{Fleet, told};

const ALL: [&str; 3] = ["prox1", "prox2", "prox3"];
const CONF: &str = "/etc/pve/corosync.conf";
const LOCKS: &str = "/etc/pve/priv/lock";

async fn three(speed: f64) -> Fleet {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(speed)).await;
    fleet.made_by_hand(&ALL, ONE_LINK).await;
    fleet
}

/// How often somebody wrote corosync.conf itself.
fn edits(fleet: &Fleet) -> usize {
    let wrote =
        |e: &quorate_lab::Entry| e.what == What::PveWritten && e.detail.split(' ').any(|path| path == "corosync.conf");
    fleet.world().iter().filter(|e| wrote(e)).count()
}

fn lock_taken_and_released(fleet: &Fleet) -> (bool, bool) {
    let said = |text: &str| {
        let wrote = |e: &quorate_lab::Entry| e.what == What::PveWritten && e.detail.split(' ').any(|path| path == text);
        fleet.world().iter().any(wrote)
    };
    (
        said("priv/lock/file-corosync_conf/"),
        said("-priv/lock/file-corosync_conf/"),
    )
}

fn locks_left(fleet: &Fleet) -> usize {
    std::fs::read_dir(fleet.rooted("prox1", LOCKS)).unwrap().count()
}

/// Link 1 is connected from every member to every other, and each runs with the version of the file.
async fn linked_everywhere(fleet: &Fleet) {
    let file = version(&fleet.read("prox1", CONF));
    for node in ALL {
        let neighbours = fleet.tool(node, "corosync-cfgtool -n").await.stdout;
        assert_eq!(neighbours.matches("LINK: 1 ").count(), 2, "{node}: {neighbours}");
        assert_eq!(
            neighbours.matches(") enabled connected").count(),
            4,
            "{node}: {neighbours}"
        );
        assert_eq!(version(&fleet.read(node, CONF)), file);
        let running = fleet.tool(node, "corosync-cmapctl -b runtime.members.").await.stdout;
        let versions: Vec<u64> = running
            .lines()
            .filter_map(|l| l.split_once(".config_version (u64) = ")?.1.parse().ok())
            .collect();
        assert_eq!(versions, [file; 3], "{node}: {running}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_link_is_added_by_one_edit() {
    let fleet = three(20.0).await;
    let before = version(&fleet.read("prox1", CONF));
    let file = fleet.linked_file("two.toml", &ALL, BOTH_LINKS, "");
    let plan = fleet.json(&["plan", &file]).await;
    assert_eq!(steps(&plan), ["link.add/1"], "{plan:#}");
    assert_eq!(edits(&fleet), 0, "planning changes nothing");

    let applied = fleet.ok(&["apply", &file, "--yes"]).await;
    assert!(applied.stdout.contains("1 of 1 steps verified"), "{}", told(&applied));
    assert_eq!(edits(&fleet), 1, "{:?}", fleet.changes());
    assert_eq!(lock_taken_and_released(&fleet), (true, true), "{:?}", fleet.changes());
    assert_eq!(locks_left(&fleet), 0);
    assert_eq!(version(&fleet.read("prox1", CONF)), before + 1);
    linked_everywhere(&fleet).await;
    // The first node was without quorum while the second joined, and nobody since.
    assert_eq!(fleet.happened(What::QuorumLost), 1);
    fleet.all_in(&ALL).await;

    let second = fleet.json(&["plan", &file]).await;
    assert!(steps(&second).is_empty(), "{second:#}");
    for code in ["QRT-ONE-LINK", "QRT-CONFIG-NOT-RUNNING", "QRT-LINK-DOWN"] {
        assert!(findings(&second, code).is_empty(), "{second:#}");
    }
}

/// Priorities come from the file at the creation and with a new link, and the second plan finds them as they shall be.
#[tokio::test(flavor = "multi_thread")]
async fn priorities_are_what_the_file_says() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2).speed(20.0)).await;
    let file = |name: &str, links: &str| {
        let made = fleet.linked_file(name, &ALL[..2], &[], "");
        let text = std::fs::read_to_string(&made).unwrap();
        fleet.write_file(name, &text.replace("links = []", &format!("links = [{links}]")))
    };
    let one = "{ network = \"10.10.10.0/24\", priority = 20 }";
    let first = file("one.toml", one);
    fleet.ok(&["apply", &first, "--yes"]).await;
    assert!(
        fleet.read("prox2", CONF).contains("knet_link_priority: 20"),
        "{}",
        fleet.read("prox2", CONF)
    );
    let again = fleet.json(&["plan", &first]).await;
    assert!(
        steps(&again).is_empty() && findings(&again, "QRT-LINK-PRIORITY-DIFFERS").is_empty(),
        "{again:#}"
    );

    let second = file(
        "two.toml",
        &format!("{one}, {{ network = \"192.168.1.0/24\", priority = 5 }}"),
    );
    fleet.ok(&["apply", &second, "--yes"]).await;
    let conf = fleet.read("prox1", CONF);
    assert!(
        conf.contains("knet_link_priority: 5") && conf.contains("knet_link_priority: 20"),
        "{conf}"
    );
    let again = fleet.json(&["plan", &second]).await;
    assert!(
        steps(&again).is_empty() && findings(&again, "QRT-LINK-PRIORITY-DIFFERS").is_empty(),
        "{again:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinator_and_agent_are_killed_in_the_middle_and_it_is_added_once() {
    let fleet = three(5.0).await;
    let file = fleet.linked_file("two.toml", &ALL, BOTH_LINKS, "");
    let started = fleet.json(&["apply", &file, "--yes", "--detach"]).await;
    let rollout = started["rollout"].as_str().unwrap().to_owned();
    fleet.until("the edit", async || edits(&fleet) == 1).await;
    fleet.lab.kill_agent("prox1");
    fleet.lab.kill_coordinator();
    fleet.lab.start_agent("prox1").unwrap();
    fleet.start_coordinator(&[]).await;
    let watched = fleet.ok(&["rollout", "watch", &rollout]).await;
    assert!(watched.stdout.contains("1 of 1 steps verified"), "{}", told(&watched));
    assert_eq!(edits(&fleet), 1);
    linked_everywhere(&fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_one_member_does_not_take_over_is_told_and_nothing_else_runs() {
    let fleet = three(20.0).await;
    // pmxcfs never replaces a copy that claims to be newer; until something is reloaded, nobody notices.
    let own = "/etc/corosync/corosync.conf";
    std::fs::write(fleet.rooted("prox3", own), raised(&fleet.read("prox3", own), 5)).unwrap();
    let file = fleet.linked_file("four.toml", &ALL, BOTH_LINKS, "");
    let applied = fleet.ends(&["apply", &file, "--yes"], 4).await;
    println!("{}", told(&applied));
    assert!(applied.stdout.contains("FAILED"), "{}", told(&applied));
    assert!(
        applied.stdout.contains("prox3") && applied.stdout.contains("version"),
        "{}",
        told(&applied)
    );
    assert_eq!(edits(&fleet), 1, "it was not tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corosync_conf_that_nobody_can_read_holds_up_every_change_of_the_membership() {
    let fleet = three(20.0).await;
    let good = fleet.read("prox1", CONF);
    let bad = good.replacen("name: prox2", "name prox2", 1);
    std::fs::write(fleet.rooted("prox1", CONF), bad).unwrap();
    fleet
        .until("all have the file", async || {
            fleet.read("prox3", CONF).contains("name prox2")
        })
        .await;
    let before = fleet.changes();
    let link = fleet.linked_file("two.toml", &ALL, BOTH_LINKS, "");
    let out = fleet.linked_file("out.toml", &["prox1", "prox2"], ONE_LINK, "");
    for asked in [
        vec!["apply", &link, "--yes"],
        vec!["apply", &out, "--remove", "prox3", "--yes"],
        vec!["node", "remove", "hk1/prox3", "--file", &link, "--yes"],
    ] {
        let refused = fleet.ends(&asked, 3).await;
        for said in [
            "QRT-FACET-UNKNOWN",
            "/etc/pve/corosync.conf",
            "missing `:` after the key: `    name prox2`",
            "mend it in a copy",
        ] {
            assert!(refused.stdout.contains(said), "{said}: {}", told(&refused));
        }
    }
    assert_eq!(fleet.changes(), before);
    std::fs::write(fleet.rooted("prox1", CONF), good).unwrap();
    fleet
        .until("it is mended everywhere", async || {
            steps(&fleet.json(&["plan", &link]).await).len() == 1
        })
        .await;
}
