//! While the fault holds, and while all returns: what comes of it is looked at until it is seen, or its time is over.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_model::drill::{DrillKind, Phase, Prediction, What};
use quorate_model::finding::Code;
use quorate_model::{Finding, Timestamp};

use super::after::{self, Normal};
use super::course::Course;
use super::fault::Looked;
use super::record;
use super::stage::Ended;

/// Between two looks at what was told.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After a blip nothing may come for so long.
const QUIET: Duration = Duration::from_secs(60);
/// What is late is waited for twice as long as it was expected, and this.
const LATE: Duration = Duration::from_secs(60);
/// Between two looks at the cluster while it returns.
const RETURNS_EVERY: Duration = Duration::from_secs(5);
/// Servers boot within some minutes, copies are made by their schedules, and what takes longer than this is told.
const RETURNS_WITHIN: Duration = Duration::from_secs(1200);
/// What was seen amiss is told again when it has changed, at the earliest after this.
const SAY_AGAIN: Duration = Duration::from_secs(60);

impl Course {
    /// Until all that was expected is seen, or for as long as it may take.
    pub(super) async fn observe(&mut self) -> Ended {
        let subject = self.running.subject();
        let begun = self.running.fault.made.unwrap_or_else(|| self.now());
        let blip = self.running.order.kind == DrillKind::Blip;
        let most = observed_for(&self.running.predicted, self.running.order.lasts.duration(), blip);
        let most = self.looker.fleet.pace.wait(most);
        let mut told = BTreeSet::new();
        // What an earlier process told is not told again.
        let mut again = self.resumed;
        loop {
            let line = record::so_far(&self.running, &self.dir);
            for seen in line.phases.iter().filter(|seen| seen.at.is_some()) {
                if told.insert(seen.phase) && !again && seen.phase != Phase::Fault {
                    let after = line
                        .since_fault(seen.phase)
                        // As long as only the coordinator knows of the fault, something may seem to come before it.
                        .map(|after| if after.least < 0 { after.between() } else { after.told() })
                        .unwrap_or_default();
                    self.say(format!("{} after {after} (told by {})", seen.phase.as_str(), seen.by));
                }
            }
            again = false;
            let by = if line.at(Phase::Reset).is_some() {
                "reset"
            } else {
                "timer"
            };
            self.look_at_fault(by).await;
            // It was never made: there is nothing to see.
            if self.running.fault.made.is_none() {
                return Ended::Done;
            }
            // A blip must stay without consequences until its end and a while.
            if !blip && record::is_seen(&line, &subject) {
                return Ended::Done;
            }
            if begun.age(self.now()) >= most {
                if !blip {
                    let missing: Vec<&str> = line.unknown().map(|phase| phase.phase.as_str()).collect();
                    self.say(format!("not seen within its time: {}", missing.join(", ")));
                }
                return Ended::Done;
            }
            self.wait(LOOK_EVERY).await;
        }
    }

    /// What is not as it was before, by a look just now; and since when that look was on its way.
    async fn look_at_what_is_amiss(&mut self) -> (Timestamp, Vec<Finding>) {
        let cluster = self.running.cluster.clone();
        let victim = self.running.order.node.clone();
        let guests = self.watched();
        let known = self.running.known.clone();
        let gone = self.look_at_fault("timer").await == Looked::Gone;
        let began = self.now();
        let view = self.looker.view(&cluster).await;
        let normal = Normal {
            cluster: &cluster,
            victim: &victim,
            guests: &guests,
            gone,
            armed: self.running.circumstances.armed == Some(true),
            known: &known,
        };
        (began, after::amiss(&view, &normal))
    }

    /// The watched guest, and those that were to be started elsewhere.
    pub(super) fn watched(&self) -> BTreeSet<u32> {
        let mut guests = self.running.recovered.clone();
        guests.insert(self.running.order.guest);
        guests
    }

    /// One look, where nobody waits any longer.
    pub(super) async fn look_at_the_rest(&mut self) {
        let (began, amiss) = self.look_at_what_is_amiss().await;
        if amiss.is_empty() {
            let within = began.age(self.now());
            self.saw(What::Normal, within);
            self.say("all is as it was before");
        }
        self.running.left = amiss;
        self.tell_what_is_left();
    }

    fn tell_what_is_left(&self) {
        let left = self.running.left.iter();
        let left: Vec<String> = left
            .map(|finding| format!("{finding}; next: {}", finding.next))
            .collect();
        if !left.is_empty() {
            self.say(format!("what has not returned: {}", left.join("; ")));
        }
    }

    /// Until all is as it was before, or for as long as that may take: what is not is told with what to do.
    pub(super) async fn return_to_normal(&mut self) -> Ended {
        let cluster = self.running.cluster.clone();
        let guests = self.watched();
        let (mut waited, mut said_at) = (Duration::ZERO, None);
        let mut said: Vec<Finding> = Vec::new();
        loop {
            let (began, amiss) = self.look_at_what_is_amiss().await;
            for guest in twice(&amiss, cluster.as_str(), &guests) {
                if !self
                    .running
                    .events
                    .iter()
                    .any(|event| event.what == What::GuestTwice { guest })
                {
                    self.saw(What::GuestTwice { guest }, began.age(self.now()));
                    self.say(format!("guest {guest} RUNS TWICE"));
                }
            }
            if amiss.is_empty() {
                let within = began.age(self.now());
                self.saw(What::Normal, within);
                self.say("all is as it was before");
                self.running.left = Vec::new();
                return Ended::Done;
            }
            let changed = codes(&amiss) != codes(&said);
            if changed && said_at.is_none_or(|at: Duration| waited.saturating_sub(at) >= SAY_AGAIN) {
                let texts: Vec<String> = amiss.iter().map(ToString::to_string).collect();
                self.say(format!("not yet: {}", texts.join("; ")));
                (said, said_at) = (amiss.clone(), Some(waited));
            }
            self.running.left = amiss;
            self.keep();
            if waited >= RETURNS_WITHIN || after::waits_for_a_word(&self.running.left) {
                self.tell_what_is_left();
                return Ended::Done;
            }
            self.wait(RETURNS_EVERY).await;
            waited = waited.saturating_add(RETURNS_EVERY);
        }
    }
}

/// How long is waited from the fault on.
fn observed_for(predicted: &Prediction, lasts: Duration, blip: bool) -> Duration {
    if blip {
        return lasts.saturating_add(QUIET);
    }
    let latest = predicted
        .phases
        .iter()
        .map(|expected| expected.at.most)
        .max()
        .unwrap_or(0);
    let latest = Duration::from_micros(u64::try_from(latest).unwrap_or(0)).max(lasts);
    latest.saturating_mul(2).saturating_add(LATE)
}

fn codes(findings: &[Finding]) -> BTreeSet<(Code, &str)> {
    let each = findings.iter().map(|finding| (finding.code, finding.subject.as_str()));
    each.collect()
}

/// Guests of ours that run on two servers, as what is amiss tells.
fn twice(amiss: &[Finding], cluster: &str, guests: &BTreeSet<u32>) -> Vec<u32> {
    let runs_twice = |guest: &u32| {
        let subject = format!("{cluster}/guest {guest}");
        let strays = format!("guest {guest} runs on ");
        amiss.iter().any(|finding| {
            finding.code == Code::GuestRunsElsewhere
                && (finding.subject == subject || finding.message.starts_with(&strays))
        })
    };
    guests.iter().copied().filter(runs_twice).collect()
}

#[cfg(test)]
mod tests {
    use quorate_model::drill::Range;
    use quorate_model::drill::predict::Expected;

    use super::*;

    #[test]
    fn what_is_late_is_waited_for_and_a_blip_is_watched_a_while_longer() {
        let predicted = Prediction {
            phases: vec![Expected {
                phase: Phase::Steady,
                at: Range::seconds(111, 140, 180),
                why: String::new(),
                guessed: false,
            }],
            outage: None,
            oldest: None,
            notice: String::new(),
            notes: vec![],
        };
        let seconds = Duration::from_secs;
        assert_eq!(observed_for(&predicted, seconds(10), true), seconds(70));
        assert_eq!(observed_for(&predicted, seconds(300), false), seconds(660));
        assert_eq!(observed_for(&predicted, seconds(100), false), seconds(420));
    }

    #[test]
    fn a_guest_that_runs_twice_is_named() {
        let found = |subject: &str, message: &str| Finding::new(Code::GuestRunsElsewhere, subject, message, "");
        let guests = BTreeSet::from([100, 101]);
        let stray = found("hk1/prox1", "guest 100 runs on prox1 and belongs to prox2");
        assert_eq!(twice(&[stray], "hk1", &guests), [100]);
        let both = found("hk1/guest 101", "it runs on prox1 and on prox2");
        assert_eq!(twice(&[both], "hk1", &guests), [101]);
        assert!(twice(&[], "hk1", &guests).is_empty());
    }
}
