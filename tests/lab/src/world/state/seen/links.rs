//! Cuts of one link of two, of both, and of the only one.

use super::{Seen, cluster};
use crate::world::oplog::What;
use crate::world::server::Network::{Cluster, Public};

const THIRD: usize = 2;

fn two_links() -> Seen {
    cluster(3, &[Cluster, Public], false)
}

fn writes(seen: &Seen) {
    seen.write(0, "probe1");
    seen.write(THIRD, "probe3");
}

/// Nobody's membership or quorum changed.
fn unmoved(seen: &Seen, mark: &super::Mark) {
    for what in [
        What::MembershipChanged,
        What::QuorumLost,
        What::TokenLost,
        What::PveWriteUndone,
    ] {
        seen.assert_never(mark, what);
    }
    assert!((0..3).all(|index| seen.corosync(index).quorate));
}

#[test]
fn link0_cut_and_restored() {
    let mut seen = two_links();
    assert_eq!(
        seen.corosync(0).links[&(3, 0)].down_count,
        1,
        "the first connection counts one"
    );
    let members = || std::fs::read_to_string(seen.state.servers[0].root.join("etc/pve/.members"));
    let before = members().expect("there");
    let mark = seen.cut(THIRD, &[Cluster]);
    writes(&seen);
    seen.pass(10_000);
    seen.assert_within(&mark, THIRD, What::LinkDown, "host: 1 link: 0", 1230..=1850);
    seen.assert_within(&mark, THIRD, What::LinkDown, "host: 2 link: 0", 1230..=1850);
    seen.assert_within(&mark, 0, What::LinkDown, "host: 3 link: 0", 1230..=1850);
    let lines = [
        "[KNET  ] link: host: 3 link: 0 is down",
        "[KNET  ] host: host: 3 (passive) best link: 1 (pri: 1)",
    ];
    seen.assert_said(&mark, 0, &lines);
    // Until the traffic goes the other way, nobody's write gets through.
    for index in [0, THIRD] {
        seen.assert_within(&mark, index, What::PveWritten, "probe", 1740..=1990);
    }
    unmoved(&seen, &mark);
    let now = std::fs::read_to_string(seen.state.servers[0].root.join("etc/pve/.members"));
    assert_eq!(now.expect("there"), before);
    let links = &seen.corosync(0).links;
    assert_eq!((links[&(3, 0)].down_count, links[&(3, 1)].down_count), (2, 1));

    let mark = seen.heal(THIRD);
    writes(&seen);
    seen.pass(10_000);
    seen.assert_within(&mark, 0, What::LinkUp, "host: 3 link: 0", 1440..=2970);
    seen.assert_within(&mark, THIRD, What::LinkUp, "host: 1 link: 0", 1440..=2970);
    let lines = [
        "[KNET  ] rx: host: 3 link: 0 is up",
        "[KNET  ] link: Resetting MTU for link 0 because host 3 joined",
        "[KNET  ] host: host: 3 (passive) best link: 0 (pri: 1)",
    ];
    seen.assert_said(&mark, 0, &lines);
    seen.assert_within(&mark, 0, What::PveWritten, "probe1", 0..=400);
    unmoved(&seen, &mark);
}

#[test]
fn link1_cut_and_restored() {
    let mut seen = two_links();
    let mark = seen.cut(THIRD, &[Public]);
    writes(&seen);
    seen.pass(10_000);
    seen.assert_within(&mark, 0, What::LinkDown, "host: 3 link: 1", 1430..=1970);
    seen.assert_within(&mark, THIRD, What::LinkDown, "host: 2 link: 1", 1430..=1970);
    let lines = [
        "[KNET  ] link: host: 3 link: 1 is down",
        "[KNET  ] host: host: 3 (passive) best link: 0 (pri: 1)",
    ];
    seen.assert_said(&mark, 0, &lines);
    for index in [0, THIRD] {
        seen.assert_within(&mark, index, What::PveWritten, "probe", 0..=400);
    }
    unmoved(&seen, &mark);
    assert_eq!(seen.corosync(THIRD).links[&(1, 1)].down_count, 2);
    let mark = seen.heal(THIRD);
    seen.pass(10_000);
    seen.assert_within(&mark, 0, What::LinkUp, "host: 3 link: 1", 1440..=2970);
    unmoved(&seen, &mark);
}

#[test]
fn both_cut_and_restored() {
    let mut seen = two_links();
    let mark = seen.cut(THIRD, &[Cluster, Public]);
    writes(&seen);
    seen.pass(20_000);
    for link in ["link: 0", "link: 1"] {
        seen.assert_within(&mark, 0, What::LinkDown, link, 1400..=1730);
        seen.assert_within(&mark, THIRD, What::LinkDown, link, 1400..=1730);
    }
    seen.assert_within(&mark, 0, What::TokenLost, "", 3580..=3650);
    seen.assert_within(&mark, 0, What::MembershipChanged, "1 2", 7970..=8040);
    seen.assert_within(&mark, THIRD, What::MembershipChanged, "3", 7970..=8040);
    seen.assert_within(&mark, THIRD, What::QuorumLost, "", 7970..=8040);
    seen.assert_within(&mark, 0, What::PveWritten, "probe1", 7800..=8040);
    seen.assert_within(&mark, THIRD, What::PveWriteUndone, "probe3", 7800..=8040);
    assert_eq!(seen.after(&mark, 0, What::QuorumLost, ""), None);
    let lines = [
        "[KNET  ] link: host: 3 link: 0 is down",
        "[KNET  ] host: host: 3 (passive) best link: 0 (pri: 1)",
        "[KNET  ] host: host: 3 has no active links",
        "[TOTEM ] Token has not been received in 2737 ms ",
        "[TOTEM ] A processor failed, forming new configuration: token timed out (3650ms), waiting 4380ms for consensus.",
        "[QUORUM] Sync members[2]: 1 2",
        "[QUORUM] Sync left[1]: 3",
    ];
    seen.assert_said(&mark, 0, &lines);
    let lines = [
        "[TOTEM ] Failed to receive the leave message. failed: 1 2",
        "[QUORUM] This node is within the non-primary component and will NOT provide any services.",
        "[QUORUM] Members[1]: 3",
        "[MAIN  ] Completed service synchronization, ready to provide service.",
    ];
    seen.assert_said(&mark, THIRD, &lines);

    let mark = seen.heal(THIRD);
    seen.pass(10_000);
    seen.assert_within(&mark, 0, What::LinkUp, "host: 3", 1800..=3000);
    seen.assert_within(&mark, 0, What::MembershipChanged, "1 2 3", 2710..=2980);
    seen.assert_within(&mark, THIRD, What::QuorumGained, "", 2710..=2980);
    let lines = [
        "[QUORUM] Sync members[3]: 1 2 3",
        "[QUORUM] Sync joined[1]: 3",
        "[QUORUM] Members[3]: 1 2 3",
    ];
    seen.assert_said(&mark, 0, &lines);
}

#[test]
fn the_only_link_cut_and_restored() {
    let mut seen = cluster(3, &[Cluster], false);
    let mark = seen.cut(THIRD, &[Cluster]);
    seen.pass(20_000);
    seen.assert_within(&mark, 0, What::LinkDown, "host: 3 link: 0", 1070..=1590);
    seen.assert_within(&mark, THIRD, What::LinkDown, "host: 1 link: 0", 1070..=1590);
    seen.assert_within(&mark, 0, What::TokenLost, "", 3420..=3650);
    seen.assert_within(&mark, 0, What::MembershipChanged, "1 2", 7800..=8030);
    seen.assert_within(&mark, THIRD, What::QuorumLost, "", 7800..=8030);
    let mark = seen.heal(THIRD);
    seen.pass(10_000);
    seen.assert_within(&mark, THIRD, What::QuorumGained, "", 2890..=3500);
}
