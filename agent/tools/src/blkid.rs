//! `blkid -p` of util-linux: what a device carries, read from the device itself and not from udev's database, which may lag.

use quorate_exec::{Invocation, Tools};

use crate::CallError;

/// Its name.
pub const NAME: &str = "blkid";

/// How it ends where it finds nothing at all. Source: blkid(8).
pub const NOTHING: i32 = 2;

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
    fn the_device_itself_is_asked() {
        let call = probe(&Tools::imagined(), "/dev/sdb1").unwrap().to_string();
        assert_eq!(call, "/usr/bin/blkid -p -o export /dev/sdb1");
    }
}
