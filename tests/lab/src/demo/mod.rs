//! Plays the mission on the lab, act by act.

mod calls;
mod cluster;
mod fleet;
mod guests;
mod narrate;
mod storage;

use std::path::Path;
use std::time::Instant;

use self::narrate::Narrator;
use crate::binaries;
use crate::lab::{Lab, LabError};

/// Prints one line.
pub type Print<'a> = &'a (dyn Fn(&str) + Sync);

/// The acts, in their order.
const ACTS: &[Act] = &[
    Act {
        name: "cluster",
        title: "three bare servers become one quorate cluster",
    },
    Act {
        name: "storage",
        title: "the same pool on every server, on the right disks, as one storage",
    },
    Act {
        name: "guests",
        title: "a guest is copied, put under HA, moved, and survives the loss of its server",
    },
];

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
}

/// Are there acts of these names?
///
/// # Errors
/// When one is not known.
pub fn check(acts: &[String]) -> Result<(), LabError> {
    let known = || ACTS.iter().map(|act| act.name);
    match acts.iter().find(|name| !known().any(|act| act == *name)) {
        None => Ok(()),
        Some(name) => Err(LabError::NoSuchAct {
            name: name.clone(),
            known: known().collect(),
        }),
    }
}

/// Plays acts (all of them when none is named), in the folder `keep`, where the lab then runs on; or in a temporary one,
/// of which nothing is left.
///
/// # Errors
/// When an act is not known, the product can't be built, or the lab does not come up.
pub async fn play(acts: &[String], keep: Option<&Path>, speed: f64, print: Print<'_>) -> Result<Played, LabError> {
    check(acts)?;
    let mut builder = Lab::builder().nodes(3).speed(speed);
    if let Some(dir) = keep {
        builder = builder.dir(dir).keep();
    }
    build().await?;
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
            "storage" => storage::play(&narrator).await,
            "guests" => guests::play(&narrator).await,
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
    Ok(Played { passed, failed })
}

/// Starts a coordinator in a lab and enrols all its servers, as the demo does, saying nothing.
///
/// # Errors
/// When the product can't be built, or something does not go as it should.
pub async fn enrol_all(lab: &Lab) -> Result<(), LabError> {
    build().await?;
    let narrator = Narrator::new(lab, &|_| {});
    fleet::begin(&narrator)
        .await
        .map_err(|reason| LabError::Refused(reason.to_string()))
}

/// On a thread of its own: it takes minutes the first time, and the demo may be interrupted meanwhile.
async fn build() -> Result<(), LabError> {
    let built = tokio::task::spawn_blocking(binaries::ensure_built).await;
    let failed = |source| LabError::Io {
        what: "building the product".to_owned(),
        source,
    };
    built.map_err(|error| failed(error.into()))?.map_err(failed)?;
    Ok(())
}
