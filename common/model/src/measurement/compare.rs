//! A measurement against earlier ones: a second series of the same pair, and what the network was once known to do.

use std::net::IpAddr;
use std::time::Duration;

use super::{About, Baseline, Pair, PairMeasurement};
use crate::facet::{Facet, UnknownKind};
use crate::finding::{Code, Finding};
use crate::time::Timestamp;

/// So many times the typical round trip of before is worth a word: half of that is what another load of the same network does.
pub const WORSE_FACTOR: u64 = 3;

/// And it must be so much longer as well, in microseconds: three times nothing is nothing.
const WORSE_BY_MICROS: u64 = 500;

/// A loss that is so much larger than before, in percent of the packets.
const WORSE_BY_PERCENT: f64 = 2.0;

/// How long a good measurement is what others are compared with. A network that was rebuilt is told of for that long, and is then what
/// is usual.
pub const REFERENCE_LASTS: Duration = Duration::from_secs(30 * 24 * 3600);

impl PairMeasurement {
    /// What two series say together: all packets count, so that what the first lost is not forgotten; of the round trips the better
    /// series counts, since a host that was busy for a moment is no slow network.
    #[must_use]
    pub fn together(self, second: Self) -> Self {
        let sent = self.sent.saturating_add(second.sent);
        let received = self.received.saturating_add(second.received);
        let late = self.late.saturating_add(second.late);
        let (better, other) = if second.rtt_p50 < self.rtt_p50 {
            (second, self)
        } else {
            (self, second)
        };
        let path_mtu = match (better.path_mtu.get(), other.path_mtu.get()) {
            (Ok(one), Ok(two)) if one < two => other.path_mtu.clone(),
            (Err(_), Ok(_)) => other.path_mtu.clone(),
            _ => better.path_mtu.clone(),
        };
        Self {
            sent,
            received,
            late,
            path_mtu,
            ..better
        }
    }
}

/// The same for what may be unknown. `packets`: how many each series sends; a series of which none came back has lost them all.
#[must_use]
pub fn together(first: Facet<PairMeasurement>, second: Facet<PairMeasurement>, packets: u32) -> Facet<PairMeasurement> {
    let silent = |facet: &Facet<PairMeasurement>| matches!(facet, Facet::Unknown(u) if u.kind == UnknownKind::NoAnswer);
    match (first, second) {
        (
            Facet::Known { value: one, .. },
            Facet::Known {
                value: two,
                collected_at,
            },
        ) => Facet::known(one.together(two), collected_at),
        (Facet::Known { value, collected_at }, other) | (other, Facet::Known { value, collected_at })
            if silent(&other) =>
        {
            let sent = value.sent.saturating_add(packets);
            Facet::known(PairMeasurement { sent, ..value }, collected_at)
        }
        // That the second could not be made takes nothing back.
        (first @ Facet::Known { .. }, Facet::Unknown(_)) => first,
        (Facet::Unknown(_), second @ Facet::Known { .. }) => second,
        (first, second) if silent(&second) || !silent(&first) => second,
        (first, _) => first,
    }
}

/// What the next measurements are compared with: the better of what was known and what was measured now, pair by pair.
#[must_use]
pub fn reference(before: &Baseline, measured: &Baseline, now: Timestamp) -> Baseline {
    let better = |pair: &Pair| {
        let old = before.pair(&pair.ends).filter(|old| {
            let young = old
                .measured
                .collected_at()
                .is_some_and(|at| at.age(now) <= REFERENCE_LASTS);
            young && (pair.measured.get().is_err() || same_way(old, pair))
        });
        match (old, pair.measured.get()) {
            (Some(old), Err(_)) => Some(old.clone()),
            (Some(old), Ok(new)) if old.measured.get().is_ok_and(|old| !is_better(new, old)) => Some(old.clone()),
            (_, Ok(_)) => Some(pair.clone()),
            (None, Err(_)) => None,
        }
    };
    Baseline::of(measured.pairs.iter().filter_map(better))
}

fn is_better(new: &PairMeasurement, old: &PairMeasurement) -> bool {
    new.lost() == 0 && new.rtt_p50 < old.rtt_p50
}

fn same_way(one: &Pair, other: &Pair) -> bool {
    let ends = |pair: &Pair| -> Option<(IpAddr, IpAddr)> { pair.measured.get().ok().map(|m| (m.local, m.remote)) };
    ends(one) == ends(other)
}

/// What got worse since: one finding a link. That a pair can't be measured any more is told elsewhere.
#[must_use]
pub fn worse(about: About<'_>, reference: &Baseline, measured: &Baseline) -> Vec<Finding> {
    let mut findings = Vec::new();
    for link in measured.links() {
        let told: Vec<String> = measured
            .pairs
            .iter()
            .filter(|pair| pair.ends.link == link)
            .filter_map(|pair| {
                let before = reference.pair(&pair.ends).filter(|before| same_way(before, pair))?;
                let what = changes(before.measured.get().ok()?, pair.measured.get().ok()?);
                (!what.is_empty()).then(|| format!("{} and {}: {}", pair.ends.from, pair.ends.to, what.join(", ")))
            })
            .collect();
        if !told.is_empty() {
            findings.push(Finding::new(
                Code::LinkWorse,
                about.cluster,
                format!("link {link} is worse than it was: {}", super::judge::listed(told)),
                format!(
                    "what shares link {link} now (migration, storage, backup), and has a cable, port or switch changed? Then: {}",
                    about.again()
                ),
            ));
        }
    }
    findings
}

fn changes(before: &PairMeasurement, now: &PairMeasurement) -> Vec<String> {
    let mut what = Vec::new();
    let slower = now.rtt_p50 >= before.rtt_p50.saturating_mul(WORSE_FACTOR)
        && now.rtt_p50.saturating_sub(before.rtt_p50) >= WORSE_BY_MICROS;
    if slower {
        what.push(format!(
            "{} typical instead of {}",
            super::judge::ms(now.rtt_p50),
            super::judge::ms(before.rtt_p50)
        ));
    }
    if now.loss_percent() >= before.loss_percent() + WORSE_BY_PERCENT {
        what.push(format!(
            "{} of {} packets lost instead of {} of {}",
            now.lost(),
            now.sent,
            before.lost(),
            before.sent
        ));
    }
    if let (Ok(old), Ok(new)) = (before.path_mtu.get(), now.path_mtu.get())
        && new < old
    {
        what.push(format!("{new} bytes pass uncut instead of {old}"));
    }
    what
}

#[cfg(test)]
mod tests {
    use super::super::Ends;
    use super::*;

    const AT: Timestamp = Timestamp(1_795_345_772_000_000);

    fn measured(p50: u64, received: u32) -> PairMeasurement {
        PairMeasurement {
            local: "10.10.10.1".parse().unwrap(),
            remote: "10.10.10.2".parse().unwrap(),
            sent: 100,
            received,
            late: 0,
            rtt_p50: p50,
            rtt_p99: p50 + 10,
            rtt_max: p50 + 20,
            jitter: 5,
            path_mtu: Facet::known(1500, AT),
            local_mtu: Some(1500),
            remote_mtu: Some(1500),
        }
    }

    fn baseline(measured: PairMeasurement) -> Baseline {
        Baseline::of([Pair {
            ends: Ends::of(0, "prox1".parse().unwrap(), "prox2".parse().unwrap()),
            measured: Facet::known(measured, AT),
        }])
    }

    #[test]
    fn the_first_series_is_not_forgotten() {
        let known = |m| Facet::known(m, AT);
        let both = together(known(measured(12_000, 94)), known(measured(300, 96)), 100);
        let both = both.get().unwrap();
        assert_eq!((both.sent, both.lost(), both.rtt_p50), (200, 10, 300));
        assert!((both.loss_percent() - 5.0).abs() < 0.001, "6 % and 4 % are 5 %");

        let silent = || Facet::unknown(UnknownKind::NoAnswer, "no answer");
        let half = together(silent(), known(measured(300, 100)), 100);
        assert_eq!((half.get().unwrap().sent, half.get().unwrap().lost()), (200, 100));
        assert_eq!(
            together(silent(), silent(), 100).get().unwrap_err().kind,
            UnknownKind::NoAnswer
        );
        let away = || Facet::unknown(UnknownKind::Unreachable, "away");
        assert!(together(known(measured(300, 100)), away(), 100).is_known());
        assert_eq!(
            together(silent(), away(), 100).get().unwrap_err().kind,
            UnknownKind::NoAnswer,
            "that the second was not made takes nothing back"
        );
    }

    #[test]
    fn what_got_worse_is_told_with_what_it_was() {
        let about = About {
            cluster: "hk1",
            file: None,
        };
        let told = |before, now| worse(about, &baseline(before), &baseline(now));
        assert_eq!(told(measured(300, 100), measured(850, 100)), []);
        assert_eq!(told(measured(100, 100), measured(400, 100)), [], "three times nothing");
        let slower = told(measured(300, 100), measured(900, 100));
        assert!(
            slower.len() == 1
                && slower[0].code == Code::LinkWorse
                && slower[0]
                    .message
                    .contains("prox1 and prox2: 0.90 ms typical instead of 0.30 ms"),
            "{slower:?}"
        );
        let lossy = told(measured(300, 100), measured(300, 98));
        assert!(
            lossy[0].message.contains("2 of 100 packets lost instead of 0 of 100"),
            "{lossy:?}"
        );
        let narrow = PairMeasurement {
            path_mtu: Facet::known(1400, AT),
            ..measured(300, 100)
        };
        assert!(
            told(measured(300, 100), narrow)[0]
                .message
                .contains("1400 bytes pass uncut instead of 1500")
        );
        let elsewhere = PairMeasurement {
            remote: "10.10.10.9".parse().unwrap(),
            ..measured(9_000, 100)
        };
        assert_eq!(told(measured(300, 100), elsewhere), [], "another way");
    }

    #[test]
    fn the_better_one_is_what_others_are_compared_with_for_a_month() {
        let later = |days: i64| Timestamp(AT.0 + days * 24 * 3600 * 1_000_000);
        let (fast, slow) = (baseline(measured(300, 100)), baseline(measured(900, 100)));
        assert_eq!(reference(&fast, &slow, later(29)), fast);
        assert_eq!(reference(&slow, &fast, later(1)), fast);
        assert_eq!(reference(&fast, &slow, later(31)), slow, "what was is no longer usual");
        assert_eq!(reference(&Baseline::default(), &slow, AT), slow);
        let mut gone = slow.clone();
        gone.pairs[0].measured = Facet::unknown(UnknownKind::Unreachable, "away");
        assert_eq!(reference(&fast, &gone, later(1)), fast);
    }
}
