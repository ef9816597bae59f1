//! Labels and signatures, taken away.

use super::disks::*;
use crate::captured;
use crate::nothing_unknown;

#[tokio::test]
async fn labelclear_wants_the_partition_and_nobody_s_member() {
    let lab = with_tank().await;
    for (fixture, line) in [
        ("active", format!("{S1}-part1")),
        ("active-forced", format!("-f {S1}-part1")),
        ("whole-disk", OLD.to_owned()),
        ("exported", format!("{OLD}-part1")),
    ] {
        let fixture = format!("zpool-labelclear/2.1.11/{fixture}");
        as_recorded(&lab, &fixture, &format!("zpool labelclear {line}")).await;
    }
    done(&lab, &format!("zpool labelclear -f {OLD}-part1")).await;
    assert_eq!(
        partitions(&lab, "/dev/nvme1n1").await,
        [part("nvme1n1p1", None), part("nvme1n1p9", None)]
    );
    nothing_unknown(&lab);
}

#[tokio::test]
async fn wipefs_shows_and_erases_what_lsblk_shows() {
    let lab = with_tank().await;
    for (fixture, disk) in [
        ("blank", "sda"),
        ("lvm", "sdg"),
        ("ext4", "sdh"),
        ("no-such-device", "nope"),
    ] {
        let shown = run(&lab, &format!("wipefs --json --no-act /dev/{disk}")).await;
        let recorded = captured::read(&format!("wipefs/2.38.1/{fixture}"));
        assert_eq!(
            (shown.code(), without_ids(&shown.stdout), shown.stderr),
            (Some(recorded.code), without_ids(&recorded.stdout), recorded.stderr),
            "{fixture}"
        );
    }
    let member = run(&lab, "wipefs --json --no-act /dev/sde1").await.stdout;
    let recorded = captured::read("wipefs/2.38.1/member").stdout;
    assert_eq!(without_ids(&member), without_ids(&recorded));
    assert!(member.contains("\"label\": \"tank\""));
    // A member is held by the kernel; so is the whole disk.
    for device in ["sde", "sde1"] {
        let busy = run(&lab, &format!("wipefs --all /dev/{device}")).await;
        let text = format!("wipefs: error: /dev/{device}: probing initialization failed: Device or resource busy\n");
        assert_eq!((busy.code(), busy.stdout.as_str(), busy.stderr), (Some(1), "", text));
    }
    let busy = run(&lab, "blockdev --rereadpt /dev/sde").await;
    assert_eq!(busy.code(), Some(1));
    done(&lab, "zpool destroy tank").await;
    assert_eq!(
        partitions(&lab, S1).await,
        [part("sde1", Some("zfs_member")), part("sde9", None)]
    );
    let erased = run(&lab, "wipefs --all /dev/sde1 /dev/sde9 /dev/sde").await;
    assert!(erased.success(), "{erased:?}");
    assert!(
        erased.stdout.ends_with(
            "/dev/sde: 2 bytes were erased at offset 0x000001fe (PMBR): 55 aa\n/dev/sde: calling ioctl to re-read partition table: \
             Success\n"
        ),
        "{}",
        erased.stdout
    );
    assert_eq!(partitions(&lab, S1).await, []);
    let root = lab.node("prox1").expect("prox1").root;
    assert!(!root.join("dev/sde1").exists() && !root.join("dev/disk/by-id/wwn-0x5000c500a1b2c301-part1").exists());
    done(&lab, "blockdev --rereadpt /dev/sde").await;
    done(&lab, "udevadm settle").await;
    nothing_unknown(&lab);
}

#[tokio::test]
async fn what_was_written_to_a_disk_stays_when_its_partitions_change() {
    let lab = machine().await;
    let node = lab.node("prox1").expect("prox1").root.join("dev/sde");
    let size = std::fs::metadata(&node).expect("a file").len();
    assert_eq!(size, 512 << 20, "as large as the disk");
    std::fs::write(&node, b"something").expect("written");
    done(&lab, &format!("zpool create tank {S1}")).await;
    let mut text = [0; 9];
    let mut file = std::fs::File::open(&node).expect("a file");
    std::io::Read::read_exact(&mut file, &mut text).expect("its beginning");
    assert_eq!(&text, b"something");
    assert_eq!(file.metadata().expect("a file").len(), 512 << 20);
}

/// Identifiers differ.
fn without_ids(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("\"uuid\": ") {
        Some((before, _)) => format!("{before}\"uuid\": …"),
        // A file system straight on a disk has no label in the lab.
        None => line.replace("\"wholefs\"", "null"),
    });
    lines.collect::<Vec<_>>().join("\n")
}
