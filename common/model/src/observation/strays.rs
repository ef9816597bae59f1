//! Guests whose process runs on a node that they do not belong to: two of one guest, which both write.

use serde::{Deserialize, Serialize};

use crate::finding::{Code, Finding};
use crate::observation::guests::GuestKind;

/// A guest's process that runs here, while its configuration lies with another node or nowhere. Sources: /run/qemu-server/ID.pid and
/// /proc/PID/cmdline, /proc/net/unix; the owner: /etc/pve/.vmlist. One that is being migrated (`lock: migrate`) is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    /// The guest.
    pub vmid: u32,
    /// What it is.
    pub kind: GuestKind,
    /// Its process here; not told of a container.
    pub pid: Option<u32>,
    /// The node whose guest it is by its configuration; `None`: there is none.
    pub owner: Option<String>,
}

impl Stray {
    /// How its process is ended. PVE's own commands don't do it: they look for its configuration first.
    #[must_use]
    pub fn ended_by(&self) -> String {
        match (self.kind, self.pid) {
            (GuestKind::Vm, Some(pid)) => format!("kill {pid}"),
            (GuestKind::Vm, None) => format!("kill the process that /run/qemu-server/{}.pid names", self.vmid),
            (GuestKind::Container, _) => format!("lxc-stop -n {} --kill", self.vmid),
        }
    }

    /// What is said of it. `subject`: the node, as findings call it; `node`: its name.
    #[must_use]
    pub fn finding(&self, subject: &str, node: &str) -> Finding {
        let (guest, stop) = (self.vmid, self.ended_by());
        let (message, next) = match &self.owner {
            Some(owner) => (
                format!(
                    "guest {guest} runs on {node} and belongs to {owner}: if it runs there too, there are two of it, and each writes to \
                     disks of its own"
                ),
                format!(
                    "decide which one is to stay; if it is that of {owner}, on {node}: {stop}; what it wrote stays on the disks of {node} \
                     until a replication job that sends there is switched on"
                ),
            ),
            None => (
                format!(
                    "guest {guest} runs on {node} and has no configuration in the cluster: PVE neither shows nor stops it"
                ),
                format!("if nobody needs it, on {node}: {stop}"),
            ),
        };
        Finding::new(Code::GuestRunsElsewhere, subject, message, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_whose_it_is_and_how_it_is_ended() {
        let stray = Stray {
            vmid: 100,
            kind: GuestKind::Vm,
            pid: Some(4711),
            owner: Some("prox2".to_owned()),
        };
        let finding = stray.finding("hk1/prox1", "prox1");
        assert_eq!(finding.severity, crate::finding::Severity::Critical);
        assert!(
            finding
                .message
                .starts_with("guest 100 runs on prox1 and belongs to prox2"),
            "{finding}"
        );
        assert!(finding.next.contains("on prox1: kill 4711"), "{}", finding.next);
        let container = Stray {
            kind: GuestKind::Container,
            pid: None,
            owner: None,
            ..stray
        };
        assert!(
            container
                .finding("prox1", "prox1")
                .next
                .contains("lxc-stop -n 100 --kill")
        );
    }
}
