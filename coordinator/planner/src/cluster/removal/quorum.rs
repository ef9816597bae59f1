//! Whether the servers that stay keep their quorum through every removal.

use quorate_model::finding::{Code, Finding};
use quorate_model::spec::ClusterFile;

use super::{Removal, State};
use crate::cluster::ha::Ha;
use crate::cluster::members::Standing;
use crate::cluster::unfinished::Unfinished;
use crate::report::{Report, in_a_row};

/// Votes as they change from step to step. A QDevice's is left out: it may be off by then.
struct Count {
    present: u32,
    configured: u32,
}

impl Count {
    fn quorate(&self) -> bool {
        self.present > self.configured / 2
    }
}

/// Plays the removals through, those that are off first, as the steps do. Tells whoever can't be taken out so.
pub(in crate::cluster) fn keeps_quorum(
    file: &ClusterFile,
    standing: &Standing<'_>,
    removals: &[Removal],
    ha: &Ha,
    report: &mut Report,
) {
    let Some(member) = standing.any_member() else {
        return;
    };
    let votes = |name: &str| standing.configured(name).map_or(0, |n| n.votes);
    let device =
        |m: &quorate_model::observation::cluster::Member| m.votes.get().ok().and_then(|v| v.device).unwrap_or(0);
    let mut count = Count {
        present: member.online().map(votes).sum(),
        configured: member.configured.iter().map(|n| n.votes).sum(),
    };
    // Those that are off leave while the QDevice still votes.
    let (with_device, configured_device) = (
        device(member),
        member.qdevice.as_ref().map_or(0, |d| d.votes.unwrap_or(0)),
    );
    count.present += with_device;
    count.configured += configured_device;

    let off: Vec<&str> = removals
        .iter()
        .filter(|r| matches!(r.state, State::Dead { .. } | State::Bare))
        .map(|r| r.node.as_str())
        .chain(bare_or_undone(standing))
        .collect();
    for name in off {
        count.configured = count.configured.saturating_sub(votes(name));
        if !count.quorate() {
            report.tell(Finding::new(
                Code::QuorumGone,
                file.cluster.name.value.as_str(),
                format!(
                    "only {} of {} votes are present; after taking {name} out there would still be no quorum",
                    count.present,
                    count.configured + votes(name)
                ),
                "start more of the members, if any can be saved; else by hand on one that is left, once all others are surely off: \
                 pvecm expected VOTES; pvecm delnode NAME, again for each",
            ));
            return;
        }
    }
    count.present = count.present.saturating_sub(with_device);
    count.configured = count.configured.saturating_sub(configured_device);

    let alive: Vec<&Removal> = removals.iter().filter(|r| r.state == State::Alive).collect();
    if ha.daemons_are_stopped() && alive.len() > 1 {
        report.tell(Finding::new(
            Code::RemoveOneAtATime,
            file.cluster.name.value.as_str(),
            format!(
                "{} are to be taken out, and HA has to be stopped on each server for it",
                in_a_row(alive.iter().map(|r| &r.node))
            ),
            "take them out one after another, in a plan each; or upgrade to pve-ha-manager 5.1.3 or later",
        ));
    }
    for removal in alive {
        count.present = count.present.saturating_sub(votes(removal.node.as_str()));
        if !count.quorate() {
            report.tell(Finding::new(
                Code::RemoveLosesQuorum,
                removal.node.as_str(),
                format!(
                    "once {} is off, {} of {} votes are present: the others lose quorum",
                    removal.node, count.present, count.configured
                ),
                format!(
                    "add servers first; or move everything off it, switch {0} off yourself, for good, and then: --remove {0} --is-off {0}",
                    removal.node
                ),
            ));
            return;
        }
        count.configured = count.configured.saturating_sub(votes(removal.node.as_str()));
    }
}

/// Entries that are taken out because their server never came in.
fn bare_or_undone<'v>(standing: &Standing<'v>) -> impl Iterator<Item = &'v str> {
    let out = standing
        .unfinished
        .iter()
        .filter(|(_, how_far)| matches!(how_far, Unfinished::Bare { .. } | Unfinished::Begun { undo: true }));
    out.map(|(node, _)| node.as_str()).collect::<Vec<_>>().into_iter()
}
