//! `quorate rollout undo-info`: what was before, for whoever has to go back by hand.

use quorate_model::failure::ExitCode;
use quorate_model::plan::Plan;
use quorate_proto::{field, v1};

use super::wire::{self, Client};
use super::{Answer, Context, output};

pub(crate) async fn run(context: &Context, client: &mut Client, rollout: String) -> Answer {
    let request = v1::UndoInfoRequest {
        rollout: rollout.clone(),
    };
    let reply = client.undo_info(request).await.map_err(wire::refused)?.into_inner();
    let plan: Option<Plan> = field("plan", reply.plan).map_err(wire::unreadable)?;
    let nodes: Vec<serde_json::Value> = reply.nodes.iter().map(document).collect();
    let steps = plan.iter().flat_map(|plan| &plan.steps).collect::<Vec<_>>();
    let undo: Vec<serde_json::Value> = steps
        .iter()
        .rev()
        .map(|step| serde_json::json!({ "step": step.id, "undo": step.undo.to_string() }))
        .collect();
    let all = serde_json::json!({ "rollout": rollout, "undo": undo, "nodes": nodes });
    output::either(context.format, &all, || show(&rollout, plan.as_ref(), &reply.nodes));
    Ok(ExitCode::Done)
}

fn text_of(file: &v1::SnapshotFile) -> Result<Option<&str>, &str> {
    use v1::snapshot_file::Content;
    match &file.content {
        Some(Content::Text(text)) => Ok(Some(text)),
        Some(Content::Absent(_)) => Ok(None),
        Some(Content::Unknown(why)) => Err(why),
        None => Err("not told"),
    }
}

fn document(node: &v1::NodeSnapshot) -> serde_json::Value {
    let files = |files: &[v1::SnapshotFile]| {
        let each = files.iter().map(|file| {
            let content = match text_of(file) {
                Ok(text) => serde_json::json!({ "text": text }),
                Err(why) => serde_json::json!({ "unknown": why }),
            };
            (file.path.clone(), content)
        });
        each.collect::<serde_json::Map<_, _>>()
    };
    serde_json::json!({
        "node": node.node,
        "before": files(&node.before),
        "now": files(&node.now),
        "unknown": node.unknown,
    })
}

fn show(rollout: &str, plan: Option<&Plan>, nodes: &[v1::NodeSnapshot]) -> String {
    let Some(plan) = plan else {
        let text = format!(
            "The journal of rollout {rollout} was lost: which steps it had is not known any more (quorate rollout show {rollout} has those \
             that servers remember). Nothing here is done by itself.\n"
        );
        return text + &files(rollout, nodes);
    };
    let mut text = format!(
        "Rollout {rollout} of cluster {}. Nothing here is done by itself.\n\n",
        plan.cluster
    );
    text.push_str("Its steps, last first, and how each is undone:\n");
    for step in plan.steps.iter().rev() {
        text.push_str(&format!("  {}: {}\n      {}\n", step.id, step.title, step.undo));
    }
    text + &files(rollout, nodes)
}

fn files(rollout: &str, nodes: &[v1::NodeSnapshot]) -> String {
    let mut text = String::new();
    for node in nodes {
        text.push_str(&format!("\n{}\n", node.node));
        if !node.unknown.is_empty() {
            text.push_str(&format!("  not known: {}\n", node.unknown));
        }
        for file in &node.before {
            let now = node.now.iter().find(|now| now.path == file.path);
            text.push_str(&format!("  {}: {}\n", file.path, compared(file, now)));
        }
    }
    text.push_str(&format!(
        "\nThe files whole, before and now: quorate -o json rollout undo-info {rollout}\n"
    ));
    text
}

fn compared(before: &v1::SnapshotFile, now: Option<&v1::SnapshotFile>) -> String {
    let Some(now) = now else {
        return "what it is now is not known".to_owned();
    };
    match (text_of(before), text_of(now)) {
        (Err(why), _) => format!("what it was is not known ({why})"),
        (_, Err(why)) => format!("what it is now is not known ({why})"),
        (Ok(old), Ok(new)) if old == new => "as it was".to_owned(),
        (Ok(None), Ok(Some(_))) => "was not there, is there now".to_owned(),
        (Ok(Some(_)), Ok(None)) => "was there, is gone".to_owned(),
        (Ok(Some(old)), Ok(Some(new))) => {
            let mut text = "changed (- before, + now)".to_owned();
            let difference = similar::TextDiff::from_lines(old, new);
            for line in difference.unified_diff().context_radius(2).to_string().lines() {
                text.push_str(&format!("\n    {line}"));
            }
            text
        }
        (Ok(None), Ok(None)) => "as it was".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use v1::snapshot_file::{Absent, Content};

    use super::*;

    fn file(content: Content) -> v1::SnapshotFile {
        v1::SnapshotFile {
            path: "/etc/pve/corosync.conf".to_owned(),
            content: Some(content),
        }
    }

    #[test]
    fn a_change_is_shown_where_it_is_with_what_stands_around_it() {
        let text = |lines: &str| file(Content::Text(lines.replace(' ', "\n")));
        let shown = compared(
            &text("a b c d e votes:1 f "),
            Some(&text("a b c d e votes:1 votes:1 f ")),
        );
        assert_eq!(
            shown,
            "changed (- before, + now)\n    @@ -5,3 +5,4 @@\n     e\n     votes:1\n    +votes:1\n     f"
        );
        assert_eq!(compared(&text("a "), Some(&text("a "))), "as it was");
        let absent = || file(Content::Absent(Absent {}));
        assert_eq!(compared(&absent(), Some(&text("a "))), "was not there, is there now");
        assert_eq!(compared(&text("a "), Some(&absent())), "was there, is gone");
        let unread = file(Content::Unknown("no permission".to_owned()));
        assert!(compared(&unread, Some(&text("a "))).contains("no permission"));
        assert!(compared(&text("a "), None).contains("not known"));
    }
}
