//! Clocks: that they differ is reckoned with, but by how much has to be known.

use std::time::Duration;

use quorate_model::finding::{Code, Finding};
use quorate_model::time::spoken;

use super::scene::{Scene, unseen};
use crate::report::Report;

/// An error beyond this makes phases that servers tell of worth little: HA's own times are whole seconds, and its shortest phases take some. How long
/// clients were without the guest is measured by the coordinator's clock alone, and has no part in it.
const UNSURE_MICROS: u64 = 1_000_000;

/// All members: each of them tells of what it sees, by its own clock. Of one that does not answer that is told already.
pub(super) fn rails(scene: &Scene<'_>, report: &mut Report) {
    let answers = |node: &str| {
        let seen = scene.view.nodes.iter().find(|(name, _)| name.as_str() == node);
        seen.is_some_and(|(_, seen)| seen.observation.is_ok())
    };
    for node in scene.members.iter().filter(|node| answers(node.as_str())) {
        match scene.view.clock_of(node.as_str()) {
            Err(unknown) => unseen(report, node, "how its clock stands", &unknown),
            Ok(clock) if clock.error_micros > UNSURE_MICROS => {
                let message = format!(
                    "how the clock of {node} stands is known to ± {} only: what it tells would be no better known",
                    spoken(Duration::from_micros(clock.error_micros))
                );
                let next = format!(
                    "look why {node} answers so slowly: quorate status --fresh; or --accept {}",
                    Code::DrillClockUnsure.as_str()
                );
                report.tell(Finding::new(Code::DrillClockUnsure, node.as_str(), message, next));
            }
            Ok(_) => {}
        }
    }
}
