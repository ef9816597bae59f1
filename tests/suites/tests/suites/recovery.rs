//! A server is lost and its guests are started from their copies on the other one, from its console, without any coordinator; what the
//! lost server wrote last is still there when it returns, and a guest that runs twice is told.

use quorate_lab::control::{GuestStatus, Press};
use quorate_lab::{Lab, Output, Script, What};
use quorate_suites::guide::Page;
use quorate_suites::hand::ONE_LINK;
use quorate_suites::{Fleet, codes, told};

const TWO: [&str; 2] = ["prox1", "prox2"];
const POOL: &str = "\n[zfs.data_zfs]\nraid = \"mirror\"\ndisks = { count = 2, kind = \"ssd\", min_size = \"900GB\" }\n";
const REPLICATION: &str = "/etc/pve/replication.cfg";

/// Two members without a third vote; guest 100 runs on prox1 and has a copy on prox2, guest 101 has none.
pub(crate) async fn two() -> Fleet {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    fleet.made_by_hand(&TWO, ONE_LINK).await;
    let file = fleet.linked_file("hk1.toml", &TWO, ONE_LINK, "");
    let text = std::fs::read_to_string(&file).unwrap() + POOL;
    let file = fleet.write_file("hk1.toml", &text);
    fleet.ok(&["apply", &file, "--yes"]).await;
    for line in [
        "qm create 100 --name web --memory 512 --cores 1 --scsihw virtio-scsi-single --scsi0 data_zfs:4 --ostype l26 --onboot 1",
        "qm create 101 --name db --memory 512 --cores 1 --scsihw virtio-scsi-single --scsi0 data_zfs:4 --ostype l26 --onboot 1",
        "qm start 100",
        "qm start 101",
        // Longer than the test lasts: the copy is as old as the run below.
        "pvesr create-local-job 100-0 prox2 --schedule 03:00",
        "pvesr run --id 100-0",
    ] {
        let done = fleet.tool("prox1", line).await;
        assert!(done.success(), "{line}: {}", told(&done));
    }
    fleet
}

pub(crate) async fn guest(fleet: &Fleet, node: &str, vmid: u32) -> Option<GuestStatus> {
    fleet.lab.guest(node, vmid).await.unwrap()
}

/// Types `quorate-agent recover` on prox2.
async fn recover(fleet: &Fleet, args: &[&str]) -> Output {
    let args: Vec<&str> = ["recover", "--lost", "prox1"].iter().chain(args).copied().collect();
    fleet.lab.agent_cli("prox2", &args, None).await.unwrap()
}

fn refuses(output: &Output, code: &str) {
    assert_eq!(output.code(), Some(3), "{}", told(output));
    assert!(output.stderr.contains(code), "{code}: {}", told(output));
}

pub(crate) async fn quorate(fleet: &Fleet, node: &str) -> bool {
    let servers = fleet.lab.status().await.unwrap();
    servers
        .iter()
        .any(|server| server.name == node && server.quorate && server.writable)
}

/// The last write of guest 100 on a server.
pub(crate) async fn number(fleet: &Fleet, node: &str) -> u64 {
    guest(fleet, node, 100).await.map_or(0, |guest| guest.number)
}

pub(crate) async fn loses_power(fleet: &Fleet) -> u64 {
    fleet.lab.power("prox1", Press::Pull).await.unwrap();
    fleet
        .until("prox2 has no quorum", async || !quorate(fleet, "prox2").await)
        .await;
    number(fleet, "prox1").await
}

fn log(fleet: &Fleet, node: &str) -> String {
    std::fs::read_to_string(fleet.lab.layout().agent_log(node)).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_of_two_servers_from_the_console_of_the_one_that_is_left() {
    let fleet = two().await;
    let mut page = Page::open("recover.md");
    // As long as it lives, nothing is done, whatever is said.
    refuses(&recover(&fleet, &[]).await, "QRT-LOST-NODE-ALIVE");
    let forced = [
        "--seen-off",
        "--expected-votes",
        "1",
        "--apply",
        "--confirm",
        "hk1/prox1",
    ];
    refuses(&recover(&fleet, &forced).await, "QRT-LOST-NODE-ALIVE");

    let last = loses_power(&fleet).await;
    fleet.lab.stop_coordinator().await.unwrap();
    let shown = page
        .types(&fleet, "quorate-agent recover --lost prox1")
        .on("prox2")
        .ends(3)
        .enter()
        .await;
    assert!(shown.stderr.contains("QRT-RECOVERY-NEEDS-VOTES"), "{}", told(&shown));
    let shown = page
        .types(&fleet, "quorate-agent recover --lost prox1 --expected-votes 1")
        .on("prox2")
        .enter()
        .await;
    for said in [
        "1 of 2 votes are present, 2 are needed: there is NO quorum",
        "pvecm expected 1",
        "the gateway (192.168.1.1) answers",
        "Guest 100 (VM web)",
        "pvesr disable 100-0",
        "Guest 101 (VM db): scsi0: no copy is here",
        "Nothing was changed.",
    ] {
        assert!(shown.stdout.contains(said), "{said}: {}", told(&shown));
    }
    assert!(
        guest(&fleet, "prox2", 100)
            .await
            .is_some_and(|guest| !guest.owned && !guest.running)
    );
    let without_word = recover(&fleet, &["--expected-votes", "1", "--apply", "--confirm", "hk1/prox2"]).await;
    assert_eq!(without_word.code(), Some(8), "{}", told(&without_word));
    assert_eq!(fleet.happened(What::ExpectedSet), 0);

    let copied = number(&fleet, "prox2").await;
    assert!(
        copied < last,
        "what was written after the copy is on prox1 alone: {copied} of {last}"
    );
    let done = page
        .types(&fleet, "quorate-agent recover --lost prox1 --expected-votes 1 --apply")
        .on("prox2")
        .and(&["--confirm", "hk1/prox1"])
        .enter()
        .await;
    assert!(done.stdout.contains("seen: it runs"), "{}", told(&done));
    let here = guest(&fleet, "prox2", 100).await.unwrap();
    assert!(here.owned && here.running && here.number >= copied, "{here:?}");
    assert!(guest(&fleet, "prox2", 101).await.is_none_or(|guest| !guest.owned));

    // It returns: nothing of it is started a second time, and what it wrote last stays, though PVE has turned the job round.
    fleet.lab.power("prox1", Press::On).await.unwrap();
    fleet
        .until("prox1 is back", async || quorate(&fleet, "prox1").await)
        .await;
    fleet
        .until("PVE has turned the job round", async || {
            fleet.read("prox2", REPLICATION).contains("target prox1")
        })
        .await;
    fleet
        .until("guest 101 runs where it was", async || {
            guest(&fleet, "prox1", 101).await.is_some_and(|guest| guest.running)
        })
        .await;
    assert!(fleet.read("prox2", REPLICATION).contains("disable 1"));
    let there = guest(&fleet, "prox1", 100).await.unwrap();
    assert!(!there.owned && !there.running, "{there:?}");
    let kept = there.volumes.iter().map(|volume| volume.number).max();
    assert_eq!(kept, Some(last), "{there:?}");
    fleet
        .until("its return is told", async || {
            log(&fleet, "prox2").contains("QRT-LOST-NODE-BACK")
        })
        .await;
    let strays = page
        .types(&fleet, "quorate-agent observe strays")
        .on("prox1")
        .enter()
        .await;
    assert!(strays.stdout.contains("none"), "{}", told(&strays));
    let closed = page
        .types(&fleet, "quorate-agent recover --lost prox1 --close")
        .on("prox2")
        .enter()
        .await;
    assert!(
        closed.stdout.contains("100-0 is still switched off"),
        "{}",
        told(&closed)
    );
    for line in [
        "quorate recover --lost prox1 --dry-run",
        "quorate recover --lost prox1 --expected-votes 1",
    ] {
        page.elsewhere(line, "recover.rs");
    }
    page.elsewhere(
        "pvesr enable 100-0",
        "PVE's own command, as in tests/lab/tests/world/replication.rs",
    );
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_on_a_server_that_is_itself_cut_off_is_refused() {
    let fleet = two().await;
    fleet.lab.cut("prox2").await.unwrap();
    fleet
        .until("prox2 has no quorum", async || !quorate(&fleet, "prox2").await)
        .await;
    let forced = ["--expected-votes", "1", "--apply", "--confirm", "hk1/prox1"];
    let refused = recover(&fleet, &forced).await;
    refuses(&refused, "QRT-LOST-NODE-UNPROVEN");
    assert!(
        refused.stdout.contains("it may be this server that is cut off"),
        "{}",
        told(&refused)
    );
    assert_eq!(fleet.happened(What::ExpectedSet), 0);
    assert!(
        guest(&fleet, "prox1", 100)
            .await
            .is_some_and(|guest| guest.owned && guest.running)
    );
}

/// Whoever says that a server is off, and is wrong, has the guest twice. It is told as soon as anybody can see it.
#[tokio::test(flavor = "multi_thread")]
async fn recovery_of_a_server_that_was_not_off_shows_the_guest_that_runs_twice() {
    let fleet = two().await;
    fleet.lab.cut("prox1").await.unwrap();
    fleet
        .until("prox2 has no quorum", async || !quorate(&fleet, "prox2").await)
        .await;
    let done = recover(&fleet, &["--expected-votes", "1", "--apply", "--confirm", "hk1/prox1"]).await;
    assert_eq!(done.code(), Some(0), "{}", told(&done));
    fleet.lab.heal("prox1").await.unwrap();
    fleet
        .until("prox1 is back", async || quorate(&fleet, "prox1").await)
        .await;
    assert!(
        guest(&fleet, "prox1", 100)
            .await
            .is_some_and(|guest| guest.running && !guest.owned)
    );
    fleet
        .until("the coordinator tells it", async || {
            let status = fleet.json(&["status"]).await;
            codes(&status["findings"]).contains(&"QRT-GUEST-RUNS-ELSEWHERE".to_owned())
        })
        .await;
    let told = log(&fleet, "prox1");
    assert!(
        told.contains("QRT-GUEST-RUNS-ELSEWHERE") && told.contains("guest 100 runs on prox1"),
        "{told}"
    );
    fleet.lab.script("prox1", Script::KillGuest(100)).await.unwrap();
    fleet
        .until("it is over", async || {
            let status = fleet.json(&["status"]).await;
            !codes(&status["findings"]).contains(&"QRT-GUEST-RUNS-ELSEWHERE".to_owned())
        })
        .await;
}
