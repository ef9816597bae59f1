//! All drills of a cluster, and how the last one stands to those before it.

use quorate_model::drill::trend::{TrendRow, worse};

use crate::findings;
use crate::table::{or_dash, table};

/// From the oldest to the newest.
#[must_use]
pub fn drills(rows: &[TrendRow]) -> String {
    if rows.is_empty() {
        return "no drill was ever run\n".to_owned();
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.number.to_string(),
                row.at.to_string(),
                or_dash(row.drill.as_ref().map(|drill| drill.as_str())),
                row.fault.to_string(),
                row.victim.to_string(),
                row.guest.to_string(),
                row.outage.span().map_or_else(
                    || row.outage.told(),
                    |span| quorate_model::drill::axis::span(span.likely),
                ),
                super::lost(&row.lost, 0).value,
                row.outcome.as_str().to_owned(),
            ]
        })
        .collect();
    let headers = [
        "NO", "BEGUN", "DRILL", "FAULT", "ON", "GUEST", "OUTAGE", "LOST", "VERDICT",
    ];
    let mut text = table(&headers, &cells);
    let worse = worse(rows);
    if !worse.is_empty() {
        text.push('\n');
        text.push_str(&findings(&worse));
    }
    text
}
