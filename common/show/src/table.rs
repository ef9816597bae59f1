//! The one look of tables: no lines, two blanks between columns, headers in capitals.

use comfy_table::{ContentArrangement, Table, presets};

/// A table of texts. Cells may have several lines. Nothing is cut: a serial number that lost its end is of no use.
#[must_use]
pub fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headers.to_vec());
    for row in rows {
        table.add_row(row.clone());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}

/// The text, or a dash for nothing.
pub(crate) fn or_dash(text: Option<&str>) -> String {
    text.filter(|t| !t.is_empty()).unwrap_or("-").to_owned()
}

/// Microseconds in milliseconds, with as many digits as matter.
pub(crate) fn ms(micros: u64) -> String {
    let (whole, rest) = (micros / 1000, micros % 1000);
    if whole < 10 {
        format!("{whole}.{:02} ms", rest / 10)
    } else {
        format!("{whole}.{} ms", rest / 100)
    }
}

/// Each line of a text, indented.
pub(crate) fn indent(text: &str, by: usize) -> String {
    text.lines()
        .map(|line| {
            if line.is_empty() {
                "\n".to_owned()
            } else {
                format!("{}{line}\n", " ".repeat(by))
            }
        })
        .collect()
}

/// `1 node`, `3 nodes`.
pub(crate) fn count(number: usize, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {one}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_trails() {
        let text = table(
            &["NODE", "DISK"],
            &[vec!["prox1".into(), "sda".into()], vec!["p2".into(), "nvme0n1".into()]],
        );
        assert_eq!(text, "NODE   DISK\nprox1  sda\np2     nvme0n1\n");
    }
}
