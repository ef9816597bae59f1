use quorate_model::facet::Facet;
use quorate_model::observation::Membership;
use quorate_model::observation::cluster::{ConfiguredNode, MemberNode, RunningVersion};
use quorate_model::{Observation, Timestamp};

use super::*;
use crate::operations::actions::testing::member;

/// prox3 of three is off, and is to be taken out.
fn refused(change: impl FnOnce(&mut quorate_model::observation::cluster::Member)) -> Vec<String> {
    let mut cluster = member(&["prox1", "prox2", "prox3"]);
    let Membership::Member(seen) = &mut cluster.membership else {
        unreachable!("a member");
    };
    seen.nodes[2].online = false;
    seen.running_versions = Facet::known([1, 2].map(|id| RunningVersion { id, version: 3 }).into(), Timestamp(0));
    change(seen);
    let mut observation = Observation::empty("prox1", Timestamp(0));
    observation.cluster = Facet::known(cluster, Timestamp(0));
    observation.guests = Facet::known(vec![], Timestamp(0));
    let (cluster, removed) = ("hk1".parse().unwrap(), "prox3".parse().unwrap());
    let act = RemoveMember {
        cluster: &cluster,
        removed: &removed,
        id: 3,
    };
    let findings = act.precheck(&"prox1".parse().unwrap(), &observation);
    findings.into_iter().map(|f| f.message).collect()
}

#[test]
fn one_that_is_off_is_taken_out() {
    assert_eq!(refused(|_| {}), Vec::<String>::new());
}

#[test]
fn nobody_else_may_run_with_the_id_that_delnode_kills() {
    // The file was edited and not taken over: prox2 runs on with the id that the file gives to prox3 now.
    let says = refused(|m| {
        m.nodes[1] = MemberNode {
            id: 3,
            ..m.nodes[1].clone()
        }
    });
    assert!(
        says.iter().any(|s| s.contains("prox2 runs with the node id 3")),
        "{says:?}"
    );
    let says = refused(|m| {
        let running = [1, 3].map(|id| RunningVersion { id, version: 3 }).into();
        m.running_versions = Facet::known(running, Timestamp(0));
    });
    assert!(says.iter().any(|s| s.contains("is in the membership now")), "{says:?}");
    let says = refused(|m| m.file_version = 4);
    assert!(says.iter().any(|s| s.contains("the file has 4")), "{says:?}");
    let says = refused(|m| m.running_versions = Facet::not_asked());
    assert!(!says.is_empty(), "who runs with which id can't be seen");
    let says = refused(|m| {
        m.configured[1] = ConfiguredNode {
            id: 3,
            ..m.configured[1].clone()
        }
    });
    assert!(says.iter().any(|s| s.contains("not prox3's alone")), "{says:?}");
}
