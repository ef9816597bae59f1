//! Rehearsed failures as they were met.

use quorate_model::fault::MetFault;

use crate::table::{indent, table};

/// One line for each, and below it what was met and done.
#[must_use]
pub fn faults(met: &[MetFault]) -> String {
    if met.is_empty() {
        return "No rehearsed failure holds on this server, and nothing is left of one.\n".to_owned();
    }
    let mut text = String::new();
    for met in met {
        let ends = met.ends_at.map_or_else(|| "-".to_owned(), |time| time.to_string());
        let fault = met.fault.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let id = met.id.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let row = vec![fault, id, ends, met.phase.to_string()];
        text.push_str(&table(&["FAULT", "ID", "ENDS BY ITSELF", "PHASE"], &[row]));
        for line in &met.said {
            text.push_str(&indent(line, 2));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use quorate_model::Timestamp;
    use quorate_model::fault::{Fault, HealPhase};

    use super::*;

    #[test]
    fn what_was_met_is_told_with_its_phase() {
        assert!(faults(&[]).starts_with("No rehearsed failure"));
        let met = MetFault {
            id: Some("hk1-9.1-cut.1".parse().unwrap()),
            fault: Some(Fault::Link { link: 1 }),
            begun_at: Some(Timestamp(1_790_000_000_000_000)),
            ends_at: Some(Timestamp(1_790_000_020_000_000)),
            phase: HealPhase::Undone,
            said: vec!["its time was not over".to_owned()],
        };
        let text = faults(&[met]);
        for word in ["link:1", "hk1-9.1-cut.1", "undone", "its time was not over"] {
            assert!(text.contains(word), "{text}");
        }
    }
}
