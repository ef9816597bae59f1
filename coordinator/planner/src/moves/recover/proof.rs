//! Is the lost server off? What its agent, each of those that are left and the coordinator say, and what that comes to.

use std::collections::BTreeSet;

use quorate_model::View;
use quorate_model::facet::UnknownKind;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::lost::{Evidence, Sign, Trace, Verdict, Witness};

use crate::report::Report;

/// Tells all that was seen and heard, and what of it stands against a recovery. `online`: those that are left, by corosync.
pub(super) fn weigh(view: &View, lost: &NodeName, online: &BTreeSet<NodeName>, seen_off: bool, report: &mut Report) {
    let mut alive: Vec<String> = Vec::new();
    let mut unproven: Vec<String> = Vec::new();
    let mut proven = 0;
    match called(view, lost) {
        Trace {
            sign: Sign::Alive,
            about,
            said,
        } => alive.push(format!("{about}: {said}")),
        Trace { about, said, .. } => note(report, lost, "the coordinator", &format!("{about}: {said}")),
    }
    let search = view.lost.as_ref().filter(|search| search.node == *lost);
    for node in online.iter().filter(|node| *node != lost) {
        match search.and_then(|search| search.survivors.get(node)) {
            None => unproven.push(format!("{node} is not enrolled: what it hears could not be asked")),
            Some(Err(unknown)) => unproven.push(format!("what {node} hears is not known: {}", unknown.reason)),
            Some(Ok(survivor)) => {
                note(report, lost, node.as_str(), &in_words(&survivor.evidence));
                match survivor.evidence.verdict() {
                    Verdict::Alive(signs) => {
                        let signs = signs
                            .iter()
                            .map(|trace| format!("{node}: {}: {}", trace.about, trace.said));
                        alive.extend(signs);
                    }
                    Verdict::Down(_) => proven += 1,
                    // Where another server proves it, this one's silence says no less.
                    Verdict::Unproven(why) => unproven.extend(why.into_iter().map(|why| format!("{node}: {why}"))),
                }
            }
        }
    }
    if let Some(bmc) = search.and_then(|search| search.bmc.as_ref()) {
        let said = format!(
            "{}: {}. That says whether there is power and a way to it, and nothing of the server: this version only pings it",
            bmc.about, bmc.said
        );
        note(report, lost, "the coordinator", &said);
    }
    if !alive.is_empty() {
        report.tell(Finding::new(
            Code::LostNodeAlive,
            lost.as_str(),
            format!("{lost} shows signs of life ({})", alive.join("; ")),
            format!(
                "switch {lost} off by its power button or its BMC, or move its guests while it runs (quorate node drain); then ask again"
            ),
        ));
        return;
    }
    let all_asked = online
        .iter()
        .filter(|node| *node != lost)
        .all(|node| search.is_some_and(|search| search.survivors.get(node).is_some_and(Result::is_ok)));
    if seen_off || (proven > 0 && all_asked) {
        return;
    }
    if online.iter().all(|node| node == lost) {
        unproven.push("nobody is left to be asked".to_owned());
    }
    report.tell(Finding::new(
        Code::LostNodeUnproven,
        lost.as_str(),
        format!(
            "nothing is heard of {lost}, and nothing proves that it is off ({})",
            unproven.join("; ")
        ),
        format!("go and look; if {lost} has no power, say so by --seen-off, and pull its power cables first"),
    ));
}

/// What became of the coordinator's own call to its agent.
fn called(view: &View, lost: &NodeName) -> Trace {
    let about = "its agent, called by the coordinator";
    match view.nodes.get(lost).map(|seen| &seen.observation) {
        None => Trace::new(about, Sign::Unproven, "it is not enrolled, and was not called"),
        Some(Ok(_)) => Trace::new(about, Sign::Alive, "answers"),
        // Whoever says no is there.
        Some(Err(unknown)) if unknown.kind == UnknownKind::Failed => {
            Trace::new(about, Sign::Alive, format!("answers: {}", unknown.reason))
        }
        Some(Err(unknown)) => Trace::new(about, Sign::Silent, format!("no answer ({})", unknown.reason)),
    }
}

fn note(report: &mut Report, lost: &NodeName, who: &str, said: &str) {
    report.tell(Finding::new(
        Code::LostNodeSilent,
        lost.as_str(),
        format!("{who} says of {lost}: {said}"),
        "",
    ));
}

fn in_words(evidence: &Evidence) -> String {
    let traces = |traces: &[Trace]| {
        let each: Vec<String> = traces
            .iter()
            .map(|trace| format!("{} {}", trace.about, trace.said))
            .collect();
        each.join(", ")
    };
    let mut parts = vec![traces(&evidence.cluster)];
    parts.extend(evidence.ways.iter().map(|way| {
        let witness = match &way.witness {
            Witness::Heard(who) => format!("{who} answers there"),
            Witness::Silent(who) => format!("{} do not answer there either", who.join(", ")),
            Witness::Nobody => "nobody else is there to be asked".to_owned(),
        };
        format!(
            "on {} ({}): {}, and {witness}",
            way.name,
            way.address,
            traces(&way.traces)
        )
    }));
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}
