//! Consent to the destruction of what is on a disk, and of copies of guests: by name, for each, and for no other.

use std::collections::BTreeSet;

use quorate_model::Severity;
use quorate_model::finding::{Code, Finding};
use quorate_model::guest_ids::ReplicaRef;
use quorate_model::ids::DiskRef;
use quorate_model::operation::Action;
use quorate_model::plan::Step;
use quorate_model::wish::Wish;

use crate::report::Report;

/// Tells of every disk that would be overwritten without its consent, and of every consent that fits no step.
pub(crate) fn consented(steps: &[Step], wish: &Wish, report: &mut Report) {
    copies(steps, wish, report);
    let overwritten: BTreeSet<&DiskRef> = steps.iter().flat_map(|step| &step.disks).collect();
    for disk in overwritten.iter().filter(|disk| !wish.destroy.contains(**disk)) {
        report.tell(Finding::new(
            Code::DestroyNotConsented,
            disk.node.as_str(),
            format!(
                "everything on the disk {} of {} would be overwritten",
                disk.disk, disk.node
            ),
            format!("if nothing on it is needed any more: --destroy {disk}"),
        ));
    }
    for disk in wish.destroy.iter().filter(|disk| !overwritten.contains(disk)) {
        let mut finding = Finding::new(
            Code::DestroyNotPlanned,
            disk.node.as_str(),
            format!("no step overwrites the disk {} of {}", disk.disk, disk.node),
            format!("leave --destroy {disk} out, or write the disk's name as `quorate disks` shows it"),
        );
        // The same command again, when all is done, is no mistake.
        if steps.is_empty() && !report.refuses() {
            finding.severity = Severity::Note;
        }
        report.tell(finding);
    }
}

/// The same for copies of guests.
fn copies(steps: &[Step], wish: &Wish, report: &mut Report) {
    let of_step = |step: &Step| match &step.action {
        Action::RemoveReplication { job, target, .. } => Some(ReplicaRef {
            guest: job.guest,
            node: target.clone(),
        }),
        _ => None,
    };
    let removed: BTreeSet<ReplicaRef> = steps.iter().filter_map(of_step).collect();
    for copy in removed.iter().filter(|copy| !wish.destroy_replicas.contains(*copy)) {
        report.tell(Finding::new(
            Code::DestroyNotConsented,
            copy.node.as_str(),
            format!("the copy of guest {} on {} would be destroyed", copy.guest, copy.node),
            format!(
                "if it is not needed any more: --destroy {copy}; to keep it, name {} in `copies_on` again",
                copy.node
            ),
        ));
    }
    for copy in wish.destroy_replicas.iter().filter(|copy| !removed.contains(*copy)) {
        let mut finding = Finding::new(
            Code::DestroyNotPlanned,
            copy.node.as_str(),
            format!("no step takes the copy of guest {} on {} away", copy.guest, copy.node),
            format!("leave --destroy {copy} out; copies go that the file applied last wanted and this one does not"),
        );
        if steps.is_empty() && !report.refuses() {
            finding.severity = Severity::Note;
        }
        report.tell(finding);
    }
}
