//! Two nodes and a quorum device.

use super::{Seen, cluster};
use crate::world::oplog::What;
use crate::world::server::Network::{Cluster, Public};

const A: usize = 0;
const B: usize = 1;
const WITNESS: usize = 2;

fn with_device() -> Seen {
    let seen = cluster(2, &[Cluster], true);
    for index in [A, B] {
        assert_eq!(seen.corosync(index).total_votes(), 3);
    }
    seen
}

#[test]
fn b_cut_completely_and_back() {
    let mut seen = with_device();
    let mark = seen.cut(B, &[Cluster, Public]);
    seen.write(A, "probe1");
    seen.write(B, "probe2");
    seen.pass(14_000);
    assert!(seen.corosync(B).quorate, "it does not know yet");
    seen.pass(10_000);
    seen.assert_within(&mark, A, What::DevicePolled, "", 6500..=6600);
    seen.assert_within(&mark, A, What::MembershipChanged, "1", 11_500..=11_650);
    seen.assert_within(&mark, A, What::PveWritten, "probe1", 11_400..=11_650);
    assert_eq!(seen.after(&mark, A, What::QuorumLost, ""), None);
    seen.assert_within(&mark, B, What::QuorumLost, "", 14_900..=15_100);
    seen.assert_within(&mark, B, What::PveWriteUndone, "probe2", 14_900..=15_100);
    let lines = [
        "[QUORUM] Sync members[1]: 1",
        "[QUORUM] Sync left[1]: 2",
        "[VOTEQ ] waiting for quorum device Qdevice poll (but maximum for 30000 ms)",
        "[TOTEM ] A new membership (1.d) was formed. Members left: 2",
        "[TOTEM ] Failed to receive the leave message. failed: 2",
        "[QUORUM] Members[1]: 1",
        "[MAIN  ] Completed service synchronization, ready to provide service.",
    ];
    seen.assert_said(&mark, A, &lines);
    let formed = seen
        .said(&mark, A)
        .iter()
        .filter(|line| line.contains("was formed"))
        .count();
    assert_eq!(formed, 1);

    let mark = seen.heal(B);
    seen.pass(10_000);
    seen.assert_within(&mark, B, What::QuorumGained, "", 2300..=2450);
    seen.assert_within(&mark, A, What::MembershipChanged, "1 2", 2300..=2450);
    assert!([A, B].iter().all(|index| seen.corosync(*index).total_votes() == 3));
}

#[test]
fn qnetd_cut_then_b_too_then_qnetd_back() {
    let mut seen = with_device();
    let mark = seen.cut(WITNESS, &[Public]);
    seen.pass(8000);
    seen.write(A, "probe1");
    let wrote = seen.mark();
    seen.pass(12_000);
    for index in [A, B] {
        seen.assert_within(&mark, index, What::QdeviceLost, "", 8500..=12_400);
        let corosync = seen.corosync(index);
        assert_eq!((corosync.total_votes(), corosync.quorate), (2, true));
    }
    seen.assert_within(&wrote, A, What::PveWritten, "probe1", 0..=100);

    let mark = seen.cut(B, &[Cluster, Public]);
    seen.pass(20_000);
    for index in [A, B] {
        seen.assert_within(&mark, index, What::QuorumLost, "", 8300..=8900);
    }
    let mark = seen.heal(WITNESS);
    seen.pass(5000);
    seen.assert_within(&mark, A, What::QuorumGained, "", 400..=550);
    assert!(!seen.corosync(B).quorate);
}

#[test]
fn b_stopped_in_order_then_a_and_a_alone_started() {
    let mut seen = with_device();
    let mark = seen.mark();
    seen.state.stop_corosync(B, What::CorosyncStopped, "a test");
    seen.pass(5000);
    seen.assert_within(&mark, A, What::MembershipChanged, "1", 650..=750);
    assert_eq!(seen.after(&mark, A, What::QuorumLost, ""), None);
    let said = seen.said(&mark, A);
    assert!(!said.iter().any(|line| line.contains("leave message")), "{said:#?}");

    seen.state.stop_corosync(A, What::CorosyncStopped, "a test");
    seen.pass(5000);
    let mark = seen.mark();
    seen.state.start_corosync(A).expect("it starts");
    seen.pass(5000);
    seen.assert_within(&mark, A, What::QuorumGained, "", 400..=800);
    assert_eq!(seen.corosync(A).expected_votes, 2, "as shown while it is alone");
}
