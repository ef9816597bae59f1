//! One line of all that was told: every event on one axis with its error bar, and the phases that can be recognised in it. The order in which
//! things arrive does not matter, and what nobody told is said to be unknown.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::answers::{Answers, Gap, STEADY, deciding};
use super::axis::{Instant, Range, signed};
use super::event::{Source, Told, What};
use super::lasting::DrillKind;
use super::phase::Phase;
use crate::fault::Fault;
use crate::ids::NodeName;
use crate::time::Timestamp;

/// What the drill was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The server that it was done to.
    pub victim: NodeName,
    /// What was broken.
    #[serde(with = "crate::fault::text")]
    pub fault: Fault,
    /// What was to be shown.
    pub kind: DrillKind,
    /// The guest that was watched.
    pub guest: u32,
    /// All guests that were to be started again elsewhere, the watched one among them.
    #[serde(default)]
    pub recovered: BTreeSet<u32>,
}

/// The line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// All events that could be placed, in order.
    pub events: Vec<Placed>,
    /// The phases that were expected or seen, in order.
    pub phases: Vec<PhaseSeen>,
    /// What could not be placed or is missing, and why.
    pub untold: Vec<Untold>,
    /// Phases that contradict one another also within their error bars.
    pub contradictions: Vec<String>,
}

/// An event on the axis.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Placed {
    /// When.
    pub at: Instant,
    /// Who told it.
    pub source: Source,
    /// What.
    pub what: What,
}

/// A phase, seen or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseSeen {
    /// Which.
    pub phase: Phase,
    /// When it began; `None`: unknown.
    pub at: Option<Instant>,
    /// Who told of it; of one that is unknown, why it is.
    pub by: String,
}

/// What one source did not tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Untold {
    /// Who.
    pub source: String,
    /// What and why.
    pub reason: String,
}

impl Timeline {
    /// Puts together what was told.
    #[must_use]
    pub fn of(subject: &Subject, told: &[Told], probes: &[Answers]) -> Self {
        let (events, mut untold) = place(told);
        for probe in probes.iter().filter(|probe| probe.clock.is_none()) {
            untold.insert(Untold {
                source: probe.name(),
                reason: "the clock of whoever asked was not compared: its gaps have a length and no place".to_owned(),
            });
        }
        let seen = recognise(subject, &events, probes);
        let expected = Phase::expected(&subject.fault, subject.kind);
        let silent: Vec<String> = untold.iter().map(|one| one.source.clone()).collect();
        let phases: Vec<PhaseSeen> = Phase::ALL
            .into_iter()
            .filter_map(|phase| match seen.get(&phase) {
                Some((at, by)) => Some(PhaseSeen {
                    phase,
                    at: Some(*at),
                    by: by.iter().cloned().collect::<Vec<_>>().join(", "),
                }),
                None if expected.contains(&phase) => Some(PhaseSeen {
                    phase,
                    at: None,
                    by: unseen(phase, &silent),
                }),
                None => None,
            })
            .collect();
        let contradictions = contradictions(&phases);
        let mut line = Self {
            events,
            phases,
            untold: untold.into_iter().collect(),
            contradictions,
        };
        if line.stayed(subject).is_some() {
            let victim = &subject.victim;
            let why = format!(
                "{victim} was back before another server was to take its guests over: it started guest {} itself",
                subject.guest
            );
            for seen in line
                .phases
                .iter_mut()
                .filter(|seen| seen.at.is_none() && seen.phase.takes_over())
            {
                seen.by.clone_from(&why);
            }
        }
        line
    }

    /// When the watched guest was started again on the victim itself, because no other server had taken it over until then; `None`: it was not.
    #[must_use]
    pub fn stayed(&self, subject: &Subject) -> Option<Instant> {
        let fault = self.at(Phase::Fault)?;
        if self.at(Phase::GuestStarted).is_some() || !subject.recovered.contains(&subject.guest) {
            return None;
        }
        let on_victim = self.events.iter().filter(|event| match &event.what {
            What::GuestStarted { guest, node } => *guest == subject.guest && *node == subject.victim,
            _ => false,
        });
        on_victim
            .map(|event| event.at)
            .filter(|at| at.earliest > fault.latest)
            .reduce(Instant::first)
    }

    /// When a phase began, if that is known.
    #[must_use]
    pub fn at(&self, phase: Phase) -> Option<Instant> {
        self.phases.iter().find(|seen| seen.phase == phase)?.at
    }

    /// How long after the fault a phase began, if both are known.
    #[must_use]
    pub fn since_fault(&self, phase: Phase) -> Option<Range> {
        Some(self.at(phase)?.since(self.at(Phase::Fault)?))
    }

    /// Phases that nobody told.
    pub fn unknown(&self) -> impl Iterator<Item = &PhaseSeen> {
        self.phases.iter().filter(|seen| seen.at.is_none())
    }

    /// When the last of the guests that were to be started elsewhere was; `None`: one of them was not seen to be.
    #[must_use]
    pub fn last_guest(&self, subject: &Subject) -> Option<Instant> {
        let mut last: Option<Instant> = None;
        for guest in &subject.recovered {
            let of_it = self.events.iter().filter(|event| is_start(subject, event, *guest));
            let at = of_it.map(|event| event.at).reduce(Instant::first)?;
            last = Some(last.map_or(at, |last| Instant {
                best: last.best.max(at.best),
                earliest: last.earliest.max(at.earliest),
                latest: last.latest.max(at.latest),
            }));
        }
        last
    }
}

fn place(told: &[Told]) -> (Vec<Placed>, BTreeSet<Untold>) {
    let mut events = BTreeSet::new();
    let mut untold = BTreeSet::new();
    for one in told {
        let source = one.source.to_string();
        if let Some(reason) = &one.missing {
            untold.insert(Untold {
                source: source.clone(),
                reason: reason.clone(),
            });
        }
        let Some(clock) = one.clock else {
            for event in &one.events {
                untold.insert(Untold {
                    source: source.clone(),
                    reason: format!(
                        "its clock was not compared: when this was can't be told: {}",
                        event.what
                    ),
                });
            }
            continue;
        };
        for event in &one.events {
            let mut at = Instant::of(event.at, clock, event.within_micros);
            if matches!(event.what, What::Reset { .. }) {
                // It lived until then, and wrote that down every moment: its last sign is nearer to the reset than its next start.
                at.best = at.best.saturating_sub(signed(event.within_micros));
            }
            events.insert(Placed {
                at,
                source: one.source.clone(),
                what: event.what.clone(),
            });
        }
    }
    (events.into_iter().collect(), untold)
}

type Seen = BTreeMap<Phase, (Instant, BTreeSet<String>)>;

fn recognise(subject: &Subject, events: &[Placed], probes: &[Answers]) -> Seen {
    let mut seen = Seen::new();
    // Of the fault each source knows one and the same moment: who knows it most closely has the word.
    let made = events.iter().filter(|event| event.what == What::FaultMade);
    if let Some(closest) = made.min_by_key(|event| (event.at.width(), event.at, event.source.clone())) {
        seen.insert(Phase::Fault, (closest.at, BTreeSet::from([closest.source.to_string()])));
    }
    let not_before = seen.get(&Phase::Fault).map(|(at, _)| at.earliest);
    for event in events {
        // What was before the fault is none of its consequences.
        if not_before.is_some_and(|fault| event.at.latest < fault) {
            continue;
        }
        if let Some(phase) = phase_of(subject, event) {
            // A member that was never lost is not back.
            let lost = seen.get(&Phase::MembershipLost).map(|(at, _)| at.earliest);
            if phase == Phase::NodeBack && lost.is_none_or(|lost| event.at.latest < lost) {
                continue;
            }
            sighted(&mut seen, phase, event.at, event.source.to_string());
        }
    }
    answered(subject, probes, &mut seen);
    seen
}

/// Of several sightings the first one counts, by all error bars.
fn sighted(seen: &mut Seen, phase: Phase, at: Instant, by: String) {
    seen.entry(phase)
        .and_modify(|(first, who)| {
            *first = first.first(at);
            who.insert(by.clone());
        })
        .or_insert_with(|| (at, BTreeSet::from([by.clone()])));
}

fn phase_of(subject: &Subject, event: &Placed) -> Option<Phase> {
    let victim = &subject.victim;
    let by_victim = matches!(&event.source, Source::Agent { node } if node == victim);
    match &event.what {
        What::FaultGone { .. } => Some(Phase::FaultGone),
        What::LinkDown { peer, .. } if peer == victim || by_victim => Some(Phase::LinkLost),
        What::MemberLost { node } if node == victim && !by_victim => Some(Phase::MembershipLost),
        What::MemberBack { node } if node == victim && !by_victim => Some(Phase::NodeBack),
        What::QuorumLost if by_victim => Some(Phase::QuorumLost),
        What::Reset { node } if node == victim => Some(Phase::Reset),
        What::HaNode { node, state } if node == victim && state == "fence" => Some(Phase::FenceDecided),
        What::HaService { sid, node, state } if node == victim && is_sid(sid, subject.guest) && state == "fence" => {
            Some(Phase::FenceDecided)
        }
        // In the round in which the lock is taken its services become `recovery`.
        What::HaService { sid, state, .. } if is_sid(sid, subject.guest) && state == "recovery" => {
            Some(Phase::LockTaken)
        }
        What::LockTaken { node } if node == victim => Some(Phase::LockTaken),
        What::GuestStarted { .. } if is_start(subject, event, subject.guest) => Some(Phase::GuestStarted),
        What::InSync { guest } if *guest == subject.guest => Some(Phase::InSync),
        What::Normal => Some(Phase::Normal),
        _ => None,
    }
}

fn is_sid(sid: &str, guest: u32) -> bool {
    sid.split_once(':').is_some_and(|(_, id)| id == guest.to_string())
}

/// A guest that is started because of the fault: elsewhere, unless only its process was killed.
fn is_start(subject: &Subject, event: &Placed, of: u32) -> bool {
    match &event.what {
        What::GuestStarted { guest, node } => {
            *guest == of && (*node != subject.victim || matches!(subject.fault, Fault::Guest { .. }))
        }
        _ => false,
    }
}

/// The gap of a probe that the fault made: the one that the guest's start ended, else the longest after the fault. Where nobody called when the guest
/// was started, what came later is another one's.
#[must_use]
pub fn gap_of(probe: &Answers, fault: Option<Instant>, start: Option<Instant>) -> Option<&Gap> {
    let end = |gap: &Gap| probe.place(gap.to_ms.unwrap_or(probe.lasted_ms));
    let after = |gap: &&Gap, moment: Option<Instant>| match (moment, end(gap)) {
        (Some(moment), Some(end)) => end.latest >= moment.earliest,
        // Without a clock, or without a moment, any gap may be it.
        _ => true,
    };
    let length = |gap: &&Gap| gap.to_ms.unwrap_or(probe.lasted_ms).saturating_sub(gap.from_ms);
    let blind_until = start
        .filter(|start| probe.was_blind_at(*start))
        .map(|start| start.latest);
    let later = |gap: &&Gap| match (blind_until, probe.place(gap.from_ms)) {
        (Some(until), Some(from)) => from.latest > until,
        _ => false,
    };
    let by_fault = probe.gaps.iter().filter(|gap| after(gap, fault) && !later(gap));
    let by_start = by_fault.clone().filter(|gap| after(gap, start));
    by_start.max_by_key(length).or_else(|| by_fault.max_by_key(length))
}

fn answered(subject: &Subject, probes: &[Answers], seen: &mut Seen) {
    let fault = seen.get(&Phase::Fault).map(|(at, _)| *at);
    let start = seen.get(&Phase::GuestStarted).map(|(at, _)| *at);
    // Where no guest is to fail, a gap is a finding and no phase.
    if !Phase::expected(&subject.fault, subject.kind).contains(&Phase::FirstAnswer) {
        return;
    }
    for probe in deciding(probes) {
        let Some(first) = gap_of(probe, fault, start).and_then(|gap| probe.end_of(gap)) else {
            continue;
        };
        let run = u64::from(STEADY.saturating_sub(1)).saturating_mul(probe.every_ms);
        sighted(seen, Phase::FirstAnswer, first, probe.name());
        sighted(
            seen,
            Phase::Steady,
            first.plus(signed(run).saturating_mul(1000)),
            probe.name(),
        );
    }
}

fn unseen(phase: Phase, silent: &[String]) -> String {
    let who = phase.told_by();
    let mut names = silent.to_vec();
    names.dedup();
    match names.as_slice() {
        [] => format!("nobody told it; it would have come from {who}"),
        names => format!(
            "nobody told it; it would have come from {who}; not all was told by {}",
            names.join(", ")
        ),
    }
}

/// What can't have been so, whatever the error bars allow.
fn contradictions(phases: &[PhaseSeen]) -> Vec<String> {
    let at = |phase: Phase| phases.iter().find(|seen| seen.phase == phase).and_then(|seen| seen.at);
    let mut found = Vec::new();
    for seen in phases {
        let Some(later) = seen.at else { continue };
        for before in seen.phase.after() {
            if let Some(earlier) = at(*before).filter(|earlier| later.latest < earlier.earliest) {
                let by = super::axis::span(earlier.earliest.saturating_sub(later.latest));
                found.push(format!(
                    "{} was told at least {by} before {}, which must come first: a clock or a source is wrong",
                    seen.phase.as_str(),
                    before.as_str()
                ));
            }
        }
    }
    found
}

/// The wall time of a moment, for people.
#[must_use]
pub fn wall(at: Instant) -> Timestamp {
    Timestamp(at.best)
}
