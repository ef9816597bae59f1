//! `pvesh get /nodes/NODE/qemu/ID/migrate --target NODE`: what stands against moving a machine, by PVE's own word. It changes nothing.
//!
//! PVE 8 has fewer keys; one that is missing has nothing to say.

use std::collections::BTreeMap;

use quorate_exec::{Invocation, Tools};
use serde::Deserialize;

use super::NAME;
use crate::{CallError, ParseError, json, lenient};

/// Asks.
///
/// # Errors
/// When pvesh is not installed.
pub fn ask(tools: &Tools, node: &str, guest: u32, target: &str) -> Result<Invocation, CallError> {
    let path = format!("/nodes/{node}/qemu/{guest}/migrate");
    Ok(tools
        .call(NAME)?
        .args(["get", &path, "--target", target, "--output-format", "json"])
        .build()?)
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    not_allowed_nodes: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    local_resources: Vec<String>,
    #[serde(default)]
    local_disks: Vec<LocalDisk>,
}

#[derive(Deserialize)]
struct LocalDisk {
    #[serde(default, deserialize_with = "lenient::text")]
    volid: Option<String>,
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    cdrom: Option<u64>,
}

/// What stands against it, in words; empty: nothing that PVE knows of.
///
/// # Errors
/// When it is no such answer.
pub fn read(target: &str, text: &str) -> Result<Vec<String>, ParseError> {
    let raw: Raw = json::read(NAME, text)?;
    let mut against = Vec::new();
    if !raw.local_resources.is_empty() {
        against.push(format!("it uses local devices: {}", raw.local_resources.join(", ")));
    }
    // PVE finds out only when the guest is locked; the disc with cloud-init's settings it lets through.
    let discs = raw.local_disks.iter().filter(|disk| disk.cdrom.unwrap_or(0) != 0);
    let discs = discs
        .filter_map(|disk| disk.volid.as_deref())
        .filter(|volid| !volid.contains("-cloudinit"));
    for disc in discs {
        against.push(format!(
            "{disc} lies in a CD drive of it (or of a snapshot), and is on its server alone"
        ));
    }
    if let Some(why) = raw.not_allowed_nodes.get(target) {
        let reasons = why.as_object().into_iter().flatten();
        let reasons: Vec<String> = reasons
            .filter(|(_, value)| !value.as_array().is_some_and(Vec::is_empty))
            .map(|(key, value)| format!("{} {}", key.replace(['_', '-'], " "), words(value)))
            .collect();
        against.push(if reasons.is_empty() {
            format!("PVE does not allow it on {target}")
        } else {
            format!("on {target}: {}", reasons.join("; "))
        });
    }
    Ok(against)
}

fn words(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(list) => list.iter().map(words).collect::<Vec<_>>().join(", "),
        // What keeps it away, and by which rule: {"sid": "vm:101", "cause": "resource-affinity"}.
        serde_json::Value::Object(parts) => {
            let part = |key: &str| parts.get(key).and_then(|value| value.as_str());
            match (part("sid"), part("cause")) {
                (Some(sid), Some(cause)) => format!("{sid} ({cause})"),
                (Some(sid), None) => sid.to_owned(),
                _ => value.to_string(),
            }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pve_says_against_the_target_is_told() {
        let text = r#"{"running":1,"allowed_nodes":["prox3"],"local_disks":[],"local_resources":[],
            "not_allowed_nodes":{"prox2":{"unavailable_storages":["data_zfs"],"blocking-ha-resources":[]}}}"#;
        assert_eq!(
            read("prox2", text).unwrap(),
            ["on prox2: unavailable storages data_zfs"]
        );
        assert!(read("prox3", text).unwrap().is_empty());
        let bound = r#"{"running":1,"local_resources":["hostpci0","usb1"]}"#;
        assert_eq!(read("prox3", bound).unwrap(), ["it uses local devices: hostpci0, usb1"]);
        assert!(read("prox3", "nonsense").is_err());
        let kept_away = r#"{"not_allowed_nodes":{"prox2":{"blocking-ha-resources":[{"sid":"vm:101","cause":"resource-affinity"}]}}}"#;
        assert_eq!(
            read("prox2", kept_away).unwrap(),
            ["on prox2: blocking ha resources vm:101 (resource-affinity)"]
        );
        let disc = r#"{"local_disks":[{"volid":"local:iso/x.iso","cdrom":1},{"volid":"cdrom","cdrom":"1"},
            {"volid":"data_zfs:vm-100-cloudinit","cdrom":1},{"volid":"data_zfs:vm-100-disk-0","cdrom":0}]}"#;
        let against = read("prox2", disc).unwrap();
        assert_eq!(against.len(), 2, "{against:?}");
        assert!(against[0].starts_with("local:iso/x.iso lies in a CD drive"));
        assert!(
            read("prox2", fixture!("pvesh/pve-9/migrate-allowed.out"))
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            read("prox2", fixture!("pvesh/pve-9/migrate-not-allowed.out"))
                .unwrap()
                .len(),
            2
        );
    }
}
