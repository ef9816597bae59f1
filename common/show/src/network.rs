//! What was measured between servers: a line for each link, the pairs from the worst on, and a matrix where the pairs are many.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use quorate_model::measurement::{Baseline, Pair, PairMeasurement, Verdict, judge};
use quorate_model::time::spoken;
use quorate_model::{Finding, NodeName, Timestamp, UnknownKind};

use crate::findings::problems;
use crate::table::{count, indent, ms, table};

/// With more servers a matrix says more than a list.
const LIST_UP_TO: usize = 6;

/// Of many pairs, so many are listed.
const WORST: usize = 10;

/// The measurements of a cluster, with the findings about them; `now` is the coordinator's time.
#[must_use]
pub fn network(cluster: &str, baseline: &Baseline, findings: &[Finding], now: Timestamp) -> String {
    let mut text = match baseline.span() {
        None => format!("{cluster}: nothing was measured yet: quorate network {cluster} --measure\n"),
        Some((oldest, newest)) => {
            let (oldest, newest) = (spoken(oldest.age(now)), spoken(newest.age(now)));
            if oldest == newest {
                format!("{cluster}: measured {newest} ago\n")
            } else {
                format!("{cluster}: measured between {oldest} and {newest} ago\n")
            }
        }
    };
    for link in baseline.links() {
        let pairs: Vec<&Pair> = baseline.pairs.iter().filter(|pair| pair.ends.link == link).collect();
        text.push('\n');
        text.push_str(&of_link(link, &pairs));
    }
    let findings = problems(findings);
    if !findings.is_empty() {
        text.push('\n');
        text.push_str(&findings);
    }
    text
}

fn of_link(link: u8, pairs: &[&Pair]) -> String {
    let known: Vec<&PairMeasurement> = pairs.iter().filter_map(|pair| pair.measured.get().ok()).collect();
    let mut text = format!("Link {link}: {}", count(pairs.len(), "pair"));
    let worst = |of: fn(&PairMeasurement) -> u64| known.iter().map(|m| of(m)).max();
    if let (Some(p50), Some(p99), Some(max)) = (worst(|m| m.rtt_p50), worst(|m| m.rtt_p99), worst(|m| m.rtt_max)) {
        let (lost, sent) = known
            .iter()
            .fold((0, 0), |(lost, sent), m| (lost + m.lost(), sent + m.sent));
        text.push_str(&format!(
            ", at worst {} typical, {} for 99 of 100, {} once; {lost} of {sent} packets lost",
            ms(p50),
            ms(p99),
            ms(max)
        ));
    }
    if known.len() < pairs.len() {
        text.push_str(&format!("; {} of them not known", pairs.len() - known.len()));
    }
    text.push('\n');
    let mut sorted: Vec<&Pair> = pairs.to_vec();
    sorted.sort_by_key(|pair| (Reverse(badness(pair)), pair.ends.clone()));
    let nodes: BTreeSet<&NodeName> = pairs.iter().flat_map(|pair| [&pair.ends.from, &pair.ends.to]).collect();
    if nodes.len() > LIST_UP_TO {
        text.push_str(&indent(&matrix(&nodes, pairs), 2));
        sorted.truncate(WORST);
        text.push_str(&format!("\n  The worst {}:\n", count(sorted.len(), "pair")));
    }
    text.push_str(&indent(&list(&sorted), 2));
    text
}

fn list(pairs: &[&Pair]) -> String {
    let row = |pair: &&Pair| {
        let ends = format!("{} - {}", pair.ends.from, pair.ends.to);
        match pair.measured.get() {
            Err(unknown) => {
                let dash = || "-".to_owned();
                vec![
                    ends,
                    dash(),
                    dash(),
                    dash(),
                    dash(),
                    dash(),
                    dash(),
                    unknown.reason.clone(),
                ]
            }
            Ok(m) => vec![
                ends,
                ms(m.rtt_p50),
                ms(m.rtt_p99),
                ms(m.rtt_max),
                ms(m.jitter),
                loss(m),
                mtu(m),
                remark(m),
            ],
        }
    };
    let rows: Vec<Vec<String>> = pairs.iter().map(row).collect();
    table(
        &["PAIR", "TYPICAL", "99%", "LONGEST", "JITTER", "LOST", "MTU", ""],
        &rows,
    )
}

/// Typical round trips in milliseconds; `!` where something is wrong, `-!` where nothing passes, `?` where nothing is known.
fn matrix(nodes: &BTreeSet<&NodeName>, pairs: &[&Pair]) -> String {
    let cell = |one: &NodeName, other: &NodeName| -> String {
        if one == other {
            return ".".to_owned();
        }
        let of = |pair: &&&Pair| {
            (&pair.ends.from == one && &pair.ends.to == other) || (&pair.ends.from == other && &pair.ends.to == one)
        };
        match pairs.iter().find(of).map(|pair| pair.measured.get()) {
            None => String::new(),
            Some(Err(unknown)) if unknown.kind == UnknownKind::NoAnswer => "-!".to_owned(),
            Some(Err(_)) => "?".to_owned(),
            Some(Ok(m)) => {
                let mark = if judge(m).is_empty() { "" } else { "!" };
                format!("{}{mark}", ms(m.rtt_p50).trim_end_matches(" ms"))
            }
        }
    };
    let mut headers = vec!["ms"];
    headers.extend(nodes.iter().map(|node| node.as_str()));
    let row = |one: &&NodeName| {
        let cells = nodes.iter().map(|other| cell(one, other));
        std::iter::once(one.to_string()).chain(cells).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    table(&headers, &rows)
}

/// What was refused first, then what is not known, what is warned of, what is slow.
fn badness(pair: &Pair) -> (u8, u64) {
    match pair.measured.get() {
        Err(unknown) if unknown.kind == UnknownKind::NotAsked => (1, 0),
        Err(unknown) if unknown.kind == UnknownKind::NoAnswer => (3, u64::MAX),
        Err(_) => (2, 0),
        Ok(m) => {
            let verdicts = judge(m);
            let refused = |v: &Verdict| matches!(v, Verdict::LatencyTooHigh | Verdict::LossHeavy);
            let grade = if verdicts.iter().any(refused) {
                3
            } else {
                u8::from(!verdicts.is_empty())
            };
            (grade, m.rtt_p50)
        }
    }
}

fn remark(m: &PairMeasurement) -> String {
    let word = |verdict: Verdict| match verdict {
        Verdict::LatencyTooHigh => "too far for corosync".to_owned(),
        Verdict::LatencyHigh => "slow".to_owned(),
        Verdict::LossHeavy | Verdict::Loss => "lossy".to_owned(),
        Verdict::PathMtuSmall { interfaces, .. } => format!("MTU below the interfaces' {interfaces}"),
        Verdict::EndsDiffer { local, remote } => format!("interfaces: MTU {local} and {remote}"),
    };
    let late = (m.late > 0).then(|| format!("{} late", m.late));
    let words: Vec<String> = judge(m).into_iter().map(word).chain(late).collect();
    words.join(", ")
}

fn loss(m: &PairMeasurement) -> String {
    if m.lost() == 0 {
        "0 %".to_owned()
    } else {
        format!("{:.1} %", m.loss_percent())
    }
}

fn mtu(m: &PairMeasurement) -> String {
    m.path_mtu.get().map_or_else(|_| "?".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use quorate_model::Facet;
    use quorate_model::measurement::{About, Ends, findings};

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_345_772_000_000);

    fn measured(p50: u64) -> PairMeasurement {
        PairMeasurement {
            local: "10.10.10.1".parse().unwrap(),
            remote: "10.10.10.2".parse().unwrap(),
            sent: 100,
            received: 100,
            late: 0,
            rtt_p50: p50,
            rtt_p99: p50 + 150,
            rtt_max: p50 + 900,
            jitter: 31,
            path_mtu: Facet::known(1500, NOW),
            local_mtu: Some(1500),
            remote_mtu: Some(1500),
        }
    }

    fn pair(link: u8, one: &str, other: &str, measured: PairMeasurement) -> Pair {
        Pair {
            ends: Ends::of(link, one.parse().unwrap(), other.parse().unwrap()),
            measured: Facet::known(measured, Timestamp(NOW.0 - 90_000_000)),
        }
    }

    #[test]
    fn few_servers_are_listed_the_worst_first() {
        let lossy = PairMeasurement {
            received: 97,
            path_mtu: Facet::known(1400, NOW),
            ..measured(260)
        };
        let baseline = Baseline::of([
            pair(0, "prox1", "prox2", measured(210)),
            pair(0, "prox1", "prox3", measured(12_300)),
            pair(0, "prox2", "prox3", lossy),
            pair(1, "prox1", "prox2", measured(190)),
            Pair {
                ends: Ends::of(1, "prox1".parse().unwrap(), "prox3".parse().unwrap()),
                measured: Facet::unknown(UnknownKind::NoAnswer, "no answer from 192.168.1.13 to 100 packets"),
            },
        ]);
        insta::assert_snapshot!(network(
            "hk1",
            &baseline,
            &findings(
                About {
                    cluster: "hk1",
                    file: None
                },
                &baseline
            ),
            NOW
        ));
    }

    #[test]
    fn many_servers_are_a_matrix() {
        let mut pairs = Vec::new();
        for one in 1..=7 {
            for other in (one + 1)..=7 {
                pairs.push(pair(
                    0,
                    &format!("p{one}"),
                    &format!("p{other}"),
                    measured(200 + one * 10 + other),
                ));
            }
        }
        pairs[3].measured = Facet::unknown(UnknownKind::Unreachable, "p5: connection refused");
        if let Facet::Known { value, .. } = &mut pairs[7].measured {
            value.rtt_p50 = 7_000;
        }
        insta::assert_snapshot!(network("hk1", &Baseline::of(pairs), &[], NOW));
    }

    #[test]
    fn nothing_measured_says_what_to_type() {
        let text = network("hk1", &Baseline::default(), &[], NOW);
        assert!(text.contains("quorate network hk1 --measure"), "{text}");
    }
}
