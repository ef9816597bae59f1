//! What losses of servers leave of canaries' discs for cloud-init, and discs of theirs that got another name by it.

use quorate_model::canary_discs::{left_discs, renamed};
use quorate_model::observation::ConfiguredGuest;
use quorate_model::view::View;
use quorate_model::{ClusterName, Finding, NodeName, Timestamp};
use quorate_proto::Sighting;

use super::health::stale;
use crate::fleet::known_guests::Told;

/// What there is to say of them. What can't be seen says nothing here: that alone is told, elsewhere.
pub(crate) fn canaries(now: Timestamp, cluster: &ClusterName, told: &Told, seen: &[Sighting]) -> Vec<Finding> {
    let Ok(guests) = told.config.as_ref().map(|config| config.guests.get()) else {
        return vec![];
    };
    let fresh = seen.iter().filter(|sighting| !stale(now, sighting));
    let view = View {
        nodes: fresh
            .map(|sighting| (sighting.node.node.clone(), sighting.view.clone()))
            .collect(),
        ..View::default()
    };
    let mut findings = Vec::new();
    for guest in guests.ok().into_iter().flatten() {
        findings.extend(renamed(cluster, guest));
        let left = left_discs(&view, guest).left.into_iter();
        let left = left.filter(|disc| says_so(&view, &disc.node, guest));
        findings.extend(left.map(|disc| disc.finding(cluster, guest.guest.vmid)));
    }
    findings
}

/// What is configured is asked now and then: a guest that went elsewhere just now has its own disc where it is.
fn says_so(view: &View, node: &NodeName, guest: &ConfiguredGuest) -> bool {
    view.facet(node, |o| &o.guests).is_ok_and(|guests| {
        let mut own = guests.iter().filter(|one| one.vmid == guest.guest.vmid);
        own.next().is_some_and(|one| one.node == guest.guest.node)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quorate_model::facet::Facet;
    use quorate_model::observation::Guest;
    use quorate_model::{Code, canary};
    use quorate_planner::testkit::{NOW, Servers, Vm, known};

    use super::*;

    const LEFT: &str = "data_zfs/vm-900-cloudinit";

    fn servers(on: &str) -> Servers {
        let mut vm = Vm::running(900, on);
        vm.config.tags = vec![canary::TAG.to_owned()];
        let all = ["prox1", "prox2", "prox3"];
        Servers::bare(3)
            .members("hk1", &all, &["10.10.10.0/24"])
            .housing(&[vm])
            .keeping("prox1", Facet::known(vec![LEFT.to_owned()], NOW))
    }

    fn told(configured: &Servers, seen: &Servers) -> Vec<Finding> {
        let cluster: ClusterName = "hk1".parse().unwrap();
        let by: NodeName = "prox2".parse().unwrap();
        let config = configured.view.facet(&by, |o| &o.config).unwrap().clone();
        let told = Told {
            by,
            config: Ok(config),
            at: NOW,
            since: BTreeMap::new(),
        };
        let sighting = |(node, view): (&NodeName, &quorate_model::view::NodeView)| Sighting {
            node: quorate_model::NodeRef::new(cluster.clone(), node.clone()),
            view: view.clone(),
            received_at: Some(NOW),
            connection: None,
        };
        let seen: Vec<Sighting> = seen.view.nodes.iter().map(sighting).collect();
        canaries(NOW, &cluster, &told, &seen)
    }

    #[test]
    fn what_a_lost_server_keeps_of_a_canary_s_disc_is_told_with_what_to_type() {
        let there = servers("prox2");
        let found = told(&there, &there);
        let [finding] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(
            (finding.code, finding.next.as_str()),
            (Code::CanaryDiscLeft, "quorate guest clear-canary 900")
        );
        assert!(finding.message.contains("lies on prox1"), "{finding:?}");
        assert!(told(&servers("prox1"), &servers("prox1")).is_empty(), "its own");
    }

    #[test]
    fn a_guest_that_came_just_now_has_its_own_disc_there() {
        let moved = servers("prox2").with_each(|seen| {
            let guests: &mut Vec<Guest> = known(&mut seen.guests);
            for guest in guests {
                guest.node = "prox1".to_owned();
            }
        });
        assert!(told(&servers("prox2"), &moved).is_empty());
    }
}
