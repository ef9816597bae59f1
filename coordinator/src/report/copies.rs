//! Copies that are held: guests that were recovered elsewhere, and have no copy on their former server until somebody decides.

use quorate_model::observation::ReplicationState;
use quorate_model::{Code, Finding, NodeRef, Observation};

/// What the owner of a guest says of copies that are held.
pub(super) fn copies(name: &NodeRef, observation: &Observation, findings: &mut Vec<Finding>) {
    let states = observation.replication.get().ok().into_iter().flatten();
    findings.extend(states.filter_map(|state| held(name, state)));
}

fn held(owner: &NodeRef, state: &ReplicationState) -> Option<Finding> {
    let ReplicationState { guest, target, .. } = state;
    let since = state.held_since?;
    if *target == owner.node.as_str() {
        let message = format!(
            "guest {guest} has a job that is switched off: it is on {target} again, where what it wrote until {since} was kept, and nothing copies it"
        );
        let next = format!(
            "quorate replication {guest}; when the copy may be overwritten, on {target}: pvesr list, then pvesr enable JOB"
        );
        let subject = format!("{}/guest {guest}", owner.cluster);
        return Some(Finding::new(Code::CopyHeld, subject, message, next));
    }
    let message = format!(
        "guest {guest} is unprotected: the copy on {target} holds what was written there until {since} and nowhere else, and is kept until you decide"
    );
    let next = format!(
        "to keep it beside a new copy: quorate replication resolve {guest} --keep; to have it overwritten: quorate replication resolve {guest} --discard"
    );
    Some(Finding::new(
        Code::CopyHeld,
        format!("{}/guest {guest}", owner.cluster),
        message,
        next,
    ))
}

#[cfg(test)]
mod tests {
    use quorate_model::{Facet, Timestamp};

    use super::*;

    #[test]
    fn a_copy_that_is_held_says_whose_writes_it_has_and_what_to_type() {
        let mut seen = Observation::empty("prox2", Timestamp(0));
        let held = ReplicationState {
            held_since: Some(Timestamp::from_seconds(1_795_345_772)),
            ..ReplicationState::of(100, "prox1")
        };
        seen.replication = Facet::known(vec![ReplicationState::of(101, "prox1"), held], Timestamp(0));
        let mut findings = Vec::new();
        copies(&"hk1/prox2".parse().unwrap(), &seen, &mut findings);
        let [finding] = findings.as_slice() else {
            panic!("{findings:?}");
        };
        assert_eq!(
            (finding.code, finding.subject.as_str()),
            (Code::CopyHeld, "hk1/guest 100")
        );
        assert_eq!(
            finding.message,
            "guest 100 is unprotected: the copy on prox1 holds what was written there until 2026-11-22T11:09:32Z and nowhere else, and is kept until you decide"
        );
        assert!(finding.next.contains("quorate replication resolve 100 --discard"));
    }

    #[test]
    fn a_guest_that_is_back_where_it_was_held_has_nothing_to_be_decided() {
        let mut seen = Observation::empty("prox1", Timestamp(0));
        let held = ReplicationState {
            held_since: Some(Timestamp::from_seconds(1_795_345_772)),
            ..ReplicationState::of(100, "prox1")
        };
        seen.replication = Facet::known(vec![held], Timestamp(0));
        let mut findings = Vec::new();
        copies(&"hk1/prox1".parse().unwrap(), &seen, &mut findings);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].message.contains("it is on prox1 again"), "{}", findings[0]);
        assert!(findings[0].next.contains("pvesr enable") && !findings[0].next.contains("resolve"));
    }
}
