//! Consent to the destruction of what is on a disk: by the disk's name, for each disk, and for no other.

use std::collections::BTreeSet;

use quorate_model::Severity;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::DiskRef;
use quorate_model::plan::Step;
use quorate_model::wish::Wish;

use crate::report::Report;

/// Tells of every disk that would be overwritten without its consent, and of every consent that fits no step.
pub(crate) fn consented(steps: &[Step], wish: &Wish, report: &mut Report) {
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
