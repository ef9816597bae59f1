//! A node's maintenance by HA: all that HA looks after leaves it, or may come back.

use std::collections::BTreeSet;

use quorate_exec::Tools;
use quorate_model::facet::Unknown;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::moves::service_id;
use quorate_model::observation::FacetName;
use quorate_model::plan::Condition;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::{CallError, guest};

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::SetMaintenance`].
pub(super) struct SetMaintenance<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) of: &'a NodeName,
    pub(super) on: bool,
}

impl Act for SetMaintenance<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Ha]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster, FacetName::Config]
    }

    /// The command ends well in any case; the master would refuse it in its own log alone.
    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let member = match local::quorate_member(node, seen, self.cluster) {
            Ok(member) => member,
            Err(findings) => return findings,
        };
        let refuse = |code, message: String, next: &str| vec![Finding::new(code, self.of.as_str(), message, next)];
        let online = member.online().any(|name| name == self.of.as_str());
        if self.on && !online {
            let message = format!(
                "{} is not online: HA's master puts no such node into maintenance",
                self.of
            );
            return refuse(Code::MemberOffline, message, "quorate status");
        }
        let manager = match seen.ha.get().and_then(|ha| ha.manager.get()) {
            Ok(manager) => manager,
            Err(unknown) => return vec![precheck::unknown(node, "ha", unknown)],
        };
        let Some(manager) = manager else {
            let message = "there has never been an HA master: nobody would carry it out".to_owned();
            return refuse(Code::HaCommandLost, message, "ha-manager status");
        };
        if !self.on {
            return vec![];
        }
        let rests = |name: &str| {
            let state = manager.nodes.get(name);
            manager.maintenance.contains(name) || state.is_some_and(|state| state == "maintenance")
        };
        let may: BTreeSet<&str> = member
            .online()
            .filter(|name| *name != self.of.as_str() && !rests(name))
            .collect();
        self.overwritten(seen, &may)
            .unwrap_or_else(|(facet, unknown)| vec![precheck::unknown(node, facet, &unknown)])
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let condition = Condition::Maintenance {
            cluster: self.cluster.clone(),
            node: self.of.clone(),
            on: self.on,
            seen_by: node.clone(),
        };
        local::awaited(node, seen, &condition)
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        let mut said = local::read_task(node, output);
        for finding in &mut said.findings {
            let code = match guest::trouble(&output.stderr) {
                Code::HaCommandLost => Code::HaCommandLost,
                _ => finding.code,
            };
            let next = "on the HA master: journalctl -u pve-ha-crm; on any member: ha-manager status";
            *finding = Finding::new(code, self.of.as_str(), finding.message.clone(), next);
        }
        said
    }

    fn stays_here(&self) -> bool {
        false
    }
}

impl SetMaintenance<'_> {
    /// Copies that are held where HA may put a guest: it chooses by itself, and what is held there is overwritten. `may`: the servers that HA chooses
    /// from.
    fn overwritten(&self, seen: &Observation, may: &BTreeSet<&str>) -> Result<Vec<Finding>, (&'static str, Unknown)> {
        let unseen = |facet| move |unknown: &Unknown| (facet, unknown.clone());
        let ha = seen.ha.get().map_err(unseen("ha"))?;
        let resources = ha.resources.get().map_err(unseen("ha"))?;
        let config = seen.config.get().map_err(unseen("config"))?;
        let guests = config.guests.get().map_err(unseen("config"))?;
        let jobs = config.replication.get().map_err(unseen("config"))?;
        let mut against = Vec::new();
        for guest in guests.iter().filter(|guest| guest.guest.node == self.of.as_str()) {
            let sid = service_id(guest.guest.kind, guest.guest.vmid);
            if resources.get(&sid).is_none_or(|resource| resource.state == "ignored") {
                continue;
            }
            let mut all = ha.moved_along(&sid).map_err(|unknown| ("ha", unknown))?;
            all.insert(guest.guest.vmid);
            for node in may {
                let back = ha.sends_back(&sid, node, may).map_err(|unknown| ("ha", unknown))?;
                let held = all.iter().find(|id| jobs.iter().any(|job| job.keeps_on(**id, node)));
                if let Some(held) = held.filter(|_| back.is_none()) {
                    let message = format!(
                        "HA chooses where it goes, which may be {node}: what {node} wrote to guest {held} before it was lost is held there, and would \
                         be overwritten"
                    );
                    let next = format!("quorate replication resolve {held}");
                    let subject = format!("guest {}", guest.guest.vmid);
                    against.push(Finding::new(Code::CopyHeld, subject, message, next));
                }
            }
        }
        Ok(against)
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::facet::Facet;
    use quorate_model::held::Held;
    use quorate_model::observation::cluster::Membership;
    use quorate_model::observation::ha::{Ha, HaPlacement, HaResource, ManagerStatus};
    use quorate_model::observation::{ConfiguredGuest, Guest, GuestKind, ReplicationJob};
    use quorate_model::{Timestamp, observation::cluster::Cluster};

    use super::*;
    use crate::operations::actions::testing::{config, member};

    fn known<T>(value: T) -> Facet<T> {
        Facet::known(value, Timestamp(0))
    }

    /// Guest 100 is on prox3 and under HA; what it wrote on prox1 is held there.
    fn recovered(placements: Vec<HaPlacement>) -> Observation {
        let mut seen = Observation::empty("prox1", Timestamp(0));
        seen.cluster = known(member(&["prox1", "prox2", "prox3"]));
        let mut config = config();
        config.guests = known(vec![ConfiguredGuest {
            guest: Guest {
                vmid: 100,
                node: "prox3".to_owned(),
                kind: GuestKind::Vm,
            },
            config: Facet::not_asked(),
        }]);
        config.replication = known(vec![ReplicationJob {
            disabled: true,
            comment: Some(Held::now("prox1", Timestamp(0)).comment()),
            ..ReplicationJob::of("100-0", 100, "prox1")
        }]);
        seen.config = known(config);
        seen.ha = known(Ha {
            version: Facet::not_asked(),
            watchdog_armed: false,
            lrm: Facet::not_asked(),
            crm: Facet::not_asked(),
            lrm_status: Facet::not_asked(),
            resources: known([("vm:100".to_owned(), HaResource::of("started"))].into()),
            manager: known(Some(ManagerStatus {
                master: "prox2".to_owned(),
                at: Timestamp(0),
                nodes: [].into(),
                services: [].into(),
                disarm: None,
                maintenance: [].into(),
            })),
            placements: known(placements),
        });
        seen
    }

    #[test]
    fn ha_is_not_told_to_move_guests_where_it_may_overwrite_what_is_held() {
        let (hk1, of, node) = (
            "hk1".parse().unwrap(),
            "prox3".parse().unwrap(),
            "prox2".parse().unwrap(),
        );
        let codes = |on, seen: &Observation| {
            let act = SetMaintenance {
                cluster: &hk1,
                of: &of,
                on,
            };
            let against = act.precheck(&node, seen);
            against.iter().map(|finding| finding.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(true, &recovered(vec![])), [Code::CopyHeld]);
        assert_eq!(codes(false, &recovered(vec![])), []);
        let kept_away = HaPlacement {
            name: "near".to_owned(),
            kind: HaPlacement::NODES.to_owned(),
            services: vec!["vm:100".to_owned()],
            nodes: [("prox2".to_owned(), None), ("prox3".to_owned(), None)].into(),
            strict: true,
            no_failback: false,
            disabled: false,
            apart: false,
        };
        assert_eq!(codes(true, &recovered(vec![kept_away])), []);
        let mut unseen = recovered(vec![]);
        unseen.config = Facet::not_asked();
        assert_eq!(codes(true, &unseen), [Code::FacetUnknown]);
    }

    #[test]
    fn a_node_that_is_offline_is_not_asked_into_maintenance() {
        let (hk1, of, node) = (
            "hk1".parse().unwrap(),
            "prox3".parse().unwrap(),
            "prox1".parse().unwrap(),
        );
        let mut cluster: Cluster = member(&["prox1", "prox2", "prox3"]);
        if let Membership::Member(member) = &mut cluster.membership {
            member.nodes[2].online = false;
        }
        let mut seen = Observation::empty("prox1", Timestamp(0));
        seen.cluster = Facet::known(cluster, Timestamp(0));
        let codes = |on| {
            let act = SetMaintenance {
                cluster: &hk1,
                of: &of,
                on,
            };
            let against = act.precheck(&node, &seen);
            against.iter().map(|finding| finding.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(true), [Code::MemberOffline]);
        // Taking it back must be possible also of one that is down; here only HA itself is not seen.
        assert_eq!(codes(false), [Code::FacetUnknown]);
    }
}
