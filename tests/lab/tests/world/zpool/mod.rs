//! Pools: what zpool prints of them, what it refuses, and what it leaves on disks.

mod disks;
mod health;
mod importing;
mod refusals;
mod wiping;

use quorate_lab::Lab;

use crate::{lab, nothing_unknown};

const A: &str = "/dev/disk/by-id/ata-SAMSUNG_MZ7LH960HAJR-00005_S45NNA0N104171";
const B: &str = "/dev/disk/by-id/ata-SAMSUNG_MZ7LH960HAJR-00005_S45NNA0N104172";
const OLD: &str = "/dev/disk/by-id/ata-ST4000NM0035-1V4107_ZC1AAAA1";

async fn zpool(lab: &Lab, line: &str) -> (String, String, i32) {
    let argv: Vec<&str> = ["zpool"].into_iter().chain(line.split(' ')).collect();
    let output = lab.tool("prox1", &argv, None).await.expect("the tool runs");
    let code = output.code().expect("an exit code");
    (output.stdout, output.stderr, code)
}

/// Type, file system and label of each partition of a disk.
async fn partitions(lab: &Lab, disk: &str) -> Vec<(String, Option<String>)> {
    let argv = ["lsblk", "--json", "--bytes", "--output", "NAME,PARTTYPE,FSTYPE", disk];
    let output = lab.tool("prox1", &argv, None).await.expect("the tool runs");
    let seen: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    let children = seen
        .pointer("/blockdevices/0/children")
        .and_then(|children| children.as_array());
    let text = |part: &serde_json::Value, key: &str| part.get(key).and_then(|text| text.as_str()).map(str::to_owned);
    let of = |part: &serde_json::Value| (text(part, "name").unwrap_or_default(), text(part, "fstype"));
    children.into_iter().flatten().map(of).collect()
}

#[tokio::test]
async fn a_mirror_is_made_shown_and_destroyed() {
    let lab = lab(|builder| builder.nodes(1)).await;
    assert_eq!(
        zpool(&lab, "status -Pp").await,
        (String::new(), "no pools available\n".to_owned(), 0)
    );
    assert_eq!(zpool(&lab, "get -Hp size,ashift").await.0, "");
    let made = zpool(
        &lab,
        &format!("create -o ashift=12 -o autotrim=on -O compression=on tank mirror {A} {B}"),
    )
    .await;
    assert_eq!(made, (String::new(), String::new(), 0));
    let width = A.len() + 4 + "-part1".len();
    let row = |indent: &str, name: &str| {
        let name = format!("{indent}{name}");
        format!("\t{name:width$}  ONLINE       0     0     0\n")
    };
    let expected = [
        "  pool: tank\n state: ONLINE\nconfig:\n\n".to_owned(),
        format!("\t{:width$}  STATE     READ WRITE CKSUM\n", "NAME"),
        row("", "tank"),
        row("  ", "mirror-0"),
        row("    ", &format!("{A}-part1")),
        row("    ", &format!("{B}-part1")),
        "\nerrors: No known data errors\n".to_owned(),
    ];
    assert_eq!(zpool(&lab, "status -Pp").await.0, expected.concat());
    assert_eq!(
        zpool(&lab, "get -Hp ashift,autotrim").await.0,
        "tank\tashift\t12\tlocal\ntank\tautotrim\ton\tlocal\n"
    );
    let label = |name: &str, fstype: Option<&str>| (name.to_owned(), fstype.map(str::to_owned));
    assert_eq!(
        partitions(&lab, "/dev/sda").await,
        [label("sda1", Some("zfs_member")), label("sda9", None)]
    );
    let again = zpool(&lab, &format!("create tank2 {A}")).await;
    assert_eq!(
        (again.1, again.2),
        (format!("{A} is in use and contains a unknown filesystem.\n"), 1)
    );
    assert_eq!(zpool(&lab, "destroy tank").await, (String::new(), String::new(), 0));
    // Only ZFS itself sees in the label that the pool is no more.
    assert_eq!(
        partitions(&lab, "/dev/sda").await,
        [label("sda1", Some("zfs_member")), label("sda9", None)]
    );
    assert_eq!(zpool(&lab, &format!("create tank2 {A}")).await.2, 0);
    nothing_unknown(&lab);
}

#[tokio::test]
async fn what_is_on_a_disk_refuses_and_a_late_refusal_leaves_partitions() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let refused = async |line: &str| {
        let (stdout, stderr, code) = zpool(&lab, line).await;
        assert_eq!((stdout.as_str(), code), ("", 1), "{line}");
        stderr
    };
    let on_it = "invalid vdev specification\nuse '-f' to override the following errors:\n";
    let old = format!("{on_it}{OLD}-part1 contains a filesystem of type 'ext4'\n");
    assert_eq!(refused(&format!("create tank {OLD}")).await, old);
    assert_eq!(
        refused(&format!("create tank mirror {A}")).await,
        "invalid vdev specification: mirror requires at least 2 devices\n"
    );
    assert_eq!(
        refused("create tank /dev/disk/by-id/nope").await,
        "cannot resolve path '/dev/disk/by-id/nope'\n"
    );
    assert_eq!(partitions(&lab, "/dev/sda").await, [], "nothing was written so far");
    let name = "cannot create 'mirror': name is reserved\npool name may have been omitted\n";
    assert_eq!(refused(&format!("create mirror {A}")).await, name);
    let left = [("sda1".to_owned(), None), ("sda9".to_owned(), None)];
    assert_eq!(partitions(&lab, "/dev/sda").await, left, "a GPT is left behind");
    // Which zpool itself takes silently.
    assert_eq!(zpool(&lab, &format!("create tank {A}")).await.2, 0);
}
