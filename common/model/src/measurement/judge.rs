//! Measurements against what corosync needs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Baseline, Ends, Pair, PairMeasurement};
use crate::facet::{Facet, Unknown, UnknownKind};
use crate::finding::{Code, Finding, Severity};
use crate::passage::MEASURE_PORTS;

/// Below this, a typical round trip is what corosync needs to run stably (PVE's documentation, "Network Requirements").
pub const LATENCY_HIGH: Duration = Duration::from_millis(5);

/// Above this, corosync is unlikely to work with more than three servers (same place).
pub const LATENCY_TOO_HIGH: Duration = Duration::from_millis(10);

/// From this share of lost packets on, in percent, the cluster is not changed over the link. corosync repeats what is lost, but each
/// message crosses several links in turn, and a token that is lost twice in a row already delays the whole cluster.
pub const LOSS_REFUSED_PERCENT: f64 = 5.0;

/// Pairs that a finding names; the rest are counted.
const NAMED: usize = 5;

/// What is wrong between two servers on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The typical round trip is above [`LATENCY_TOO_HIGH`].
    LatencyTooHigh,
    /// The typical round trip is not below [`LATENCY_HIGH`], or one of a hundred is above [`LATENCY_TOO_HIGH`].
    LatencyHigh,
    /// Packets are lost: [`LOSS_REFUSED_PERCENT`] or more.
    LossHeavy,
    /// Packets are lost.
    Loss,
    /// The path lets less through than the interfaces at its ends.
    PathMtuSmall {
        /// What passes, in bytes.
        path: u32,
        /// What both interfaces would send.
        interfaces: u32,
    },
    /// The interfaces at the ends have different MTUs.
    EndsDiffer {
        /// At the sender.
        local: u32,
        /// At the other end.
        remote: u32,
    },
}

impl Verdict {
    /// The code that it is told under.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Self::LatencyTooHigh => Code::LinkLatencyTooHigh,
            Self::LatencyHigh => Code::LinkLatencyHigh,
            Self::LossHeavy | Self::Loss => Code::LinkLossy,
            Self::PathMtuSmall { .. } | Self::EndsDiffer { .. } => Code::MtuMismatch,
        }
    }

    fn severity(self) -> Severity {
        match self {
            Self::LatencyTooHigh | Self::LossHeavy => Severity::Refusal,
            _ => Severity::Warning,
        }
    }
}

/// All that is wrong with what was measured; nothing: all is well.
///
/// A refusal goes by the typical round trip, not by the slowest: one hiccup of a busy server must not hold up a cluster.
#[must_use]
pub fn judge(measured: &PairMeasurement) -> Vec<Verdict> {
    let micros = |limit: Duration| u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
    let mut verdicts = Vec::new();
    if measured.rtt_p50 > micros(LATENCY_TOO_HIGH) {
        verdicts.push(Verdict::LatencyTooHigh);
    } else if measured.rtt_p50 >= micros(LATENCY_HIGH) || measured.rtt_p99 > micros(LATENCY_TOO_HIGH) {
        verdicts.push(Verdict::LatencyHigh);
    }
    if measured.loss_percent() >= LOSS_REFUSED_PERCENT {
        verdicts.push(Verdict::LossHeavy);
    } else if measured.lost() > 0 {
        verdicts.push(Verdict::Loss);
    }
    if let (Some(local), Some(remote)) = (measured.local_mtu, measured.remote_mtu) {
        let interfaces = local.min(remote);
        match measured.path_mtu.get() {
            Ok(path) if *path < interfaces => verdicts.push(Verdict::PathMtuSmall {
                path: *path,
                interfaces,
            }),
            _ => {}
        }
        if local != remote {
            verdicts.push(Verdict::EndsDiffer { local, remote });
        }
    }
    verdicts
}

/// Does it hold up a change? Then it is worth measuring again before the next one.
#[must_use]
pub fn refuses(measured: &Facet<PairMeasurement>) -> bool {
    match measured {
        Facet::Known { value, .. } => judge(value).iter().any(|v| v.severity() == Severity::Refusal),
        Facet::Unknown(unknown) => unknown.kind == UnknownKind::NoAnswer,
    }
}

/// What the findings are about, and what to type to measure anew.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The cluster.
    pub cluster: &'a str,
    /// The cluster file, where the links are not, or not all, in corosync.conf yet: they can't be measured without.
    pub file: Option<&'a str>,
}

impl About<'_> {
    pub(super) fn again(&self) -> String {
        let from = self.file.map_or_else(String::new, |file| format!(" --from {file}"));
        format!("quorate network {} --measure{from}", self.cluster)
    }
}

/// What there is to say about a cluster's links: one finding for each link and kind, the worst pairs named.
#[must_use]
pub fn findings(about: About<'_>, baseline: &Baseline) -> Vec<Finding> {
    let mut findings = verdict_findings(about, baseline, |_| true);
    findings.extend(silent(about, baseline));
    findings.extend(not_measured(about, baseline));
    findings
}

/// A pair with one thing that is wrong with it.
type Judged<'m> = (&'m Ends, Verdict, &'m PairMeasurement);

/// What is wrong with what was measured, as far as it is wanted.
#[must_use]
pub fn verdict_findings(about: About<'_>, baseline: &Baseline, wanted: impl Fn(Verdict) -> bool) -> Vec<Finding> {
    let mut groups: BTreeMap<(u8, u8), Vec<Judged<'_>>> = BTreeMap::new();
    for pair in &baseline.pairs {
        let Ok(measured) = pair.measured.get() else { continue };
        for verdict in judge(measured).into_iter().filter(|verdict| wanted(*verdict)) {
            let group = groups.entry((pair.ends.link, kind(verdict))).or_default();
            group.push((&pair.ends, verdict, measured));
        }
    }
    let mut findings = Vec::new();
    for ((link, _), mut group) in groups {
        group
            .sort_by_key(|(ends, verdict, measured)| (std::cmp::Reverse(badness(*verdict, measured)), (*ends).clone()));
        if let Some((_, first, _)) = group.first() {
            let told = group
                .iter()
                .map(|(ends, verdict, m)| format!("{} and {} {}", ends.from, ends.to, figures(*verdict, m)));
            let message = format!("link {link}: {}", sentence(*first, listed(told.collect())));
            let mut finding = Finding::new(first.code(), about.cluster, message, next(*first, about, link));
            finding.severity = first.severity();
            findings.push(finding);
        }
    }
    findings
}

/// Pairs between which nothing passes: one finding a link.
#[must_use]
pub fn silent(about: About<'_>, baseline: &Baseline) -> Vec<Finding> {
    let mut groups: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for Pair { ends, measured } in &baseline.pairs {
        if let Facet::Unknown(unknown) = measured
            && unknown.kind == UnknownKind::NoAnswer
        {
            let told = format!("{} and {} ({})", ends.from, ends.to, unknown.reason);
            groups.entry(ends.link).or_default().push(told);
        }
    }
    let finding = |(link, pairs)| {
        let message = format!("link {link}: nothing passes between {}", listed(pairs));
        let next = format!(
            "look at cables, ports, VLANs and switches of link {link}, and at every firewall between (UDP {}-{}); then: {}",
            MEASURE_PORTS.start(),
            MEASURE_PORTS.end(),
            about.again()
        );
        Finding::new(Code::LinkNoAnswer, about.cluster, message, next)
    };
    groups.into_iter().map(finding).collect()
}

/// Pairs of which nothing is known, and those whose path MTU is not.
#[must_use]
pub fn not_measured(about: About<'_>, baseline: &Baseline) -> Vec<Finding> {
    let mut groups: BTreeMap<(u8, &'static str, &str), Vec<&Ends>> = BTreeMap::new();
    for Pair { ends, measured } in &baseline.pairs {
        let missing: Option<(&'static str, &Unknown)> = match measured {
            // That is told by itself.
            Facet::Unknown(unknown) if unknown.kind == UnknownKind::NoAnswer => None,
            Facet::Unknown(unknown) => Some(("nothing is known between", unknown)),
            Facet::Known { value, .. } => value
                .path_mtu
                .get()
                .err()
                .map(|u| ("the path MTU is not known between", u)),
        };
        if let Some((what, unknown)) = missing {
            groups.entry((ends.link, what, &unknown.reason)).or_default().push(ends);
        }
    }
    let finding = |((link, what, reason), ends): ((u8, &str, &str), Vec<&Ends>)| {
        let pairs = listed(ends.iter().map(|e| format!("{} and {}", e.from, e.to)).collect());
        let message = format!("link {link}: {what} {pairs}: {reason}");
        let next = format!("mend that, then: {}", about.again());
        Finding::new(Code::LinkNotMeasured, about.cluster, message, next)
    };
    groups.into_iter().map(finding).collect()
}

/// Verdicts that are told in one finding.
fn kind(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::LatencyTooHigh => 0,
        Verdict::LossHeavy => 1,
        Verdict::LatencyHigh => 2,
        Verdict::Loss => 3,
        Verdict::PathMtuSmall { .. } => 4,
        Verdict::EndsDiffer { .. } => 5,
    }
}

fn badness(verdict: Verdict, measured: &PairMeasurement) -> u64 {
    match verdict {
        Verdict::LatencyTooHigh => measured.rtt_p50,
        Verdict::LatencyHigh => measured.rtt_p99,
        Verdict::LossHeavy | Verdict::Loss => measured.lost().into(),
        Verdict::PathMtuSmall { path, interfaces } => interfaces.saturating_sub(path).into(),
        Verdict::EndsDiffer { local, remote } => local.abs_diff(remote).into(),
    }
}

fn figures(verdict: Verdict, measured: &PairMeasurement) -> String {
    match verdict {
        Verdict::LatencyTooHigh => ms(measured.rtt_p50),
        Verdict::LatencyHigh => format!(
            "typically {}, 99 of 100 within {}",
            ms(measured.rtt_p50),
            ms(measured.rtt_p99)
        ),
        Verdict::LossHeavy | Verdict::Loss => format!("{} of {}", measured.lost(), measured.sent),
        Verdict::PathMtuSmall { path, interfaces } => format!("{path} instead of {interfaces}"),
        Verdict::EndsDiffer { local, remote } => format!("{local} and {remote}"),
    }
}

fn sentence(verdict: Verdict, pairs: String) -> String {
    match verdict {
        Verdict::LatencyTooHigh => format!(
            "the typical round trip is above the {} that corosync bears: {pairs}",
            ms_of(LATENCY_TOO_HIGH)
        ),
        Verdict::LatencyHigh => format!(
            "to run stably, corosync needs typical round trips below {} and single ones below {}: {pairs}",
            ms_of(LATENCY_HIGH),
            ms_of(LATENCY_TOO_HIGH)
        ),
        Verdict::LossHeavy => format!("{LOSS_REFUSED_PERCENT} % of the packets or more are lost: {pairs}"),
        Verdict::Loss => format!("packets are lost: {pairs}"),
        Verdict::PathMtuSmall { .. } => {
            format!("the way lets only smaller packets through than the interfaces send: {pairs} bytes")
        }
        Verdict::EndsDiffer { .. } => format!("the interfaces at the two ends have different MTUs: {pairs} bytes"),
    }
}

fn next(verdict: Verdict, about: About<'_>, link: u8) -> String {
    let again = about.again();
    match verdict {
        Verdict::LatencyTooHigh => format!(
            "make two clusters, one at each place, each with a Proxmox Backup Server, and let these sync; or give link {link} a \
             shorter way, then: {again}"
        ),
        Verdict::LatencyHigh => {
            format!("keep storage and migration traffic off link {link}, or give it a shorter way; then: {again}")
        }
        Verdict::LossHeavy | Verdict::Loss => {
            format!(
                "look at cables, ports and switches of link {link} (on both servers: ip -s link show); then: {again}"
            )
        }
        Verdict::PathMtuSmall { .. } => {
            format!(
                "let the switches of link {link} pass what the interfaces send, or lower the interfaces' MTU; then: {again}"
            )
        }
        Verdict::EndsDiffer { .. } => {
            format!("give the interfaces of link {link} the same MTU on all servers (ip link show); then: {again}")
        }
    }
}

pub(super) fn listed(mut pairs: Vec<String>) -> String {
    let more = pairs.len().saturating_sub(NAMED);
    pairs.truncate(NAMED);
    let named = pairs.join("; ");
    match more {
        0 => named,
        1 => format!("{named}; and 1 more pair"),
        more => format!("{named}; and {more} more pairs"),
    }
}

/// Microseconds as milliseconds: `0.21 ms`, `12.3 ms`.
pub(super) fn ms(micros: u64) -> String {
    let (whole, rest) = (micros / 1000, micros % 1000);
    if whole < 10 {
        format!("{whole}.{:02} ms", rest / 10)
    } else {
        format!("{whole}.{} ms", rest / 100)
    }
}

fn ms_of(limit: Duration) -> String {
    format!("{} ms", limit.as_millis())
}
