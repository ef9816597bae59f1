//! What really happened around a rehearsed failure: the moments that a drill's time line names, out of the world's own log. The one reader of it: the
//! tests of faults and of the watch and the seeded drills all hold what they were told against this.
//!
//! A drill is judged by this. What the log does not have did not happen; what a drill has to guess from outside stands here as it was.
//!
//! *When is a fault gone?* When nothing of what was done is left: packets pass, what was ended runs, the disk is taken in. A server that loses its
//! power meanwhile, as by its watchdog, takes the fault along: no table, timer or stopped process outlives that, and what comes back boots without
//! it. So the fault is gone with the power, and not when the server is up again; that the server is away then is the reset's doing, and has a
//! moment of its own. Only where the power itself was the fault, nothing but the next start ends it. A drill may tell it later, when it has asked the server
//! that is up again: then its error bar reaches back to when the fault was last seen to hold.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::world::oplog::{Entry, What};

/// When something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Simulated milliseconds since the world began ([`Entry::ms`]).
    pub ms: u64,
    /// True time ([`Entry::at`]), whatever the servers' clocks say.
    pub at: Timestamp,
}

/// All that happened to one server and one guest from some time on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    /// The failure began: on the victim packets fell, a service or the guest ended, a disk or the power went.
    pub fault_made: Option<Moment>,
    /// knet on any server called a link to or of the victim down for the first time.
    pub link_lost: Option<Moment>,
    /// The victim is no member any more, as the first of the others sees it: corosync has formed a membership without it, or its pmxcfs ended, which
    /// the others' pmxcfs and HA hear at once.
    pub membership_lost: Option<Moment>,
    /// The victim's corosync has no quorum any more, or ended.
    pub quorum_lost: Option<Moment>,
    /// The watchdog reset the victim.
    pub reset: Option<Moment>,
    /// The victim lost its power, or went off, for whatever reason.
    pub power_lost: Option<Moment>,
    /// HA's master began to fence the victim.
    pub fence_decided: Option<Moment>,
    /// It has the victim's lock.
    pub lock_taken: Option<Moment>,
    /// The guest's process began after the failure; and where.
    pub guest_started: Option<(Moment, String)>,
    /// The same on another server than the victim.
    pub recovered: Option<Moment>,
    /// Each of the others has a run of replication behind it that ended well since the guest was started.
    pub in_sync: Option<Moment>,
    /// When nobody outside could have an answer of the guest, each from its begin to its end; the end is the first possible answer.
    pub silences: Vec<(Moment, Option<Moment>)>,
    /// Nothing of the failure is left: packets pass, what ended runs; see above.
    pub fault_gone: Option<Moment>,
    /// The first of the others has the victim as a member again.
    pub node_back: Option<Moment>,
    /// The guest's last number on the victim before it ended there, as its disks have it.
    pub last_written: Option<u64>,
    /// The last number that the guest told anybody outside before it was started anew.
    pub last_told: Option<u64>,
    /// The number that the new run of the guest found.
    pub resumed: Option<u64>,
    /// The guest ran on two servers at once, at any time in the log: when, and where.
    pub twice: Vec<String>,
    /// Calls of tools that the world does not know.
    pub unknown: BTreeSet<String>,
}

fn moment(entry: &Entry) -> Option<Moment> {
    Some(Moment {
        ms: entry.ms,
        at: entry.at.parse().ok()?,
    })
}

/// `vm:100 at 17`.
fn number(entry: &Entry, guest: u32) -> Option<u64> {
    let (sid, number) = entry.detail.split_once(" at ")?;
    is_sid(sid, guest).then(|| number.parse().ok())?
}

/// `vm:100`.
fn is_sid(sid: &str, guest: u32) -> bool {
    sid.split_once(':').is_some_and(|(_, vmid)| vmid.parse() == Ok(guest))
}

/// `100 up to 243`.
fn told(entry: &Entry, guest: u32) -> Option<u64> {
    let (vmid, number) = entry.detail.split_once(" up to ")?;
    (vmid.parse() == Ok(guest)).then(|| number.parse().ok())?
}

/// What holds of the failure now.
#[derive(Debug, Default)]
struct Holds {
    fallen: BTreeSet<(bool, String)>,
    ended: BTreeSet<&'static str>,
    guest: bool,
    off: bool,
    /// The power itself is the failure: what began first.
    power: bool,
}

impl Holds {
    fn nothing(&self) -> bool {
        self.fallen.is_empty() && self.ended.is_empty() && !self.guest && !self.off
    }

    /// Follows what happens on the victim.
    fn follow(&mut self, entry: &Entry, guest: u32) {
        let detail = || entry.detail.clone();
        match entry.what {
            What::Cut => drop(self.fallen.insert((true, detail()))),
            What::CorosyncCut => drop(self.fallen.insert((false, detail()))),
            What::Healed => drop(self.fallen.remove(&(true, detail()))),
            What::CorosyncHealed => drop(self.fallen.remove(&(false, detail()))),
            // The first that is told of a loss of power.
            What::CorosyncStopped if entry.detail == "no power" => self.goes_off(),
            What::CorosyncStopped | What::CorosyncExited => drop(self.ended.insert("corosync")),
            What::CorosyncStarted => drop(self.ended.remove("corosync")),
            What::PmxcfsUnmounted => drop(self.ended.insert("pmxcfs")),
            What::PmxcfsMounted => drop(self.ended.remove("pmxcfs")),
            What::HaEnded if entry.detail == "pve-ha-lrm" => drop(self.ended.insert("lrm")),
            What::HaStarted if entry.detail == "pve-ha-lrm" => drop(self.ended.remove("lrm")),
            What::DiskOffline => drop(self.ended.insert("disk")),
            What::DiskOnline => drop(self.ended.remove("disk")),
            // Where something else has failed, its end is a consequence.
            What::GuestStopped if self.nothing() && number(entry, guest).is_some() => self.guest = true,
            What::ShuttingDown => self.goes_off(),
            What::PoweredOff => {
                self.goes_off();
                if !self.power {
                    // It took the failure along.
                    *self = Self::default();
                }
            }
            What::PoweredOn => {
                // What the kernel knew is gone; services start by themselves, and the guest where it belongs.
                *self = Self::default();
            }
            _ => {}
        }
    }

    fn goes_off(&mut self) {
        self.power |= self.nothing();
        self.off |= self.power;
    }
}

/// Whether the victim is a member for the others.
#[derive(Debug, Default)]
struct Member {
    /// corosync's membership of one of the others is without it.
    out: bool,
    /// Its corosync does not run: then nobody hears of what else ends there.
    mute: bool,
    /// Its pmxcfs ended while corosync ran.
    left: bool,
}

/// Who has a copy still to be made.
#[derive(Debug, Default)]
struct Copies {
    members: BTreeSet<String>,
    wanting: BTreeSet<String>,
}

impl Truth {
    /// What the log tells of a victim and a guest on it, from this many simulated milliseconds on.
    #[must_use]
    pub fn of(entries: &[Entry], from_ms: u64, victim: &str, guest: u32) -> Self {
        let place = entries.iter().position(|entry| entry.ms >= from_ms);
        Self::since(entries, place.unwrap_or(entries.len()), victim, guest)
    }

    /// The same from a place in the log on.
    #[must_use]
    pub fn since(entries: &[Entry], place: usize, victim: &str, guest: u32) -> Self {
        let mut truth = Self {
            twice: twice(entries, guest),
            ..Self::default()
        };
        let id = node_id(entries, victim);
        let mut copies = Copies {
            members: members(entries),
            wanting: BTreeSet::new(),
        };
        let (mut holds, mut member) = (Holds::default(), Member::default());
        for entry in entries.iter().skip(place) {
            if entry.what == What::UnknownInvocation {
                let words = entry.argv.join(" ");
                truth
                    .unknown
                    .insert(if words.is_empty() { entry.detail.clone() } else { words });
            }
            let own = entry.node.as_deref() == Some(victim);
            if own {
                holds.follow(entry, guest);
            }
            if truth.fault_made.is_none() && holds.nothing() {
                continue;
            }
            let Some(now) = moment(entry) else { continue };
            truth.fault_made.get_or_insert(now);
            // A guest that was killed is up again wherever it starts.
            if entry.what == What::GuestStarted && number(entry, guest).is_some() {
                holds.guest = false;
            }
            if holds.nothing() {
                truth.fault_gone.get_or_insert(now);
            }
            truth.note(entry, now, own, victim, guest);
            truth.follow_links(entry, now, own, id, &mut member);
            truth.follow_copies(entry, now, &mut copies);
        }
        truth
    }

    fn follow_links(&mut self, entry: &Entry, now: Moment, own: bool, id: Option<u32>, member: &mut Member) {
        let is = |word: &str| id.is_some_and(|id| word.parse() == Ok(id));
        match entry.what {
            // `host: 3 link: 0`.
            What::LinkDown if own || entry.detail.split(' ').nth(1).is_some_and(is) => {
                self.link_lost.get_or_insert(now);
            }
            What::MembershipChanged if !own => member.out = !entry.detail.split(' ').any(is),
            What::CorosyncStopped | What::CorosyncExited if own => member.mute = true,
            What::CorosyncStarted if own => member.mute = false,
            What::PmxcfsUnmounted if own => member.left = !member.mute,
            What::PmxcfsMounted if own => member.left = false,
            _ => return,
        }
        match (member.out || member.left, self.membership_lost) {
            (true, None) => self.membership_lost = Some(now),
            (false, Some(_)) => {
                self.node_back.get_or_insert(now);
            }
            _ => {}
        }
    }

    fn follow_copies(&mut self, entry: &Entry, now: Moment, copies: &mut Copies) {
        let Some((started, owner)) = &self.guest_started else {
            return;
        };
        if *started == now && entry.what == What::GuestStarted {
            copies.wanting.clone_from(&copies.members);
            copies.wanting.remove(owner);
        } else if entry.what == What::Replicated && self.in_sync.is_none() {
            // `100-0 to prox2 up to 243`.
            if let Some(target) = entry.detail.split(' ').nth(2) {
                copies.wanting.remove(target);
            }
            if copies.wanting.is_empty() {
                self.in_sync = Some(now);
            }
        }
    }

    fn note(&mut self, entry: &Entry, now: Moment, own: bool, victim: &str, guest: u32) {
        let first = |moment: &mut Option<Moment>| {
            moment.get_or_insert(now);
        };
        match entry.what {
            What::QuorumLost if own => first(&mut self.quorum_lost),
            What::WatchdogReset if own => first(&mut self.reset),
            What::PoweredOff if own => first(&mut self.power_lost),
            What::FenceDecided if entry.detail.contains(victim) => first(&mut self.fence_decided),
            What::LockTaken if entry.detail.contains(victim) => first(&mut self.lock_taken),
            What::GuestStopped if own => {
                if let Some(number) = number(entry, guest) {
                    self.last_written.get_or_insert(number);
                }
            }
            What::GuestStarted => {
                if let Some(found) = number(entry, guest) {
                    let node = entry.node.clone().unwrap_or_default();
                    self.guest_started.get_or_insert((now, node));
                    self.resumed.get_or_insert(found);
                    if !own {
                        first(&mut self.recovered);
                    }
                }
            }
            What::NumbersTold => {
                if let Some(number) = told(entry, guest) {
                    self.last_told.get_or_insert(number);
                }
            }
            What::GuestSilent
                if entry.detail.parse() == Ok(guest) && self.silences.last().is_none_or(|(_, end)| end.is_some()) =>
            {
                self.silences.push((now, None));
            }
            What::GuestAnswers if entry.detail.parse() == Ok(guest) => {
                if let Some((_, end)) = self.silences.last_mut() {
                    end.get_or_insert(now);
                }
            }
            _ => {}
        }
    }
}

/// Servers whose corosync was ever started.
fn members(entries: &[Entry]) -> BTreeSet<String> {
    let started = entries.iter().filter(|entry| entry.what == What::CorosyncStarted);
    started.filter_map(|entry| entry.node.clone()).collect()
}

/// A guest that runs on two servers at once. One that goes over alive stands still on one of them.
fn twice(entries: &[Entry], guest: u32) -> Vec<String> {
    let mut runs: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for entry in entries {
        let node = entry.node.as_deref().unwrap_or_default();
        let (sid, more) = entry.detail.split_once(' ').unwrap_or_default();
        match entry.what {
            What::GuestStarted if is_sid(sid, guest) => drop(runs.insert(node)),
            What::GuestStopped if is_sid(sid, guest) => drop(runs.remove(node)),
            // `vm:100 from prox1 at 243`
            What::GuestMoved if is_sid(sid, guest) => {
                if more.split(' ').nth(1).is_some_and(|from| runs.remove(from)) {
                    runs.insert(node);
                }
            }
            _ => continue,
        }
        if runs.len() > 1 {
            let all: Vec<&str> = runs.iter().copied().collect();
            found.push(format!("at {} ms it ran on {}", entry.ms, all.join(" and on ")));
        }
    }
    found
}

/// By what number corosync knows a server.
fn node_id(entries: &[Entry], node: &str) -> Option<u32> {
    let mut started = entries
        .iter()
        .rev()
        .filter(|entry| entry.what == What::CorosyncStarted && entry.node.as_deref() == Some(node));
    let detail = &started.next()?.detail;
    detail.strip_prefix("node id ")?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[(u64, &str, What, &str)]) -> Vec<Entry> {
        let entry = |(ms, node, what, detail): &(u64, &str, What, &str)| Entry {
            at: format!("2026-11-22T11:15:{:02}.{:03}000Z", ms / 1000 % 60, ms % 1000),
            ms: *ms,
            node: Some((*node).to_owned()),
            what: *what,
            detail: (*detail).to_owned(),
            argv: vec![],
            code: None,
        };
        lines.iter().map(entry).collect()
    }

    fn ms(moment: Option<Moment>) -> Option<u64> {
        moment.map(|moment| moment.ms)
    }

    #[test]
    fn a_cut_and_what_followed() {
        let entries = log(&[
            (10, "prox3", What::CorosyncStarted, "node id 3 of cluster lab"),
            (20, "prox1", What::MembershipChanged, "1 2"),
            (1_000, "prox3", What::Cut, "eno1"),
            (1_000, "prox3", What::Cut, "eno2"),
            (1_001, "prox3", What::GuestSilent, "100"),
            (2_300, "prox2", What::LinkDown, "host: 1 link: 0"),
            (2_400, "prox1", What::LinkDown, "host: 3 link: 0"),
            (9_000, "prox1", What::MembershipChanged, "1 2"),
            (9_001, "prox3", What::QuorumLost, ""),
            (62_000, "prox3", What::WatchdogReset, ""),
            (62_000, "prox3", What::GuestStopped, "vm:100 at 243"),
            (62_000, "prox3", What::PoweredOff, ""),
            (70_000, "prox1", What::FenceDecided, "prox3"),
            (92_000, "prox3", What::PoweredOn, ""),
            (92_001, "prox3", What::Healed, "eno1"),
            (95_000, "prox1", What::MembershipChanged, "1 2 3"),
            (130_000, "prox1", What::LockTaken, "prox3"),
            (135_000, "prox2", What::GuestStarted, "vm:100 at 200"),
            (135_002, "prox2", What::GuestAnswers, "100"),
        ]);
        let truth = Truth::of(&entries, 500, "prox3", 100);
        assert_eq!(ms(truth.fault_made), Some(1_000));
        assert_eq!(
            (ms(truth.link_lost), ms(truth.membership_lost)),
            (Some(2_400), Some(9_000))
        );
        assert_eq!((ms(truth.quorum_lost), ms(truth.reset)), (Some(9_001), Some(62_000)));
        assert_eq!(
            (ms(truth.fence_decided), ms(truth.lock_taken)),
            (Some(70_000), Some(130_000))
        );
        assert_eq!(
            (ms(truth.fault_gone), ms(truth.node_back)),
            (Some(62_000), Some(95_000)),
            "without power nothing of it is left"
        );
        assert_eq!(ms(truth.power_lost), Some(62_000));
        let (started, node) = truth.guest_started.unwrap();
        assert_eq!((started.ms, node.as_str()), (135_000, "prox2"));
        let [(begin, end)] = truth.silences[..] else {
            panic!("{:?}", truth.silences);
        };
        assert_eq!((begin.ms, ms(end)), (1_001, Some(135_002)));
        assert_eq!((truth.last_written, truth.resumed), (Some(243), Some(200)));
        assert!(truth.twice.is_empty() && truth.unknown.is_empty());
    }

    #[test]
    fn a_lost_power_that_is_the_fault_is_over_with_the_next_start() {
        let entries = log(&[
            (10, "prox3", What::CorosyncStarted, "node id 3 of cluster lab"),
            (1_000, "prox3", What::CorosyncStopped, "no power"),
            (1_000, "prox3", What::GuestStopped, "vm:100 at 5"),
            (1_000, "prox3", What::PmxcfsUnmounted, ""),
            (1_000, "prox3", What::PoweredOff, ""),
            (9_030, "prox1", What::MembershipChanged, "1 2"),
            (50_000, "prox3", What::PoweredOn, ""),
        ]);
        let truth = Truth::of(&entries, 500, "prox3", 100);
        assert_eq!(
            (ms(truth.fault_made), ms(truth.fault_gone)),
            (Some(1_000), Some(50_000))
        );
        assert_eq!(ms(truth.membership_lost), Some(9_030), "until then nobody knows");
    }

    #[test]
    fn a_pmxcfs_that_ends_alone_is_missed_at_once_and_taken_back_when_it_is_there() {
        let entries = log(&[
            (10, "prox3", What::CorosyncStarted, "node id 3 of cluster lab"),
            (1_000, "prox3", What::PmxcfsUnmounted, ""),
            (21_000, "prox3", What::PmxcfsMounted, ""),
        ]);
        let truth = Truth::of(&entries, 500, "prox3", 100);
        assert_eq!(
            (ms(truth.membership_lost), ms(truth.node_back), ms(truth.fault_gone)),
            (Some(1_000), Some(21_000), Some(21_000))
        );
        // Of one that boots meanwhile corosync has to take it in again.
        let entries = log(&[
            (10, "prox3", What::CorosyncStarted, "node id 3 of cluster lab"),
            (1_000, "prox3", What::PmxcfsUnmounted, ""),
            (30_000, "prox3", What::CorosyncStopped, "no power"),
            (30_000, "prox3", What::PoweredOff, ""),
            (38_000, "prox1", What::MembershipChanged, "1 2"),
            (50_000, "prox3", What::PoweredOn, ""),
            (50_000, "prox3", What::PmxcfsMounted, ""),
            (50_001, "prox3", What::CorosyncStarted, "node id 3 of cluster lab"),
            (53_000, "prox1", What::MembershipChanged, "1 2 3"),
        ]);
        let truth = Truth::of(&entries, 500, "prox3", 100);
        assert_eq!(
            (ms(truth.node_back), ms(truth.fault_gone)),
            (Some(53_000), Some(30_000))
        );
    }

    #[test]
    fn copies_numbers_and_holes_of_the_lab_are_told() {
        let mut entries = log(&[
            (10, "prox3", What::CorosyncStarted, "node id 3 of cluster lab"),
            (11, "prox2", What::CorosyncStarted, "node id 2 of cluster lab"),
            (12, "prox1", What::CorosyncStarted, "node id 1 of cluster lab"),
            (900, "prox3", What::Replicated, "100-0 to prox1 up to 3"),
            (1_000, "prox3", What::Cut, "eno1"),
            (35_000, "prox2", What::NumbersTold, "100 up to 240"),
            (35_000, "prox2", What::GuestStarted, "vm:100 at 200"),
            (40_000, "prox2", What::Replicated, "100-1 to prox1 up to 280"),
            (50_000, "prox2", What::Replicated, "100-0 to prox3 up to 380"),
        ]);
        let mut unknown = entries[4].clone();
        unknown.what = What::UnknownInvocation;
        unknown.argv = vec!["qm".to_owned(), "dance".to_owned()];
        entries.push(unknown);
        let truth = Truth::of(&entries, 500, "prox3", 100);
        assert_eq!((ms(truth.in_sync), truth.last_told), (Some(50_000), Some(240)));
        assert_eq!(ms(truth.recovered), Some(35_000));
        assert_eq!(truth.unknown, BTreeSet::from(["qm dance".to_owned()]));
    }

    #[test]
    fn a_guest_on_two_servers_is_seen_and_one_that_goes_over_is_not() {
        let both = log(&[
            (1_000, "prox1", What::GuestStarted, "vm:100 at 0"),
            (2_000, "prox2", What::GuestStarted, "vm:100 at 0"),
        ]);
        assert_eq!(twice(&both, 100), ["at 2000 ms it ran on prox1 and on prox2"]);
        let moved = log(&[
            (1_000, "prox1", What::GuestStarted, "vm:100 at 0"),
            (2_000, "prox2", What::GuestMoved, "vm:100 from prox1 at 10"),
        ]);
        assert!(twice(&moved, 100).is_empty() && twice(&both, 101).is_empty());
    }

    #[test]
    fn each_failure_ends_with_what_undoes_it() {
        let pairs = [
            (
                What::CorosyncCut,
                "10.10.10.3:5405",
                What::CorosyncHealed,
                "10.10.10.3:5405",
            ),
            (
                What::CorosyncStopped,
                "systemctl",
                What::CorosyncStarted,
                "node id 3 of cluster lab",
            ),
            (What::PmxcfsUnmounted, "", What::PmxcfsMounted, ""),
            (What::HaEnded, "pve-ha-lrm", What::HaStarted, "pve-ha-lrm"),
            (What::DiskOffline, "tank ata-X", What::DiskOnline, "tank ata-X"),
            (What::GuestStopped, "vm:100 at 5", What::GuestStarted, "vm:100 at 5"),
            (What::ShuttingDown, "power off", What::PoweredOn, ""),
        ];
        for (began, of, ended, again) in pairs {
            let entries = log(&[(5, "prox3", began, of)]);
            let truth = Truth::of(&entries, 0, "prox3", 100);
            assert_eq!(
                (ms(truth.fault_made), ms(truth.fault_gone)),
                (Some(5), None),
                "{began:?}"
            );
            let entries = log(&[(5, "prox3", began, of), (9, "prox3", ended, again)]);
            let truth = Truth::of(&entries, 0, "prox3", 100);
            assert_eq!(ms(truth.fault_gone), Some(9), "{began:?}");
            assert_eq!(Truth::of(&entries, 0, "prox1", 100).fault_made, None);
        }
    }
}
