//! `pvs` of LVM2: physical volumes and their volume groups.

use quorate_exec::{Invocation, Tools};
use serde::Deserialize;

use crate::{CallError, ParseError, json, lenient};

/// Its name.
pub const NAME: &str = "pvs";

/// Lists physical volumes with their groups; `--readonly` takes no lock, so that it never waits for another LVM tool.
///
/// # Errors
/// When pvs is not installed.
pub fn list(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools
        .call(NAME)?
        .args(["--readonly", "--reportformat", "json", "-o", "pv_name,vg_name"])
        .build()?)
}

/// A physical volume.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PhysicalVolume {
    /// Path of the disk or partition; `[unknown]` for one that is missing.
    #[serde(rename = "pv_name")]
    pub device: String,
    /// Its volume group; `None`: it belongs to none yet.
    #[serde(default, rename = "vg_name", deserialize_with = "lenient::text")]
    pub group: Option<String>,
}

#[derive(Deserialize)]
struct Report {
    report: Vec<Section>,
}

#[derive(Deserialize)]
struct Section {
    pv: Vec<PhysicalVolume>,
}

/// Reads [`list`].
///
/// # Errors
/// When it is no JSON report of physical volumes.
pub fn read(stdout: &str) -> Result<Vec<PhysicalVolume>, ParseError> {
    let report: Report = json::read(NAME, stdout)?;
    Ok(report.report.into_iter().flat_map(|section| section.pv).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_with_and_without_a_group() {
        let call = list(&Tools::imagined()).unwrap().to_string();
        assert_eq!(call, "/usr/bin/pvs --readonly --reportformat json -o pv_name,vg_name");
        let found = read(fixture!("pvs/2.03.16/pve.json")).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|pv| (pv.device.as_str(), pv.group.as_deref()))
            .collect();
        assert_eq!(
            found,
            [
                ("/dev/sda3", Some("pve")),
                ("/dev/nvme0n1", Some("ceph-1f2e")),
                ("/dev/sdq", None)
            ]
        );
        assert_eq!(
            read(fixture!("pvs/2.03.16/one.json")).unwrap()[0].group.as_deref(),
            Some("vgold")
        );
        assert!(read("{}").is_err());
    }
}
