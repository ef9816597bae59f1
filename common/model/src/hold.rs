//! When a cluster may be disturbed: by an operator's word (`quorate freeze`) and by its maintenance windows. The coordinator keeps to it
//! before each step, and every agent on its own as well.

use serde::{Deserialize, Serialize};

use crate::finding::{Code, Finding};
use crate::maintenance::MaintenanceWindow;
use crate::time::Timestamp;

/// What holds a cluster's disruptive steps up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hold {
    /// Nothing that disturbs it begins.
    pub frozen: Option<Frozen>,
    /// They begin only while one of these is open; none: always.
    pub windows: Vec<MaintenanceWindow>,
}

/// By whose word nothing begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// Who.
    pub by: String,
    /// Since when, on the coordinator's clock.
    pub since: Timestamp,
    /// Why; empty: not told.
    pub reason: String,
}

impl Hold {
    /// May something disruptive begin now? `subject` is the cluster or node that it is about.
    ///
    /// # Errors
    /// What it waits for.
    pub fn disruptive(&self, subject: &str, now: Timestamp) -> Result<(), Box<Finding>> {
        if let Some(frozen) = &self.frozen {
            let why = if frozen.reason.is_empty() {
                String::new()
            } else {
                format!(": {}", frozen.reason)
            };
            return Err(Box::new(Finding::new(
                Code::ClusterFrozen,
                subject,
                format!("frozen by {} since {}{why}", frozen.by, frozen.since),
                "when it may be disturbed again: quorate freeze CLUSTER --off",
            )));
        }
        if self.windows.is_empty() || self.windows.iter().any(|window| window.contains(now)) {
            return Ok(());
        }
        let next = self.windows.iter().map(|window| window.next_start(now)).min();
        let opens = next.map_or_else(String::new, |at| format!("; the next opens at {at}"));
        Err(Box::new(Finding::new(
            Code::OutsideWindow,
            subject,
            format!("no maintenance window is open{opens}"),
            "wait for it, or change `maintenance` in the cluster file",
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freeze_holds_whatever_the_windows_say() {
        let at: Timestamp = "2026-11-22T23:00:00Z".parse().unwrap();
        let mut hold = Hold {
            frozen: None,
            windows: vec!["22:00-05:00".parse().unwrap()],
        };
        assert!(hold.disruptive("hk1", at).is_ok());
        let noon: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let closed = hold.disruptive("hk1", noon).unwrap_err();
        assert_eq!(closed.code, Code::OutsideWindow);
        assert!(closed.message.contains("2026-11-22T22:00:00Z"), "{}", closed.message);
        hold.frozen = Some(Frozen {
            by: "root".into(),
            since: noon,
            reason: "customer demo".into(),
        });
        let frozen = hold.disruptive("hk1", at).unwrap_err();
        assert_eq!(frozen.code, Code::ClusterFrozen);
        assert!(frozen.message.ends_with(": customer demo"), "{}", frozen.message);
        assert!(Hold::default().disruptive("hk1", noon).is_ok());
    }
}
