//! Services: a guest under HA, what is wanted of it, and where it stands.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Seconds;
use super::words::{flag, words};
use crate::constants::{MAX_RELOCATE, MAX_RESTART};

/// Names a service: `vm:101`, `ct:200`. Ordered as text, which is the order everything is done in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Sid(String);

/// Why a text names no service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' names no service: a type, a colon and a number are expected, as in vm:101")]
pub struct SidError {
    /// What was read.
    pub text: String,
}

impl Sid {
    /// Reads `type:number`.
    ///
    /// # Errors
    ///
    /// The text has another form.
    pub fn parse(text: &str) -> Result<Self, SidError> {
        let named = text.split_once(':').is_some_and(|(kind, number)| {
            !kind.is_empty()
                && kind.chars().all(|c| c.is_ascii_alphanumeric())
                && !number.is_empty()
                && number.chars().all(|c| c.is_ascii_digit())
        });
        if named {
            Ok(Self(text.to_owned()))
        } else {
            Err(SidError { text: text.to_owned() })
        }
    }

    /// What stands before the colon: `vm`, `ct`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split_once(':').map_or("", |(kind, _)| kind)
    }

    /// What stands behind the colon: the guest's number.
    #[must_use]
    pub fn number(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, number)| number)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Sid {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

words! {
    /// Where a service stands in the manager's view: `crm_state` (facts C.3).
    ServiceState {
        /// To be started; a node may still be chosen. Lasts no round.
        RequestStart = "request_start",
        /// Not running, and on its way to a better node for its start.
        RequestStartBalance = "request_start_balance",
        /// Its node keeps it running.
        Started = "started",
        /// To be stopped; nobody has said yet that it is.
        RequestStop = "request_stop",
        /// It does not run.
        Stopped = "stopped",
        /// Its node is away and must be fenced first.
        Fence = "fence",
        /// Its node was fenced; a new one is sought.
        Recovery = "recovery",
        /// On its way to another node without a stop.
        Migrate = "migrate",
        /// On its way to another node: stopped, moved, started.
        Relocate = "relocate",
        /// Not to be touched while its LRM restarts.
        Freeze = "freeze",
        /// Given up; only `disabled` leads out.
        Error = "error",
    }
}

words! {
    /// What is wanted of a service: `state` of `resources.cfg` (facts C.3).
    Requested {
        /// It is to run.
        Started = "started",
        /// It is to be off, but is still moved away from a dead node.
        Stopped = "stopped",
        /// It is to be off, and nobody cares where.
        Disabled = "disabled",
        /// HA leaves it alone.
        Ignored = "ignored",
    }
}

words! {
    /// How a service changes its node.
    Motion {
        /// While it runs.
        Migrate = "migrate",
        /// Stopped in between.
        Relocate = "relocate",
    }
}

impl Motion {
    /// The state of a service that moves so.
    #[must_use]
    pub fn state(self) -> ServiceState {
        match self {
            Self::Migrate => ServiceState::Migrate,
            Self::Relocate => ServiceState::Relocate,
        }
    }
}

/// A command for one service that waits for its next round: `cmd` of the manager's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// To another node.
    Move(Motion, String),
    /// Off, and off it stays.
    Stop(Seconds),
}

impl Serialize for Order {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Move(motion, target) => [motion.as_str(), target.as_str()].serialize(to),
            Self::Stop(timeout) => ["stop", &timeout.to_string()].serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Order {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let [word, argument] = <[String; 2]>::deserialize(from)?;
        if let Some(motion) = Motion::from_word(&word) {
            return Ok(Self::Move(motion, argument));
        }
        match argument.parse() {
            Ok(timeout) if word == "stop" => Ok(Self::Stop(timeout)),
            _ => Err(serde::de::Error::custom(format!(
                "'{word} {argument}' is no command for a service"
            ))),
        }
    }
}

/// What the configuration says of a service, with where its guest's configuration lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConfig {
    /// The node that has the guest's configuration file.
    pub node: String,
    /// What is wanted.
    pub state: Requested,
    /// Tries of a start on the same node after the first one.
    pub max_restart: u32,
    /// Other nodes on which a start is tried.
    pub max_relocate: u32,
    /// To move to a node of higher priority as soon as one is there.
    pub failback: bool,
    /// The group, where groups are still used.
    pub group: Option<String>,
}

impl ServiceConfig {
    /// A service on `node` that shall be in `state`, the rest as without any setting.
    #[must_use]
    pub fn new(node: &str, state: Requested) -> Self {
        Self {
            node: node.to_owned(),
            state,
            max_restart: MAX_RESTART,
            max_relocate: MAX_RELOCATE,
            failback: true,
            group: None,
        }
    }
}

/// Where a service stands: one entry of `service_status` in the manager's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// The state.
    pub state: ServiceState,
    /// The node that is responsible.
    pub node: String,
    /// Names this very request to the LRM: a result counts for no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Where it is on its way to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// How long a stop may take before it is made hard, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Seconds>,
    /// The LRM has said that it runs.
    #[serde(default, with = "flag", skip_serializing_if = "std::ops::Not::not")]
    pub running: bool,
    /// Where starts failed since the last one that did not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_nodes: Vec<String>,
    /// Where it was when its node went into maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance_node: Option<String>,
    /// A command that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Order>,
}

impl ServiceStatus {
    /// A service in `state` on `node`, without anything else to remember.
    #[must_use]
    pub fn new(state: ServiceState, node: &str, uid: String) -> Self {
        Self {
            state,
            node: node.to_owned(),
            uid: Some(uid),
            target: None,
            timeout: None,
            running: false,
            failed_nodes: Vec::new(),
            maintenance_node: None,
            cmd: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_type_and_number() {
        let sid = Sid::parse("vm:101").unwrap();
        assert_eq!((sid.kind(), sid.number()), ("vm", "101"));
        for bad in ["", "vm", "vm:", ":101", "vm:1a", "v m:1", "vm:1 "] {
            assert!(Sid::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_status_is_read_as_perl_writes_it() {
        let text = r#"{"state":"started","node":"n1","uid":"x","running":"1","cmd":["stop","30"],"other":{}}"#;
        let status: ServiceStatus = serde_json::from_str(text).unwrap();
        assert!(status.running);
        assert_eq!(status.cmd, Some(Order::Stop(30)));
        let again = serde_json::to_string(&status).unwrap();
        assert!(again.contains(r#""running":1"#), "{again}");
        assert_eq!(serde_json::from_str::<ServiceStatus>(&again).unwrap(), status);
    }

    #[test]
    fn an_unknown_state_is_named() {
        let error = serde_json::from_str::<ServiceStatus>(r#"{"state":"asleep","node":"n1"}"#).unwrap_err();
        assert!(
            error.to_string().contains("'asleep' is none of: request_start"),
            "{error}"
        );
    }
}
