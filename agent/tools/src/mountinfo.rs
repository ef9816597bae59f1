//! `/proc/PID/mountinfo`: what is mounted where in a process's eyes. Source: proc(5).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use crate::ParseError;

const NAME: &str = "mountinfo";

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `8:1`: the device's number, or one that stands for no device.
    pub device: String,
    /// Where it is mounted.
    pub point: String,
    /// What was mounted, as whoever did said it; mostly a device's path.
    pub source: String,
}

/// Reads the list.
///
/// # Errors
/// A line does not have the fields that every one has.
pub fn read(text: &str) -> Result<Vec<Mount>, ParseError> {
    text.lines().map(mount).collect()
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn mount(line: &str) -> Result<Mount, ParseError> {
    let bad = || ParseError::at(NAME, line, "expected a mount");
    let (own, of_file_system) = line.split_once(" - ").ok_or_else(bad)?;
    let mut own = own.split(' ');
    let device = own.nth(2).filter(|number| number.contains(':')).ok_or_else(bad)?;
    let point = own.nth(1).ok_or_else(bad)?;
    let source = of_file_system.split(' ').nth(1).ok_or_else(bad)?;
    Ok(Mount {
        device: device.to_owned(),
        point: plain(point),
        source: plain(source),
    })
}

/// Blanks, tabs, line feeds and backslashes stand as three octal digits.
fn plain(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (first, escaped) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_with_a_read_only_system() {
        let mounts = read(
            "21 1 259:2 / / ro,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro\n\
             22 21 259:2 /usr /usr ro,relatime shared:1 - ext4 /dev/nvme0n1p2 rw\n\
             23 21 0:44 / /mnt/a\\040b rw - zfs tank/a\\040b rw,xattr\n",
        )
        .unwrap();
        let shown: Vec<_> = mounts
            .iter()
            .map(|m| (m.device.as_str(), m.point.as_str(), m.source.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("259:2", "/", "/dev/nvme0n1p2"),
                ("259:2", "/usr", "/dev/nvme0n1p2"),
                ("0:44", "/mnt/a b", "tank/a b"),
            ]
        );
    }

    #[test]
    fn a_line_that_is_no_mount_is_an_error() {
        for line in [
            "",
            "21 1 259:2 / /",
            "21 1 x / / rw - ext4 /dev/sda rw",
            "21 1 8:1 / / rw - ext4",
        ] {
            assert!(mount(line).is_err(), "{line}");
        }
        assert_eq!(plain("a\\1"), "a\\1");
    }
}
