//! Disks that fail, vanish and come back; scans; a pool that nobody can write to.

use quorate_lab::control::PoolHappens;
use quorate_lab::zfs::PoolDiskIs;
use quorate_lab::{Lab, Script};

use super::disks::*;
use crate::captured;
use crate::{nothing_unknown, until};

const FOR_EVER: u64 = 1_000_000_000_000;

async fn happens(lab: &Lab, pool: &str, happens: PoolHappens) {
    let script = Script::Pool {
        name: pool.to_owned(),
        happens,
    };
    lab.script("prox1", script).await.expect("scripted");
}

async fn pull(lab: &Lab, disk: &str) {
    lab.script("prox1", Script::RemoveDisk(disk.to_owned()))
        .await
        .expect("gone");
}

async fn put_back(lab: &Lab, disk: &str) {
    let script = Script::ReturnDisk {
        name: disk.to_owned(),
        now: None,
    };
    lab.script("prox1", script).await.expect("back");
}

async fn status(lab: &Lab) -> String {
    run(lab, "zpool status -P tank").await.stdout
}

/// A scan's line tells times.
fn without_scan(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with("  scan: "))
        .map(|line| format!("{line}\n"))
        .collect()
}

async fn resilvered(lab: &Lab) {
    until(lab, "the resilver's end", async || {
        status(lab).await.contains("  scan: resilvered 384K in 00:00:")
    })
    .await;
}

#[tokio::test]
async fn a_healthy_mirror_and_one_with_a_disk_offline() {
    let lab = with_tank().await;
    as_recorded(&lab, "zpool-status/2.1.11/mirror", "zpool status -P").await;
    as_recorded(&lab, "zpool-status/2.1.11/names", "zpool status").await;
    as_recorded(&lab, "zpool-status/2.1.11/literal-slow", "zpool status -Ppvs").await;
    let shown = run(
        &lab,
        "zpool list -Hp -o name,size,alloc,free,ckpoint,expandsz,frag,cap,dedup,health,altroot",
    )
    .await;
    assert_eq!(
        shown.stdout,
        "tank\t503316480\t393216\t502923264\t-\t-\t0\t0\t1.00\tONLINE\t-\n"
    );
    done(&lab, &format!("zpool offline tank {S2}")).await;
    as_recorded(&lab, "zpool-status/2.1.11/offline", "zpool status -P tank").await;
    let health = run(&lab, "zpool get -Hp -o value health tank").await;
    assert_eq!((health.code(), health.stdout.as_str()), (Some(0), "DEGRADED\n"));
    done(&lab, &format!("zpool online tank {S2}")).await;
    resilvered(&lab).await;
    let recorded = captured::read("zpool-status/2.1.11/mirror").stdout;
    assert_eq!(without_scan(&status(&lab).await), recorded);
    nothing_unknown(&lab);
}

#[tokio::test]
async fn a_replaced_disk_is_resilvered_and_the_old_one_is_free() {
    let lab = with_tank().await;
    let slow = PoolHappens::ScansTake {
        scrub_ms: None,
        resilver_ms: Some(FOR_EVER),
    };
    happens(&lab, "tank", slow).await;
    done(&lab, &format!("zpool replace tank {S2} {S3}")).await;
    let shown = status(&lab).await;
    for part in [
        " state: ONLINE\nstatus: One or more devices is currently being resilvered.  The pool will\n",
        "  scan: resilver in progress since ",
        " resilvered, 0.00% done, no estimated completion time\n",
        "\t    replacing-1 ",
        "-part1  ONLINE       0     0     0  (resilvering)\n",
    ] {
        assert!(shown.contains(part), "{part}in\n{shown}");
    }
    let scrub = run(&lab, "zpool scrub tank").await;
    assert_eq!(
        (scrub.code(), scrub.stderr.as_str()),
        (Some(1), "cannot scrub tank: currently resilvering\n")
    );
    let quick = PoolHappens::ScansTake {
        scrub_ms: None,
        resilver_ms: Some(0),
    };
    happens(&lab, "tank", quick).await;
    done(&lab, "zpool wait -t resilver tank").await;
    let recorded = captured::read("zpool-status/2.1.11/replaced").stdout;
    assert_eq!(without_scan(&status(&lab).await), without_scan(&recorded));
    assert_eq!(partitions(&lab, S2).await, [part("sdb1", None), part("sdb9", None)]);
    assert_eq!(
        partitions(&lab, S3).await,
        [part("sdc1", Some("zfs_member")), part("sdc9", None)]
    );

    // Pulled: nobody notices before something is read or written.
    pull(&lab, "sdc").await;
    assert_eq!(without_scan(&status(&lab).await), without_scan(&recorded));
    assert_eq!(run(&lab, "zpool status -x").await.stdout, "all pools are healthy\n");
    happens(&lab, "tank", PoolHappens::Io { after_ms: None }).await;
    let removed = captured::read("zpool-status/2.1.11/removed").stdout;
    assert_eq!(without_scan(&status(&lab).await), without_scan(&removed));
    put_back(&lab, "sdc").await;
    done(&lab, &format!("zpool online tank {S3}")).await;
    resilvered(&lab).await;
    assert_eq!(run(&lab, "zpool status -x").await.stdout, "all pools are healthy\n");
    nothing_unknown(&lab);
}

#[tokio::test]
async fn a_pool_whose_only_disk_is_gone_stays_online_and_holds_up_whoever_writes() {
    let lab = machine().await;
    done(&lab, &format!("zpool create tank {S3}")).await;
    pull(&lab, "sdc").await;
    happens(&lab, "tank", PoolHappens::Io { after_ms: None }).await;
    let shown = status(&lab).await;
    let recorded = captured::read("zpool-status/2.1.11/only-disk-pulled").stdout;
    let (before, _) = recorded.split_once("config:").expect("a table");
    assert_eq!(
        shown
            .split_once("config:")
            .map(|(text, _)| text.replace("tank", "susp"))
            .as_deref(),
        Some(before)
    );
    assert!(shown.contains("-part1  ONLINE       0 32.3K     0\n"), "{shown}");
    assert!(
        shown.ends_with("errors: 3 data errors, use '-v' for a list\n"),
        "{shown}"
    );
    assert_eq!(run(&lab, "zpool list -H -o name,health").await.stdout, "tank\tONLINE\n");
    let destroyed = run(&lab, "zpool destroy -f tank").await;
    assert_eq!(
        (destroyed.code(), destroyed.stderr.as_str()),
        (
            Some(1),
            "cannot unmount '/tank': pool or dataset is busy\ncould not destroy 'tank': could not unmount datasets\n"
        )
    );
    let log = lab.layout().dir().join("create.out");
    let mut waiting = lab
        .tool_in_background("prox1", &["zfs", "create", "tank/x"], None, &log)
        .expect("zfs starts");
    // Another pool is as ever, and by then the first command waits.
    done(&lab, &format!("zpool create other {S1}")).await;
    done(&lab, "zfs create other/x").await;
    assert!(waiting.ended().is_none());
    put_back(&lab, "sdc").await;
    until(&lab, "the waiting command's end", async || waiting.ended().is_some()).await;
    assert_eq!(run(&lab, "zfs list -Hp -o name tank/x").await.stdout, "tank/x\n");
    nothing_unknown(&lab);
}

#[tokio::test]
async fn what_scripts_do_to_a_pool_shows() {
    let lab = with_tank().await;
    let disk = || S2.to_owned();
    let errors = |checksum| PoolHappens::Errors {
        disk: disk(),
        read: 0,
        write: 0,
        checksum,
    };
    happens(&lab, "tank", errors(273)).await;
    let repaired = captured::read("zpool-status/2.1.11/repaired").stdout;
    assert_eq!(status(&lab).await, without_scan(&repaired));
    done(&lab, "zpool clear tank").await;
    as_recorded(&lab, "zpool-status/2.1.11/mirror", "zpool status -P").await;
    let faulted = PoolHappens::Disk {
        disk: disk(),
        is: PoolDiskIs::Faulted,
    };
    happens(&lab, "tank", faulted).await;
    let shown = status(&lab).await;
    assert!(
        shown.contains(" state: DEGRADED\nstatus: One or more devices are faulted in response to persistent errors.\n")
            && shown.contains("  FAULTED      0     0     0  too many errors\n"),
        "{shown}"
    );
    happens(&lab, "tank", PoolHappens::Suspend).await;
    assert_eq!(
        run(&lab, "zpool list -H -o name,health").await.stdout,
        "tank\tSUSPENDED\n"
    );
    done(&lab, "zpool clear tank").await;
    as_recorded(&lab, "zpool-status/2.1.11/mirror", "zpool status -P").await;
    happens(&lab, "tank", PoolHappens::Filled { percent: 91 }).await;
    happens(&lab, "tank", PoolHappens::Fragmented { percent: 40 }).await;
    assert_eq!(run(&lab, "zpool list -Hp -o cap,frag").await.stdout, "91\t40\n");
    let old = PoolHappens::Scrubbed {
        days_ago: 40,
        errors: 0,
        repaired: 0,
    };
    happens(&lab, "tank", old).await;
    let shown = status(&lab).await;
    assert!(
        shown.contains("  scan: scrub repaired 0B in 00:12:34 with 0 errors on "),
        "{shown}"
    );
    let slow = PoolHappens::ScansTake {
        scrub_ms: Some(FOR_EVER),
        resilver_ms: None,
    };
    happens(&lab, "tank", slow).await;
    done(&lab, "zpool scrub tank").await;
    as_recorded(&lab, "zpool-scrub/2.1.11/twice", "zpool scrub tank").await;
    done(&lab, "zpool scrub -s tank").await;
    assert!(status(&lab).await.contains("  scan: scrub canceled on "));
    nothing_unknown(&lab);
}
