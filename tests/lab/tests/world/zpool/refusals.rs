//! What zpool refuses, as it was captured.

use quorate_lab::Lab;

use super::disks::*;
use crate::nothing_unknown;

#[tokio::test]
async fn devices_are_refused_before_anything_is_written() {
    let lab = with_tank().await;
    let empty = partitions(&lab, S3).await;
    for (fixture, line) in [
        (
            "zpool-create/2.1.11/bad-property",
            format!("create -o frob=1 tank {S3}"),
        ),
        ("zpool-create/2.1.11/slash", format!("create ta/nk {S3}")),
        (
            "zpool-create/2.1.11/in-use-forced",
            format!("create -f tank3 mirror {S1} {S3}"),
        ),
        (
            "zpool-create/2.1.11/active-partition",
            format!("create -f tank3 mirror {S1}-part1 {S3}"),
        ),
        (
            "zpool-create/2.1.11/exported-label",
            format!("create tank mirror {S3} {OLD}"),
        ),
        ("zpool-create/2.1.11/sizes", format!("create tank mirror {S3} {SMALL}")),
        ("zpool-add/2.1.11/mismatch", format!("add tank {PERC}")),
        ("zpool-replace/2.1.11/in-use", format!("replace tank {S2} {S1}")),
        ("zpool-replace/2.1.11/old-label", format!("replace tank {S2} {OLD}")),
        ("zpool-offline/2.1.11/last", format!("offline tank {S1}")),
    ] {
        if fixture.ends_with("offline/2.1.11/last") {
            done(&lab, &format!("zpool offline tank {S2}")).await;
        }
        as_recorded(&lab, fixture, &format!("zpool {line}")).await;
    }
    assert_eq!(partitions(&lab, S3).await, empty);
    as_recorded(&lab, "zpool-detach/2.1.11/last", &format!("zpool detach tank {S1}")).await;
    nothing_unknown(&lab);
}

#[tokio::test]
async fn an_empty_machine_refuses_as_recorded_and_a_dry_run_writes_nothing() {
    let lab = machine().await;
    let mixed = format!("create tank mirror {S1} {S2} raidz {S3} {PERC} {SMALL}");
    as_recorded(&lab, "zpool-create/2.1.11/mixed", &format!("zpool {mixed}")).await;
    let dry = format!("create -n -o ashift=12 tank mirror {S1} {S2}");
    as_recorded(&lab, "zpool-create/2.1.11/dry-run", &format!("zpool {dry}")).await;
    assert_eq!(partitions(&lab, S1).await, []);
    // A disk that can't be written; the label of the one before it is.
    let read_only = run(&lab, &format!("zpool create tank mirror {S1} /dev/sdl")).await;
    assert_eq!(
        (read_only.stderr.as_str(), read_only.code()),
        (
            "cannot label 'sdl': cannot label '/dev/sdl': unable to open device: 30\n",
            Some(1)
        )
    );
    assert_eq!(partitions(&lab, S1).await, [part("sde1", None), part("sde9", None)]);
}

/// `sdc` blank, `sdc` partitioned.
async fn leaves_a_gpt(lab: &Lab, fixture: &str, line: &str, disk: &str, name: &str) {
    as_recorded(lab, fixture, line).await;
    assert_eq!(
        partitions(lab, disk).await,
        [part(&format!("{name}1"), None), part(&format!("{name}9"), None)],
        "{line}"
    );
}

#[tokio::test]
async fn what_is_refused_late_leaves_a_gpt_behind() {
    let lab = machine().await;
    let line = format!("zpool create tank mirror {S1} /dev/sde");
    leaves_a_gpt(&lab, "zpool-create/2.1.11/same-disk-twice", &line, S1, "sde").await;
    as_recorded(&lab, "wipefs/2.38.1/gpt", "wipefs --json --no-act /dev/sde").await;
    let argv = ["lsblk", "--json", "--bytes", "-o", "NAME,PARTLABEL", "/dev/sde"];
    let shown = lab.tool("prox1", &argv, None).await.expect("lsblk runs").stdout;
    assert!(shown.contains("\"partlabel\": \"zfs-"), "{shown}");
    let line = format!("zpool create -O compression=fast tank {S3}");
    leaves_a_gpt(&lab, "zpool-create/2.1.11/compression", &line, S3, "sdc").await;
    let line = format!("zpool create tank! {PERC}");
    leaves_a_gpt(&lab, "zpool-create/2.1.11/invalid-character", &line, PERC, "sda").await;
    // zpool itself takes what it left without a word.
    done(&lab, &format!("zpool create tank mirror {S1} {S3}")).await;
    as_recorded(&lab, "zpool-create/2.1.11/exists", &format!("zpool create tank {PERC}")).await;
    let line = format!("zpool replace tank {S1} {SMALL}");
    let output = run(&lab, &line).await;
    assert_eq!(
        (output.code(), output.stderr),
        (
            Some(255),
            format!("cannot replace {S1} with {SMALL}: device is too small\n")
        )
    );
    assert_eq!(partitions(&lab, SMALL).await, [part("sdd1", None), part("sdd9", None)]);
    nothing_unknown(&lab);
}
