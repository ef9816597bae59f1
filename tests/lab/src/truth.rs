//! What really happened around a rehearsed failure: the moments that a drill's time line names, out of the world's own log.
//!
//! A drill is judged by this. What the log does not have did not happen; what a drill has to guess from outside stands here as it was.

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
    /// The first of the others is in a membership without the victim.
    pub membership_lost: Option<Moment>,
    /// The victim's corosync has no quorum any more, or ended.
    pub quorum_lost: Option<Moment>,
    /// The watchdog reset the victim.
    pub reset: Option<Moment>,
    /// HA's master began to fence the victim.
    pub fence_decided: Option<Moment>,
    /// It has the victim's lock.
    pub lock_taken: Option<Moment>,
    /// The guest's process began after the failure; and where.
    pub guest_started: Option<(Moment, String)>,
    /// When nobody outside could have an answer of the guest, each from its begin to its end; the end is the first possible answer.
    pub silences: Vec<(Moment, Option<Moment>)>,
    /// Nothing of the failure is left: packets pass, what ended runs, or the server has booted.
    pub fault_gone: Option<Moment>,
    /// The first of the others is in a membership with the victim again.
    pub node_back: Option<Moment>,
    /// The guest's last number on the victim before it ended there, as its disks have it.
    pub last_written: Option<u64>,
    /// The number that the new run of the guest found.
    pub resumed: Option<u64>,
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
    let (_, vmid) = sid.split_once(':')?;
    (vmid.parse() == Ok(guest)).then(|| number.parse().ok())?
}

/// What holds of the failure now.
#[derive(Debug, Default)]
struct Holds {
    fallen: BTreeSet<(bool, String)>,
    ended: BTreeSet<&'static str>,
    guest: bool,
    off: bool,
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
            What::ShuttingDown | What::PoweredOff => self.off = true,
            What::PoweredOn => {
                // What the kernel knew is gone; services start by themselves, and the guest where it belongs.
                *self = Self::default();
            }
            _ => {}
        }
    }
}

impl Truth {
    /// What the log tells of a victim and a guest on it, from this many simulated milliseconds on.
    #[must_use]
    pub fn of(entries: &[Entry], from_ms: u64, victim: &str, guest: u32) -> Self {
        let mut truth = Self::default();
        let id = node_id(entries, victim);
        let mut holds = Holds::default();
        for entry in entries.iter().filter(|entry| entry.ms >= from_ms) {
            let Some(now) = moment(entry) else { continue };
            let own = entry.node.as_deref() == Some(victim);
            if own {
                holds.follow(entry, guest);
                if !holds.nothing() {
                    truth.fault_made.get_or_insert(now);
                }
            }
            if truth.fault_made.is_none() {
                continue;
            }
            // A guest that was killed is up again wherever it starts.
            if entry.what == What::GuestStarted && number(entry, guest).is_some() {
                holds.guest = false;
            }
            if holds.nothing() {
                truth.fault_gone.get_or_insert(now);
            } else {
                truth.fault_gone = None;
            }
            truth.note(entry, now, own, id, guest);
        }
        truth
    }

    fn note(&mut self, entry: &Entry, now: Moment, own: bool, id: Option<u32>, guest: u32) {
        let is = |word: &str| id.is_some_and(|id| word.parse() == Ok(id));
        let with_victim = entry.detail.split(' ').any(is);
        match entry.what {
            // `host: 3 link: 0`.
            What::LinkDown if own || entry.detail.split(' ').nth(1).is_some_and(is) => {
                self.link_lost.get_or_insert(now);
            }
            What::MembershipChanged if !own && !with_victim => {
                self.membership_lost.get_or_insert(now);
            }
            What::MembershipChanged if !own && self.membership_lost.is_some() => {
                self.node_back.get_or_insert(now);
            }
            What::QuorumLost if own => {
                self.quorum_lost.get_or_insert(now);
            }
            What::WatchdogReset if own => {
                self.reset.get_or_insert(now);
            }
            What::FenceDecided => {
                self.fence_decided.get_or_insert(now);
            }
            What::LockTaken => {
                self.lock_taken.get_or_insert(now);
            }
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
                }
            }
            What::GuestSilent if entry.detail.parse() == Ok(guest) => self.silences.push((now, None)),
            What::GuestAnswers if entry.detail.parse() == Ok(guest) => {
                if let Some((_, end)) = self.silences.last_mut() {
                    end.get_or_insert(now);
                }
            }
            _ => {}
        }
    }
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
            (Some(92_000), Some(95_000))
        );
        let (started, node) = truth.guest_started.unwrap();
        assert_eq!((started.ms, node.as_str()), (135_000, "prox2"));
        let [(begin, end)] = truth.silences[..] else {
            panic!("{:?}", truth.silences);
        };
        assert_eq!((begin.ms, ms(end)), (1_001, Some(135_002)));
        assert_eq!((truth.last_written, truth.resumed), (Some(243), Some(200)));
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
