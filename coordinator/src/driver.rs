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
}

/// Who said that somebody else drives, and in which words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Superseded {
    at: Timestamp,
    node: NodeRef,
    reason: String,
}

/// This process's right to drive, as long as nobody takes it.
#[derive(Debug)]
pub(crate) struct Seat {
    path: PathBuf,
    driver: Driver,
    first_start: bool,
    document: Mutex<Document>,
}

impl Seat {
    /// Takes the next generation, durably. A superseded coordinator may do so only with `take_over`.
    pub(crate) fn take(path: &Path, take_over: bool) -> Result<Self, Failure> {
        let unusable = |error: &documents::DocumentError| {
            Failure::new(ExitCode::Failed, "can't take the next generation").because(error)
        };
        let stored: Option<Document> = documents::load(path).map_err(|error| unusable(&error))?;
        let first_start = stored.is_none();
        let mut document = stored.unwrap_or_default();
        if let Some(superseded) = document.superseded.take()
            && !take_over
        {
            let finding = finding(&superseded);
            return Err(Failure::new(ExitCode::Refused, "another coordinator drives this fleet")
                .hint(finding.next.clone())
                .with(vec![finding]));
        }
        document.generation = Generation(document.generation.max(document.highest_seen).0 + 1);
        documents::save(path, &document).map_err(|error| unusable(&error))?;
        let instance = InstanceId::new(format!("{:016x}", rand::random::<u64>()))
            .map_err(|error| Failure::new(ExitCode::Internal, "can't name this process").because(&error))?;
        let driver = Driver {
            generation: document.generation,
            instance,
        };
        Ok(Self {
            path: path.to_owned(),
            driver,
            first_start,
            document: Mutex::new(document),
        })
    }

    /// As whom agents know us.
    pub(crate) fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Has no coordinator ever run on this state?
    pub(crate) fn first_start(&self) -> bool {
        self.first_start
    }

    /// May we change anything?
    pub(crate) fn check(&self) -> Result<&Driver, Box<Finding>> {
        match &self.document().superseded {
            None => Ok(&self.driver),
            Some(superseded) => Err(Box::new(finding(superseded))),
        }
    }

    /// An agent obeys another coordinator: from now on nothing is driven, nor after a restart. `seen`: that coordinator's
    /// generation, if the agent told.
    pub(crate) fn lose(&self, at: Timestamp, node: &NodeRef, reason: &str, seen: Option<Generation>) {
        let mut document = self.document();
        document.highest_seen = document.highest_seen.max(seen.unwrap_or_default());
        if document.superseded.is_none() {
            tracing::error!(%node, reason, "superseded: another coordinator drives; nothing is changed from here any more");
            document.superseded = Some(Superseded {
                at,
                node: node.clone(),
                reason: reason.to_owned(),
            });
        }
        if let Err(error) = documents::save(&self.path, &*document) {
            // The agents remember; the next attempt after a restart will be refused again.
            tracing::error!(
                error = sentence(&error),
                "can't keep that another coordinator has taken over"
            );
        }
    }

    fn document(&self) -> MutexGuard<'_, Document> {
        self.document.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn every_start_has_a_higher_generation_and_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("driver.json");
        let (first, second) = (Seat::take(&path, false).unwrap(), Seat::take(&path, false).unwrap());
        assert!(first.first_start() && !second.first_start());
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
        let seat = Seat::take(&path, false).unwrap();
        assert!(seat.check().is_ok());
        seat.lose(
            Timestamp(0),
            &node(),
            "generation 7 has taken over",
            Some(Generation(7)),
        );
        assert_eq!(seat.check().unwrap_err().code, Code::DriverSuperseded);

        let refused = Seat::take(&path, false).unwrap_err();
        assert_eq!(refused.exit, ExitCode::Refused);
        assert!(
            refused.findings[0].message.contains("generation 7"),
            "{}",
            refused.findings[0].message
        );
        assert!(Seat::take(&path, false).is_err(), "asking twice must not help");

        let back = Seat::take(&path, true).unwrap();
        assert_eq!(back.driver().generation, Generation(8));
        assert!(back.check().is_ok());
        assert!(Seat::take(&path, false).is_ok());
    }
}
