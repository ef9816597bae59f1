//! Who may drive, and what the node allows at all.

use quorate_model::ids::Driver;
use quorate_model::operation::{Action, ActionKind, rules};
use quorate_model::{Code, Finding, Generation, JournalAnchor, Timestamp};

use crate::config::Policy;
use crate::ledger::{Anchored, Content};

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

/// Takes note of where the admitted driver's journal ends. The newest is kept: one that is shorter or other than what was
/// told under an earlier generation is a journal that lost records, and nothing may be driven by it.
///
/// # Errors
/// The journal is not the one that it was.
pub fn note_anchor(
    content: &mut Content,
    generation: Generation,
    anchor: Option<JournalAnchor>,
    node: &str,
) -> Result<(), Box<Finding>> {
    let Some(anchor) = anchor else { return Ok(()) };
    if let Some(known) = &content.anchor
        && known.anchor.journal == anchor.journal
    {
        let older = anchor.position < known.anchor.position;
        if older && known.generation == generation {
            return Ok(());
        }
        let other = anchor.position == known.anchor.position && anchor.digest != known.anchor.digest;
        if older || other {
            let why = format!(
                "the coordinator's journal ends at record {} and this node was told of record {} ({} of rollout {}): records are missing or were changed",
                anchor.position, known.anchor.position, known.anchor.sequence, known.anchor.rollout
            );
            let next = "nothing to do by hand: the coordinator moves its journal aside and asks the nodes what was done; see quorate status";
            return Err(Box::new(Finding::new(Code::JournalDamaged, node, why, next)));
        }
    }
    content.anchor = Some(Anchored { anchor, generation });
    Ok(())
}

/// What the policy file must allow for each action.
///
/// # Errors
/// It does not.
pub fn check_policy(policy: &Policy, action: ActionKind, node: &str) -> Result<(), Box<Finding>> {
    let keys = [
        ("allow_changes", policy.allow_changes),
        ("allow_remove", policy.allow_remove || !rules(action).removes),
        ("allow_destroy", policy.allow_destroy || !rules(action).destroys),
        (
            "allow_upgrade",
            policy.allow_upgrade || action != ActionKind::UpgradeAgent,
        ),
        ("allow_faults", policy.allow_faults || action != ActionKind::InjectFault),
    ];
    match keys.into_iter().find(|(_, allowed)| !allowed) {
        None => Ok(()),
        Some((key, _)) => Err(Box::new(Finding::new(
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

/// How a failure may be rehearsed: for as long as the node allows, and so that something ends it.
///
/// # Errors
/// Not so.
pub fn check_fault(policy: &Policy, action: &Action, node: &str) -> Result<(), Box<Finding>> {
    let Action::InjectFault { fault, seconds, .. } = action else {
        return Ok(());
    };
    if let Err(why) = fault.for_seconds(*seconds) {
        let next = "see what each fault is, and how long it may last: docs/faults.md";
        return Err(Box::new(Finding::new(Code::FaultRefused, node, why.to_string(), next)));
    }
    let longest = policy.max_fault.as_secs();
    if u64::from(*seconds) <= longest {
        return Ok(());
    }
    let why = format!(
        "its policy file allows {longest} s for a rehearsed failure (max_fault), and {seconds} s are asked for"
    );
    let next = format!(
        "ask for less, or set max_fault under [policy] in /etc/quorate/agent.toml on {node} and restart quorate-agent"
    );
    Err(Box::new(Finding::new(Code::PolicyForbids, node, why, next)))
}

/// Nothing that disturbs the cluster begins while it is frozen, or outside of its maintenance windows. What takes back what a rollout did
/// for its own time goes on, also where it disturbs, as setting up the QDevice again does.
///
/// # Errors
/// It is frozen, or no window is open.
pub fn check_hold(
    content: &Content,
    (action, restores): (ActionKind, bool),
    node: &str,
    now: Timestamp,
) -> Result<(), Box<Finding>> {
    if rules(action).disruptive && !restores {
        content.hold.disruptive(node, now)
    } else {
        Ok(())
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
    use super::*;

    fn anchor(journal: &str, position: u64, digit: &str) -> Option<JournalAnchor> {
        Some(JournalAnchor {
            journal: journal.parse().unwrap(),
            position,
            digest: digit.repeat(64).parse().unwrap(),
            rollout: "hk1-7".parse().unwrap(),
            sequence: position,
        })
    }

    #[test]
    fn the_newest_anchor_is_kept_and_a_journal_that_lost_records_is_refused() {
        let mut content = Content::default();
        let mut note = |generation, anchor| note_anchor(&mut content, Generation(generation), anchor, "prox1");
        note(4, anchor("j1", 7, "a")).unwrap();
        note(4, anchor("j1", 5, "b")).unwrap();
        note(4, None).unwrap();
        for damaged in [anchor("j1", 6, "b"), anchor("j1", 7, "b")] {
            let finding = note(5, damaged).unwrap_err();
            assert_eq!(finding.code, Code::JournalDamaged);
            assert!(finding.message.contains("record 7"), "{}", finding.message);
        }
        note(5, anchor("j1", 7, "a")).unwrap();
        note(5, anchor("j1", 9, "c")).unwrap();
        note(6, anchor("j2", 0, "d")).unwrap();
        assert_eq!(content.anchor.unwrap().anchor, anchor("j2", 0, "d").unwrap());
    }

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
            let by_default = check_policy(&Policy::default(), kind, "prox1").is_ok();
            let asks_for_more = rules(kind).destroys || kind == ActionKind::InjectFault;
            assert_eq!(by_default, !asks_for_more, "{kind:?}");
        }
    }

    #[test]
    fn failures_are_rehearsed_only_where_and_as_long_as_the_node_allows() {
        let finding = check_policy(&Policy::default(), ActionKind::InjectFault, "prox1").unwrap_err();
        assert!(finding.next.contains("allow_faults = true"), "{}", finding.next);
        let policy = Policy {
            allow_faults: true,
            ..Policy::default()
        };
        assert!(check_policy(&policy, ActionKind::InjectFault, "prox1").is_ok());
        let code = |seconds| {
            let action = Action::InjectFault {
                cluster: "hk1".parse().unwrap(),
                fault: quorate_model::fault::Fault::Network,
                seconds,
                boot: "b".into(),
            };
            check_fault(&policy, &action, "prox1").map_err(|finding| finding.code)
        };
        assert_eq!(code(20), Ok(()));
        assert_eq!(code(600), Ok(()));
        assert_eq!(code(601), Err(Code::PolicyForbids));
        assert_eq!(code(60), Err(Code::FaultRefused));
    }

    #[test]
    fn a_frozen_node_refuses_what_disturbs_and_still_arms() {
        let frozen = quorate_model::Frozen {
            by: "root".into(),
            since: Timestamp(0),
            reason: String::new(),
        };
        let content = Content {
            hold: quorate_model::Hold {
                frozen: Some(frozen),
                windows: vec![],
            },
            ..Content::default()
        };
        let held = |content: &Content, action, restores| check_hold(content, (action, restores), "prox1", Timestamp(1));
        let refused = held(&content, ActionKind::JoinCluster, false).unwrap_err();
        assert_eq!(refused.code, Code::ClusterFrozen);
        assert!(held(&content, ActionKind::ArmHa, false).is_ok());
        assert!(held(&Content::default(), ActionKind::JoinCluster, false).is_ok());
        // A third vote that was taken off for a join comes back; a new one waits.
        assert!(held(&content, ActionKind::SetUpQdevice, true).is_ok());
        assert!(held(&content, ActionKind::SetUpQdevice, false).is_err());
    }

    #[test]
    fn what_is_on_a_disk_is_destroyed_only_where_the_node_allows_it() {
        let finding = check_policy(&Policy::default(), ActionKind::WipeDisk, "prox1").unwrap_err();
        assert!(finding.next.contains("allow_destroy = true"), "{}", finding.next);
        let policy = Policy {
            allow_destroy: true,
            ..Policy::default()
        };
        assert!(check_policy(&policy, ActionKind::WipeDisk, "prox1").is_ok());
    }

    #[test]
    fn a_node_may_forbid_that_its_agent_is_upgraded_from_afar() {
        let policy = Policy {
            allow_upgrade: false,
            ..Policy::default()
        };
        let finding = check_policy(&policy, ActionKind::UpgradeAgent, "prox1").unwrap_err();
        assert!(finding.next.contains("allow_upgrade = true"), "{}", finding.next);
        assert!(check_policy(&policy, ActionKind::JoinCluster, "prox1").is_ok());
    }

    #[test]
    fn a_node_may_forbid_that_anything_is_taken_away() {
        let policy = Policy {
            allow_remove: false,
            ..Policy::default()
        };
        let finding = check_policy(&policy, ActionKind::RemoveMember, "prox1").unwrap_err();
        assert!(finding.next.contains("allow_remove = true"), "{}", finding.next);
        assert!(check_policy(&policy, ActionKind::JoinCluster, "prox1").is_ok());
        assert!(check_policy(&policy, ActionKind::ArmHa, "prox1").is_ok());
    }
}
