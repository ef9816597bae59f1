//! Putting a backup's content into a state directory that is empty.

use std::fs;
use std::path::{Component, Path, PathBuf};

use quorate_identity::{Passphrase, create_private_dir, write_file, write_secret_file};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::{FleetName, Timestamp};
use serde::Serialize;

use super::open;
use crate::as_owner::AsOwner;
use crate::audit::{Act, Audit, By, What};
use crate::clusters::Clusters;
use crate::config::Config;
use crate::driver;
use crate::state_dir::StateDir;

/// The CA's certificate is what says that there is a fleet: written last, an interrupted attempt can be repeated.
const LAST: &str = "ca/root.pem";

/// What was restored: fit for printing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Restored {
    pub(crate) fleet: FleetName,
    pub(crate) made_at: Timestamp,
    pub(crate) state_dir: PathBuf,
    pub(crate) files: usize,
    /// What was not in it, and what to do now.
    pub(crate) advice: Vec<String>,
}

/// Restores a backup. Nothing that exists is overwritten.
///
/// # Errors
/// There is a fleet already, the backup can't be opened, or the state directory can't be written.
pub(crate) fn restore(config: &Config, file: &Path, passphrase: &Passphrase) -> Result<Restored, Failure> {
    let content = open(file, passphrase)?;
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(ExitCode::Failed, "the backup can't be restored").because(error)
    };
    for path in content.files.keys() {
        if !Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(Failure::new(
                ExitCode::Refused,
                format!("the backup holds a file `{path}`, outside of the state"),
            ));
        }
    }
    if !content.files.contains_key(LAST) {
        return Err(Failure::new(ExitCode::Refused, "the backup holds no CA"));
    }
    let _owner = AsOwner::of(&config.state_dir)?;
    let state = StateDir::create(&config.state_dir)?;
    let _lock = state.lock()?;
    if state.identity().exists() || state.journal().exists() || state.driver().exists() && !interrupted(&state) {
        return Err(Failure::new(
            ExitCode::Refused,
            format!("there is a fleet already at {}", state.path().display()),
        )
        .hint("a fleet is never overwritten: move that directory away yourself, or choose another state_dir"));
    }
    // First of all: whatever else is there, this is a state that has to ask the agents before it drives.
    driver::save_restored(&state.driver(), content.generation).map_err(|error| failed(&error))?;
    let (last, others): (Vec<_>, Vec<_>) = content.files.iter().partition(|(path, _)| *path == LAST);
    let write = |path: &String, kept: &super::content::Kept| {
        let target = state.path().join(path);
        if let Some(dir) = target.parent() {
            create_private_dir(dir).map_err(|error| failed(&error))?;
        }
        let written = if kept.mode & 0o077 == 0 {
            write_secret_file(&target, &kept.text)
        } else {
            write_file(&target, &kept.text)
        };
        written.map_err(|error| failed(&error))
    };
    for (path, kept) in others {
        write(path, kept)?;
    }
    // A cluster may have been frozen since the backup: what the servers were told counts as well.
    Clusters::new(state.specs())
        .restored()
        .map_err(|error| failed(&error))?;
    for (path, kept) in last {
        write(path, kept)?;
    }
    if !content.history.is_empty() {
        let name: String = content
            .made_at
            .to_string()
            .chars()
            .filter(|c| !matches!(c, '-' | ':'))
            .collect();
        let target = state.path().join(format!("history.{name}.jsonl"));
        write_secret_file(&target, &format!("{}\n", content.history.join("\n"))).map_err(|error| failed(&error))?;
    }
    let what = What::Restore {
        file: file.display().to_string(),
        made_at: content.made_at.to_string(),
    };
    Audit::of(&state, config.clock()).record(Act::new(By::this_process(), what))?;
    let mut advice = vec![
        "make sure that the coordinator which this backup came from does not run any more: as soon as this one changes \
         something, the servers obey this one"
            .to_owned(),
        "start the daemon: systemctl start quorate; it asks the servers under which generation they were driven, and goes \
         above it"
            .to_owned(),
        "if this host has another address than the old one, set it in fleet.json (advertise) before you invite servers"
            .to_owned(),
    ];
    advice.extend(
        content
            .missing()
            .into_iter()
            .map(|what| format!("not in the backup: {what}")),
    );
    advice.push(
        "nodes enrolled after it was made: invite them again, and there: quorate-agent enroll --replace".to_owned(),
    );
    Ok(Restored {
        fleet: content.fleet.clone(),
        made_at: content.made_at,
        state_dir: state.path().to_owned(),
        files: content.files.len(),
        advice,
    })
}

/// Did an earlier attempt stop half-way? It has written the driver's record and not yet the CA.
fn interrupted(state: &StateDir) -> bool {
    !state.identity().exists()
        && fs::read_to_string(state.driver()).is_ok_and(|text| text.contains("\"restored\": true"))
}
