//! All drills of a cluster, and how the last one stands to those before it.

use quorate_model::drill::DueRow;
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

/// Those that are run by themselves, a line each; nothing where there are none.
#[must_use]
pub fn drills_due(rows: &[DueRow]) -> String {
    let line = |row: &DueRow| {
        let when = match (row.due, row.begins) {
            (None, _) => "when it was run by hand for the first time".to_owned(),
            (Some(due), None) => format!("due {due}, but no window is named in which it may begin"),
            (Some(due), Some(begins)) if due == begins => format!("due {due}"),
            (Some(due), Some(begins)) => format!("due {due}, begins {begins} at the earliest"),
        };
        format!("{} is run by itself every {}: {when}\n", row.drill, row.every)
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_the_next_one_is_due_is_told() {
        let row = |due: Option<&str>, begins: Option<&str>| DueRow {
            drill: "cut-prox1".parse().unwrap(),
            every: "90d".parse().unwrap(),
            due: due.map(|text| text.parse().unwrap()),
            begins: begins.map(|text| text.parse().unwrap()),
            failed: None,
        };
        let (noon, night) = ("2027-02-26T12:00:00Z", "2027-02-27T22:00:00Z");
        let text = drills_due(&[row(Some(noon), Some(night)), row(Some(noon), None), row(None, None)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "cut-prox1 is run by itself every 90d: due 2027-02-26T12:00:00Z, begins 2027-02-27T22:00:00Z at the earliest",
                "cut-prox1 is run by itself every 90d: due 2027-02-26T12:00:00Z, but no window is named in which it may begin",
                "cut-prox1 is run by itself every 90d: when it was run by hand for the first time",
            ]
        );
        assert_eq!(drills_due(&[]), "");
    }
}
