//! `quorate-lab demo`: what it shows, and what is left when it ends or is ended.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{LONG, Place, wait};

/// These stand there, one after the other.
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at = rest.find(part);
        assert!(at.is_some(), "{part} does not come where it should:\n{text}");
        rest = &rest[at.unwrap_or_default() + part.len()..];
    }
}

#[tokio::test]
async fn the_demo_reads_as_an_administrator_would_see_it() {
    let place = Place::new();
    let output = place.run(&["demo", "cluster"]).await;
    assert!(output.success(), "{}\n{}", output.stdout, output.stderr);
    let text = &output.stdout;
    assert!(text.ends_with("\n\n1 act passed, 0 failed\n"), "{text}");
    assert!(!text.contains("\n\n\n"), "no doubled blank lines");
    assert!(text.lines().all(|line| line == line.trim_end()), "no trailing blanks");
    for typed in [
        "coordinator# quorate node invite hk1/prox3 --address ",
        "coordinator# quorate plan hk1.toml\n",
        "coordinator# quorate apply hk1.toml --yes --detach\n",
        "coordinator# kill -9 $(pidof quorate)\n",
        "coordinator# quorate rollout watch hk1-",
        "prox3# quorate-agent enroll ",
    ] {
        assert!(text.contains(typed), "{typed} was not typed:\n{text}");
    }
    // Seen, too: a token, all servers connected, three members, no warning.
    assert!(text.contains("      qrt1."), "{text}");
    assert!(!text.contains("  connecting  "), "{text}");
    assert!(text.contains("quorate, 3 of 3 members online"), "{text}");
    // A planted problem is told before anything is changed, and the plan is good without it.
    assert!(text.contains("QRT-SERVICE-DOWN"), "{text}");
    assert!(text.contains("3 of 3 steps verified"), "{text}");
    // Killed in the middle: applied before, watched after; and then there is nothing left to do.
    let order = [
        "# quorate apply hk1.toml --yes",
        "# kill -9",
        "# quorate rollout watch",
        "Nothing to do.",
    ];
    let places: Vec<_> = order.iter().filter_map(|part| text.find(part)).collect();
    assert_eq!(places.len(), order.len(), "{text}");
    assert!(places.is_sorted(), "{text}");
    assert_eq!(text.matches("Nothing to do.").count(), 1, "{text}");
    place.assert_empty();
}

#[tokio::test]
async fn the_act_of_storage_goes_from_the_disks_to_a_storage_that_is_active_everywhere() {
    let place = Place::new();
    let output = place.run(&["demo", "storage"]).await;
    assert!(output.success(), "{}\n{}", output.stdout, output.stderr);
    let text = &output.stdout;
    assert!(text.ends_with("\n\n1 act passed, 0 failed\n"), "{text}");
    assert!(!text.contains("\n\n\n"), "no doubled blank lines");
    let order = [
        "# quorate disks --role zfs\n",
        "S45NNA0N104171",
        "# quorate plan hk1.toml\n",
        "create pool data_zfs on prox1: mirror of 2 disks",
        "survives the loss of one disk",
        "# quorate apply hk1.toml --yes\n",
        "4 of 4 steps verified",
        "# quorate storage\n",
        "prox1, prox2, prox3",
        "Nothing to do.",
        "# quorate zfs list hk1/prox1\n",
        "DEGRADED",
        "# quorate zfs replace hk1/prox1 data_zfs ",
        "NEW001 in place of /dev/disk/by-id/",
        "1 of 1 steps verified",
        "# quorate zfs list hk1/prox1\n",
        "ONLINE",
    ];
    in_order(text, &order);
    place.assert_empty();
}

#[tokio::test]
async fn the_act_of_guests_goes_from_a_guest_to_its_recovery() {
    let place = Place::new();
    let output = place.run(&["demo", "guests"]).await;
    assert!(output.success(), "{}\n{}", output.stdout, output.stderr);
    let text = &output.stdout;
    assert!(text.ends_with("\n\n1 act passed, 0 failed\n"), "{text}");
    let order = [
        "# quorate guest create-canary --id 100 ",
        "Canary 100 answers from here",
        "copy guest 100 (quorate-canary-100) from prox1 to prox2",
        "4 of 4 steps verified",
        "# quorate replication\n",
        "fresh",
        "Nothing to do.",
        "# quorate ha --if-lost prox1\n",
        "started on prox2",
        "# quorate migrate 100 hk1/prox2 --measure --probe tcp:",
        "TASK OK",
        "Pause: ",
        "# quorate node drain hk1/prox2 --yes\n",
        "# quorate node undrain hk1/prox2 --yes\n",
        "Called from outside meanwhile: ",
        "# quorate reboot --rolling --cluster hk1 --yes\n",
        "9 of 9 steps verified",
        "Called from outside meanwhile: ",
        "The plug of ",
        "# quorate guests\n",
        "running",
        "Nothing to do.",
        "scenarios agree in every change",
    ];
    in_order(text, &order);
    place.assert_empty();
}

#[tokio::test]
async fn the_act_of_the_drill_goes_on_to_its_time_line_though_the_coordinator_is_killed() {
    let place = Place::new();
    let output = place.run_within(&["demo", "drill", "--kill-coordinator"], LONG).await;
    assert!(output.success(), "{}\n{}", output.stdout, output.stderr);
    let text = &output.stdout;
    assert!(text.ends_with("\n\n1 act passed, 0 failed\n"), "{text}");
    assert!(!text.contains("\n\n\n"), "no doubled blank lines");
    let order = [
        "[drills.cut-prox1]",
        "# quorate drill preview cut-prox1\n",
        "FAILS, and is started again",
        "# quorate drill run cut-prox1 --confirm hk1/prox1 --html cut-prox1.html\n",
        "making the fault: ",
        "coordinator# kill -9 $(pidof quorate)\n",
        "coordinator# quorate serve &\n",
        "watchdog reset after ",
        "the record is written: passed\n",
        "Drill 1 (cut-prox1) of hk1: passed\n",
        "client outage ",
        "after the fault ",
        "guest started ",
        "cut-prox1.html: ",
        "# quorate drill list\n",
        "Nothing to do.",
    ];
    in_order(text, &order);
    place.assert_empty();
}

#[tokio::test]
async fn the_act_of_two_servers_refuses_recovers_by_hand_and_passes_with_a_third_vote() {
    let place = Place::new();
    let output = place.run_within(&["demo", "two-servers"], LONG).await;
    assert!(output.success(), "{}\n{}", output.stdout, output.stderr);
    let text = &output.stdout;
    assert!(text.ends_with("\n\n1 act passed, 0 failed\n"), "{text}");
    let order = [
        "# quorate plan too-much.toml\n",
        "QRT-TWO-SERVERS-HA",
        "# quorate drill preview cut-prox1\n",
        "QRT-DRILL-TWO-SERVERS",
        "The plug of prox1 is pulled",
        "# quorate recover --lost prox1 --guest 100 --expected-votes 1 --dry-run\n",
        "prox2# quorate-agent recover --lost prox1 ",
        "Nothing was changed.",
        "--confirm hk1/prox1\n",
        "steps verified",
        "HELD",
        "# quorate replication resolve 100 --discard --yes\n",
        "[cluster.third_vote]",
        "Total votes:      3",
        "# quorate drill run cut-prox1 ",
        "Drill 1 (cut-prox1) of hk1: passed\n",
        "Nothing to do.",
    ];
    in_order(text, &order);
    place.assert_empty();
}

#[tokio::test]
async fn the_coordinator_can_only_be_killed_in_a_drill_that_is_played() {
    let place = Place::new();
    let output = place.run(&["demo", "cluster", "--kill-coordinator"]).await;
    assert_eq!(output.code(), Some(1));
    assert_eq!(
        output.stderr,
        "error: --kill-coordinator is a part of the act drill, which is not played\n"
    );
    place.assert_empty();
}

/// In the middle of a join, when most is running.
async fn interrupted_by(signal: Signal) {
    let place = Place::new();
    let mut demo = place
        .start(&["demo", "cluster"], "coordinator# quorate apply hk1.toml")
        .await;
    assert!(!place.is_empty(), "the lab is there");
    let pid = Pid::from_raw(i32::try_from(demo.pid()).expect("a process"));
    kill(pid, signal).expect("the demo runs");
    let mut status = None;
    wait("the demo's end", || {
        status = demo.ended();
        status.is_some()
    })
    .await;
    if signal == Signal::SIGKILL {
        // Nobody is left but the world to clear up.
        wait("the world's end", || place.is_empty()).await;
    } else {
        let output = std::fs::read_to_string(place.log()).expect("its output");
        assert_eq!(status.and_then(|status| status.code()), Some(130), "{output}");
        assert!(
            output.ends_with("interrupted; nothing of the lab is left\n"),
            "{output}"
        );
    }
    place.assert_empty();
}

#[tokio::test]
async fn ctrl_c_leaves_nothing_behind() {
    interrupted_by(Signal::SIGINT).await;
}

#[tokio::test]
async fn termination_leaves_nothing_behind() {
    interrupted_by(Signal::SIGTERM).await;
}

#[tokio::test]
async fn even_a_killed_demo_leaves_nothing_behind() {
    interrupted_by(Signal::SIGKILL).await;
}

#[tokio::test]
async fn an_unknown_act_is_refused_at_once() {
    let place = Place::new();
    let output = place.run(&["demo", "dance"]).await;
    assert_eq!(output.code(), Some(1));
    assert_eq!(
        output.stderr,
        "error: no act is called dance; there is: cluster, storage, guests, drill, two-servers\n"
    );
    place.assert_empty();
}
