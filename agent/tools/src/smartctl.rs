//! `smartctl` of smartmontools 7: a disk's own word on its health.

use std::time::Duration;

use quorate_exec::{Invocation, Tools};
use quorate_model::observation::disks::Smart;
use serde::Deserialize;

use crate::{CallError, ParseError, json, lenient};

/// Its name.
pub const NAME: &str = "smartctl";

/// PVE gives each disk ten seconds: a disk that is dying takes its time, one that is well takes a fraction of a second.
const DEADLINE: Duration = Duration::from_secs(10);

/// Asks one disk for identity, verdict and attributes, as JSON. A disk that sleeps is left asleep (`-n standby`).
///
/// # Errors
/// When smartctl is not installed.
pub fn health(tools: &Tools, device: &str) -> Result<Invocation, CallError> {
    let call = tools
        .call(NAME)?
        .args(["-j", "-n", "standby", "-i", "-H", "-A", device]);
    Ok(call.deadline(DEADLINE).build()?)
}

/// What smartctl said of a disk.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It could be asked. `passed` is missing where the disk gives no verdict: that is not the same as well.
    Health(Smart),
    /// It sleeps, and was left asleep.
    Asleep,
    /// It could not be asked: no SMART behind this device, or a RAID controller in between. In smartctl's words.
    Refused(String),
}

#[derive(Deserialize)]
struct Report {
    smartctl: Meta,
    smart_status: Option<Status>,
    temperature: Option<Temperature>,
    power_on_time: Option<PowerOnTime>,
    endurance_used: Option<EnduranceUsed>,
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    scsi_percentage_used_endurance_indicator: Option<u64>,
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    scsi_grown_defect_list: Option<u64>,
    nvme_smart_health_information_log: Option<NvmeLog>,
    ata_smart_attributes: Option<AtaAttributes>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(deserialize_with = "lenient::u64")]
    exit_status: u64,
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    string: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(deserialize_with = "lenient::flag")]
    passed: bool,
}

#[derive(Deserialize)]
struct Temperature {
    current: Option<i32>,
}

#[derive(Deserialize)]
struct PowerOnTime {
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    hours: Option<u64>,
}

#[derive(Deserialize)]
struct EnduranceUsed {
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    current_percent: Option<u64>,
}

#[derive(Deserialize)]
struct NvmeLog {
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    percentage_used: Option<u64>,
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    media_errors: Option<u64>,
}

#[derive(Deserialize)]
struct AtaAttributes {
    #[serde(default)]
    table: Vec<AtaAttribute>,
}

#[derive(Deserialize)]
struct AtaAttribute {
    #[serde(deserialize_with = "lenient::u64")]
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    value: Option<u64>,
    raw: Option<AtaRaw>,
}

#[derive(Deserialize)]
struct AtaRaw {
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    value: Option<u64>,
}

/// Attributes whose normalised value counts down from 100 as the flash wears. By id and name, because vendors give one
/// id several meanings (231 is also a temperature).
const WEAR: [(u64, &str); 7] = [
    (169, "Remaining_Lifetime_Perc"),
    (173, "Ave_Block-Erase_Count"),
    (177, "Wear_Leveling_Count"),
    (202, "Percent_Lifetime_Remain"),
    (231, "SSD_Life_Left"),
    (232, "Lifetime_Remaining%"),
    (233, "Media_Wearout_Indicator"),
];
const REALLOCATED: u64 = 5;

/// Bits 0 and 1 of smartctl's exit status: the command line, or opening the device, failed. The higher bits tell of the
/// disk, and the report is then there.
const NO_REPORT: u64 = 0b11;

/// Reads the report. It is printed also when smartctl fails.
///
/// # Errors
/// When it is no report of smartctl.
pub fn read(stdout: &str) -> Result<Answer, ParseError> {
    let report: Report = json::read(NAME, stdout)?;
    let meta = &report.smartctl;
    // `Device is in STANDBY mode, exit(2)`
    if meta
        .messages
        .iter()
        .any(|message| message.string.starts_with("Device is in "))
    {
        return Ok(Answer::Asleep);
    }
    if meta.exit_status & NO_REPORT != 0 {
        let words: Vec<_> = meta.messages.iter().map(|message| message.string.as_str()).collect();
        let words = if words.is_empty() {
            format!("exit status {}", meta.exit_status)
        } else {
            words.join("; ")
        };
        return Ok(Answer::Refused(words));
    }
    Ok(Answer::Health(report.into_smart()))
}

impl Report {
    fn into_smart(self) -> Smart {
        let attributes = self.ata_smart_attributes.map(|ata| ata.table).unwrap_or_default();
        let nvme = self.nvme_smart_health_information_log;
        let wear = (self.endurance_used.and_then(|used| used.current_percent))
            .or_else(|| nvme.as_ref().and_then(|log| log.percentage_used))
            .or(self.scsi_percentage_used_endurance_indicator)
            .or_else(|| ata_wear(&attributes));
        let bad = (nvme.as_ref().and_then(|log| log.media_errors))
            .or(self.scsi_grown_defect_list)
            .or_else(|| {
                let reallocated = attributes.iter().find(|attribute| attribute.id == REALLOCATED)?;
                reallocated.raw.as_ref()?.value
            });
        Smart {
            passed: self.smart_status.map(|status| status.passed),
            wear_percent: wear.and_then(|percent| u32::try_from(percent).ok()),
            temperature: self.temperature.and_then(|temperature| temperature.current),
            power_on_hours: self.power_on_time.and_then(|time| time.hours),
            bad_sectors: bad,
        }
    }
}

fn ata_wear(attributes: &[AtaAttribute]) -> Option<u64> {
    let left = attributes
        .iter()
        .find(|a| WEAR.iter().any(|(id, name)| a.id == *id && a.name == *name))?;
    Some(100_u64.saturating_sub(left.value?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smart(text: &str) -> Smart {
        match read(text).unwrap() {
            Answer::Health(smart) => smart,
            other => panic!("{other:?}"),
        }
    }

    fn refused(text: &str) -> String {
        match read(text).unwrap() {
            Answer::Refused(words) => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_sleeping_disk_is_left_asleep() {
        let call = health(&Tools::imagined(), "/dev/sda").unwrap().to_string();
        assert_eq!(call, "/usr/bin/smartctl -j -n standby -i -H -A /dev/sda");
        assert_eq!(read(fixture!("smartctl/7.4/asleep.json")).unwrap(), Answer::Asleep);
    }

    #[test]
    fn each_kind_of_disk_has_its_own_figures() {
        let nvme = smart(fixture!("smartctl/7.3/nvme.json"));
        let wanted = Smart {
            passed: Some(true),
            wear_percent: Some(0),
            temperature: Some(50),
            power_on_hours: Some(0),
            bad_sectors: Some(0),
        };
        assert_eq!(nvme, wanted);
        let sata = smart(fixture!("smartctl/7.4/sata-ssd.json"));
        let wanted = Smart {
            passed: Some(true),
            wear_percent: Some(7),
            temperature: Some(30),
            power_on_hours: Some(21840),
            bad_sectors: Some(2),
        };
        assert_eq!(sata, wanted);
        let sas = smart(fixture!("smartctl/7.4/sas-ssd.json"));
        assert_eq!(
            (sas.wear_percent, sas.bad_sectors, sas.power_on_hours),
            (Some(7), Some(0), Some(912))
        );
        let failing = smart(fixture!("smartctl/7.4/sata-failing.json"));
        assert_eq!(
            (failing.passed, failing.bad_sectors, failing.wear_percent),
            (Some(false), Some(4088), None)
        );
    }

    #[test]
    fn no_verdict_is_not_the_same_as_well() {
        assert_eq!(smart(fixture!("smartctl/7.3/no-smart.json")).passed, None);
    }

    #[test]
    fn disks_that_cannot_be_asked_are_told_in_smartctls_words() {
        assert!(refused(fixture!("smartctl/7.3/raid-volume.json")).contains("please try adding '-d megaraid,N'"));
        assert_eq!(
            refused(fixture!("smartctl/7.3/virtio.json")),
            "/dev/vda: Unable to detect device type"
        );
        assert_eq!(
            refused(fixture!("smartctl/7.3/no-such-device.json")),
            "/dev/nope: Unable to detect device type"
        );
        assert!(refused(fixture!("smartctl/7.3/megaraid-member.json")).contains("megaraid_sas_ioctl_node"));
        assert_eq!(refused(fixture!("smartctl/7.3/optical.json")), "exit status 2");
        assert!(read("smartctl 6.6 2017-11-05 r4594").is_err());
    }
}
