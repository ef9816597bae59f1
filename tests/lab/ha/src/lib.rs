//! A model of PVE's HA manager: CRM, LRM, locks, watchdogs, the choice of a node, as state machines with a virtual clock.
//!
//! The daemons ([`crm::Crm`], [`lrm::Lrm`]) know the world only through [`mod@env`]: they run unchanged in the regression simulator
//! ([`sim`]), which plays scenarios in the form of PVE's own ([`scenario`]) and compares logs ([`check`]), and in any other world that
//! gives them time, locks, membership, files and guests.
//!
//! What is modelled is PVE's behaviour as its documentation, its source and its tests show it; no code of it is used. Sections named
//! "facts" are those of the project's notes on PVE.

mod check;
pub mod constants;
pub mod crm;
pub mod env;
pub mod groups;
pub mod load;
pub mod locks;
pub mod log;
pub mod lrm;
pub mod manager;
pub mod model;
pub mod rules;
pub mod scenario;
pub mod select;
pub mod sim;
mod topsis;
pub mod usage;
pub mod watchdog;

use std::path::Path;

pub use check::{Agreement, Difference, Event};
pub use log::LogLine;
pub use scenario::ScenarioError;

use scenario::Scenario;
use sim::Simulation;

/// Plays the scenario of a directory.
///
/// # Errors
///
/// The scenario cannot be read or played; the error names file, line and reason, or virtual second and command.
pub fn run(dir: &Path) -> Result<Vec<LogLine>, ScenarioError> {
    Simulation::new(&Scenario::read(dir)?).play()
}

/// Plays the scenario of a directory, and compares the log with its `log.expect`.
///
/// # Errors
///
/// The scenario cannot be read or played, or has no `log.expect`.
pub fn check(dir: &Path) -> Result<Agreement, ScenarioError> {
    let expected = check::expected(dir)?;
    Ok(Agreement::between(&run(dir)?, &expected))
}
