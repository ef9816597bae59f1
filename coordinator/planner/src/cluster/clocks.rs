//! Clocks first: a ticket is good for some minutes only, and making one on a server whose clock is hours behind
//! rotates the cluster's key.

use std::time::Duration;

use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::spec::ClusterFile;
use quorate_model::time::spoken;
use quorate_model::view::{ClockOffset, View};

use super::members::Standing;
use crate::report::{Report, Weight, facet_unknown};

/// Two servers may differ by no more than this, error bars included. Tickets bear five minutes into the future; a minute leaves
/// room for what drifts between the comparison and the last join.
const LIMIT_MICROS: u64 = 60_000_000;

/// From here on it is worth a word: a time service keeps servers within milliseconds.
const NOTABLE_MICROS: u64 = 1_000_000;

pub(super) fn compare(file: &ClusterFile, view: &View, standing: &Standing<'_>, changes: Weight, report: &mut Report) {
    let mut clocks: Vec<(&NodeName, ClockOffset)> = Vec::new();
    for node in standing.concerned(file) {
        let Some(seen) = view.nodes.get(node).filter(|v| v.observation.is_ok()) else {
            continue;
        };
        match seen.clock_offset {
            Some(offset) => clocks.push((node, offset)),
            None => {
                let unknown = Unknown::new(
                    UnknownKind::Failed,
                    "its clock could not be compared with the coordinator's",
                );
                report.weigh(
                    changes,
                    facet_unknown(node, FacetName::System, "clock offset", &unknown),
                );
            }
        }
        synchronised(view, node, report);
    }
    skew(&clocks, changes, report);
}

fn synchronised(view: &View, node: &NodeName, report: &mut Report) {
    let Ok(system) = view.facet(node, |o| &o.system) else {
        return;
    };
    let message = match system.clock.synchronised.get() {
        Ok(sync) if sync.synchronised => return,
        Ok(sync) => format!("{node}'s clock is not synchronised, says {}", sync.source),
        Err(unknown) => format!(
            "whether {node}'s clock is synchronised can't be told: {}",
            unknown.reason
        ),
    };
    let next = format!("on {node}: timedatectl; where no time service runs: apt install chrony");
    report.tell(Finding::new(Code::ClockNotSynchronised, node.as_str(), message, next));
}

/// Names the servers that are away from the middle one by more than half of a limit, once two of them break it between them:
/// then at least one is.
fn skew(clocks: &[(&NodeName, ClockOffset)], changes: Weight, report: &mut Report) {
    let mut sorted = clocks.to_vec();
    sorted.sort_by_key(|(node, offset)| (offset.micros, *node));
    let Some((middle, reference)) = sorted.get(sorted.len().saturating_sub(1) / 2).copied() else {
        return;
    };

    let pairs = || {
        clocks
            .iter()
            .enumerate()
            .flat_map(|(i, a)| clocks.iter().skip(i + 1).map(move |b| (a.1, b.1)))
    };
    let at_most =
        |a: ClockOffset, b: ClockOffset| gap(a, b).saturating_add(a.error_micros).saturating_add(b.error_micros);
    let at_least =
        |a: ClockOffset, b: ClockOffset| gap(a, b).saturating_sub(a.error_micros).saturating_sub(b.error_micros);
    let widest = pairs().map(|(a, b)| at_most(a, b)).max().unwrap_or(0);
    let certain = pairs().map(|(a, b)| at_least(a, b)).max().unwrap_or(0);

    let refused = widest > LIMIT_MICROS;
    if !refused && certain <= NOTABLE_MICROS {
        return;
    }
    for (node, offset) in clocks {
        let away = gap(*offset, reference);
        let out = if refused {
            away.saturating_add(offset.error_micros) > LIMIT_MICROS / 2
        } else {
            away.saturating_sub(offset.error_micros) > NOTABLE_MICROS / 2
        };
        if !out {
            continue;
        }
        let finding = Finding::new(
            Code::ClockSkew,
            node.as_str(),
            format!(
                "{node}'s clock is {} and {}, measured to ± {}; servers of one cluster may differ by {} s at most",
                apart(*offset, reference, &format!("{middle}'s")),
                apart(
                    *offset,
                    ClockOffset {
                        micros: 0,
                        error_micros: 0
                    },
                    "this coordinator's"
                ),
                duration(offset.error_micros),
                LIMIT_MICROS / 1_000_000,
            ),
            format!("on {node}: systemctl restart chrony; chronyc tracking; then plan again"),
        );
        report.weigh(if refused { changes } else { Weight::Told }, finding);
    }
}

fn gap(a: ClockOffset, b: ClockOffset) -> u64 {
    a.micros.abs_diff(b.micros)
}

fn apart(a: ClockOffset, b: ClockOffset, whose: &str) -> String {
    match a.micros.cmp(&b.micros) {
        std::cmp::Ordering::Equal => format!("level with {whose}"),
        std::cmp::Ordering::Less => format!("{} behind {whose}", duration(gap(a, b))),
        std::cmp::Ordering::Greater => format!("{} ahead of {whose}", duration(gap(a, b))),
    }
}

/// Rounded up to a millisecond: an error of zero would promise too much.
fn duration(micros: u64) -> String {
    spoken(Duration::from_micros(micros.max(1000)))
}
