//! The chart: phases as bars, what the probes saw as strips, the fault shaded. Shapes and hatching tell apart what colours tell apart, so that it
//! can be printed in black and white.

use quorate_model::drill::axis::span;
use quorate_model::drill::phase::Phase;
use quorate_model::drill::record::Record;

use super::axis::{Axis, CHAIN, begins};
use super::page::escaped;

/// Units of the drawing: names on the left, the plot, and room for a time behind the last bar.
const LEFT: i64 = 210;
const PLOT: i64 = 720;
const WIDTH: i64 = 1000;
const ROW: i64 = 26;
const TOP: i64 = 34;

/// The drawing of a record.
pub(super) fn chart(record: &Record) -> String {
    let axis = Axis::of(record);
    let phases = i64::try_from(record.line.phases.len()).unwrap_or(0);
    let probes = i64::try_from(record.probes.len()).unwrap_or(0);
    let bottom = TOP + ROW * phases;
    let height = bottom + 14 + (ROW + 20) * probes + 12;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Time line of the drill\">\n<defs>\n\
         <pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\" class=\"hatch\"/></pattern>\n\
         <pattern id=\"away\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(-45)\">\
         <line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"8\" class=\"gap\"/></pattern>\n</defs>\n"
    );
    svg.push_str(&shade(record, &axis, height));
    svg.push_str(&grid(&axis, height));
    let mut y = TOP;
    for seen in &record.line.phases {
        svg.push_str(&phase(record, &axis, seen.phase, y));
        y += ROW;
    }
    y += 14;
    for probe in &record.probes {
        svg.push_str(&strip(&axis, probe, y));
        y += ROW + 20;
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where a moment lies, with one digit behind the point.
fn x(axis: &Axis, at: i64) -> String {
    tenths(LEFT * 10 + axis.part(at, PLOT * 10))
}

fn tenths(tenths: i64) -> String {
    if tenths % 10 == 0 {
        format!("{}", tenths / 10)
    } else {
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

fn width(axis: &Axis, from: i64, to: i64, least: i64) -> String {
    let length = axis.part(to, PLOT * 10) - axis.part(from, PLOT * 10);
    tenths(length.max(least))
}

/// The time from the fault until it was gone, or to the end.
fn shade(record: &Record, axis: &Axis, height: i64) -> String {
    let Some(from) = record.line.at(Phase::Fault) else {
        return String::new();
    };
    let to = record.line.at(Phase::FaultGone).map_or(axis.to, |at| at.best);
    format!(
        "<rect class=\"fault\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n\
         <rect fill=\"url(#hatch)\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
        x(axis, from.best),
        TOP - 6,
        width(axis, from.best, to, 1),
        height - TOP,
        x(axis, from.best),
        TOP - 6,
        width(axis, from.best, to, 1),
        height - TOP,
    )
}

fn grid(axis: &Axis, height: i64) -> String {
    let mut svg = String::new();
    for (at, label) in axis.ticks() {
        let x = x(axis, at);
        svg.push_str(&format!(
            "<line class=\"grid\" x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{}\"/><text class=\"tick\" x=\"{x}\" y=\"18\">{label}</text>\n",
            TOP - 6,
            height - 6
        ));
    }
    svg
}

fn phase(record: &Record, axis: &Axis, phase: Phase, y: i64) -> String {
    let middle = y + ROW / 2;
    let mut svg = format!(
        "<text class=\"name\" x=\"{}\" y=\"{}\">{}</text>\n",
        LEFT - 12,
        middle + 5,
        escaped(phase.as_str())
    );
    let Some(at) = record.line.at(phase) else {
        svg.push_str(&format!(
            "<text class=\"unknown\" x=\"{}\" y=\"{}\">not seen</text>\n",
            LEFT + 8,
            middle + 5
        ));
        return svg;
    };
    let begin = begins(record, phase).unwrap_or(at.best).min(at.best);
    if CHAIN.contains(&phase) {
        svg.push_str(&format!(
            "<rect class=\"bar\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
            x(axis, begin),
            y + 5,
            width(axis, begin, at.best, 15),
            ROW - 10
        ));
    } else {
        svg.push_str(&format!(
            "<line class=\"lead\" x1=\"{}\" y1=\"{middle}\" x2=\"{}\" y2=\"{middle}\"/>\n<circle class=\"mark\" cx=\"{}\" cy=\"{middle}\" r=\"5\"/>\n",
            x(axis, begin),
            x(axis, at.best),
            x(axis, at.best)
        ));
    }
    // The error bar, where it is wide enough to be seen.
    svg.push_str(&format!(
        "<path class=\"error\" d=\"M{0} {1}V{2}M{0} {3}H{4}M{4} {1}V{2}\"/>\n",
        x(axis, at.earliest),
        middle - 5,
        middle + 5,
        middle,
        x(axis, at.latest)
    ));
    if let Some(since) = record.line.since_fault(phase).filter(|_| phase != Phase::Fault) {
        let end = axis.part(at.best.max(at.latest), PLOT * 10);
        // Near the right edge the time stands before the mark, over its line.
        let (place, anchor) = if end > PLOT * 10 - 300 {
            let mark = axis.part(at.best.min(at.earliest), PLOT * 10);
            (LEFT * 10 + mark - 120, " end")
        } else {
            (LEFT * 10 + end + 90, "")
        };
        svg.push_str(&format!(
            "<text class=\"when{anchor}\" x=\"{}\" y=\"{}\">{}</text>\n",
            tenths(place),
            middle + 5,
            span(since.likely)
        ));
    }
    svg
}

/// Answers are solid, gaps hatched; where nobody asked there is nothing.
fn strip(axis: &Axis, probe: &quorate_model::drill::answers::Answers, y: i64) -> String {
    let mut svg = format!(
        "<text class=\"probe\" x=\"{LEFT}\" y=\"{}\">{}</text>\n<text class=\"name\" x=\"{}\" y=\"{}\">answers</text>\n",
        y + 12,
        escaped(&probe.name()),
        LEFT - 12,
        y + 16 + ROW / 2 + 2
    );
    let place = |ms: u64| probe.place(ms).map(|at| at.best);
    let (Some(began), Some(ended)) = (place(0), place(probe.lasted_ms)) else {
        svg.push_str(&format!(
            "<text class=\"unknown\" x=\"{}\" y=\"{}\">its clock is not known</text>\n",
            LEFT + 8,
            y + 34
        ));
        return svg;
    };
    let mut piece = |class: &str, from: i64, to: i64| {
        if to > axis.from && from < axis.to {
            svg.push_str(&format!(
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
                x(axis, from),
                y + 18,
                width(axis, from, to, 10),
                ROW - 8
            ));
        }
    };
    let mut from = began;
    for gap in &probe.gaps {
        let (Some(begin), Some(end)) = (place(gap.from_ms), gap.to_ms.map_or(Some(ended), place)) else {
            continue;
        };
        piece("answers", from, begin);
        piece("away", begin, end);
        from = end;
    }
    if from < ended {
        piece("answers", from, ended);
    }
    svg
}
