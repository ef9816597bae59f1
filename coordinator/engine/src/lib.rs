//! Executes plans: what is intended is durable before it is asked for, what was asked for is followed to its end, and nothing
//! counts as done before a fresh observation shows it. A rollout may be taken up again at any point by the same function.
//!
//! ```text
//!  plan ──▶ run (one task a step, as the DAG allows) ──▶ Agents ──▶ operation events
//!              │ every transition                          │
//!              ▼                                           ▼
//!           log (what may follow what) ──▶ Journal      View ──▶ gates, done_when
//! ```
//!
//! [`ports`] is what the engine needs of the world; it knows neither the store nor the wire.

pub mod log;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
mod operation_id;
mod outlook;
pub mod patience;
pub mod ports;
pub mod recovery;
pub mod run;
pub mod summary;
#[cfg(test)]
mod tests;

pub use log::{IllegalRecord, RolloutState};
pub use operation_id::operation_id;
pub use patience::Patience;
pub use run::{Ports, RunError, run_rollout};
pub use summary::summary;
