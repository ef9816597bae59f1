//! `zfs list` and `zfs rename`: guests' volumes in pools, and what they are called.

use quorate_exec::{Invocation, Tools};
use quorate_model::held::{GuestVolume, KEPT};

use crate::CallError;

/// Its name.
pub const NAME: &str = "zfs";

/// All datasets of these pools that hold something, by name: no header (`-H`), no snapshots.
///
/// # Errors
/// When zfs is not installed.
pub fn of_pools(tools: &Tools, pools: &[&str]) -> Result<Invocation, CallError> {
    let call = tools
        .call(NAME)?
        .args(["list", "-Hp", "-o", "name", "-t", "filesystem,volume", "-r"]);
    Ok(call.args(pools.iter().copied()).build()?)
}

/// Gives a volume another name in its pool, with all its snapshots. It has no option that could take another one's place: a name that is taken is
/// refused.
///
/// # Errors
/// When zfs is not installed.
pub fn rename(tools: &Tools, volume: &GuestVolume, name: &str) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["rename", volume.as_str(), name]).build()?)
}

/// Reads the list: guests' volumes, and what is kept of them. Other datasets are nobody's disk.
#[must_use]
pub fn read(stdout: &str) -> Vec<String> {
    let is_kept = |name: &str| name.rsplit('/').next().is_some_and(|last| last.starts_with(KEPT));
    stdout
        .lines()
        .filter(|name| is_kept(name) || name.parse::<GuestVolume>().is_ok())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_volumes_and_what_is_kept_of_them() {
        let call = of_pools(&Tools::imagined(), &["data_zfs", "rpool"])
            .unwrap()
            .to_string();
        assert_eq!(
            call,
            "/usr/bin/zfs list -Hp -o name -t filesystem,volume -r data_zfs rpool"
        );
        assert_eq!(
            read(fixture!("zfs-list/2.1.11/two.out")),
            [
                "data_zfs/quorate-kept-vm-100-disk-0-20261122T110932Z",
                "data_zfs/subvol-101-disk-0",
                "data_zfs/vm-100-disk-0",
                "rpool/data/vm-102-disk-0"
            ]
        );
        assert_eq!(
            read(fixture!("zfs-list/2.1.11/below-one.out")),
            ["backup/vm-100-disk-0"]
        );
    }

    #[test]
    fn a_volume_gets_another_name() {
        let volume = "data_zfs/vm-100-disk-0".parse().unwrap();
        let call = rename(&Tools::imagined(), &volume, "data_zfs/quorate-kept-vm-100-disk-0-1").unwrap();
        assert_eq!(
            call.to_string(),
            "/usr/bin/zfs rename data_zfs/vm-100-disk-0 data_zfs/quorate-kept-vm-100-disk-0-1"
        );
    }
}
