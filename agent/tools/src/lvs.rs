//! `lvs` of LVM2, for Ceph's sake: `ceph-volume` writes into a logical volume's tags whose OSD it is.

use quorate_exec::{Invocation, Tools};
use serde::Deserialize;

use crate::{CallError, ParseError, json};

/// Its name.
pub const NAME: &str = "lvs";

/// Lists logical volumes with their tags and the devices that they lie on.
///
/// # Errors
/// When lvs is not installed.
pub fn list(tools: &Tools) -> Result<Invocation, CallError> {
    let columns = "lv_name,vg_name,lv_tags,devices";
    Ok(tools
        .call(NAME)?
        .args(["--readonly", "--reportformat", "json", "-o", columns])
        .build()?)
}

/// A logical volume. One that lies on several segments is listed once for each.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogicalVolume {
    /// Its name; ceph-volume's begin with `osd-`.
    #[serde(rename = "lv_name")]
    pub name: String,
    /// Its volume group.
    #[serde(rename = "vg_name")]
    pub group: String,
    /// Tags, comma-separated, such as `ceph.osd_id=3,ceph.type=block`.
    #[serde(rename = "lv_tags")]
    tags: String,
    /// `/dev/sdb(0)` or `lv_tdata(0)`, comma-separated; empty for thin volumes.
    devices: String,
}

impl LogicalVolume {
    /// The number of the OSD that it belongs to, by the tag `ceph.osd_id`.
    #[must_use]
    pub fn osd(&self) -> Option<&str> {
        self.tags
            .split(',')
            .find_map(|tag| tag.trim().strip_prefix("ceph.osd_id="))
            .filter(|id| !id.is_empty())
    }

    /// Paths of the devices that it lies on.
    pub fn devices(&self) -> impl Iterator<Item = &str> {
        let devices = self
            .devices
            .split(',')
            .map(|device| device.split('(').next().unwrap_or(device).trim());
        devices.filter(|device| device.starts_with('/'))
    }
}

#[derive(Deserialize)]
struct Report {
    report: Vec<Section>,
}

#[derive(Deserialize)]
struct Section {
    lv: Vec<LogicalVolume>,
}

/// Reads [`list`].
///
/// # Errors
/// When it is no JSON report of logical volumes.
pub fn read(stdout: &str) -> Result<Vec<LogicalVolume>, ParseError> {
    let report: Report = json::read(NAME, stdout)?;
    Ok(report.report.into_iter().flat_map(|section| section.lv).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn osds_are_found_by_their_tag() {
        let call = list(&Tools::imagined()).unwrap().to_string();
        assert_eq!(
            call,
            "/usr/bin/lvs --readonly --reportformat json -o lv_name,vg_name,lv_tags,devices"
        );
        let found = read(fixture!("lvs/2.03.16/ceph.json")).unwrap();
        assert_eq!(
            (found[0].osd(), found[0].devices().collect::<Vec<_>>()),
            (Some("3"), vec!["/dev/nvme0n1"])
        );
        assert_eq!((found[1].osd(), found[1].devices().count()), (None, 0));
        assert_eq!(found[2].devices().collect::<Vec<_>>(), ["/dev/sda3"]);
        assert!(read("{\"report\":[{\"lv\":[{\"vg_name\":\"x\"}]}]}").is_err());
    }
}
