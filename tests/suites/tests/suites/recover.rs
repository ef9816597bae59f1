//! A server is lost, and its guests are started from their copies by the coordinator, after the lost server's name was typed; what it wrote last is
//! there when it returns, until somebody decides.

use quorate_lab::What;
use quorate_lab::control::Press;
use quorate_suites::hand::steps;
use quorate_suites::{Fleet, codes, told};

use crate::recovery::{guest, loses_power, number, quorate, two};

const REPLICATION: &str = "/etc/pve/replication.cfg";

/// What refuses, of a plan as JSON.
async fn found(fleet: &Fleet, args: &[&str]) -> Vec<String> {
    let args: Vec<&str> = ["recover", "--lost", "prox1", "--dry-run"]
        .iter()
        .chain(args)
        .copied()
        .collect();
    codes(&fleet.json(&args).await["findings"])
}

#[tokio::test(flavor = "multi_thread")]
async fn recover_starts_guests_of_a_lost_server_and_keeps_what_it_wrote_last() {
    let fleet = two().await;
    let last = loses_power(&fleet).await;

    // Nothing is begun by a look, nor without quorum, nor without the whole name.
    let shown = fleet.ends(&["recover", "--lost", "prox1", "--dry-run"], 3).await;
    for said in [
        "QRT-RECOVERY-NEEDS-VOTES",
        "1 of 2 votes are present, 2 are needed: there is NO quorum",
        "third-vote.md",
        "the gateway (192.168.1.1) answers",
        "VM 100 (web) is taken over on prox2",
        "VM 101 (db) can be started nowhere",
    ] {
        assert!(shown.stdout.contains(said), "{said}: {}", told(&shown));
    }
    let forced = ["recover", "--lost", "prox1", "--expected-votes", "1"];
    let plan = fleet
        .json(&["recover", "--lost", "prox1", "--expected-votes", "1", "--dry-run"])
        .await;
    assert_eq!(
        steps(&plan),
        ["recover.expect/prox1", "recover.take/100", "recover.start/100"],
        "{plan:#}"
    );
    let with = |more: &[&'static str]| -> Vec<&'static str> { forced.iter().chain(more).copied().collect() };
    fleet.ends(&with(&["--confirm", "hk1/prox2"]), 8).await;
    // Nobody is there to type it.
    fleet.ends(&forced, 2).await;
    assert_eq!(fleet.happened(What::ExpectedSet), 0);
    let copied = number(&fleet, "prox2").await;
    assert!(copied < last, "what was written after the copy is on prox1 alone");

    let done = fleet.ok(&with(&["--confirm", "hk1/prox1"])).await;
    assert!(
        done.stdout.contains("take VM 100 (web) over from prox1 to prox2"),
        "{}",
        told(&done)
    );
    let here = guest(&fleet, "prox2", 100).await.expect("it is there");
    assert!(here.owned && here.running && here.number >= copied, "{here:?}");
    assert!(guest(&fleet, "prox2", 101).await.is_none_or(|guest| !guest.owned));
    let jobs = fleet.read("prox2", REPLICATION);
    assert!(jobs.contains("disable 1") && jobs.contains("kept on prox1"), "{jobs}");
    let audit = fleet.ok(&["audit"]).await;
    assert!(
        audit
            .stdout
            .contains("recover --lost prox1 --expected-votes 1 --confirm hk1/prox1"),
        "{}",
        told(&audit)
    );
    // Asked again, nothing is left to do, and votes are not forced for it.
    let again = fleet.json(&["recover", "--lost", "prox1", "--dry-run"]).await;
    assert!(steps(&again).is_empty(), "{again:#}");

    // It returns: the guest runs once, what it wrote last stays, and is told of.
    fleet.lab.power("prox1", Press::On).await.unwrap();
    fleet
        .until("prox1 is back", async || quorate(&fleet, "prox1").await)
        .await;
    fleet
        .until("guest 101 runs where it was", async || {
            guest(&fleet, "prox1", 101).await.is_some_and(|guest| guest.running)
        })
        .await;
    fleet
        .until("PVE has turned the job round", async || {
            fleet.read("prox2", REPLICATION).contains("target prox1")
        })
        .await;
    let there = guest(&fleet, "prox1", 100).await.expect("its disks are there");
    assert!(!there.owned && !there.running, "{there:?}");
    let kept = there.volumes.iter().map(|volume| volume.number).max();
    assert_eq!(kept, Some(last), "{there:?}");
    fleet
        .until("what is held is told", async || {
            let status = fleet.json(&["status"]).await;
            codes(&status["findings"]).contains(&"QRT-COPY-HELD".to_owned())
        })
        .await;
    fleet.connected(&["prox1".to_owned()]).await;
    // The job ran once a night: the decision is done when a copy was made.
    let often = fleet.tool("prox2", "pvesr update 100-0 --schedule */1").await;
    assert!(often.success(), "{}", told(&often));
    let kept = fleet.ok(&["replication", "resolve", "100", "--keep", "--yes"]).await;
    assert!(kept.stdout.contains("quorate-kept-vm-100-disk-0-"), "{}", told(&kept));
    assert_eq!(fleet.happened(What::WritesDiscarded), 0);
    fleet.nothing_twice();
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn recover_refuses_while_the_server_shows_any_sign_of_life() {
    let fleet = two().await;
    // It is in the cluster.
    assert!(found(&fleet, &[]).await.contains(&"QRT-LOST-NODE-ALIVE".to_owned()));
    let forced = [
        "recover",
        "--lost",
        "prox1",
        "--expected-votes",
        "1",
        "--seen-off",
        "--confirm",
        "hk1/prox1",
    ];
    let refused = fleet.ends(&forced, 3).await;
    assert!(refused.stdout.contains("QRT-LOST-NODE-ALIVE"), "{}", told(&refused));
    // Its corosync alone is cut off: its agent and its addresses still answer.
    fleet.lab.cut_link("prox1", 0).await.unwrap();
    fleet
        .until("prox2 has no quorum", async || !quorate(&fleet, "prox2").await)
        .await;
    let refused = fleet.ends(&forced, 3).await;
    assert!(refused.stdout.contains("QRT-LOST-NODE-ALIVE"), "{}", told(&refused));
    assert!(
        refused.stdout.contains("called by the coordinator: answers"),
        "{}",
        told(&refused)
    );
    assert_eq!(fleet.happened(What::ExpectedSet), 0);
    let there = guest(&fleet, "prox1", 100).await.expect("it is there");
    assert!(there.owned && there.running, "{there:?}");
}
