//! Plays the mission on the lab, act by act.

mod cluster;
mod narrate;

use std::path::PathBuf;
use std::time::Instant;

use self::narrate::Narrator;
use crate::binaries;
use crate::lab::{Lab, LabError};

/// Prints one line.
pub type Print<'a> = &'a (dyn Fn(&str) + Sync);

/// The acts, in their order.
const ACTS: &[Act] = &[Act {
    name: "cluster",
    title: "three bare servers become one quorate cluster",
}];

struct Act {
    name: &'static str,
    title: &'static str,
}

/// What a demo leaves.
#[derive(Debug)]
pub struct Played {
    /// Acts that passed.
    pub passed: usize,
    /// Acts that failed.
    pub failed: usize,
    /// Where the lab still runs, if it was kept.
    pub kept: Option<PathBuf>,
}

/// Plays acts (all of them when none is named).
///
/// # Errors
/// When an act is not known, or the lab does not come up.
pub async fn play(acts: &[String], keep: bool, speed: f64, print: Print<'_>) -> Result<Played, LabError> {
    for act in acts {
        if !ACTS.iter().any(|known| known.name == act) {
            let known: Vec<&str> = ACTS.iter().map(|act| act.name).collect();
            return Err(LabError::Refused(format!(
                "no act is called {act}; there is: {}",
                known.join(", ")
            )));
        }
    }
    binaries::ensure_built().map_err(|source| LabError::Io {
        what: "building the product".to_owned(),
        source,
    })?;
    let mut builder = Lab::builder().nodes(3).speed(speed);
    if keep {
        builder = builder.keep();
    }
    let lab = builder.start().await?;
    let (mut passed, mut failed) = (0, 0);
    for act in ACTS
        .iter()
        .filter(|act| acts.is_empty() || acts.iter().any(|name| name == act.name))
    {
        let narrator = Narrator::new(&lab, print);
        narrator.title(act.name, act.title);
        let began = Instant::now();
        let result = match act.name {
            "cluster" => cluster::play(&narrator).await,
            _ => Ok(()),
        };
        let seconds = began.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                passed += 1;
                narrator.say(&format!("Act {} passed in {seconds:.1} s.", act.name));
            }
            Err(reason) => {
                failed += 1;
                narrator.say(&format!("Act {} FAILED after {seconds:.1} s: {reason}", act.name));
            }
        }
    }
    let kept = keep.then(|| lab.layout().dir().to_owned());
    Ok(Played { passed, failed, kept })
}
