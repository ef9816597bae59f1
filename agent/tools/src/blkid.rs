//! `blkid -p` of util-linux: what a device carries, read from the device itself and not from udev's database, which may lag.

use quorate_exec::{Invocation, Tools};

use crate::CallError;

/// Its name.
pub const NAME: &str = "blkid";

/// Reads a device.
///
/// # Errors
/// When blkid is not installed.
pub fn probe(tools: &Tools, device: &str) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["-p", "-o", "export", device]).build()?)
}

/// The signature that [`probe`] found: a file system's or a label's type, or a partition table's; `None`: none. Of a partition, blkid also
/// tells what the table says of it, which is no signature.
#[must_use]
pub fn signature(stdout: &str) -> Option<&str> {
    let value = |key: &str| {
        stdout
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    };
    value("TYPE").or_else(|| value("PTTYPE"))
}

/// Did [`probe`] see a partition of a GPT of this type, and nothing on it? Of a device that is not there, or can't be read, blkid says
/// nothing at all, as of an empty disk; of a partition that it could read it always tells the table's word.
#[must_use]
pub fn is_empty_partition(stdout: &str, parttype: &str) -> bool {
    let typed = stdout
        .lines()
        .filter_map(|line| line.strip_prefix("PART_ENTRY_TYPE="))
        .any(|own| own.eq_ignore_ascii_case(parttype));
    typed && signature(stdout).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_found_and_a_table_s_word_for_a_partition_is_none() {
        assert_eq!(signature(fixture!("blkid/2.38.1/ext4-partition.out")), Some("ext4"));
        assert_eq!(signature(fixture!("blkid/2.38.1/lvm.out")), Some("LVM2_member"));
        assert_eq!(signature(fixture!("blkid/2.38.1/gpt.out")), Some("gpt"));
        assert_eq!(signature(""), None);
        assert_eq!(
            signature("DEVNAME=/dev/sde1\nPART_ENTRY_SCHEME=gpt\nPART_ENTRY_TYPE=6a898cc3\n"),
            None
        );
    }

    #[test]
    fn silence_is_no_empty_partition() {
        let (zfs, linux) = (
            "6a898cc3-1dd2-11b2-99a6-080020736631",
            "0fc63daf-8483-4772-8e79-3d69d8477de4",
        );
        let seen = format!("DEVNAME=/dev/sde1\nPART_ENTRY_SCHEME=gpt\nPART_ENTRY_TYPE={zfs}\n");
        assert!(is_empty_partition(&seen, zfs) && !is_empty_partition(&seen, linux));
        assert!(!is_empty_partition("", zfs));
        assert!(!is_empty_partition(&format!("{seen}TYPE=zfs_member\n"), zfs));
        assert!(!is_empty_partition(fixture!("blkid/2.38.1/ext4-partition.out"), linux));
    }

    #[test]
    fn the_device_itself_is_asked() {
        let call = probe(&Tools::imagined(), "/dev/sdb1").unwrap().to_string();
        assert_eq!(call, "/usr/bin/blkid -p -o export /dev/sdb1");
    }
}
