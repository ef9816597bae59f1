//! From calls that were kept to what the model works with: gaps, and what became of numbered records and rows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_model::Timestamp;
use quorate_model::drill::tally::{Acknowledged, Isolated, Tally};
use quorate_model::drill::timeline::{Subject, Timeline, gap_of};
use quorate_model::drill::{Answers, Event, Gap, Phase, ProbeTarget, Rows, Source, What};
use quorate_model::fault::Fault;
use quorate_model::time::spoken;
use quorate_model::view::ClockOffset;

use crate::probe::{Listened, listened};

/// The coordinator's clock is the axis itself.
pub(super) const OWN_CLOCK: ClockOffset = ClockOffset {
    micros: 0,
    error_micros: 0,
};

/// The file of a probe's calls, by its place in the order.
pub(super) fn file(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("probe-{number}.jsonl"))
}

/// What the probes of a drill have heard, with whom they called.
pub(super) fn heard(dir: &Path, probes: &[ProbeTarget]) -> Vec<(ProbeTarget, Listened)> {
    let read = |(number, probe): (usize, &ProbeTarget)| {
        let text = std::fs::read_to_string(file(dir, number)).ok()?;
        Some((probe.clone(), listened(&text)?))
    };
    probes.iter().enumerate().filter_map(read).collect()
}

/// Of the calls of late so many parts in a hundred are answered, if it answers steadily.
const ANSWERED: usize = 90;

/// Was it answered steadily at the end of what was heard?
pub(super) fn steadily(listened: &Listened, of_late: Duration) -> bool {
    let (answered, all) = listened.answered_since(listened.lasted().saturating_sub(of_late));
    all > 0 && answered.saturating_mul(100) >= all.saturating_mul(ANSWERED)
}

/// As the model wants it, of the coordinator's own calls.
pub(super) fn answers(target: &ProbeTarget, listened: &Listened) -> Answers {
    by(target, listened, Source::Coordinator, Some(OWN_CLOCK))
}

/// The same, of whoever called; `clock` is theirs.
pub(super) fn by(target: &ProbeTarget, listened: &Listened, from: Source, clock: Option<ClockOffset>) -> Answers {
    let measured = listened.measured(&target.to_string());
    let gaps = measured.gaps.iter().map(|gap| {
        let to_ms = gap.length_ms.map(|length| gap.from_ms.saturating_add(length));
        let end = to_ms.unwrap_or(u64::MAX);
        let (unseen_from_ms, unseen_to_ms) = listened.unseen_ms(gap);
        Gap {
            from_ms: gap.from_ms,
            to_ms,
            lost: u64::try_from(gap.lost).unwrap_or(u64::MAX),
            unwatched_ms: listened.unwatched_ms(gap.from_ms, end),
            unseen_from_ms,
            unseen_to_ms,
        }
    });
    Answers {
        target: target.clone(),
        from,
        began: Timestamp(listened.began),
        clock,
        every_ms: measured.every_ms,
        lasted_ms: u64::try_from(listened.lasted().as_millis()).unwrap_or(u64::MAX),
        calls: u64::try_from(measured.calls).unwrap_or(u64::MAX),
        late: listened.not_made(),
        gaps: gaps.collect(),
        unwatched: listened.unwatched(),
    }
}

/// An isolated copy that did not answer its own server for longer than this may have written for as long.
const SILENT: Duration = Duration::from_secs(1);

/// Does the copy on the victim go on, reached by nobody but its own server, until that is reset?
pub(super) fn is_isolated(fault: &Fault) -> bool {
    fault.leads_to_reset() && !fault.guests_stay_reachable()
}

/// What became of numbered writes, by the first probe that has them: of the records of a writer in the guest, or of the rows that were written
/// into a database, which `rows` has; `None`: none was asked. `victim`: what the victim's agent told.
pub(super) fn tally(
    heard: &[(ProbeTarget, Listened)],
    rows: Option<&Rows>,
    line: &Timeline,
    subject: &Subject,
    victim: &[Event],
) -> Option<Tally> {
    let (target, listened) = heard.iter().find(|(target, _)| target.counts_writes())?;
    if let ProbeTarget::Postgres(_) = target {
        let unread = || Rows::Unknown {
            reason: "nobody counted them".to_owned(),
        };
        return Some(Tally {
            a_second: listened.rows_a_second(),
            before: None,
            after: None,
            isolated: Isolated::None,
            rows: Some(rows.cloned().unwrap_or_else(unread)),
        });
    }
    let measured = listened.measured(&target.to_string());
    let answers = answers(target, listened);
    let gap = gap_of(&answers, line.at(Phase::Fault), line.at(Phase::GuestStarted));
    let across = gap
        .and_then(|gap| answers.gaps.iter().position(|one| one == gap))
        .and_then(|place| measured.gaps.get(place)?.records);
    let acknowledged = |number: u64, resumed: u64, run: u64| Acknowledged {
        number,
        resumed,
        run: format!("{run:016x}"),
        host: listened.host(run),
    };
    let (before, after) = match (gap, across) {
        (Some(_), Some(across)) => (across.before, across.after),
        (Some(_), None) => (None, None),
        // Nothing was away: what was told last must still know what was told first.
        (None, _) => listened
            .ends()
            .map_or((None, None), |(first, last)| (Some(first), Some(last))),
    };
    let told = before.map(|told| acknowledged(told.number, told.resumed, told.run));
    let later = after.map(|told| acknowledged(told.number, told.resumed, told.run));
    let a_second = listened.a_second();
    Some(Tally {
        a_second,
        isolated: isolated(subject, told.as_ref(), a_second, victim),
        before: told,
        after: later,
        rows: None,
    })
}

/// What the isolated copy wrote, which only its own server could have asked it. By the run of the writer it is known that it is the copy which
/// clients had before the fault.
fn isolated(subject: &Subject, before: Option<&Acknowledged>, a_second: u32, victim: &[Event]) -> Isolated {
    let unknown = |reason: String| Isolated::Unknown { reason };
    if subject.recovered.is_empty() || !is_isolated(&subject.fault) {
        // There is none, or whatever it acknowledged until its reset it told the probe.
        return Isolated::None;
    }
    let Some(before) = before else {
        return unknown("which run of the writer clients had before the fault is not known".to_owned());
    };
    // A run's numbers only grow, and what the agent told last it read last.
    let last = victim
        .iter()
        .enumerate()
        .rev()
        .find_map(|(place, event)| match &event.what {
            What::Wrote {
                guest,
                run,
                number,
                silent_micros,
            } if *guest == subject.guest && *run == before.run => Some((place, event, *number, *silent_micros)),
            _ => None,
        });
    let Some((place, read, number, silent)) = last else {
        return unknown(format!(
            "the agent of {} told of no answer of the guest's writer",
            subject.victim
        ));
    };
    let silent_for = Duration::from_micros(silent);
    if silent_for > SILENT {
        return unknown(format!(
            "its own server had no answer from it for the last {}; it was at record {number} then",
            spoken(silent_for)
        ));
    }
    // Whoever gave signs of life and had no more answers did not ask: then the guest may have written for as long.
    let reset = victim.iter().skip(place).find_map(last_sign);
    let lived_on = reset.map(|sign| read.at.age(sign));
    if let Some(longer) = lived_on.filter(|longer| *longer > SILENT.saturating_mul(2)) {
        return unknown(format!(
            "its own server asked it last {} before the reset; it was at record {number} then",
            spoken(longer)
        ));
    }
    Isolated::Wrote {
        last: number,
        unread: records_in(read.within_micros.saturating_add(silent), a_second),
    }
}

/// The last sign of life before a reset, by the clock of whoever was reset.
fn last_sign(event: &Event) -> Option<Timestamp> {
    let within = i64::try_from(event.within_micros).unwrap_or(i64::MAX);
    matches!(event.what, What::Reset { .. }).then(|| Timestamp(event.at.0.saturating_sub(within)))
}

/// What is written at most in so many microseconds.
fn records_in(micros: u64, a_second: u32) -> u64 {
    micros.saturating_mul(a_second.into()).div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use quorate_model::drill::tally::Lost;
    use quorate_model::drill::{DrillKind, Event, Told, What};

    use super::*;

    const BEGAN: i64 = 1_764_300_000_000_000;

    /// A call each 100 ms from [`BEGAN`], answered after 2 ms by (number, resumed, run), or not.
    fn calls(told: &[Option<(u64, u64, u64)>]) -> Listened {
        let mut text = format!("{{\"line\":\"began\",\"at\":{BEGAN},\"every\":100000}}\n");
        for (place, told) in told.iter().enumerate() {
            let at = place * 100_000;
            let rest = match told {
                Some((number, resumed, run)) => format!(
                    ",\"took\":2000,\"told\":{{\"number\":{number},\"time_ms\":{},\"resumed\":{resumed},\"run\":{run},\"host\":\"canary\",\"boot\":\"b{run}\"}}",
                    place * 100
                ),
                None => String::new(),
            };
            text.push_str(&format!("{{\"line\":\"call\",\"at\":{at}{rest}}}\n"));
        }
        listened(&text).unwrap()
    }

    fn run(numbers: std::ops::RangeInclusive<u64>, resumed: u64, run: u64) -> Vec<Option<(u64, u64, u64)>> {
        numbers.map(|number| Some((number, resumed, run))).collect()
    }

    fn subject(fault: &str) -> Subject {
        Subject {
            victim: "prox1".parse().unwrap(),
            fault: fault.parse().unwrap(),
            kind: DrillKind::Failover,
            guest: 100,
            recovered: BTreeSet::from([100]),
        }
    }

    /// The fault a second after the beginning, the guest's start half a second before the end of the gap.
    fn line(subject: &Subject, heard: &[(ProbeTarget, Listened)], start_ms: i64) -> Timeline {
        let event = |ms: i64, what: What| Event {
            at: Timestamp(BEGAN + ms * 1000),
            within_micros: 0,
            what,
        };
        let start = What::GuestStarted {
            guest: 100,
            node: "prox2".parse().unwrap(),
        };
        let told = Told {
            source: Source::Coordinator,
            clock: Some(OWN_CLOCK),
            events: vec![event(1000, What::FaultMade), event(start_ms, start)],
            missing: None,
        };
        let all: Vec<Answers> = heard
            .iter()
            .map(|(target, listened)| answers(target, listened))
            .collect();
        Timeline::of(subject, &[told], &all)
    }

    #[test]
    fn what_was_acknowledged_before_the_gap_and_is_not_there_afterwards_is_lost() {
        let told = [run(101..=110, 0, 1), vec![None; 20], run(106..=115, 99, 2)].concat();
        let heard = vec![("tally:192.0.2.7".parse().unwrap(), calls(&told))];
        let subject = subject("network");
        let line = line(&subject, &heard, 2500);
        let silent = tally(&heard, None, &line, &subject, &[]).unwrap();
        let expected = Lost::Records {
            acknowledged: 11,
            isolated: None,
            unread: 0,
        };
        assert_eq!((silent.lost(), silent.a_second), (expected, 10));
        assert_eq!(silent.after.unwrap().host, "canary");

        // The probe heard 110 of the first run; its own server read up to 707, 600 ms after the answer before.
        let victim = [wrote(1, 400, 100, 0), wrote(1, 707, 600, 0), wrote(2, 130, 100, 0)];
        let counted = tally(&heard, None, &line, &subject, &victim).unwrap();
        let expected = Lost::Records {
            acknowledged: 11,
            isolated: Some(597),
            unread: 6,
        };
        assert_eq!(counted.lost(), expected);
    }

    fn wrote(run: u64, number: u64, within_ms: u64, silent_ms: u64) -> Event {
        Event {
            at: Timestamp(BEGAN),
            within_micros: within_ms * 1000,
            what: What::Wrote {
                guest: 100,
                run: format!("{run:016x}"),
                number,
                silent_micros: silent_ms * 1000,
            },
        }
    }

    #[test]
    fn only_the_copy_that_clients_had_and_that_answered_to_the_end_is_counted() {
        let before = Acknowledged {
            number: 110,
            resumed: 0,
            run: format!("{:016x}", 1),
            host: "canary".to_owned(),
        };
        let seen = |fault: &str, victim: &[Event]| isolated(&subject(fault), Some(&before), 10, victim);
        let counted = Isolated::Wrote { last: 707, unread: 2 };
        assert_eq!(seen("network", &[wrote(1, 707, 100, 50)]), counted);
        for (victim, why) in [
            (vec![wrote(2, 707, 100, 0)], "told of no answer"),
            (vec![wrote(1, 111, 100, 60_000)], "it was at record 111 then"),
        ] {
            match seen("network", &victim) {
                Isolated::Unknown { reason } => assert!(reason.contains(why), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen("cluster-network", &[wrote(1, 707, 100, 0)]), Isolated::None);
        // The reset is seen two minutes later; the last sign of life before it decides.
        let reset = |sign_ms: i64| Event {
            at: Timestamp(BEGAN + 120_000_000),
            within_micros: u64::try_from(120_000_000 - sign_ms * 1000).unwrap(),
            what: What::Reset {
                node: "prox1".parse().unwrap(),
            },
        };
        let reset_after = |sign_ms| seen("network", &[wrote(1, 707, 100, 50), reset(sign_ms)]);
        assert_eq!((reset_after(-500), reset_after(1500)), (counted.clone(), counted));
        assert!(matches!(reset_after(5000), Isolated::Unknown { reason } if reason.contains("5.0 s before the reset")));
        let unheard = isolated(&subject("network"), None, 10, &[wrote(1, 707, 100, 0)]);
        assert!(matches!(unheard, Isolated::Unknown { .. }));
    }

    #[test]
    fn nothing_away_is_nothing_lost_and_no_writer_is_no_tally() {
        let heard = vec![("tally:192.0.2.7".parse().unwrap(), calls(&run(101..=140, 0, 1)))];
        let subject = subject("link:1");
        let line = line(&subject, &heard, 2500);
        assert_eq!(
            tally(&heard, None, &line, &subject, &[]).unwrap().lost(),
            Lost::NotRestarted
        );
        let plain = vec![("tcp:192.0.2.7:22".parse().unwrap(), calls(&run(101..=140, 0, 1)))];
        assert!(tally(&plain, None, &line, &subject, &[]).is_none());
    }

    #[test]
    fn rows_that_were_written_are_counted_in_the_database() {
        let text = |place: u64, sure: bool| {
            let took = if sure { ",\"took\":2000" } else { "" };
            format!(
                "{{\"line\":\"call\",\"at\":{}{took},\"row\":{{\"run\":7,\"number\":{place},\"sure\":{sure}}}}}\n",
                place * 100_000
            )
        };
        let mut all = format!("{{\"line\":\"began\",\"at\":{BEGAN},\"every\":100000}}\n");
        (0..30).for_each(|place| all.push_str(&text(place, place < 25)));
        let heard = vec![(
            "postgres://drill@192.0.2.7/drill".parse().unwrap(),
            listened(&all).unwrap(),
        )];
        let sent = heard[0].1.rows();
        assert_eq!((sent[&7].acknowledged.len(), sent[&7].unsure.len()), (25, 5));
        let subject = subject("network");
        let line = line(&subject, &heard, 2500);
        let found = std::collections::BTreeMap::from([(7, (0..20).collect())]);
        let rows = Rows::count(sent, &found, "synchronous_commit on, fsync on".to_owned());
        let counted = tally(&heard, Some(&rows), &line, &subject, &[]).unwrap();
        let lost = Lost::Records {
            acknowledged: 5,
            isolated: Some(0),
            unread: 0,
        };
        assert_eq!((counted.lost(), counted.a_second), (lost, 10));
        let unknown = tally(&heard, None, &line, &subject, &[]).unwrap().lost();
        assert!(matches!(unknown, Lost::Unknown { .. }), "{unknown:?}");
    }

    #[test]
    fn gaps_are_as_the_probe_has_them() {
        let told = [run(101..=110, 0, 1), vec![None; 5], run(111..=120, 0, 1)].concat();
        let seen = answers(&"tally:192.0.2.7".parse().unwrap(), &calls(&told));
        let [gap] = seen.gaps.as_slice() else {
            panic!("{seen:?}")
        };
        assert_eq!(
            (gap.from_ms, gap.to_ms, gap.lost, gap.unwatched_ms),
            (902, Some(1502), 5, 0)
        );
        assert_eq!((seen.calls, seen.late, seen.every_ms), (25, 0, 100));
    }
}
