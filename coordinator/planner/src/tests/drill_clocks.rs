//! Clocks: that those of servers differ speaks against no drill, and that nobody compared them does.

use quorate_model::facet::Facet;
use quorate_model::{Code, Timestamp};

use super::drill_rails::{around, of, refusals, request, seen, usual};
use crate::drill::Request;
use crate::testkit::{NOW, Servers, known, name};

const ALL: [&str; 3] = ["prox1", "prox2", "prox3"];

/// HA's master is prox3. What it wrote and what each server tells is by its own clock.
fn by_own_clocks(minutes: [i64; 3]) -> Servers {
    let at = |minutes: i64| Timestamp(NOW.0 + minutes * 60_000_000);
    let mut servers = usual();
    for (node, own) in ALL.into_iter().zip(minutes) {
        servers = servers.clock(node, own * 60_000_000, 500).with(node, |seen| {
            let ha = known(&mut seen.ha);
            let told = |ago: i64, minutes: i64| Timestamp(at(minutes).0 - ago * 1_000_000);
            if let Some(status) = known(&mut ha.lrm_status) {
                status.at = told(5, own);
            }
            let mut manager = known(&mut ha.manager).clone();
            if let Some(manager) = &mut manager {
                manager.at = told(5, minutes[2]);
            }
            ha.manager = Facet::known(manager, at(own));
            let ha = ha.clone();
            seen.ha = Facet::known(ha, at(own));
            let mut states = known(&mut seen.replication).clone();
            for state in &mut states {
                state.last_sync = Some(told(60, own));
                state.last_try = state.last_sync;
            }
            seen.replication = Facet::known(states, at(own));
        });
    }
    servers
}

#[test]
fn clocks_that_differ_by_minutes_are_no_reason_and_those_that_nobody_compared_are() {
    for minutes in [[4, 0, -4], [-5, 0, 5], [5, -5, 0], [0, 5, -5]] {
        assert_eq!(of(&by_own_clocks(minutes)), [], "{minutes:?}");
    }
    // A master that died minutes ago is not taken to be alive because its clock is ahead, nor its word for one of today.
    let died = by_own_clocks([0, 0, 5]).with_shared_ha(|ha| {
        if let Some(manager) = known(&mut ha.manager) {
            manager.at = Timestamp(NOW.0 + 200_000_000);
        }
    });
    assert_eq!(of(&died), [Code::DrillGuestNotInHa, Code::DrillHaSilent]);
    let mut untold = by_own_clocks([0, 0, 0]);
    untold.view.nodes.get_mut(&name("prox2")).unwrap().clock_offset = None;
    assert_eq!(of(&untold), [Code::DrillUnseen]);
    let said = seen(&untold, &request(), &around());
    assert!(
        said.findings
            .iter()
            .any(|finding| finding.message.contains("the clock of prox2 was never compared"))
    );
    // Of the master's the coordinator can't say then what HA would do.
    untold.view.nodes.get_mut(&name("prox3")).unwrap().clock_offset = None;
    assert!(of(&untold).iter().all(|code| *code == Code::DrillUnseen));
    let unsure = usual().clock("prox2", 0, 1_500_000);
    assert_eq!(of(&unsure), [Code::DrillClockUnsure]);
    let accepted = Request {
        accepted: vec![Code::DrillClockUnsure],
        ..request()
    };
    assert_eq!(refusals(&seen(&unsure, &accepted, &around())), []);
}
