//! Who may call what, as one table. What does not stand in it is denied.

use std::fmt;

use quorate_model::{Code, Finding};

/// Who calls, as the listener found out: by the role in the certificate, or by the way that the caller came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Caller {
    /// A node's certificate. Nodes command nobody.
    Node,
    /// The fleet's coordinator.
    Coordinator,
    /// Somebody who may change things.
    Operator,
    /// Somebody who may look.
    Viewer,
    /// On the coordinator's own host, through its Unix socket: root, or the group that root let in.
    Socket,
    /// Without a certificate, on the listener for enrolment: the token is what counts there.
    Anyone,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Node => "a node",
            Self::Coordinator => "a coordinator",
            Self::Operator => "an operator",
            Self::Viewer => "a viewer",
            Self::Socket => "a local administrator",
            Self::Anyone => "a caller without certificate",
        })
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The method as in the request's path: `/quorate.v1.Agent/Observe`.
    pub path: &'static str,
    /// Who may call it.
    pub who: &'static [Caller],
    /// Does it change anything, on a server or in the coordinator's books?
    pub changes: bool,
}

impl Rule {
    /// May this caller call it?
    #[must_use]
    pub fn admits(&self, caller: Caller) -> bool {
        self.who.contains(&caller)
    }
}

const DRIVER: &[Caller] = &[Caller::Coordinator];
const READERS: &[Caller] = &[Caller::Operator, Caller::Viewer, Caller::Socket];
const CHANGERS: &[Caller] = &[Caller::Operator, Caller::Socket];
const ENROLLING: &[Caller] = &[Caller::Anyone];

const fn read(path: &'static str, who: &'static [Caller]) -> Rule {
    Rule {
        path,
        who,
        changes: false,
    }
}

const fn change(path: &'static str, who: &'static [Caller]) -> Rule {
    Rule {
        path,
        who,
        changes: true,
    }
}

/// The table.
pub const METHODS: &[Rule] = &[
    read("/quorate.v1.Agent/Observe", DRIVER),
    read("/quorate.v1.Agent/WatchHealth", DRIVER),
    change("/quorate.v1.Agent/Drive", DRIVER),
    change("/quorate.v1.Agent/Execute", DRIVER),
    read("/quorate.v1.Agent/Attach", DRIVER),
    read("/quorate.v1.Agent/Ledger", DRIVER),
    read("/quorate.v1.Agent/Snapshot", DRIVER),
    change("/quorate.v1.Agent/Hold", DRIVER),
    change("/quorate.v1.Agent/KeepSpec", DRIVER),
    change("/quorate.v1.Agent/JoinTicket", DRIVER),
    change("/quorate.v1.Agent/RenewalRequest", DRIVER),
    change("/quorate.v1.Agent/InstallCertificate", DRIVER),
    read("/quorate.v1.Agent/OpenEcho", DRIVER),
    read("/quorate.v1.Agent/Measure", DRIVER),
    read("/quorate.v1.Agent/CloseEcho", DRIVER),
    change("/quorate.v1.Agent/Revoke", DRIVER),
    change("/quorate.v1.Agent/StagePackage", DRIVER),
    change("/quorate.v1.Agent/Heal", DRIVER),
    read("/quorate.v1.Agent/WatchEvents", DRIVER),
    read("/quorate.v1.Agent/Probe", DRIVER),
    read("/quorate.v1.Agent/LookForLost", DRIVER),
    change("/quorate.v1.Enrolment/Enrol", ENROLLING),
    read("/quorate.v1.Coordinator/Info", READERS),
    read("/quorate.v1.Coordinator/ListNodes", READERS),
    change("/quorate.v1.Coordinator/InviteNode", CHANGERS),
    change("/quorate.v1.Coordinator/RemoveNode", CHANGERS),
    read("/quorate.v1.Coordinator/GetView", READERS),
    read("/quorate.v1.Coordinator/Network", READERS),
    change("/quorate.v1.Coordinator/MeasureNetwork", CHANGERS),
    read("/quorate.v1.Coordinator/Plan", READERS),
    change("/quorate.v1.Coordinator/Apply", CHANGERS),
    read("/quorate.v1.Coordinator/ListRollouts", READERS),
    read("/quorate.v1.Coordinator/WatchRollout", READERS),
    change("/quorate.v1.Coordinator/CancelRollout", CHANGERS),
    read("/quorate.v1.Coordinator/ReadAudit", READERS),
    read("/quorate.v1.Coordinator/ExportHistory", READERS),
    read("/quorate.v1.Coordinator/UndoInfo", READERS),
    change("/quorate.v1.Coordinator/Freeze", CHANGERS),
    read("/quorate.v1.Coordinator/Applied", READERS),
    read("/quorate.v1.Coordinator/ListOperators", READERS),
    change("/quorate.v1.Coordinator/RemoveOperator", CHANGERS),
    read("/quorate.v1.Coordinator/CaStatus", READERS),
    change("/quorate.v1.Coordinator/ExchangeCa", CHANGERS),
    change("/quorate.v1.Coordinator/KeepPackage", CHANGERS),
    change("/quorate.v1.Coordinator/KeepReach", CHANGERS),
    read("/quorate.v1.Coordinator/PreviewDrill", READERS),
    change("/quorate.v1.Coordinator/StartDrill", CHANGERS),
    read("/quorate.v1.Coordinator/WatchDrill", READERS),
    change("/quorate.v1.Coordinator/AbortDrill", CHANGERS),
    read("/quorate.v1.Coordinator/ListDrills", READERS),
    read("/quorate.v1.Coordinator/GetDrill", READERS),
    // It changes nothing, but makes servers connect to where somebody says.
    change("/quorate.v1.Coordinator/ProbeFrom", CHANGERS),
];

/// The rule of a method, if it has one.
#[must_use]
pub fn rule(path: &str) -> Option<&'static Rule> {
    METHODS.iter().find(|rule| rule.path == path)
}

/// Lets a call through, or says why not. `subject` is who calls, by name, for the finding.
///
/// # Errors
/// The finding that the call is refused with.
pub fn authorise(path: &str, caller: Caller, subject: &str) -> Result<&'static Rule, Box<Finding>> {
    let refusal = |message: String, next: &str| Box::new(Finding::new(Code::RoleNotAllowed, subject, message, next));
    let method = path.rsplit('/').next().unwrap_or(path);
    let Some(rule) = rule(path) else {
        return Err(refusal(
            format!("there is no method {path}"),
            "check that coordinator, agents and command line are of the same version",
        ));
    };
    if rule.admits(caller) {
        return Ok(rule);
    }
    let next = if rule.who == DRIVER {
        "nothing to do by hand: only the fleet's coordinator commands agents"
    } else if rule.who == ENROLLING {
        "run `quorate-agent enroll` on the server, with the token of its invitation"
    } else if rule.changes {
        "use an operator's certificate, or run the command as root on the coordinator's host"
    } else {
        "use an operator's or viewer's certificate, or run the command as root on the coordinator's host"
    };
    Err(refusal(format!("{caller} may not call {method}"), next))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write;

    use prost::Message;

    use super::*;

    fn methods_of_the_protocol() -> BTreeSet<String> {
        let set = prost_types::FileDescriptorSet::decode(crate::DESCRIPTORS).unwrap();
        let mut paths = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    paths.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        paths
    }

    #[test]
    fn every_method_has_one_rule_and_every_rule_a_method() {
        let ruled: Vec<_> = METHODS.iter().map(|rule| rule.path.to_owned()).collect();
        let distinct: BTreeSet<_> = ruled.iter().cloned().collect();
        assert_eq!(ruled.len(), distinct.len(), "a method stands in the table twice");
        assert_eq!(distinct, methods_of_the_protocol());
    }

    #[test]
    fn viewers_and_nodes_change_nothing() {
        for rule in METHODS.iter().filter(|rule| rule.changes) {
            assert!(
                !rule.admits(Caller::Viewer) && !rule.admits(Caller::Node),
                "{}",
                rule.path
            );
        }
        assert!(
            METHODS.iter().all(|rule| !rule.admits(Caller::Node)),
            "nodes command nobody"
        );
    }

    #[test]
    fn agents_obey_their_coordinator_alone() {
        for rule in METHODS
            .iter()
            .filter(|rule| rule.path.starts_with("/quorate.v1.Agent/"))
        {
            assert_eq!(rule.who, [Caller::Coordinator], "{}", rule.path);
        }
    }

    #[test]
    fn without_a_certificate_one_can_only_enrol() {
        let open: Vec<_> = METHODS
            .iter()
            .filter(|rule| rule.admits(Caller::Anyone))
            .map(|rule| rule.path)
            .collect();
        assert_eq!(open, ["/quorate.v1.Enrolment/Enrol"]);
    }

    #[test]
    fn what_is_not_listed_is_denied() {
        for path in [
            "",
            "/",
            "/quorate.v1.Agent/",
            "/quorate.v1.Agent/Run",
            "quorate.v1.Agent/Observe",
            "/quorate.v1.Agent/observe",
        ] {
            assert!(rule(path).is_none(), "{path}");
            let finding = authorise(path, Caller::Coordinator, "").unwrap_err();
            assert_eq!(finding.code, Code::RoleNotAllowed);
            assert!(finding.refuses());
        }
    }

    #[test]
    fn a_viewer_is_told_what_to_do_instead() {
        assert!(authorise("/quorate.v1.Coordinator/GetView", Caller::Viewer, "ann").is_ok());
        let finding = authorise("/quorate.v1.Coordinator/Apply", Caller::Viewer, "ann").unwrap_err();
        assert_eq!(
            finding.to_string(),
            "[QRT-ROLE-NOT-ALLOWED] ann: a viewer may not call Apply"
        );
        assert!(finding.next.contains("operator's certificate"));
    }

    #[test]
    fn the_whole_table() {
        let mut text = String::new();
        for rule in METHODS {
            let who: Vec<_> = rule.who.iter().map(|caller| format!("{caller:?}")).collect();
            let kind = if rule.changes { "changes" } else { "reads" };
            writeln!(text, "{:<42} {kind:<8} {}", rule.path, who.join(" ")).unwrap();
        }
        insta::assert_snapshot!(text);
    }
}
