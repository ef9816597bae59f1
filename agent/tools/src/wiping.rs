//! What wipes a disk, as PVE itself does it (PVE::Diskmanage, `wipe_blockdev`): `wipefs`, `dd`, then `blockdev` and `udevadm` so that all see it.

use std::time::Duration;

use quorate_exec::{Invocation, Tools};
use quorate_model::ByteSize;

use crate::CallError;

/// Some seconds on a disk that is well; one that is not retries each block for as long.
const WITHIN: Duration = Duration::from_secs(300);

/// `wipefs --all`: no signature that libblkid knows is left. It takes the device for itself while it does, and so fails where anybody uses it.
///
/// # Errors
/// When wipefs is not installed.
pub fn wipefs(tools: &Tools, device: &str) -> Result<Invocation, CallError> {
    let call = tools.call("wipefs")?.args(["--all", device]);
    Ok(call.deadline(WITHIN).build()?)
}

/// `dd`: zeros from there on. A device that is not there is not made a file.
///
/// # Errors
/// When dd is not installed.
pub fn zero(tools: &Tools, device: &str, from: ByteSize, length: ByteSize) -> Result<Invocation, CallError> {
    let call = tools.call("dd")?.args([
        "if=/dev/zero".to_owned(),
        format!("of={device}"),
        "bs=1M".to_owned(),
        "iflag=count_bytes".to_owned(),
        format!("count={}", length.0),
        "oflag=seek_bytes,direct".to_owned(),
        format!("seek={}", from.0),
        "conv=nocreat,fsync".to_owned(),
        "status=none".to_owned(),
    ]);
    Ok(call.deadline(WITHIN).build()?)
}

/// `blockdev --rereadpt`: the kernel looks at the partition table anew.
///
/// # Errors
/// When blockdev is not installed.
pub fn reread(tools: &Tools, device: &str) -> Result<Invocation, CallError> {
    Ok(tools.call("blockdev")?.args(["--rereadpt", device]).build()?)
}

/// `udevadm settle`: until udev's database knows.
///
/// # Errors
/// When udevadm is not installed.
pub fn settle(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call("udevadm")?.args(["settle", "--timeout=30"]).build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_as_pve_makes_them() {
        let tools = Tools::imagined();
        assert_eq!(
            wipefs(&tools, "/dev/disk/by-id/ata-A").unwrap().to_string(),
            "/usr/bin/wipefs --all /dev/disk/by-id/ata-A"
        );
        assert_eq!(
            zero(&tools, "/dev/disk/by-id/ata-A", ByteSize(512), ByteSize(1 << 20))
                .unwrap()
                .to_string(),
            "/usr/bin/dd if=/dev/zero of=/dev/disk/by-id/ata-A bs=1M iflag=count_bytes count=1048576 oflag=seek_bytes,direct seek=512 \
             conv=nocreat,fsync status=none"
        );
        assert_eq!(
            reread(&tools, "/dev/sdb").unwrap().to_string(),
            "/usr/bin/blockdev --rereadpt /dev/sdb"
        );
        assert_eq!(
            settle(&tools).unwrap().to_string(),
            "/usr/bin/udevadm settle --timeout=30"
        );
    }
}
