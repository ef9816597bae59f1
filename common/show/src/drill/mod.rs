//! Drills: what is to be expected of one, what became of it, and how it was before. In a terminal, and as a page that one can hang up.

mod axis;
mod gaps;
mod history;
mod line;
mod page;
mod preview;
mod svg;
#[cfg(test)]
mod tests;

pub use history::{drills, drills_due};
pub use line::drill;
pub use page::drill_page;
pub use preview::{DrillPreview, drill_preview};

use quorate_model::drill::Rows;
use quorate_model::drill::figures::Figure;
use quorate_model::drill::record::Record;
use quorate_model::drill::tally::Lost;

/// A figure as it is shown: its name, itself, and from what to what.
pub(crate) struct Shown {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) why: String,
}

/// All figures of a record, in the order in which they matter to somebody who was without the guest.
pub(crate) fn figures(record: &Record) -> Vec<Shown> {
    let figures = &record.figures;
    let plain = |name, figure: &Figure| Shown {
        name,
        value: figure.told(),
        why: figure.why().to_owned(),
    };
    vec![
        plain("client outage", &figures.client_outage),
        plain("fault to service", &figures.service),
        plain("last guest back", &figures.last_guest),
        writes(record),
        plain("age of the copy", &figures.copy_age),
        plain("worst by schedule", &figures.worst),
    ]
}

/// What was lost of what was written: in the guest, or into a database.
fn writes(record: &Record) -> Shown {
    let tally = record.tally.as_ref();
    let plain = || lost(&record.figures.lost, tally.map_or(0, |tally| tally.a_second));
    match tally.and_then(|tally| tally.rows.as_ref()) {
        Some(Rows::Counted {
            acknowledged,
            missing,
            not_known,
            durability,
        }) => Shown {
            name: "acknowledged writes lost",
            value: format!("{missing} rows"),
            why: format!(
                "of {acknowledged} rows whose commit was acknowledged ({durability}); {not_known} more were sent and never acknowledged, \
                 which are neither lost nor kept"
            ),
        },
        Some(Rows::Unknown { .. }) | None => plain(),
    }
}

/// What was lost, in records.
pub(crate) fn lost(lost: &Lost, a_second: u32) -> Shown {
    let (value, why) = match lost {
        Lost::Records {
            acknowledged,
            isolated,
            unread,
        } => {
            let seconds = acknowledged / u64::from(a_second.max(1));
            let spoken = quorate_model::time::spoken(std::time::Duration::from_secs(seconds));
            let rest = match (isolated, unread) {
                (None, _) => "what the isolated copy wrote beyond that is not known".to_owned(),
                (Some(0), 0) => "nothing was written beyond that".to_owned(),
                (Some(more), 0) => format!("the isolated copy wrote {more} more that nobody was told of"),
                (Some(more), unread) => format!(
                    "the isolated copy wrote {more} to {} more that nobody was told of",
                    more.saturating_add(*unread)
                ),
            };
            let why = if *acknowledged == 0 || a_second == 0 {
                format!("numbered records that were acknowledged before and are not found again; {rest}")
            } else {
                format!(
                    "numbered records that were acknowledged before and are not found again, {a_second} a second: {spoken} of writing; {rest}"
                )
            };
            (format!("{acknowledged} records"), why)
        }
        Lost::NotRestarted => (
            "none seen".to_owned(),
            "the writer goes on: it was never restarted".to_owned(),
        ),
        Lost::Unknown { reason } => ("unknown".to_owned(), reason.clone()),
    };
    Shown {
        name: "acknowledged writes lost",
        value,
        why,
    }
}

/// `drill 7 (cut-prox1) of hk1`.
pub(crate) fn title(record: &Record) -> String {
    let name = record
        .drill
        .as_ref()
        .map(|drill| format!(" ({drill})"))
        .unwrap_or_default();
    format!("Drill {}{name} of {}", record.number, record.cluster)
}

/// What was done, in a line.
pub(crate) fn what(record: &Record) -> String {
    format!(
        "{} on {} for {}, {}, watching guest {}",
        record.fault, record.victim, record.lasts, record.kind, record.guest
    )
}
