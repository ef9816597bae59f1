//! `zpool` of OpenZFS: the imported pools and the devices they are made of. Labels of pools that are not imported are
//! lsblk's to tell.

use quorate_exec::{Invocation, Tools};

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "zpool";

/// Lists pools with their devices: no header (`-H`), full paths (`-P`) with links resolved (`-L`), devices too (`-v`).
/// The same call that PVE's own disk list makes.
///
/// # Errors
/// When zpool is not installed.
pub fn list_devices(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["list", "-HPLv"]).build()?)
}

/// Lists pools with their health.
///
/// # Errors
/// When zpool is not installed.
pub fn list_health(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["list", "-Hp", "-o", "name,health"]).build()?)
}

/// A device of an imported pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The pool.
    pub pool: String,
    /// Path of the partition or disk.
    pub device: String,
}

/// A pool's health. `ONLINE` does not mean that all is well: permanent data errors leave it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The pool.
    pub pool: String,
    /// `ONLINE`, `DEGRADED`, `FAULTED`, `OFFLINE`, `UNAVAIL`, `REMOVED`, `SUSPENDED`.
    pub health: String,
}

/// Reads [`list_devices`]. A pool's line begins in the first column, the lines of its vdevs and devices with a tab; the
/// names of groups (`mirror-0`, `logs`, `cache`, `spare`) are no paths. Devices without a path (a guid in the place of
/// one that is gone) hold nothing here and are left out. No output at all: no pool is imported.
///
/// # Errors
/// When a device stands before any pool, or a line is empty.
pub fn read_devices(stdout: &str) -> Result<Vec<Member>, ParseError> {
    let mut pool: Option<&str> = None;
    let mut members = Vec::new();
    for line in stdout.lines() {
        let name = line.split('\t').map(str::trim).find(|field| !field.is_empty());
        let Some(name) = name else {
            return Err(ParseError::at(NAME, line, "an empty line in the list of pools"));
        };
        if !line.starts_with(char::is_whitespace) {
            if !is_heading(line) {
                pool = Some(name);
            }
            continue;
        }
        let Some(pool) = pool else {
            return Err(ParseError::at(NAME, line, "a device without a pool"));
        };
        if name.starts_with('/') {
            members.push(Member {
                pool: pool.to_owned(),
                device: name.to_owned(),
            });
        }
    }
    Ok(members)
}

/// `logs`, `cache`, `spare`, `special` and `dedup` head their devices from the first column on, as pools do. A pool (and
/// one may be called `cache`) has a health at least, a heading has dashes only.
fn is_heading(line: &str) -> bool {
    line.split_whitespace().skip(1).all(|field| field == "-")
}

/// Reads [`list_health`].
///
/// # Errors
/// When a line is not a name and a health.
pub fn read_health(stdout: &str) -> Result<Vec<Health>, ParseError> {
    stdout
        .lines()
        .map(|line| match line.split('\t').collect::<Vec<_>>().as_slice() {
            [pool, health] if !pool.is_empty() && !health.is_empty() => Ok(Health {
                pool: (*pool).to_owned(),
                health: (*health).to_owned(),
            }),
            _ => Err(ParseError::at(NAME, line, "expected a pool's name and its health")),
        })
        .collect()
}

/// Whether zpool said that the kernel's part of ZFS is not loaded: then no pool can be imported.
#[must_use]
pub fn says_no_module(stderr: &str) -> bool {
    stderr.contains("The ZFS modules are not loaded") || stderr.contains("The ZFS modules cannot be auto-loaded")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Vec<(String, String)> {
        read_devices(text)
            .unwrap()
            .into_iter()
            .map(|member| (member.pool, member.device))
            .collect()
    }

    #[test]
    fn calls() {
        let tools = Tools::imagined();
        assert_eq!(list_devices(&tools).unwrap().to_string(), "/usr/bin/zpool list -HPLv");
        assert_eq!(
            list_health(&tools).unwrap().to_string(),
            "/usr/bin/zpool list -Hp -o name,health"
        );
    }

    #[test]
    fn devices_of_a_mirror() {
        let link = |number| format!("/dev/disk/by-id/wwn-0x5000c500a1b2c30{number}-part1");
        let wanted = [("tank".to_owned(), link(1)), ("tank".to_owned(), link(2))];
        assert_eq!(members(fixture!("zpool/2.1.11/devices.out")), wanted);
        assert_eq!(members(""), []);
        // With `-L` a disk that is gone keeps the path that it had; a replacement is a group like any other.
        let found = members(fixture!("zpool/2.1.11/devices-replacing.out"));
        let found: Vec<&str> = found.iter().map(|(_, device)| device.as_str()).collect();
        assert_eq!(
            found,
            ["/dev/sdb1", "/dev/disk/by-id/wwn-0x5000c50010000007-part1", "/dev/sdh1"]
        );
    }

    #[test]
    fn headings_are_no_pools_and_faulted_pools_are_pools() {
        let found = members(fixture!("zpool/2.2/devices-all-classes.out"));
        let of = |pool: &str| {
            found
                .iter()
                .filter(|(p, _)| p == pool)
                .map(|(_, d)| d.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("rpool"), ["/dev/nvme0n1p3", "/dev/nvme1n1p3"]);
        assert_eq!(
            of("tank"),
            ["/dev/sda1", "/dev/sdx1", "/dev/dm-3", "/dev/sdy", "/dev/sdz1"]
        );
        assert_eq!(of("broken"), ["/dev/sdw1"]);
        assert_eq!(found.len(), 8);
    }

    #[test]
    fn a_pool_may_be_called_like_a_heading() {
        let text = "cache\t1T\t0\t1T\t-\t-\t0%\t0%\t1.00x\tONLINE\t-\n\t/dev/sda\t1T\t-\t-\t-\t-\t-\t-\t-\tONLINE\n";
        assert_eq!(members(text), [("cache".to_owned(), "/dev/sda".to_owned())]);
    }

    #[test]
    fn a_device_without_a_pool_is_an_error() {
        let error = read_devices("\t/dev/sda\t1T\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "zpool: a device without a pool: `\u{fffd}/dev/sda\u{fffd}1T`"
        );
        assert!(read_devices("tank\t1T\tONLINE\n\n").is_err());
    }

    #[test]
    fn health() {
        let found = read_health(fixture!("zpool/2.1.11/health.out")).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|pool| (pool.pool.as_str(), pool.health.as_str()))
            .collect();
        assert_eq!(found, [("oldtank", "ONLINE"), ("susp", "ONLINE"), ("tank", "DEGRADED")]);
        assert!(read_health("tank ONLINE\n").is_err());
    }

    #[test]
    fn a_missing_module_is_told_from_other_failures() {
        assert!(says_no_module(fixture!("zpool/2.1.11/no-module.err")));
        assert!(!says_no_module(fixture!("zpool/2.1.11/usage.err")));
    }
}
