//! What is to be expected of a drill before it is made: when each phase comes, and what customers notice of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::axis::{Range, signed, span};
use super::lasting::{DrillKind, Lasting};
use super::phase::Phase;
use super::timing::{
    BOOT_UNKNOWN, FENCE_OF_MASTER, LOCK_OF_MASTER, LOCK_TAKEN, QDEVICE, QEMU, RESET, START_AFTER_LOCK, START_OF_MASTER,
    Timing, fence,
};
use crate::fault::{Fault, PowerCut};
use crate::ids::NodeName;

/// What the forecast goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// What is broken.
    #[serde(with = "crate::fault::text")]
    pub fault: Fault,
    /// What the drill is to show.
    pub kind: DrillKind,
    /// How long the fault lasts.
    pub lasts: Lasting,
    /// The guest that is watched.
    pub guest: u32,
    /// corosync's timers.
    pub timing: Timing,
    /// Is the victim HA's master? `None`: not known.
    pub master: Option<bool>,
    /// Has the cluster a QDevice?
    pub qdevice: bool,
    /// Is the victim's watchdog armed, and HA at work? `None`: not known.
    pub armed: Option<bool>,
    /// How long the guest takes from its start to its first answer, as earlier drills had it. `None`: nobody knows.
    pub boot: Option<Range>,
    /// The oldest that its copy gets by the schedule, where it has one; shared disks have none.
    pub copied_every: Option<Duration>,
    /// Nobody starts the guest elsewhere: it is down until the victim is back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stays: Option<Stays>,
}

/// A guest that is down until its server is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stays {
    /// The server.
    pub node: NodeName,
    /// Why nobody starts it elsewhere.
    pub why: String,
    /// Is it started when the server is back: by HA, or by PVE at boot (`onboot`)?
    pub starts: bool,
}

/// A forecast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prediction {
    /// The phases, in order, each from the fault on.
    pub phases: Vec<Expected>,
    /// How long clients will be without the guest; `None`: not at all.
    pub outage: Option<Range>,
    /// The oldest that what it is recovered from may be, in microseconds; `None`: nothing is recovered from a copy.
    pub oldest: Option<i64>,
    /// What customers will notice, in one sentence.
    pub notice: String,
    /// What the forecast does not know.
    pub notes: Vec<String>,
}

/// One phase of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Which.
    pub phase: Phase,
    /// When, from the fault on.
    pub at: Range,
    /// Why then.
    pub why: String,
    /// It hangs on something that nobody knows, so that a difference says nothing.
    #[serde(default)]
    pub guessed: bool,
}

impl Prediction {
    /// When a phase is expected, if it is.
    #[must_use]
    pub fn of(&self, phase: Phase) -> Option<&Expected> {
        self.phases.iter().find(|expected| expected.phase == phase)
    }

    /// Must nothing come of it?
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let comes = [Phase::GuestStarted, Phase::FirstAnswer];
        comes.into_iter().all(|phase| self.of(phase).is_none())
    }
}

/// What is to be expected.
#[must_use]
pub fn predict(of: &Circumstances) -> Prediction {
    let mut made = Maker::new(of);
    match (of.kind, &of.fault) {
        // Killed is killed, for however short a time.
        (_, Fault::Guest { .. }) => made.guest(),
        (DrillKind::Blip, _) => made.blip(),
        (DrillKind::Failover, fault) if fault.isolates() => made.isolated(),
        (DrillKind::Failover, _) => made.quiet(),
    }
    made.finish()
}

/// From a server's return to the start of its guests: its services come first, and guests are started one after another.
const STARTS_AT_BOOT: Range = Range::seconds(5, 30, 180);

/// Nobody waits for a token.
const AT_ONCE: Range = Range::millis(0, 500, 2000);

struct Maker<'a> {
    of: &'a Circumstances,
    phases: Vec<Expected>,
    outage: Option<Range>,
    oldest: Option<i64>,
    notice: String,
    notes: Vec<String>,
}

impl<'a> Maker<'a> {
    fn new(of: &'a Circumstances) -> Self {
        let mut notes = Vec::new();
        if !of.timing.is_known() && of.fault.isolates() {
            notes.push(
                "corosync's token of this cluster is not known: the times cover what new clusters have (coefficient 125 ms) and older ones (650 ms)"
                    .to_owned(),
            );
        }
        let fault = Expected {
            phase: Phase::Fault,
            at: Range::ZERO,
            why: of.fault.seen_as().to_owned(),
            guessed: false,
        };
        Self {
            of,
            phases: vec![fault],
            outage: None,
            oldest: None,
            notice: String::new(),
            notes,
        }
    }

    fn finish(mut self) -> Prediction {
        self.phases.sort_by_key(|expected| expected.phase);
        Prediction {
            phases: self.phases,
            outage: self.outage,
            oldest: self.oldest,
            notice: self.notice,
            notes: self.notes,
        }
    }

    fn put(&mut self, phase: Phase, at: Range, why: impl Into<String>) {
        self.phases.push(Expected {
            phase,
            at,
            why: why.into(),
            guessed: false,
        });
    }

    fn guess(&mut self, phase: Phase, at: Range, why: impl Into<String>) {
        self.put(phase, at, why);
        if let Some(last) = self.phases.last_mut() {
            last.guessed = true;
        }
    }

    /// When the fault ends by its time: within 5 s of it, whoever has died.
    fn ends(&self) -> Range {
        let lasts = i64::try_from(self.of.lasts.as_secs()).unwrap_or(i64::MAX);
        Range::seconds(lasts, lasts, lasts.saturating_add(5))
    }

    fn blip(&mut self) {
        let of = self.of;
        let ends = self.ends();
        let link = of.timing.link_down();
        // One that takes its leave is gone at once.
        let detection = match of.fault {
            Fault::Corosync | Fault::Pmxcfs => AT_ONCE,
            _ => of.timing.detection(),
        };
        let cuts = matches!(of.fault, Fault::Network | Fault::ClusterNetwork | Fault::Link { .. });
        if cuts && ends.most > link.least {
            self.put(Phase::LinkLost, link, "knet's pings get no answer");
        }
        let leaves = of.fault.isolates();
        if leaves && ends.most > detection.least {
            self.put(
                Phase::MembershipLost,
                detection,
                "token and consensus; /etc/pve stands still until then, and is read-only on the victim until it is back",
            );
            self.put(
                Phase::NodeBack,
                ends.then(Range::millis(1500, 3000, 10_000)),
                "members find each other within some 3 s",
            );
        }
        self.put(Phase::FaultGone, ends, "its time is over");
        let lasts = span(ends.likely);
        self.notice = match &of.fault {
            Fault::Network => format!(
                "Nothing must be moved or restarted; clients of all guests on the victim wait up to {lasts}, and connections hold."
            ),
            Fault::StorageNetwork => {
                format!("Nothing must be moved or restarted; guests on that storage stand still for up to {lasts}.")
            }
            Fault::Osd { .. } => {
                "Guests on Ceph may stand still for some seconds; nothing is moved or restarted.".to_owned()
            }
            Fault::Disk { .. } => {
                "Nothing: the pool works without the disk, somewhat slower until it has caught up.".to_owned()
            }
            _ => "Nothing: no guest is moved or restarted, and all answer throughout.".to_owned(),
        };
        if *self.fault() == Fault::Network {
            self.outage = Some(ends);
        }
    }

    fn fault(&self) -> &Fault {
        &self.of.fault
    }

    fn quiet(&mut self) {
        let link = self.of.timing.link_down();
        if let Fault::Link { .. } = self.fault() {
            self.put(
                Phase::LinkLost,
                link,
                "knet's pings get no answer; writes to /etc/pve stand still for some 2 s, and the other links take over",
            );
        }
        self.put(Phase::FaultGone, self.ends(), "its time is over");
        let lasts = span(self.ends().likely);
        self.notice = match self.fault() {
            Fault::Link { .. } | Fault::Lrm | Fault::Mon => {
                "Nothing: no guest is moved or restarted, and all answer throughout.".to_owned()
            }
            Fault::Disk { .. } => {
                "Nothing: the pool works without the disk, somewhat slower until it has caught up.".to_owned()
            }
            Fault::Osd { .. } => {
                "Guests on Ceph may stand still for some seconds; nothing is moved or restarted.".to_owned()
            }
            _ => format!(
                "Guests on that storage stand still for {lasts}, and HA does not notice: nothing is moved or restarted."
            ),
        };
    }

    fn boot(&mut self) -> (Range, bool) {
        match self.of.boot {
            Some(known) => (known, false),
            None => {
                self.notes.push(format!(
                    "how long guest {} boots is not known yet: {} are assumed",
                    self.of.guest,
                    BOOT_UNKNOWN.between()
                ));
                (QEMU.then(BOOT_UNKNOWN), true)
            }
        }
    }

    /// From the guest's start on.
    fn answers(&mut self, start: Range) -> Range {
        let (boot, guessed) = self.boot();
        let first = start.then(boot);
        let why = if guessed {
            "QEMU's start, and what the guest takes to boot"
        } else {
            "as in earlier drills"
        };
        let steady = first.then(Range::millis(400, 500, 5000));
        if guessed {
            self.guess(Phase::FirstAnswer, first, why);
            self.guess(Phase::Steady, steady, "five answers in a row");
        } else {
            self.put(Phase::FirstAnswer, first, why);
            self.put(Phase::Steady, steady, "five answers in a row");
        }
        first
    }

    fn guest(&mut self) {
        let start = Range::seconds(0, 6, 20);
        self.put(
            Phase::GuestStarted,
            start,
            "HA's local manager finds it gone in one of its rounds of 10 s",
        );
        let first = self.answers(start);
        self.outage = Some(first);
        self.notice = format!(
            "Clients of guest {} get no answer for {}; it restarts on the same server, as after a power cut of its own.",
            self.of.guest,
            first.between()
        );
    }

    fn isolated(&mut self) {
        let of = self.of;
        let detection = self.detection();
        let clean = matches!(
            of.fault,
            Fault::Power {
                how: PowerCut::Shutdown,
                ..
            }
        );
        let reset = self.reset(detection);
        if let Some(stays) = &of.stays {
            self.back(reset);
            return self.stays(stays, reset.filter(|_| of.fault.guests_stay_reachable()));
        }
        let (fenced, lock, start) = self.takeover(detection, clean);
        self.put(Phase::FenceDecided, fenced.0, fenced.1);
        self.put(Phase::LockTaken, lock.0, lock.1);
        self.put(
            Phase::GuestStarted,
            start,
            "the new owner's local manager starts it in one of its rounds of 10 s",
        );
        let first = self.answers(start);
        // Clients reach the isolated copy until it is reset: only then are they without.
        let reachable = reset.filter(|_| of.fault.guests_stay_reachable());
        let outage = match reachable {
            Some(until) => first.without(until),
            None => first,
        };
        self.outage = Some(outage);
        self.back(reset);
        let also = reachable.map_or(0, |until| until.most);
        self.oldest = of.copied_every.map(|every| signed_micros(every).saturating_add(also));
        let lost = match (self.oldest, reachable) {
            (None, _) => "what it had not written to its shared disks is lost, as after a power cut".to_owned(),
            (Some(oldest), None) => format!("what they wrote since its last copy, up to {}, is gone", span(oldest)),
            (Some(oldest), Some(until)) => format!(
                "what they wrote since its last copy, up to {}, is gone, also what the isolated server accepts until its reset after {}",
                span(oldest),
                until.between()
            ),
        };
        self.notice = format!(
            "Clients of guest {} get no answer for {}; {lost}.",
            of.guest,
            outage.between()
        );
    }

    /// Nobody takes the guest over: what counts is when its server is back. Clients reach the isolated guest for as long as `reachable` says.
    fn stays(&mut self, stays: &Stays, reachable: Option<Range>) {
        let Stays { node, why, starts } = stays;
        let guest = self.of.guest;
        let back = self.phases.iter().find(|expected| expected.phase == Phase::NodeBack);
        let Some(back) = back.map(|expected| expected.at) else {
            self.notice = format!(
                "Guest {guest} is down until {node} is back, and that is when somebody switches it on: nobody starts the guest elsewhere ({why})."
            );
            return;
        };
        let when = format!("{node} is back, {} after the fault", back.between());
        if !starts {
            self.notice = format!(
                "Guest {guest} is down until {when}, and then until somebody starts it: nobody starts it elsewhere ({why}), and PVE does not start it at boot."
            );
            return;
        }
        let (boot, _) = self.boot();
        let first = back.then(STARTS_AT_BOOT).then(boot);
        self.guess(
            Phase::FirstAnswer,
            first,
            format!("its start on {node} when that is back, and what it takes to boot"),
        );
        let outage = reachable.map_or(first, |until| first.without(until));
        self.outage = Some(outage);
        self.notice = format!(
            "Guest {guest} is down until {when}, and boots then: clients get no answer for {}. Nobody starts it elsewhere ({why}); nothing that it has written is lost.",
            outage.between()
        );
    }

    /// When the victim is out of the membership.
    fn detection(&mut self) -> Range {
        let of = self.of;
        let at = match of.fault {
            Fault::Corosync | Fault::Pmxcfs => AT_ONCE,
            Fault::Power {
                how: PowerCut::Shutdown,
                ..
            } => Range::seconds(10, 40, 120),
            _ => of.timing.detection(),
        };
        match of.fault {
            Fault::Corosync => self.put(
                Phase::MembershipLost,
                at,
                "it takes its leave: nobody waits for a token",
            ),
            Fault::Pmxcfs => self.put(Phase::MembershipLost, at, "HA counts who has a pmxcfs"),
            Fault::Power {
                how: PowerCut::Shutdown,
                ..
            } => {
                self.guess(
                    Phase::MembershipLost,
                    at,
                    "its guests are shut down first, then it takes its leave",
                );
            }
            _ => {
                let (token, link) = (of.timing.token(), of.timing.link_down());
                self.put(Phase::LinkLost, link, "knet's pings get no answer");
                let why = format!(
                    "token of {} and consensus, {} nodes",
                    span(token.likely),
                    of.timing.nodes
                );
                self.put(Phase::MembershipLost, at, why);
            }
        }
        at
    }

    /// When the victim loses quorum, and is reset.
    fn reset(&mut self, detection: Range) -> Option<Range> {
        let of = self.of;
        if !of.fault.leads_to_reset() {
            return None;
        }
        if of.fault != Fault::Pmxcfs {
            let (at, why) = if of.qdevice {
                (
                    detection.then(QDEVICE),
                    "in the same moment, and after it has waited for the QDevice",
                )
            } else {
                (detection, "in the same moment as the others")
            };
            self.put(Phase::QuorumLost, at, why);
        }
        match of.armed {
            Some(false) => {
                self.notes.push(
                    "the victim's watchdog is not armed: it does not reset itself, and its guests run on, cut off"
                        .to_owned(),
                );
                None
            }
            armed => {
                if armed.is_none() {
                    self.notes
                        .push("whether the victim's watchdog is armed is not known".to_owned());
                }
                let why = "60 s after the local manager's last sign, and up to 10 s of the watchdog itself";
                self.put(Phase::Reset, RESET, why);
                Some(RESET)
            }
        }
    }

    /// When it is fenced, its lock is taken, and the guest started.
    fn takeover(&mut self, detection: Range, clean: bool) -> ((Range, &'static str), (Range, &'static str), Range) {
        let fenced = fence(detection);
        let usual = "not seen by HA's master for 60 s, and its rounds of 10 s";
        if clean {
            let lock = fenced.then(Range::seconds(0, 0, 10));
            let start = lock.then(START_AFTER_LOCK);
            return (
                (fenced, usual),
                (lock, "it gave its lock back when it shut down"),
                start,
            );
        }
        let slave = {
            let lock = LOCK_TAKEN.or_longer(fenced);
            (fenced, lock, lock.then(START_AFTER_LOCK))
        };
        let master = {
            let fenced = FENCE_OF_MASTER.or_longer(fenced);
            let lock = LOCK_OF_MASTER.or_longer(fenced);
            (fenced, lock, START_OF_MASTER.or_longer(lock))
        };
        let why_lock = "its lock can be taken 120 s after its last refresh";
        match self.of.master {
            Some(false) => ((slave.0, usual), (slave.1, why_lock), slave.2),
            Some(true) => {
                let why = "HA's master is the victim: another becomes it when its lock has expired (111 to 125 s), and then waits 60 s";
                (
                    (master.0, why),
                    (master.1, "it has expired by then, and is asked for"),
                    master.2,
                )
            }
            None => {
                self.notes.push(
                    "which node is HA's master is not known: if it is the victim, all takes a minute longer".to_owned(),
                );
                let both = |a: Range, b: Range| Range {
                    likely: a.likely,
                    least: a.least.min(b.least),
                    most: a.most.max(b.most),
                };
                let why = "a minute later if the victim is HA's master";
                (
                    (both(slave.0, master.0), why),
                    (both(slave.1, master.1), why_lock),
                    both(slave.2, master.2),
                )
            }
        }
    }

    /// When the fault is gone and the victim back.
    fn back(&mut self, reset: Option<Range>) {
        match (&self.of.fault, reset) {
            (
                Fault::Power {
                    how: PowerCut::Reset, ..
                },
                _,
            ) => {
                let boots = Range::seconds(20, 120, 600);
                self.guess(Phase::FaultGone, boots, "its restart");
                self.guess(Phase::NodeBack, boots.then(Range::seconds(2, 10, 60)), "its restart");
                self.notes.push(
                    "a server that is back within a minute keeps its guests: they start there again after some 2 min, and nothing moves".to_owned(),
                );
            }
            (Fault::Power { .. }, _) => {
                self.notes.push("somebody has to switch the server on again".to_owned());
            }
            (_, Some(reset)) => {
                let ends = self.ends();
                let gone = Range {
                    likely: reset.likely.min(ends.likely),
                    least: reset.least.min(ends.least),
                    most: ends.most.max(reset.most),
                };
                self.put(Phase::FaultGone, gone, "the reset takes it away, or its time does");
                self.guess(
                    Phase::NodeBack,
                    reset.then(Range::seconds(20, 120, 600)),
                    "reset, and its boot",
                );
            }
            (_, None) => {
                let ends = self.ends();
                self.put(Phase::FaultGone, ends, "its time is over");
                self.put(
                    Phase::NodeBack,
                    ends.then(Range::millis(1500, 3000, 10_000)),
                    "members find each other within some 3 s",
                );
            }
        }
    }
}

fn signed_micros(duration: Duration) -> i64 {
    signed(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
