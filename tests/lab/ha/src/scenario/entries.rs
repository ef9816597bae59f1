//! What stands in the files of a scenario.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::words::requested;
use crate::constants::{MAX_RELOCATE, MAX_RESTART};
use crate::model::{Balancing, Datacenter, Requested, ServiceConfig};

/// A server: one entry of `hardware_status`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// It has power.
    #[serde(deserialize_with = "on")]
    pub power: bool,
    /// It has a network.
    #[serde(deserialize_with = "on")]
    pub network: bool,
    /// Its processors.
    #[serde(default)]
    pub maxcpu: Option<f64>,
    /// Its memory, in bytes.
    #[serde(default)]
    pub maxmem: Option<f64>,
    /// Its version of pve-manager.
    #[serde(default, rename = "pve-manager-version")]
    pub version: Option<String>,
}

/// A service: one entry of `service_config`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceFile {
    /// Where it is.
    pub node: String,
    /// What is wanted of it; disabled, where nothing is written, other than in `resources.cfg`.
    #[serde(default = "disabled", deserialize_with = "wanted")]
    pub state: Requested,
    /// Tries of a start on the same node after the first one.
    #[serde(default = "max_restart", deserialize_with = "perl_number")]
    pub max_restart: u32,
    /// Other nodes on which a start is tried.
    #[serde(default = "max_relocate", deserialize_with = "perl_number")]
    pub max_relocate: u32,
    /// To move to a better node when one comes.
    #[serde(default = "yes", deserialize_with = "perl_truth")]
    pub failback: bool,
    /// Its group.
    #[serde(default)]
    pub group: Option<String>,
    /// The lock of its guest.
    #[serde(default)]
    pub lock: Option<String>,
}

impl ServiceFile {
    /// As the configuration has it.
    #[must_use]
    pub fn config(&self) -> ServiceConfig {
        ServiceConfig {
            node: self.node.clone(),
            state: self.state,
            max_restart: self.max_restart,
            max_relocate: self.max_relocate,
            failback: self.failback,
            group: self.group.clone(),
        }
    }

    /// One that was just added.
    #[must_use]
    pub fn new(node: &str, state: Requested) -> Self {
        Self {
            node: node.to_owned(),
            state,
            max_restart: MAX_RESTART,
            max_relocate: MAX_RELOCATE,
            failback: true,
            group: None,
            lock: None,
        }
    }
}

/// `datacenter.cfg`, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatacenterFile {
    #[serde(default)]
    ha: HaSettings,
    #[serde(default)]
    crs: CrsSettings,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct HaSettings {
    shutdown_policy: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct CrsSettings {
    ha: Option<String>,
    #[serde(deserialize_with = "perl_truth")]
    ha_rebalance_on_start: bool,
    #[serde(deserialize_with = "perl_truth")]
    ha_auto_rebalance: bool,
    ha_auto_rebalance_threshold: Option<f64>,
    ha_auto_rebalance_method: Option<String>,
    ha_auto_rebalance_hold_duration: Option<u32>,
    ha_auto_rebalance_margin: Option<f64>,
}

impl DatacenterFile {
    /// What it says.
    #[must_use]
    pub fn settings(&self) -> Datacenter {
        let usual = Balancing::default();
        let balance = Balancing {
            threshold: self.crs.ha_auto_rebalance_threshold.unwrap_or(usual.threshold),
            method: self.crs.ha_auto_rebalance_method.clone().unwrap_or(usual.method),
            hold_duration: self.crs.ha_auto_rebalance_hold_duration.unwrap_or(usual.hold_duration),
            margin: self.crs.ha_auto_rebalance_margin.unwrap_or(usual.margin),
        };
        Datacenter {
            shutdown_policy: self.ha.shutdown_policy.clone(),
            scheduler: self.crs.ha.clone(),
            rebalance_on_start: self.crs.ha_rebalance_on_start,
            balance: self.crs.ha_auto_rebalance.then_some(balance),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatsFile {
    #[serde(default)]
    pub(super) maxcpu: Option<f64>,
    #[serde(default)]
    pub(super) maxmem: Option<f64>,
    #[serde(default)]
    pub(super) cpu: Option<f64>,
    #[serde(default)]
    pub(super) mem: Option<f64>,
}

fn disabled() -> Requested {
    Requested::Disabled
}

fn max_restart() -> u32 {
    MAX_RESTART
}

fn max_relocate() -> u32 {
    MAX_RELOCATE
}

fn yes() -> bool {
    true
}

fn on<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match String::deserialize(from)?.as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(serde::de::Error::custom(format!("'{other}' is neither on nor off"))),
    }
}

fn wanted<'de, D: Deserializer<'de>>(from: D) -> Result<Requested, D::Error> {
    let word = String::deserialize(from)?;
    requested(&word)
        .ok_or_else(|| serde::de::Error::custom(format!("'{word}' is nothing that can be wanted of a service")))
}

fn perl_truth<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match Value::deserialize(from)? {
        Value::Bool(flag) => Ok(flag),
        Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
        Value::String(text) => Ok(!text.is_empty() && text != "0"),
        other => Err(serde::de::Error::custom(format!("{other} is neither yes nor no"))),
    }
}

fn perl_number<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let value = Value::deserialize(from)?;
    let number = match &value {
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| serde::de::Error::custom(format!("{value} is no number of tries")))
}
