//! The driver's seat: under which generation this process drives, and whether another coordinator has taken over.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::Driver;
use quorate_model::{Code, Finding, Generation, InstanceId, NodeRef, Timestamp};
use serde::{Deserialize, Serialize};

use crate::documents;
use crate::trust::sentence;

/// `driver.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// The generation of the last start.
    generation: Generation,
    /// The highest that an agent has ever told of.
    highest_seen: Generation,
    /// Set when an agent refused us because of another coordinator.
    superseded: Option<Superseded>,
    /// This document came from a backup, since when generations may have been taken that it does not know of.
    #[serde(default)]
    restored: bool,
}

/// Writes the record of a coordinator that begins again from a backup: its first start asks the agents how high it must go.
pub(crate) fn save_restored(path: &Path, generation: Generation) -> Result<(), documents::DocumentError> {
    let document = Document {
        generation,
        restored: true,
        ..Document::default()
    };
    documents::save_kept(path, &document)
}

/// Who said that somebody else drives, and in which words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Superseded {
    at: Timestamp,
    node: NodeRef,
    reason: String,
}

/// The highest generation that the record knows of; none where there is no record.
pub(crate) fn highest_known(path: &Path) -> Generation {
    match documents::read_kept::<Document>(path) {
        Ok(document) => document.map_or_else(Generation::default, |d| d.generation.max(d.highest_seen)),
        Err(error) => {
            tracing::warn!(error = sentence(&error), "the record of generations can't be read");
            Generation::default()
        }
    }
}

/// This process's right to drive, as long as nobody takes it.
#[derive(Debug)]
pub(crate) struct Seat {
    path: PathBuf,
    instance: InstanceId,
    take_over: bool,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    document: Document,
    /// Why it is not known under which generation was driven before; until it is, nothing is changed.
    unknown: Option<String>,
}

/// How [`Seat::take`] finds things.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Drive again although another coordinator has taken over.
    pub(crate) take_over: bool,
    /// A coordinator has run on this state before: that it left no record is damage.
    pub(crate) used_before: bool,
}

impl Seat {
    /// Takes the next generation, durably. A superseded coordinator may do so only by taking over. If the record of earlier
    /// generations is lost, nothing is taken before the agents were asked: see [`Seat::unknown`] and [`Seat::settle`].
    pub(crate) fn take(path: &Path, asked: Asked) -> Result<Self, Failure> {
        let unusable = |error: &documents::DocumentError| {
            Failure::new(ExitCode::Failed, "can't take the next generation").because(error)
        };
        let (mut document, unknown) = match documents::load_kept::<Document>(path) {
            Ok(Some(document)) if document.restored => {
                let why = "this state came from a backup".to_owned();
                (document, Some(why))
            }
            Ok(Some(document)) => (document, None),
            Ok(None) if asked.used_before => (Document::default(), Some(format!("{} is gone", path.display()))),
            Ok(None) => (Document::default(), None),
            Err(documents::DocumentError::Damaged { .. }) => (
                Document::default(),
                Some(format!("{} and its copy are damaged", path.display())),
            ),
            Err(error) => return Err(unusable(&error)),
        };
        if let Some(superseded) = document.superseded.take()
            && !asked.take_over
        {
            let finding = finding(&superseded);
            return Err(Failure::new(ExitCode::Refused, "another coordinator drives this fleet")
                .hint(finding.next.clone())
                .with(vec![finding]));
        }
        let instance = InstanceId::new(format!("{:016x}", rand::random::<u64>()))
            .map_err(|error| Failure::new(ExitCode::Internal, "can't name this process").because(&error))?;
        let take_over = asked.take_over || document.restored;
        let seat = Self {
            path: path.to_owned(),
            instance,
            take_over,
            held: Mutex::new(Held { document, unknown }),
        };
        if seat.unknown().is_none() {
            seat.raise(Generation::default()).map_err(|error| unusable(&error))?;
        }
        Ok(seat)
    }

    /// As whom agents know us.
    pub(crate) fn driver(&self) -> Driver {
        Driver {
            generation: self.held().document.generation,
            instance: self.instance.clone(),
        }
    }

    /// Why it is not known under which generation was driven before, if it isn't.
    pub(crate) fn unknown(&self) -> Option<String> {
        self.held().unknown.clone()
    }

    /// May it go above the generation of a coordinator that it does not know?
    pub(crate) fn may_take_over(&self) -> bool {
        self.take_over
    }

    /// The agents have told the highest generation that they know of: from now on we drive under the next, durably.
    pub(crate) fn settle(&self, highest: Generation) -> Result<Generation, documents::DocumentError> {
        let generation = self.raise(highest)?;
        self.held().unknown = None;
        Ok(generation)
    }

    fn raise(&self, highest: Generation) -> Result<Generation, documents::DocumentError> {
        let mut held = self.held();
        let mut document = held.document.clone();
        document.highest_seen = document.highest_seen.max(highest);
        document.generation = Generation(document.generation.max(document.highest_seen).0 + 1);
        document.restored = false;
        documents::save_kept(&self.path, &document)?;
        held.document = document;
        Ok(held.document.generation)
    }

    /// May we change anything?
    pub(crate) fn check(&self) -> Result<Driver, Box<Finding>> {
        let held = self.held();
        if let Some(superseded) = &held.document.superseded {
            return Err(Box::new(finding(superseded)));
        }
        if let Some(why) = &held.unknown {
            return Err(Box::new(Finding::new(
                Code::GenerationLost,
                "",
                format!("{why}: the agents are being asked under which generation they were driven"),
                "wait a moment; if it lasts, see which servers don't answer: quorate status",
            )));
        }
        drop(held);
        Ok(self.driver())
    }

    /// An agent obeys another coordinator: from now on nothing is driven, nor after a restart. `seen`: that coordinator's
    /// generation, if the agent told.
    pub(crate) fn lose(&self, at: Timestamp, node: &NodeRef, reason: &str, seen: Option<Generation>) {
        let mut held = self.held();
        let document = &mut held.document;
        document.highest_seen = document.highest_seen.max(seen.unwrap_or_default());
        if document.superseded.is_none() {
            tracing::error!(%node, reason, "superseded: another coordinator drives; nothing is changed from here any more");
            document.superseded = Some(Superseded {
                at,
                node: node.clone(),
                reason: reason.to_owned(),
            });
        }
        if let Err(error) = documents::save_kept(&self.path, &*document) {
            // The agents remember; the next attempt after a restart will be refused again.
            tracing::error!(
                error = sentence(&error),
                "can't keep that another coordinator has taken over"
            );
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn finding(superseded: &Superseded) -> Finding {
    Finding::new(
        Code::DriverSuperseded,
        superseded.node.to_string(),
        format!(
            "{} has refused this coordinator at {}: {}",
            superseded.node, superseded.at, superseded.reason
        ),
        "make sure which coordinator is to drive, stop the other one, then here: quorate serve --take-over",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeRef {
        "hk1/prox1".parse().unwrap()
    }

    fn take(path: &Path, take_over: bool) -> Result<Seat, Failure> {
        let used_before = false;
        Seat::take(path, Asked { take_over, used_before })
    }

    #[test]
    fn every_start_has_a_higher_generation_and_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("driver.json");
        let (first, second) = (take(&path, false).unwrap(), take(&path, false).unwrap());
        assert_eq!(
            (first.driver().generation, second.driver().generation),
            (Generation(1), Generation(2))
        );
        assert_ne!(first.driver().instance, second.driver().instance);
    }

    #[test]
    fn a_superseded_coordinator_comes_back_only_by_taking_over_above_what_it_saw() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("driver.json");
        let seat = take(&path, false).unwrap();
        assert!(seat.check().is_ok());
        seat.lose(
            Timestamp(0),
            &node(),
            "generation 7 has taken over",
            Some(Generation(7)),
        );
        assert_eq!(seat.check().unwrap_err().code, Code::DriverSuperseded);

        let refused = take(&path, false).unwrap_err();
        assert_eq!(refused.exit, ExitCode::Refused);
        assert!(
            refused.findings[0].message.contains("generation 7"),
            "{}",
            refused.findings[0].message
        );
        assert!(take(&path, false).is_err(), "asking twice must not help");

        let back = take(&path, true).unwrap();
        assert_eq!(back.driver().generation, Generation(8));
        assert!(back.check().is_ok());
        assert!(take(&path, false).is_ok());
    }

    #[test]
    fn a_lost_record_is_made_up_for_by_asking_and_not_by_beginning_at_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("driver.json");
        take(&path, false).unwrap();
        for lost in ["gone", "damaged"] {
            for name in ["driver.json", "driver.copy"] {
                let file = dir.path().join(name);
                match lost {
                    "gone" => std::fs::remove_file(&file).unwrap(),
                    _ => std::fs::write(&file, "{").unwrap(),
                }
            }
            let asked = Asked {
                take_over: false,
                used_before: true,
            };
            let seat = Seat::take(&path, asked).unwrap();
            assert!(seat.unknown().unwrap().contains(lost));
            assert_eq!(seat.check().unwrap_err().code, Code::GenerationLost);
            assert_eq!(seat.settle(Generation(41)).unwrap(), Generation(42));
            assert_eq!(seat.check().unwrap().generation, Generation(42));
            assert_eq!(take(&path, false).unwrap().driver().generation, Generation(43));
        }
    }

    #[test]
    fn a_restored_coordinator_asks_first_and_may_go_above_anybody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("driver.json");
        save_restored(&path, Generation(5)).unwrap();
        let seat = take(&path, false).unwrap();
        assert!(seat.may_take_over() && seat.check().is_err());
        assert_eq!(seat.settle(Generation(3)).unwrap(), Generation(6));
        let next = take(&path, false).unwrap();
        assert!(!next.may_take_over() && next.check().is_ok());
    }
}
