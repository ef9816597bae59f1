//! Who may drive, and what the node allows at all.

use quorate_model::ids::Driver;
use quorate_model::operation::ActionKind;
use quorate_model::{Code, Finding};

use crate::config::Policy;
use crate::ledger::Content;

/// Takes note of who wants to drive: a higher generation than any before takes over, the present driver goes on,
/// everybody else is refused. Only for requests that change something: looking is free.
///
/// # Errors
/// Another coordinator drives.
pub fn admit(content: &mut Content, asking: &Driver, node: &str) -> Result<(), Box<Finding>> {
    let why = match &content.driver {
        Some(present) if asking.generation < present.generation => {
            format!(
                "generation {} asks, but generation {} has taken over",
                asking.generation, present.generation
            )
        }
        Some(present) if asking.generation == present.generation && asking.instance != present.instance => format!(
            "instance {} asks, but instance {} drives under the same generation {}",
            asking.instance, present.instance, present.generation
        ),
        Some(present) if present == asking => return Ok(()),
        _ => {
            content.driver = Some(asking.clone());
            return Ok(());
        }
    };
    let next = "stop the coordinator that is not wanted; to make this one drive: quorate serve --take-over";
    Err(Box::new(Finding::new(Code::DriverSuperseded, node, why, next)))
}

/// What the policy file must allow for each action.
///
/// # Errors
/// It does not.
pub fn check_policy(policy: &Policy, action: ActionKind, node: &str) -> Result<(), Box<Finding>> {
    let needed = match action {
        ActionKind::CreateCluster | ActionKind::JoinCluster => ("allow_changes", policy.allow_changes),
    };
    match needed {
        (_, true) => Ok(()),
        (key, false) => Err(Box::new(Finding::new(
            Code::PolicyForbids,
            node,
            format!(
                "its policy file says {key} = false, which forbids to {}",
                action.as_str()
            ),
            format!(
                "if it is to be allowed, set {key} = true under [policy] in /etc/quorate/agent.toml on {node} and restart quorate-agent"
            ),
        ))),
    }
}

/// One changing operation at a time.
///
/// # Errors
/// Another one has not ended.
pub fn check_idle(content: &Content, node: &str) -> Result<(), Box<Finding>> {
    match content.running().next() {
        None => Ok(()),
        Some(entry) => Err(Box::new(Finding::new(
            Code::NodeBusy,
            node,
            format!(
                "operation {} ({}) still runs on this node; one change at a time",
                entry.operation.id,
                entry.operation.action.kind().as_str()
            ),
            "wait for its end; quorate rollout list shows what runs",
        ))),
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::Generation;

    use super::*;

    fn driver(generation: u64, instance: &str) -> Driver {
        Driver {
            generation: Generation(generation),
            instance: instance.parse().unwrap(),
        }
    }

    #[test]
    fn the_highest_generation_drives_and_equals_are_told_apart() {
        let mut content = Content::default();
        admit(&mut content, &driver(4, "a"), "prox1").unwrap();
        admit(&mut content, &driver(4, "a"), "prox1").unwrap();
        for refused in [driver(3, "a"), driver(3, "b"), driver(4, "b")] {
            let finding = admit(&mut content, &refused, "prox1").unwrap_err();
            assert_eq!(finding.code, Code::DriverSuperseded);
            assert_eq!(content.driver, Some(driver(4, "a")), "a refused driver leaves no trace");
        }
        admit(&mut content, &driver(5, "b"), "prox1").unwrap();
        assert!(admit(&mut content, &driver(4, "a"), "prox1").is_err());
        assert_eq!(content.driver, Some(driver(5, "b")));
    }

    #[test]
    fn a_node_that_only_observes_refuses_every_action() {
        let policy = Policy {
            allow_changes: false,
            ..Policy::default()
        };
        for kind in ActionKind::ALL {
            let finding = check_policy(&policy, kind, "prox1").unwrap_err();
            assert_eq!(finding.code, Code::PolicyForbids);
            assert!(finding.next.contains("allow_changes = true"), "{}", finding.next);
            assert!(check_policy(&Policy::default(), kind, "prox1").is_ok());
        }
    }
}
