//! What was measured between the servers, against what corosync needs.

use quorate_model::measurement::{Baseline, Pair, Verdict, not_measured, verdict_findings};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use super::Changes;
use super::members::Standing;
use crate::report::{Report, Weight};

/// Tells what is wrong. It holds up what makes a cluster larger or gives it links; one that runs as it is, runs.
pub(super) fn judge(file: &ClusterFile, view: &View, standing: &Standing<'_>, changes: Changes, report: &mut Report) {
    let Some(measured) = &view.measurements else { return };
    let cluster = file.cluster.name.value.as_str();
    let leaves = |pair: &Pair| {
        [&pair.ends.from, &pair.ends.to]
            .iter()
            .any(|n| standing.leaving.contains(n.as_str()))
    };
    let concerned = Baseline::of(measured.pairs.iter().filter(|pair| !leaves(pair)).cloned());
    let needed = changes.joins || changes.unfinished || changes.links;
    // That the interfaces' MTUs differ is told from what the servers say of them, measured or not.
    let told = |verdict| !matches!(verdict, Verdict::EndsDiffer { .. });
    for finding in verdict_findings(cluster, &concerned, told) {
        report.weigh(Weight::needed_if(needed), finding);
    }
    if needed {
        for finding in not_measured(cluster, &concerned) {
            report.tell(finding);
        }
    }
}
