//! The files of pve-ha-manager in /etc/pve/ha, and the LRM's in the nodes' folders.

use std::collections::BTreeMap;

use quorate_model::Timestamp;
use quorate_model::observation::ha::{Disarm, HaPlace, HaPlacement, HaResource, LrmStatus, ManagerStatus};
use serde::Deserialize;

use super::sections;
use crate::{ParseError, json, lenient};

#[derive(Deserialize)]
struct RawLrm {
    state: String,
    mode: String,
    #[serde(deserialize_with = "lenient::u64")]
    timestamp: u64,
}

/// Reads /etc/pve/nodes/NODE/lrm_status.
///
/// # Errors
/// When it is no JSON, or state, mode or time are missing.
pub fn read_lrm_status(text: &str) -> Result<LrmStatus, ParseError> {
    let raw: RawLrm = json::read("lrm_status", text)?;
    Ok(LrmStatus {
        state: raw.state,
        mode: raw.mode,
        at: seconds(raw.timestamp),
    })
}

#[derive(Deserialize)]
struct RawManager {
    #[serde(default, deserialize_with = "lenient::text")]
    master_node: Option<String>,
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    timestamp: Option<u64>,
    #[serde(default)]
    node_status: Option<BTreeMap<String, String>>,
    #[serde(default)]
    service_status: Option<BTreeMap<String, RawPlace>>,
    #[serde(default)]
    disarm: Option<RawDisarm>,
    #[serde(default)]
    node_request: Option<BTreeMap<String, RawRequest>>,
}

#[derive(Deserialize)]
struct RawRequest {
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    maintenance: Option<u64>,
}

#[derive(Deserialize)]
struct RawPlace {
    node: String,
    state: String,
    #[serde(default, deserialize_with = "lenient::text")]
    target: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    uid: Option<String>,
    /// The command and what goes with it: `["migrate", "prox2"]`.
    #[serde(default)]
    cmd: Option<Vec<serde_json::Value>>,
}

#[derive(Deserialize)]
struct RawDisarm {
    mode: String,
    state: String,
}

/// Reads /etc/pve/ha/manager_status; `None` where no master has written into it yet.
///
/// # Errors
/// When it is no JSON, or what a master writes is not whole.
pub fn read_manager_status(text: &str) -> Result<Option<ManagerStatus>, ParseError> {
    const NAME: &str = "manager_status";
    if text.trim().is_empty() {
        return Ok(None);
    }
    let raw: RawManager = json::read(NAME, text)?;
    let Some(master) = raw.master_node else {
        // A request, such as maintenance, may lie there before the first master.
        return match raw.service_status.unwrap_or_default().is_empty() {
            true => Ok(None),
            false => Err(ParseError::missing(NAME, "services without a master_node")),
        };
    };
    let missing = |what: &str| ParseError::missing(NAME, format!("{what} is missing"));
    let timestamp = raw.timestamp.ok_or_else(|| missing("timestamp"))?;
    // A master writes both, also where there is nothing in them.
    let nodes = raw.node_status.ok_or_else(|| missing("node_status"))?;
    let services = raw.service_status.ok_or_else(|| missing("service_status"))?;
    let place = |(service, place): (String, RawPlace)| {
        let RawPlace {
            node,
            state,
            target,
            uid,
            cmd,
        } = place;
        let command = cmd.map(|cmd| cmd.first().and_then(|word| word.as_str()).unwrap_or("?").to_owned());
        let place = HaPlace {
            node,
            state,
            target,
            command,
            uid,
        };
        (service, place)
    };
    Ok(Some(ManagerStatus {
        master,
        at: seconds(timestamp),
        nodes,
        services: services.into_iter().map(place).collect(),
        disarm: raw.disarm.map(|RawDisarm { mode, state }| Disarm { mode, state }),
        maintenance: raw
            .node_request
            .unwrap_or_default()
            .into_iter()
            .filter(|(_, request)| request.maintenance.unwrap_or(0) != 0)
            .map(|(node, _)| node)
            .collect(),
    }))
}

fn seconds(unix: u64) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(unix).unwrap_or(i64::MAX))
}

/// Reads resources.cfg: services by `vm:100`, `ct:101`. A state that is not given is `started`, and `enabled` is the older
/// word for it.
///
/// # Errors
/// When the file is no section file.
pub fn read_resources(text: &str) -> Result<BTreeMap<String, HaResource>, ParseError> {
    let sections = sections::read("resources.cfg", text)?.into_iter();
    let mut resources = BTreeMap::new();
    for section in sections {
        let sid = format!("{}:{}", section.kind, section.id);
        let number = |key: &str| match section.value(key).map(str::parse::<u32>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(ParseError::missing(
                "resources.cfg",
                format!("{sid}: {key} is no number"),
            )),
        };
        let state = match section.value("state") {
            None | Some("enabled") => "started",
            Some(state) => state,
        };
        let resource = HaResource {
            state: state.to_owned(),
            group: section.value("group").map(str::to_owned),
            max_restart: number("max_restart")?,
            max_relocate: number("max_relocate")?,
            failback: section.value("failback").map(is_on),
        };
        resources.insert(sid, resource);
    }
    Ok(resources)
}

/// A word alone is a yes.
fn is_on(value: &str) -> bool {
    !matches!(value, "0" | "no" | "off" | "false")
}

/// Reads groups.cfg and rules.cfg with all that they say of their services and nodes.
///
/// # Errors
/// When one of them is no section file, or a priority is no number.
pub fn read_placements(groups: &str, rules: &str) -> Result<Vec<HaPlacement>, ParseError> {
    let groups = sections::read("groups.cfg", groups)?
        .into_iter()
        .map(|section| ("groups.cfg", section));
    let rules = sections::read("rules.cfg", rules)?
        .into_iter()
        .map(|section| ("rules.cfg", section));
    let placement = |(file, section): (&'static str, sections::Section)| {
        let node = |entry: String| match entry.split_once(':') {
            None => Ok((entry, None)),
            Some((node, priority)) => match priority.parse() {
                Ok(priority) => Ok((node.to_owned(), Some(priority))),
                Err(_) => Err(ParseError::missing(
                    file,
                    format!("{}: `{entry}` has no number for a priority", section.id),
                )),
            },
        };
        let nodes = section.list("nodes").into_iter().map(node);
        let flag = |key: &str| section.value(key).is_some_and(is_on);
        Ok(HaPlacement {
            nodes: nodes.collect::<Result<_, _>>()?,
            services: section.list("resources"),
            strict: flag("strict") || flag("restricted"),
            no_failback: flag("nofailback"),
            disabled: flag("disable"),
            apart: section.value("affinity") == Some("negative"),
            kind: section.kind.clone(),
            name: section.id.clone(),
        })
    };
    groups.chain(rules).map(placement).collect()
}

/// The nodes of each group and rule that names some, as `group NAME` and `rule NAME`.
#[must_use]
pub fn named_nodes(placements: &[HaPlacement]) -> BTreeMap<String, Vec<String>> {
    let named = placements.iter().filter(|one| !one.nodes.is_empty());
    named
        .map(|one| {
            let what = if one.kind == HaPlacement::GROUP {
                "group"
            } else {
                "rule"
            };
            (format!("{what} {}", one.name), one.nodes.keys().cloned().collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_lrm_publishes() {
        let status = read_lrm_status(fixture!("ha/pve-8.4/lrm-active.json")).unwrap();
        assert_eq!((status.state.as_str(), status.mode.as_str()), ("active", "active"));
        assert_eq!(status.at, Timestamp::from_seconds(1_795_346_427));
        let idle = read_lrm_status(fixture!("ha/pve-8.4/lrm-idle.json")).unwrap();
        assert_eq!(idle.state, "wait_for_agent_lock");
        assert!(read_lrm_status("{}").is_err() && read_lrm_status("").is_err());
    }

    #[test]
    fn what_the_master_publishes() {
        let status = read_manager_status(fixture!("ha/pve-8.4/manager.json"))
            .unwrap()
            .unwrap();
        assert_eq!(status.master, "prox1");
        assert_eq!(status.nodes["prox3"], "online");
        let place = &status.services["vm:100"];
        assert_eq!((place.node.as_str(), place.state.as_str()), ("prox3", "started"));
        assert!(place.uid.is_some(), "{place:?}");
        assert_eq!(status.disarm, None);
        let disarmed = read_manager_status(fixture!("ha/pve-9/manager-disarmed.json"))
            .unwrap()
            .unwrap();
        let disarm = disarmed.disarm.unwrap();
        assert_eq!((disarm.mode.as_str(), disarm.state.as_str()), ("freeze", "disarmed"));
    }

    #[test]
    fn before_the_first_master_there_is_none() {
        for text in ["", "{}", r#"{"node_request":{"prox1":{"maintenance":1}}}"#] {
            assert_eq!(read_manager_status(text).unwrap(), None, "{text}");
        }
        assert!(read_manager_status("[").is_err());
        assert!(read_manager_status(r#"{"service_status":{"vm:1":{"node":"a","state":"started"}}}"#).is_err());
        assert!(
            read_manager_status(r#"{"master_node":"a"}"#).is_err(),
            "a status without a time"
        );
    }

    #[test]
    fn resources_groups_and_rules() {
        let resources = read_resources(fixture!("ha/pve-8.4/resources.cfg")).unwrap();
        assert_eq!(resources["vm:100"].state, "started");
        assert_eq!(resources["ct:101"].group.as_deref(), Some("front"));
        assert_eq!(resources["ct:101"].state, "started", "not given");
        assert_eq!(resources["vm:102"].state, "ignored");
        // As `ha-manager config` prints it.
        assert_eq!(
            read_resources("vm:100\n\tstate stopped\n\n").unwrap()["vm:100"].state,
            "stopped"
        );
        let placements = read_placements(fixture!("ha/pve-8.4/groups.cfg"), fixture!("ha/pve-9/rules.cfg")).unwrap();
        let named = named_nodes(&placements);
        assert_eq!(named["group front"], ["prox1", "prox2"]);
        assert_eq!(named["rule near"], ["prox1", "prox3"]);
        let rules: Vec<_> = named.keys().filter(|name| name.starts_with("rule ")).collect();
        assert_eq!(rules, ["rule near"], "the other names no node");
        let names: Vec<_> = placements.iter().map(|p| (p.kind.as_str(), p.name.as_str())).collect();
        assert!(
            names.contains(&("group", "front")) && names.iter().any(|(_, name)| *name == "near"),
            "{names:?}"
        );
        let own = "node-affinity: quorate-vm-100\n\tnodes prox1:1,prox2:1\n\tresources vm:100\n\tstrict 1\n";
        let own = &read_placements("", own).unwrap()[0];
        assert!(own.binds_to(&["prox1", "prox2"].map(|node| node.parse().unwrap()).into()));
        assert_eq!(own.services, ["vm:100"]);
        assert!(read_placements("group: a\n\tnodes n1:x\n", "").is_err());
        let numbers = read_resources("vm:100\n\tmax_restart 2\n\tfailback 0\n\n").unwrap();
        assert_eq!(
            (numbers["vm:100"].max_restart, numbers["vm:100"].failback),
            (Some(2), Some(false))
        );
        assert!(read_resources("vm:100\n\tmax_restart many\n").is_err());
    }
}
