//! A failure is rehearsed on this server. It begins in a task, after what ends it; see [`crate::faults`].

use quorate_exec::Tools;
use quorate_model::fault::{Fault, FaultEnd, rules};
use quorate_model::ids::{ClusterName, NodeName, PoolName};
use quorate_model::observation::FacetName;
use quorate_model::observation::pools::{Pool, VdevState};
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::disks::pool_of;
use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::InjectFault`].
pub(super) struct InjectFault<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) fault: &'a Fault,
    pub(super) seconds: u32,
    pub(super) boot: &'a str,
}

impl InjectFault<'_> {
    /// Is this another boot than the one in which it may begin?
    fn began_anew(&self, seen: &Observation) -> Result<bool, String> {
        let system = seen.system.get().map_err(|unknown| unknown.reason.clone())?;
        Ok(system.boot_id != self.boot)
    }

    /// Whoever is cut off from a cluster that does not work now takes the rest of it along. Whether the rest can do without this server, others see
    /// better.
    fn against_its_cluster(&self, node: &NodeName, seen: &Observation) -> Option<Finding> {
        let cluster = match seen.cluster.get() {
            Ok(cluster) => cluster,
            Err(unknown) => return Some(precheck::unknown(node, "cluster", unknown)),
        };
        let next = format!("look on {node}: pvecm status; then ask again");
        match cluster.member() {
            Some(member) if member.cluster == self.cluster.as_str() && member.quorate => None,
            Some(member) if member.cluster == self.cluster.as_str() => {
                let why = "its cluster has no quorum, as it sees it";
                Some(Finding::new(Code::ClusterNotQuorate, node.as_str(), why, next))
            }
            other => {
                let is = other.map_or("in no cluster".to_owned(), |member| {
                    format!("a member of {}", member.cluster)
                });
                let why = format!("it is {is}, not of {}", self.cluster);
                Some(Finding::new(Code::NodeInOtherCluster, node.as_str(), why, next))
            }
        }
    }

    /// The server's start, or its being off, is the fault.
    fn takes_the_server(&self) -> bool {
        rules(self.fault.kind()).end != FaultEnd::Timer
    }
}

impl Act for InjectFault<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::System]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        match self.fault {
            Fault::Disk { .. } => &[FacetName::Cluster, FacetName::Pools],
            _ => &[FacetName::Cluster],
        }
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut findings = Vec::new();
        match self.began_anew(seen) {
            Ok(false) => {}
            Ok(true) => findings.push(Finding::new(
                Code::PlanChanged,
                node.as_str(),
                "the server was started anew since this was asked for",
                "look at it: quorate status; then ask again",
            )),
            Err(why) => findings.push(Finding::new(
                Code::FacetUnknown,
                node.as_str(),
                format!("in which boot the server is can't be told: {why}"),
                format!("look on {node}: quorate-agent observe system"),
            )),
        }
        if let Err(why) = self.fault.for_seconds(self.seconds) {
            findings.push(refused(node, why.to_string()));
        }
        findings.extend(self.against_its_cluster(node, seen));
        if let Fault::Disk { pool, disk } = self.fault {
            match seen.pools.get() {
                Err(unknown) => findings.push(precheck::unknown(node, "pools", unknown)),
                Ok(pools) => findings.extend(against_taking_out(node, pools, pool, disk)),
            }
        }
        findings
    }

    /// That it holds is seen by the task, and that the server was taken down by the boot after it.
    fn state(&self, _node: &NodeName, seen: &Observation) -> State {
        match self.began_anew(seen) {
            Ok(true) if self.takes_the_server() => State::Reached("the server was started anew".to_owned()),
            Ok(_) => State::Untouched,
            Err(why) => State::Between(format!("its boot can be seen ({why})")),
        }
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }

    /// What is seen of it is seen by others.
    fn stays_here(&self) -> bool {
        false
    }

    fn takes_its_word(&self) -> Option<&'static str> {
        Some(if self.takes_the_server() {
            "the server goes down"
        } else {
            "it holds, and ends by itself when its time is over"
        })
    }
}

fn refused(node: &NodeName, why: String) -> Finding {
    Finding::new(
        Code::FaultRefused,
        node.as_str(),
        why,
        "see what each fault is, and how long it may last: docs/faults.md",
    )
}

/// A pool that is not whole, or could not do without the disk, is left alone.
fn against_taking_out(node: &NodeName, pools: &[Pool], name: &PoolName, disk: &str) -> Option<Finding> {
    let pool = match pool_of(node, pools, name) {
        Ok(pool) => pool,
        Err(finding) => return Some(finding),
    };
    let leaf = pool
        .leaves()
        .find(|leaf| leaf.name == disk || leaf.whole_disk() == Some(disk));
    let why = match (leaf, pool.may_be_changed()) {
        (None, _) => format!("pool {name} has no {disk}"),
        (Some(_), Err(why)) => format!("a disk is only taken out of a pool that is well, and {name} is one {why}"),
        (Some(leaf), Ok(())) if leaf.health.state != VdevState::Online || leaf.group.is_some() => {
            format!(
                "{disk} is {} in pool {name}, or takes part in a replacement",
                leaf.health.state.as_str()
            )
        }
        (Some(_), Ok(())) if pool.may_lose() == 0 => {
            format!("pool {name} would be lost: it can't do without a single disk")
        }
        (Some(_), Ok(())) => return None,
    };
    Some(refused(node, why))
}

#[cfg(test)]
mod tests {
    use quorate_model::facet::Facet;
    use quorate_model::fault::PowerCut;
    use quorate_model::observation::System;
    use quorate_model::observation::pools::{Leaf, Vdev, VdevClass, VdevErrors, VdevHealth};
    use quorate_model::{ByteSize, Timestamp};

    use super::super::testing::member;
    use super::*;

    fn seen(boot: &str) -> Observation {
        let mut seen = Observation::empty("prox1", Timestamp(0));
        let mut system = serde_json::json!({
            "os": "Debian", "kernel": "6.8", "boot_id": boot, "uptime_seconds": 9,
            "cpu": { "model": "x", "threads": 2, "load": [0.0, 0.0, 0.0] },
            "memory": { "total": 1, "available": 1, "swap_total": 0, "swap_free": 0 },
            "clock": { "now": 0, "synchronised": serde_json::to_value(Facet::<()>::not_asked()).unwrap() },
            "reboot_needed": null,
            "agent": { "version": "0.1.0", "memory": 0, "uptime_seconds": 1 },
        });
        system["pve"] = serde_json::to_value(Facet::<()>::not_asked()).unwrap();
        let system: System = serde_json::from_value(system).unwrap();
        seen.system = Facet::known(system, Timestamp(0));
        seen.cluster = Facet::known(member(&["prox1", "prox2", "prox3"]), Timestamp(0));
        seen
    }

    fn pool(kind: &str) -> Pool {
        let health = |state| VdevHealth {
            state,
            errors: Some(VdevErrors::default()),
            note: None,
        };
        let leaf = |number: u32, state| Leaf {
            name: format!("/dev/disk/by-id/wwn-{number}-part1"),
            health: health(state),
            group: None,
        };
        let (name, second) = match kind {
            "single" => ("/dev/disk/by-id/wwn-1-part1", None),
            "degraded" => ("mirror-0", Some(VdevState::Faulted)),
            _ => ("mirror-0", Some(VdevState::Online)),
        };
        let state = if kind == "degraded" {
            VdevState::Degraded
        } else {
            VdevState::Online
        };
        Pool {
            name: "tank".into(),
            state,
            complaint: None,
            data_errors: Some(0),
            scan: None,
            vdevs: vec![Vdev {
                class: VdevClass::Data,
                name: name.into(),
                health: health(state),
                leaves: std::iter::once(leaf(1, VdevState::Online))
                    .chain(second.map(|state| leaf(2, state)))
                    .collect(),
            }],
            size: ByteSize(1),
            allocated: ByteSize(0),
            fragmentation: None,
            ashift: None,
            autotrim: None,
            compression: None,
            scrub_scheduled: None,
            import_enabled: None,
            created: None,
            volumes: Facet::not_asked(),
        }
    }

    fn codes(fault: &Fault, seconds: u32, seen: &Observation) -> Vec<Code> {
        let (hk1, node) = ("hk1".parse().unwrap(), "prox1".parse().unwrap());
        let act = InjectFault {
            cluster: &hk1,
            fault,
            seconds,
            boot: "b1",
        };
        act.precheck(&node, seen).iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn it_begins_in_the_boot_that_was_meant_and_in_a_cluster_that_works() {
        assert_eq!(codes(&Fault::Network, 20, &seen("b1")), []);
        assert_eq!(codes(&Fault::Network, 20, &seen("b2")), [Code::PlanChanged]);
        assert_eq!(codes(&Fault::Network, 60, &seen("b1")), [Code::FaultRefused]);
        let mut alone = seen("b1");
        alone.cluster = Facet::not_asked();
        assert_eq!(codes(&Fault::Network, 20, &alone).len(), 1);
    }

    #[test]
    fn a_server_that_was_taken_down_is_known_by_its_next_boot() {
        let (hk1, node) = ("hk1".parse().unwrap(), "prox1".parse().unwrap());
        let state = |fault: &Fault, boot| {
            let act = InjectFault {
                cluster: &hk1,
                fault,
                seconds: 0,
                boot: "b1",
            };
            act.state(&node, &seen(boot))
        };
        let reset = Fault::Power {
            how: PowerCut::Reset,
            attended: false,
        };
        assert!(matches!(state(&reset, "b2"), State::Reached(_)));
        assert_eq!(state(&reset, "b1"), State::Untouched);
        assert_eq!(state(&Fault::Network, "b2"), State::Untouched);
    }

    #[test]
    fn no_disk_is_taken_out_of_a_pool_that_would_not_survive_it() {
        let fault = Fault::Disk {
            pool: "tank".parse().unwrap(),
            disk: "/dev/disk/by-id/wwn-1".into(),
        };
        let with = |pools| {
            let mut seen = seen("b1");
            seen.pools = pools;
            codes(&fault, 60, &seen)
        };
        let known = |text| Facet::known(vec![pool(text)], Timestamp(0));
        assert_eq!(with(known("mirror")), []);
        assert_eq!(with(known("single")), [Code::FaultRefused]);
        assert_eq!(with(known("degraded")), [Code::FaultRefused]);
        assert_eq!(with(Facet::not_asked()).len(), 1);
    }
}
