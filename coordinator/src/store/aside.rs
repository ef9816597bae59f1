//! Damaged journals: moved aside, kept until somebody clears them away, and spoken of as long as they are there.

use std::path::{Path, PathBuf};

use quorate_clock::Clock;
use quorate_engine::ports::JournalError;
use quorate_model::{Code, Finding, Timestamp};

/// What a damaged journal's directory is called from then on, before the time.
const DAMAGED: &str = "journal.damaged-";

/// Gives the directory a name of its own. Nothing is deleted.
pub(super) fn move_aside(dir: &Path, clock: &Clock, reason: &str) -> Result<(), JournalError> {
    let time: String = Timestamp(clock.unix_micros())
        .to_string()
        .chars()
        .filter(|c| !matches!(c, '-' | ':'))
        .collect();
    let failed = |error: std::io::Error| JournalError::Write(format!("can't move {} aside: {error}", dir.display()));
    if !dir.exists() {
        // It is gone altogether. An empty directory under the name says so for as long as nobody clears it away.
        std::fs::create_dir(dir).map_err(failed)?;
    }
    // A name that is free: two within a second would otherwise be an error of our own.
    let aside = (0..100)
        .map(|n| {
            dir.with_file_name(if n == 0 {
                format!("{DAMAGED}{time}")
            } else {
                format!("{DAMAGED}{time}-{n}")
            })
        })
        .find(|path| !path.exists())
        .ok_or_else(|| JournalError::Write("there are too many damaged journals".to_owned()))?;
    std::fs::rename(dir, &aside).map_err(failed)?;
    std::fs::File::open(dir.parent().unwrap_or(dir))
        .and_then(|parent| parent.sync_all())
        .map_err(failed)?;
    tracing::error!(
        aside = %aside.display(),
        reason,
        "the rollout journal is damaged; it was moved aside, and the servers are asked what was done"
    );
    Ok(())
}

/// A finding for each damaged journal that was moved aside and not yet cleared away.
pub(crate) fn damage_findings(state: &Path) -> Vec<Finding> {
    let mut aside: Vec<PathBuf> = std::fs::read_dir(state)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(DAMAGED))
        })
        .collect();
    aside.sort();
    aside
        .into_iter()
        .map(|path| {
            Finding::new(
                Code::JournalDamaged,
                "",
                format!(
                    "a damaged rollout journal was moved to {}: of rollouts before that, only what the servers remember is known here",
                    path.display()
                ),
                "look at the servers: quorate status --fresh; apply the cluster file again: it goes on from what is seen; \
                 then move the directory away",
            )
        })
        .collect()
}
