//! `cargo lab ha-scenario`: scenarios in the form of PVE's own simulator of its HA manager, played by the lab's model of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::output::{error, line};

/// Options of `ha-scenario`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Compare with each folder's log.expect, and say how many agree
    #[arg(long)]
    check: bool,
    /// Folders with cmdlist, hardware_status, manager_status, service_config …
    #[arg(required = true)]
    dirs: Vec<PathBuf>,
}

/// All that is asked for is played, whatever one of them says.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let fine = if arguments.check {
        check(&arguments.dirs)
    } else {
        let failed = arguments.dirs.iter().filter(|dir| !play(dir));
        failed.count() == 0
    };
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn play(dir: &Path) -> bool {
    match quorate_lab_ha::run(dir) {
        Ok(log) => {
            log.iter().for_each(|entry| line(&entry.to_string()));
            true
        }
        Err(reason) => {
            error(&format!("error: {reason}"));
            false
        }
    }
}

fn check(dirs: &[PathBuf]) -> bool {
    let (mut agree, mut identical) = (0, 0);
    for dir in dirs {
        let shown = dir.display();
        match quorate_lab_ha::check(dir) {
            Ok(agreement) => {
                agree += usize::from(agreement.is_full());
                identical += usize::from(agreement.is_identical());
                line(&format!("{shown}: {agreement}"));
            }
            Err(reason) => line(&format!("{shown}: {reason}")),
        }
    }
    line(&format!(
        "{agree} of {} scenarios agree in every change of a node or service, {identical} of them line by line",
        dirs.len()
    ));
    agree == dirs.len()
}
