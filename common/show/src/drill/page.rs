//! A drill as one HTML page: figures that can be read from across a room, the chart, predicted beside measured. No scripts, and nothing is fetched
//! from anywhere; whatever others wrote is escaped.

use quorate_model::drill::axis::span;
use quorate_model::drill::compare::Difference;
use quorate_model::drill::record::Record;
use quorate_model::drill::verdict::Outcome;

use super::{figures, svg, title, what};

const STYLE: &str = include_str!("page.css");

/// The page.
#[must_use]
pub fn drill_page(record: &Record) -> String {
    let title = title(record);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        escaped(&title)
    );
    page.push_str(&head(record, &title));
    page.push_str("<section class=\"figures\">\n");
    for figure in figures(record) {
        page.push_str(&format!(
            "<div class=\"figure\"><h2>{}</h2><p class=\"value\">{}</p><p class=\"why\">{}</p></div>\n",
            escaped(figure.name),
            value(&figure.value),
            escaped(&figure.why)
        ));
    }
    page.push_str("</section>\n<section class=\"chart\">\n<h2>Time line</h2>\n");
    page.push_str(&svg::chart(record));
    page.push_str(
        "<p class=\"legend\">Minutes and seconds after the fault. Shaded: the fault. Thin brackets: how far a time may be off. Solid strip: \
         answers; hatched: none.</p>\n</section>\n",
    );
    page.push_str(&compared(record));
    page.push_str(&untold(record));
    page.push_str(&foot(record));
    page.push_str("</body>\n</html>\n");
    page
}

/// The error stands small beside the figure.
fn value(text: &str) -> String {
    match text.split_once(" (") {
        Some((figure, rest)) => format!("{} <small>({}</small>", escaped(figure), escaped(rest)),
        None => escaped(text),
    }
}

fn head(record: &Record, title: &str) -> String {
    let (class, word) = match record.verdict.outcome {
        Outcome::Passed => ("passed", "passed"),
        Outcome::Undecided => ("undecided", "undecided"),
        Outcome::Failed => ("failed", "FAILED"),
    };
    let mut head = format!(
        "<header>\n<p class=\"verdict {class}\">{word}</p>\n<h1>{}</h1>\n<p class=\"what\">{}</p>\n<p class=\"when\">{} – {}, by {}</p>\n",
        escaped(title),
        escaped(&what(record)),
        record.began,
        record.ended,
        escaped(&record.operator)
    );
    if let Some(aborted) = &record.aborted {
        head.push_str(&format!("<p class=\"aborted\">Broken off: {}</p>\n", escaped(aborted)));
    }
    head.push_str("<ul class=\"reasons\">\n");
    for reason in &record.verdict.reasons {
        let mark = match reason.outcome {
            Outcome::Passed => "✓",
            Outcome::Undecided => "?",
            Outcome::Failed => "✗",
        };
        head.push_str(&format!("<li><b>{mark}</b> {}</li>\n", escaped(&reason.text)));
    }
    head.push_str("</ul>\n</header>\n");
    head
}

fn compared(record: &Record) -> String {
    let mut text = "<section>\n<h2>Predicted and measured</h2>\n<table>\n<tr><th>phase</th><th>predicted</th><th>measured</th><th></th></tr>\n".to_owned();
    for one in &record.compared {
        let (class, note) = match &one.finding {
            Difference::None => ("", "as expected".to_owned()),
            Difference::Explained { why } => ("", why.clone()),
            Difference::Flagged { what } => ("flagged", format!("to be looked at: {what}")),
            Difference::Open { why } => ("open", why.clone()),
        };
        text.push_str(&format!(
            "<tr class=\"{class}\"><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            escaped(one.phase.as_str()),
            one.predicted.map_or_else(|| "–".to_owned(), |at| at.between()),
            one.measured.map_or_else(|| "–".to_owned(), |at| span(at.likely)),
            escaped(&note)
        ));
    }
    text.push_str("</table>\n<p class=\"notice\">Foretold: ");
    text.push_str(&escaped(&record.predicted.notice));
    text.push_str("</p>\n</section>\n");
    text
}

fn untold(record: &Record) -> String {
    let mut items: Vec<String> = Vec::new();
    for seen in record.line.unknown() {
        items.push(format!("{}: unknown: {}", seen.phase.as_str(), seen.by));
    }
    for one in &record.line.untold {
        items.push(format!("{}: {}", one.source, one.reason));
    }
    items.extend(record.line.contradictions.iter().cloned());
    items.extend(record.findings.iter().map(ToString::to_string));
    if items.is_empty() {
        return String::new();
    }
    let items: String = items
        .iter()
        .map(|item| format!("<li>{}</li>\n", escaped(item)))
        .collect();
    format!("<section>\n<h2>To be known</h2>\n<ul>\n{items}</ul>\n</section>\n")
}

fn foot(record: &Record) -> String {
    let signature = if record.signature.is_empty() {
        "none"
    } else {
        &record.signature
    };
    let plan = if record.plan_digest.is_empty() {
        "nothing was moved"
    } else {
        &record.plan_digest
    };
    let before = if record.previous.is_empty() {
        "none: this is the first"
    } else {
        &record.previous
    };
    format!(
        "<footer>\n<dl>\n<dt>this record</dt><dd>{}</dd>\n<dt>the one before</dt><dd>{}</dd>\n<dt>cluster file</dt><dd>{}</dd>\n\
         <dt>plan</dt><dd>{}</dd>\n<dt>signature</dt><dd>{}</dd>\n</dl>\n</footer>\n",
        escaped(&record.digest),
        escaped(before),
        escaped(&record.spec_digest),
        escaped(plan),
        escaped(signature)
    )
}

/// Text that is no markup, wherever it stands.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // No page may have these, and terminals obey some of them.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
