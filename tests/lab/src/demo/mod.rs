//! Plays the mission on the lab, act by act.

mod calls;
mod cluster;
mod drill;
mod fleet;
mod follow;
mod guests;
mod narrate;
mod storage;
mod two_servers;

use std::path::Path;
use std::time::Instant;

use self::narrate::Narrator;
use crate::binaries;
use crate::lab::{Builder, Lab, LabError};

/// Prints one line.
pub type Print<'a> = &'a (dyn Fn(&str) + Sync);

/// The act in which the coordinator may be killed.
const DRILL: &str = "drill";

/// The acts, in their order.
const ACTS: &[Act] = &[
    Act {
        name: "cluster",
        title: "three bare servers become one quorate cluster",
        servers: Servers::Three,
    },
    Act {
        name: "storage",
        title: "the same pool on every server, on the right disks, as one storage",
        servers: Servers::Three,
    },
    Act {
        name: "guests",
        title: "a guest is copied, put under HA, moved, and survives the loss of its server",
        servers: Servers::Three,
    },
    Act {
        name: DRILL,
        title: "prox1 is cut off on purpose, and what that costs is measured",
        servers: Servers::Three,
    },
    Act {
        name: "two-servers",
        title: "what two servers can't do, what a third vote changes, and how a guest is recovered by hand",
        servers: Servers::TwoAndAVote,
    },
];

struct Act {
    name: &'static str,
    title: &'static str,
    servers: Servers,
}

/// Where an act plays. Those on the same servers share a lab, in which each finds what the ones before it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Servers {
    /// The story's.
    Three,
    /// Two, and a host outside. Played only when it is named.
    TwoAndAVote,
}

impl Servers {
    fn lab(self, speed: f64) -> Builder {
        let builder = Lab::builder().speed(speed);
        match self {
            Self::Three => builder.nodes(3),
            Self::TwoAndAVote => builder.nodes(2).qnetd(two_servers::VOTE),
        }
    }
}

/// How a demo is played.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Where its lab runs on afterwards, that of the first act; nothing is left without.
    pub keep: Option<&'a Path>,
    /// By what the durations of tools and timers are divided.
    pub speed: f64,
    /// The coordinator is killed in the middle of the drill.
    pub kill_coordinator: bool,
}

/// What a demo leaves.
#[derive(Debug)]
pub struct Played {
    /// Acts that passed.
    pub passed: usize,
    /// Acts that failed.
    pub failed: usize,
}

/// Are there acts of these names, and can they be played like this?
///
/// # Errors
/// When one is not known, or something is asked for that none of them does.
pub fn check(acts: &[String], kill_coordinator: bool) -> Result<(), LabError> {
    let known = || ACTS.iter().map(|act| act.name);
    if let Some(name) = acts.iter().find(|name| !known().any(|act| act == *name)) {
        return Err(LabError::NoSuchAct {
            name: name.clone(),
            known: known().collect(),
        });
    }
    if kill_coordinator && !played(acts).any(|act| act.name == DRILL) {
        return Err(LabError::Refused(format!(
            "--kill-coordinator is a part of the act {DRILL}, which is not played"
        )));
    }
    Ok(())
}

/// Those that are named; without names, the story.
fn played(acts: &[String]) -> impl Iterator<Item = &'static Act> {
    ACTS.iter().filter(|act| {
        if acts.is_empty() {
            act.servers == Servers::Three
        } else {
            acts.iter().any(|name| name == act.name)
        }
    })
}

/// Plays acts (the whole story when none is named), in a lab that then runs on if it shall; or in a temporary one, of which nothing is left.
///
/// # Errors
/// When an act is not known, the product can't be built, or the lab does not come up.
pub async fn play(acts: &[String], wanted: &Wanted<'_>, print: Print<'_>) -> Result<Played, LabError> {
    check(acts, wanted.kill_coordinator)?;
    build().await?;
    let mut there: Option<(Servers, Lab)> = None;
    let (mut passed, mut failed) = (0, 0);
    for act in played(acts) {
        let lab = match there.take() {
            Some((servers, lab)) if servers == act.servers => lab,
            before => {
                let mut builder = act.servers.lab(wanted.speed);
                if let (None, Some(dir)) = (&before, wanted.keep) {
                    builder = builder.dir(dir).keep();
                }
                // One that is not kept ends here: two at once share the machine.
                drop(before);
                builder.start().await?
            }
        };
        let narrator = Narrator::new(&lab, print);
        narrator.title(act.name, act.title);
        let began = Instant::now();
        let result = match act.name {
            "cluster" => cluster::play(&narrator).await,
            "storage" => storage::play(&narrator).await,
            "guests" => guests::play(&narrator).await,
            DRILL => drill::play(&narrator, wanted.kill_coordinator).await,
            "two-servers" => two_servers::play(&narrator).await,
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
        there = Some((act.servers, lab));
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
