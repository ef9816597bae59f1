//! Rollouts of the coordinator whose backup this state comes from: their records lie beside the journal, for looking only.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use quorate_model::RolloutId;
use quorate_model::rollout::{Entry, RolloutResult, Summary};
use serde::Deserialize;

use crate::trust::sentence;

/// A line of such a file. Of others than records (rollouts that were lost already) nothing is shown here.
#[derive(Debug, Deserialize)]
struct Line {
    rollout: RolloutId,
    entry: Option<Entry>,
}

/// What the files in the state directory tell. Whatever can't be read of them is said in the log: they only inform.
pub(super) fn restored(state: &Path) -> Vec<Summary> {
    let mut rollouts: BTreeMap<RolloutId, Vec<Entry>> = BTreeMap::new();
    for path in files(state) {
        if let Err(error) = read(&path, &mut rollouts) {
            tracing::warn!(path = %path.display(), error = sentence(&error), "the history in it can't be read whole");
        }
    }
    let mut all = Vec::new();
    for (id, mut entries) in rollouts {
        entries.sort_by_key(|entry| entry.sequence);
        entries.dedup_by_key(|entry| entry.sequence);
        match quorate_engine::summary(&id, &entries) {
            Ok(summary) => all.extend(summary.map(|summary| Summary {
                // One that ran when the backup was made is not driven by these records.
                result: summary.result.or(Some(RolloutResult::Abandoned)),
                ..summary
            })),
            Err(error) => tracing::warn!(rollout = %id, error = sentence(&error), "left out of the restored history"),
        }
    }
    all
}

fn files(state: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(state).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("history.") && name.ends_with(".jsonl")
        })
        .collect();
    files.sort();
    files
}

fn read(path: &Path, rollouts: &mut BTreeMap<RolloutId, Vec<Entry>>) -> std::io::Result<()> {
    for line in BufReader::new(std::fs::File::open(path)?).lines() {
        let Ok(line) = serde_json::from_str::<Line>(&line?) else {
            continue;
        };
        if let Some(entry) = line.entry {
            rollouts.entry(line.rollout).or_default().push(entry);
        }
    }
    Ok(())
}

/// Reads lines and sums up what they tell, for tests/fuzz.
#[cfg(feature = "fuzz")]
pub(super) fn fuzz(text: &str) -> Vec<String> {
    let mut rollouts: BTreeMap<RolloutId, Vec<Entry>> = BTreeMap::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        rollouts.entry(line.rollout).or_default().extend(line.entry);
    }
    let summed = rollouts
        .iter()
        .map(|(id, entries)| quorate_engine::summary(id, entries));
    summed.map(|summary| format!("{summary:?}")).collect()
}

#[cfg(test)]
mod tests {
    use quorate_model::Timestamp;
    use quorate_model::rollout::Record;

    use super::*;

    #[test]
    fn what_a_backup_brought_along_can_be_looked_at() {
        let file = quorate_planner::testkit::file(2, &["10.10.10.0/24"]);
        let servers = quorate_planner::testkit::Servers::bare(2);
        let plan = quorate_planner::plan(&file, &quorate_model::Wish::default(), &servers.view);
        let entry = Entry {
            sequence: 0,
            at: Timestamp(7),
            record: Record::Created {
                plan: Box::new(plan),
                by: "anna".to_owned(),
            },
        };
        let dir = tempfile::tempdir().unwrap();
        let line = serde_json::json!({ "rollout": "hk1-7", "entry": entry });
        let other = r#"{"rollout":"hk1-6","abandoned":{}}"#;
        std::fs::write(
            dir.path().join("history.20261122T1.jsonl"),
            format!("{line}\nnonsense\n{other}\n"),
        )
        .unwrap();
        let all = restored(dir.path());
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].id.as_str(), all[0].by.as_str()), ("hk1-7", "anna"));
        assert_eq!(all[0].result, Some(RolloutResult::Abandoned));
        assert!(restored(&dir.path().join("none")).is_empty());
    }
}
