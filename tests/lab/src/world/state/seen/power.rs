//! Servers that go, in order or not, and what HA's watchdog makes of it.

use super::ha::protected;
use super::{Seen, cluster};
use crate::world::oplog::What;
use crate::world::server::Network::{Cluster, Public};

#[test]
fn who_says_goodbye_is_missed_at_once_and_who_vanishes_after_its_token() {
    let mut seen = cluster(3, &[Cluster], false);
    let mark = seen.mark();
    seen.state.shut_down(2, false);
    seen.pass(10_000);
    let off = seen.after(&mark, 2, What::PoweredOff, "").expect("it is off");
    let missed = seen
        .after(&mark, 0, What::MembershipChanged, "1 2")
        .expect("it is missed");
    assert!((650..=750).contains(&(missed - off)), "{off} ms, {missed} ms");
    seen.assert_never(&mark, What::TokenLost);

    let mut seen = cluster(3, &[Cluster], false);
    let mark = seen.mark();
    seen.state.cut_power(2, false);
    seen.pass(10_000);
    seen.assert_within(&mark, 0, What::MembershipChanged, "1 2", 8000..=8040);
}

/// Who is online, as pmxcfs of a server publishes it.
fn online(seen: &Seen, index: usize) -> Vec<String> {
    let view = seen.state.servers[index].pmxcfs.view.as_ref().expect("a view");
    let online = view.nodes.iter().filter(|node| node.online);
    online.map(|node| node.name.clone()).collect()
}

#[test]
fn who_lost_its_power_is_a_member_for_everybody_until_totem_gives_it_up() {
    let all = ["prox1", "prox2", "prox3"];
    let mut seen = cluster(3, &[Cluster], false);
    seen.state.cut_power(2, true);
    seen.pass(7_900);
    assert_eq!(online(&seen, 0), all, "undecided");
    seen.pass(200);
    assert_eq!(
        (online(&seen, 0), online(&seen, 1)),
        (online(&seen, 1), all[..2].iter().map(ToString::to_string).collect())
    );
    // It comes back, and is taken in.
    seen.pass(150_000);
    assert_eq!(online(&seen, 0), all);
    // Without pmxcfs it is in corosync's membership still, and out of the group at once.
    let mark = seen.mark();
    seen.state.stop_pmxcfs(2);
    seen.pass(100);
    assert_eq!(online(&seen, 0), all[..2]);
    seen.assert_never(&mark, What::MembershipChanged);
}

#[test]
fn an_armed_node_without_quorum_is_reset_about_a_minute_later() {
    let mut seen = protected();
    let mark = seen.cut(2, &[Cluster, Public]);
    seen.pass(100_000);
    // 60 s after it was last fed, which is a round before quorum went, at most; then up to ten more.
    seen.assert_within(&mark, 2, What::WatchdogReset, "", 53_000..=76_000);
}

#[test]
fn an_lrm_without_guests_stays_armed_for_sixty_rounds() {
    let mut seen = protected();
    let mark = seen.mark();
    let emptied = seen.state.write(0, |replica| replica.ha.resources.clear());
    emptied.expect("writable");
    seen.pass(700_000);
    seen.assert_within(&mark, 2, What::WatchdogClosed, "", 590_000..=640_000);
}
