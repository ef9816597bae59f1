use super::*;
use crate::finding::{Code, Severity};

const HK1: About<'static> = About {
    cluster: "hk1",
    file: None,
};

fn node(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn fine() -> PairMeasurement {
    PairMeasurement {
        local: "10.10.10.1".parse().unwrap(),
        remote: "10.10.10.2".parse().unwrap(),
        sent: 100,
        received: 100,
        late: 0,
        rtt_p50: 210,
        rtt_p99: 400,
        rtt_max: 900,
        jitter: 30,
        path_mtu: Facet::known(1500, Timestamp(1)),
        local_mtu: Some(1500),
        remote_mtu: Some(1500),
    }
}

fn pair(link: u8, one: &str, other: &str, measured: PairMeasurement) -> Pair {
    Pair {
        ends: Ends::of(link, node(one), node(other)),
        measured: Facet::known(measured, Timestamp::from_seconds(1000)),
    }
}

#[test]
fn ranks_are_of_what_came_back_and_jitter_of_neighbours() {
    let trips = RoundTrips::of((1..=100).map(|n| Some(n * 10)).collect());
    assert_eq!(
        (trips.percentile(50), trips.percentile(99), trips.percentile(100)),
        (Some(500), Some(990), Some(1000))
    );
    assert_eq!(trips.jitter(), 10);
    let trips = RoundTrips::of(vec![Some(100), None, Some(300), Some(200_000), None]);
    assert_eq!((trips.sent(), trips.received(), trips.late()), (5, 3, 1));
    assert_eq!(trips.percentile(50), Some(300));
    assert_eq!(trips.jitter(), (200 + 199_700) / 2);
    assert_eq!(RoundTrips::of(vec![Some(7)]).percentile(99), Some(7));
    let nothing = RoundTrips::of(vec![None, None]);
    assert_eq!(
        (nothing.percentile(50), nothing.jitter(), nothing.received()),
        (None, 0, 0)
    );
}

#[test]
fn latency_is_judged_at_its_limits() {
    let latency = |p50, p99| {
        judge(&PairMeasurement {
            rtt_p50: p50,
            rtt_p99: p99,
            ..fine()
        })
    };
    assert_eq!(latency(4_999, 4_999), []);
    assert_eq!(latency(5_000, 5_000), [Verdict::LatencyHigh]);
    assert_eq!(latency(10_000, 10_000), [Verdict::LatencyHigh]);
    assert_eq!(latency(10_001, 10_001), [Verdict::LatencyTooHigh]);
    assert_eq!(latency(200, 10_000), []);
    assert_eq!(
        latency(200, 10_001),
        [Verdict::LatencyHigh],
        "a hiccup is told and refuses nothing"
    );
    assert_eq!(latency(200, 900_000), [Verdict::LatencyHigh]);
}

#[test]
fn loss_is_judged_at_its_limits() {
    let loss = |received| judge(&PairMeasurement { received, ..fine() });
    assert_eq!(loss(100), []);
    assert_eq!(loss(99), [Verdict::Loss]);
    assert_eq!(loss(96), [Verdict::Loss]);
    assert_eq!(loss(95), [Verdict::LossHeavy]);
    assert_eq!(loss(1), [Verdict::LossHeavy]);
}

#[test]
fn mtus_are_compared_with_the_smaller_interface() {
    let mtu = |path: Facet<u32>, local, remote| {
        judge(&PairMeasurement {
            path_mtu: path,
            local_mtu: local,
            remote_mtu: remote,
            ..fine()
        })
    };
    let known = |mtu| Facet::known(mtu, Timestamp(1));
    let differ = Verdict::EndsDiffer {
        local: 9000,
        remote: 1500,
    };
    assert_eq!(mtu(known(9000), Some(9000), Some(9000)), []);
    assert_eq!(
        mtu(known(1400), Some(1500), Some(1500)),
        [Verdict::PathMtuSmall {
            path: 1400,
            interfaces: 1500
        }]
    );
    assert_eq!(mtu(known(1500), Some(9000), Some(1500)), [differ]);
    assert_eq!(
        mtu(Facet::not_asked(), Some(1500), Some(1500)),
        [],
        "unknown is not small"
    );
    assert_eq!(mtu(known(1400), None, Some(1500)), [], "compared with nothing");
}

#[test]
fn each_kind_is_one_finding_a_link_and_the_worst_is_named_first() {
    let slow = |p50| PairMeasurement {
        rtt_p50: p50,
        rtt_p99: p50,
        ..fine()
    };
    let mut pairs: Vec<Pair> = (2..=9)
        .map(|n| pair(0, "prox1", &format!("prox{n}"), slow(11_000 + n)))
        .collect();
    pairs.push(pair(1, "prox2", "prox1", slow(7_120)));
    pairs.push(Pair {
        ends: Ends::of(1, node("prox3"), node("prox1")),
        measured: Facet::unknown(UnknownKind::NoAnswer, "no answer to 100 packets"),
    });
    let findings = findings(HK1, &Baseline::of(pairs));
    let told: Vec<_> = findings.iter().map(|f| (f.code, f.severity)).collect();
    assert_eq!(
        told,
        [
            (Code::LinkLatencyTooHigh, Severity::Refusal),
            (Code::LinkLatencyHigh, Severity::Warning),
            (Code::LinkNoAnswer, Severity::Refusal)
        ]
    );
    assert!(
        findings[0].message.contains("prox1 and prox9 11.0 ms"),
        "{}",
        findings[0].message
    );
    assert!(
        findings[0].message.ends_with("and 3 more pairs"),
        "{}",
        findings[0].message
    );
    assert!(findings[0].next.contains("two clusters") && findings[0].next.contains("Proxmox Backup Server"));
    assert!(
        findings[1].message.contains("prox1 and prox2 typically 7.12 ms"),
        "{}",
        findings[1].message
    );
    assert!(
        findings[2]
            .message
            .contains("prox1 and prox3 (no answer to 100 packets)"),
        "{}",
        findings[2].message
    );
}

#[test]
fn heavy_loss_refuses_and_can_be_accepted_by_name() {
    let lossy = PairMeasurement { received: 90, ..fine() };
    let mut findings = findings(HK1, &Baseline::of([pair(0, "prox1", "prox2", lossy)]));
    assert!(findings[0].refuses(), "{}", findings[0]);
    assert_eq!(crate::finding::accept(&mut findings, &[Code::LinkLossy]), []);
    assert!(!findings[0].refuses());
}

#[test]
fn what_is_old_or_was_measured_elsewhere_is_unknown() {
    let baseline = Baseline::of([pair(0, "prox1", "prox2", fine())]);
    let ends = || Ends::of(0, node("prox2"), node("prox1"));
    let later = |hours: i64| Timestamp::from_seconds(1000 + hours * 3600);
    assert!(baseline.clone().as_of(later(24), FRESH).pairs[0].measured.is_known());
    let old = baseline.clone().as_of(later(25), FRESH);
    assert_eq!(old.pairs[0].measured.get().unwrap_err().reason, "measured 1 d 1 h ago");

    let at = |local: &str| Facet::known((local.parse().unwrap(), "10.10.10.2".parse().unwrap()), Timestamp(1));
    let only = |wanted| baseline.only([(ends(), wanted)]).pairs[0].measured.clone();
    assert!(only(at("10.10.10.1")).is_known());
    assert_eq!(only(at("10.10.10.9")).get().unwrap_err().kind, UnknownKind::Stale);
    let never = baseline.only([(Ends::of(1, node("prox1"), node("prox2")), at("10.10.10.1"))]);
    assert_eq!(never.pairs[0].measured.get().unwrap_err().reason, "never measured");
}

#[test]
fn a_newer_measurement_replaces_an_older_one_and_the_file_reads_back() {
    let slow = PairMeasurement {
        rtt_p50: 6000,
        ..fine()
    };
    let older = Baseline::of([pair(0, "prox1", "prox2", fine()), pair(0, "prox1", "prox3", fine())]);
    let newer = older.with(Baseline::of([pair(0, "prox2", "prox1", slow.clone())]));
    assert_eq!(newer.pairs.len(), 2);
    assert_eq!(newer.pairs[0].measured.get().unwrap(), &slow);
    let text = serde_json::to_string(&newer).unwrap();
    assert_eq!(serde_json::from_str::<Baseline>(&text).unwrap(), newer);
}

#[test]
fn nothing_that_passes_is_worse_than_not_knowing() {
    let unknown = |kind, reason: &str| Pair {
        ends: Ends::of(0, node("prox1"), node("prox2")),
        measured: Facet::unknown(kind, reason),
    };
    let about = About {
        file: Some("hk1.toml"),
        ..HK1
    };
    let silent = Baseline::of([unknown(
        UnknownKind::NoAnswer,
        "no answer from 10.10.10.2 to 100 packets",
    )]);
    let mut told = findings(about, &silent);
    assert!(
        told.len() == 1 && told[0].code == Code::LinkNoAnswer && told[0].refuses(),
        "{told:?}"
    );
    assert!(
        told[0].next.ends_with("quorate network hk1 --measure --from hk1.toml"),
        "{}",
        told[0].next
    );
    assert_eq!(crate::finding::accept(&mut told, &[Code::LinkNoAnswer]), []);
    assert!(!told[0].refuses() && refuses(&silent.pairs[0].measured));

    let away = Baseline::of([unknown(UnknownKind::Unreachable, "prox2: connection refused")]);
    let told = findings(HK1, &away);
    assert!(told.len() == 1 && told[0].code == Code::LinkNotMeasured && !told[0].refuses());
    assert!(
        !refuses(&away.pairs[0].measured),
        "who is away is measured when it is back"
    );
    assert!(refuses(
        &pair(0, "prox1", "prox2", PairMeasurement { received: 90, ..fine() }).measured
    ));
}
