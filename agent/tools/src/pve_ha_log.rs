//! What PVE's HA manager logs of its decisions, on the node that is its master: exact times of what the status files show only now and then.
//!
//! Source: pve-ha-manager's NodeStatus.pm, Manager.pm and watchdog-mux.c.

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logged {
    /// A node's state for HA has changed.
    Node {
        /// Which.
        node: String,
        /// `online`, `unknown`, `fence`, `maintenance`, `gone`.
        state: String,
    },
    /// A service's state has changed.
    Service {
        /// Such as `vm:100`.
        sid: String,
        /// `started`, `fence`, `recovery` …
        state: String,
        /// Where it is to be now, as far as it is said.
        node: Option<String>,
    },
    /// The master has the lock of a node that is lost: nobody else works with its guests.
    LockTaken {
        /// Whose.
        node: String,
    },
    /// The watchdog's daemon has stopped feeding it: a reset follows within ten seconds.
    WatchdogExpired,
}

/// Reads one message. `None`: it is about something else.
#[must_use]
pub fn read(message: &str) -> Option<Logged> {
    let message = message.trim();
    if message.contains("watchdog expired - disable watchdog updates") {
        return Some(Logged::WatchdogExpired);
    }
    if let Some(rest) = message.strip_prefix("fencing: acknowledged - got agent lock for node ") {
        let (node, _) = quoted(rest)?;
        return Some(Logged::LockTaken { node });
    }
    if let Some(rest) = message.strip_prefix("node ") {
        let (node, rest) = quoted(rest)?;
        let state = changed(rest, " => ")?.0;
        return Some(Logged::Node { node, state });
    }
    let (sid, rest) = quoted(message.strip_prefix("service ")?)?;
    let (state, rest) = changed(rest, " to ")?;
    let node = rest.trim().strip_prefix("(node = ");
    let node = node.and_then(|node| node.split([',', ')']).next());
    Some(Logged::Service {
        sid,
        state,
        node: node.map(|node| node.trim().to_owned()),
    })
}

/// `'X' …`: X and the rest.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (inner, rest) = text.strip_prefix('\'')?.split_once('\'')?;
    Some((inner.to_owned(), rest))
}

/// `: state changed from 'A' => 'B' …`: B and the rest.
fn changed<'a>(text: &'a str, arrow: &str) -> Option<(String, &'a str)> {
    let (_, rest) = quoted(text.strip_prefix(": state changed from ")?)?;
    quoted(rest.strip_prefix(arrow)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_master_has_logged_of_a_loss() {
        let found: Vec<_> = fixture!("pve-ha-log/pve-8.4/fence-and-recover.log")
            .lines()
            .filter_map(read)
            .collect();
        let node = |state: &str| Logged::Node {
            node: "prox3".to_owned(),
            state: state.to_owned(),
        };
        let service = |state: &str, node: Option<&str>| Logged::Service {
            sid: "vm:100".to_owned(),
            state: state.to_owned(),
            node: node.map(str::to_owned),
        };
        assert_eq!(
            found,
            [
                node("unknown"),
                service("fence", None),
                node("fence"),
                Logged::LockTaken {
                    node: "prox3".to_owned()
                },
                node("unknown"),
                service("recovery", None),
                service("started", Some("prox1")),
                node("online"),
            ]
        );
    }

    #[test]
    fn both_wordings_of_a_watchdog_that_is_no_longer_fed() {
        for message in [
            "client watchdog expired - disable watchdog updates",
            "client (PID 1021) watchdog expired - disable watchdog updates",
        ] {
            assert_eq!(read(message), Some(Logged::WatchdogExpired));
        }
        assert_eq!(read("client (PID 1021) watchdog is about to expire"), None);
    }

    #[test]
    fn where_a_service_moves_to() {
        let message = "service 'vm:100': state changed from 'started' to 'migrate'  (node = prox1, target = prox2)";
        let Some(Logged::Service { node, state, .. }) = read(message) else {
            panic!("{message}");
        };
        assert_eq!((node.as_deref(), state.as_str()), (Some("prox1"), "migrate"));
        assert_eq!(read("service 'vm:100' without lock?"), None);
    }
}
