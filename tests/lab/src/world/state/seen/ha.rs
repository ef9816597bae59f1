//! HA on servers that take their time, against what was computed from PVE's constants and seen live (facts C.5, C.10; live-pve 4).

use quorate_lab_ha::model::{NodeState, Requested, ServiceState, Sid};

use super::{Seen, cluster};
use crate::description::GuestKind;
use crate::world::guests::Guest;
use crate::world::ha::Resource;
use crate::world::oplog::What;
use crate::world::server::Network::{Cluster, Public};

/// vm:100 under HA on the third node, vm:101 on the first one, which becomes master.
pub(super) fn protected() -> Seen {
    let mut seen = cluster(3, &[Cluster], false);
    let guest = |node: &str| Guest {
        node: node.to_owned(),
        kind: GuestKind::Qemu,
        version: 1,
        conf: "memory: 512\n".to_owned(),
    };
    let planted = seen.state.write(0, |replica| {
        for (vmid, node) in [(100, "prox3"), (101, "prox1")] {
            replica.guests.insert(vmid, guest(node));
            let resource = Resource::new(Requested::Started);
            replica.ha.resources.insert(format!("vm:{vmid}"), resource);
        }
    });
    planted.expect("writable");
    seen.until(120_000, "both guests run", |seen| {
        seen.runs(2, 100) && seen.runs(0, 101)
    });
    seen.pass(20_000);
    assert!(seen.state.is_armed(2));
    seen
}

impl Seen {
    /// Milliseconds until something is so.
    fn until(&mut self, limit: u64, what: &str, so: impl Fn(&Self) -> bool) -> u64 {
        let mut passed = 0;
        while !so(self) {
            assert!(passed < limit, "not within {limit} ms: {what}; {:#?}", self.manager());
            self.pass(500);
            passed += 500;
        }
        passed
    }

    fn runs(&self, index: usize, vmid: u32) -> bool {
        self.state.guest_runs(index, vmid)
    }

    fn manager(&self) -> Option<&quorate_lab_ha::model::ManagerStatus> {
        let all = self.state.servers.iter().filter(|server| !server.power.off);
        let newest = all.max_by_key(|server| server.pmxcfs.replica.sequence)?;
        newest
            .pmxcfs
            .replica
            .ha
            .manager
            .as_ref()
            .map(|manager| &manager.content)
    }

    fn service(&self, sid: &str) -> Option<(String, ServiceState)> {
        let sid = Sid::parse(sid).ok()?;
        let service = self.manager()?.service_status.get(&sid)?;
        Some((service.node.clone(), service.state))
    }

    fn order(&mut self, line: &str) {
        let written = self.state.write(0, |replica| replica.ha.commands.push(line.to_owned()));
        written.expect("writable");
    }
}

#[test]
fn a_guest_of_a_server_that_lost_its_power_is_there_again_two_minutes_later() {
    let mut seen = protected();
    seen.state.cut_power(2, false);
    let back = seen.until(200_000, "recovered", |seen| seen.runs(0, 100) || seen.runs(1, 100));
    assert!((111_000..=155_000).contains(&back), "{back} ms");
    assert_eq!(
        seen.service("vm:100").map(|(node, _)| node).as_deref(),
        Some("prox2"),
        "the emptier one"
    );
    assert!(!seen.runs(2, 100));
}

#[test]
fn without_the_master_it_takes_a_minute_more() {
    let mut seen = protected();
    seen.state.cut_power(0, false);
    let back = seen.until(260_000, "recovered", |seen| seen.runs(1, 101) || seen.runs(2, 101));
    assert!((171_000..=220_000).contains(&back), "{back} ms");
}

#[test]
fn a_server_that_is_cut_off_is_reset_before_its_guest_starts_elsewhere() {
    let mut seen = protected();
    let mark = seen.cut(2, &[Cluster, Public]);
    let back = seen.until(200_000, "recovered", |seen| seen.runs(1, 100));
    seen.assert_within(&mark, 2, What::WatchdogReset, "", 53_000..=76_000);
    assert!((111_000..=155_000).contains(&back), "{back} ms");
    assert!(!seen.runs(2, 100), "it runs once only");
    seen.assert_said(&mark, 2, &["status change active => lost_agent_lock"]);
    seen.assert_said(
        &mark,
        0,
        &[
            "node 'prox3': state changed from 'online' => 'unknown'",
            "service 'vm:100': state changed from 'started' to 'fence'",
            "fencing: acknowledged - got agent lock for node 'prox3'",
            "recover service 'vm:100' from fenced node 'prox3' to node 'prox2'",
        ],
    );
}

#[test]
fn a_cut_of_a_quarter_minute_moves_nothing() {
    let mut seen = protected();
    let mark = seen.cut(2, &[Cluster, Public]);
    seen.pass(15_000);
    seen.heal(2);
    seen.pass(150_000);
    seen.assert_never(&mark, What::WatchdogReset);
    assert!(seen.runs(2, 100));
    assert_eq!(
        seen.service("vm:100"),
        Some(("prox3".to_owned(), ServiceState::Started))
    );
}

#[test]
fn maintenance_empties_a_server_and_its_end_brings_the_guest_back() {
    let mut seen = protected();
    seen.order("enable-node-maintenance prox3");
    seen.until(90_000, "moved away", |seen| {
        !seen.runs(2, 100) && (seen.runs(0, 100) || seen.runs(1, 100))
    });
    seen.until(60_000, "in maintenance", |seen| {
        let state = seen
            .manager()
            .and_then(|manager| manager.node_status.get("prox3").copied());
        state == Some(NodeState::Maintenance) && !seen.state.is_armed(2)
    });
    seen.order("disable-node-maintenance prox3");
    seen.until(120_000, "moved back", |seen| seen.runs(2, 100));
}

#[test]
fn a_server_that_reboots_keeps_its_guest_and_one_that_is_switched_off_does_not() {
    let mut seen = protected();
    let mark = seen.mark();
    seen.state.shut_down(2, true);
    seen.until(90_000, "off", |seen| seen.state.servers[2].power.off);
    seen.assert_never(&mark, What::WatchdogReset);
    assert_eq!(
        seen.service("vm:100").map(|(_, state)| state),
        Some(ServiceState::Freeze)
    );
    seen.until(240_000, "it runs where it was", |seen| seen.runs(2, 100));

    seen.pass(30_000);
    seen.state.shut_down(2, false);
    seen.until(90_000, "off", |seen| seen.state.servers[2].power.off);
    let back = seen.until(120_000, "recovered", |seen| seen.runs(1, 100));
    assert!((55_000..=100_000).contains(&back), "{back} ms after it went off");
}

#[test]
fn a_strict_rule_without_a_server_leaves_the_guest_waiting() {
    let mut seen = protected();
    let rule = "node-affinity: keep\n\tnodes prox3\n\tresources vm:100\n\tstrict 1\n\n";
    seen.state
        .write(0, |replica| rule.clone_into(&mut replica.ha.rules))
        .expect("writable");
    seen.pass(20_000);
    seen.state.cut_power(2, false);
    seen.until(200_000, "it waits", |seen| {
        seen.service("vm:100").map(|(_, state)| state) == Some(ServiceState::Recovery)
    });
    seen.pass(30_000);
    assert!(!seen.runs(0, 100) && !seen.runs(1, 100));
}
