//! The only place that starts a process.
//!
//! Whoever wants to run a host tool says *what* as data and gets back *everything that happened* as data:
//!
//! - a program is named by its absolute path ([`Tools`] finds it) and an argument vector; there is no shell and no
//!   search path that the environment could bend;
//! - the environment is cleared and replaced by [`ENVIRONMENT`], so that output has one language and one shape;
//! - secrets go by stdin ([`Stdin::bytes`]), which no `Debug`, error or log shows;
//! - **reads** ([`OsRunner`]) have a deadline and a cap on their output. At the deadline the whole process group is
//!   killed; what cannot be killed because it hangs in the kernel is abandoned, never waited for;
//! - **changes** ([`supervise`]) have none: killing a tool half-way leaves half-states. Their output goes straight to
//!   files, so that the death of the one who watches cannot become a broken pipe for the tool;
//! - what must see the host as PID 1 does, and not from within a service's sandbox, runs in a transient unit ([`UnitRunner`]);
//! - [`spawn_detached`] starts the one who watches, out of reach of its parent's end.

mod capture;
mod command_line;
mod detach;
mod error;
mod finished;
mod group;
mod identity;
mod invocation;
mod quote;
mod run;
#[cfg(any(test, feature = "scripted"))]
pub mod scripted;
mod spawn;
mod stdin;
mod supervise;
mod surroundings;
mod tools;
mod transcript;
mod unit;

pub use command_line::{Arg, CommandLine, InvalidCommand};
pub use detach::{Sink, spawn_detached};
pub use error::ExecError;
pub use finished::{Exit, Finished, NotUtf8, Partial};
pub use identity::ProcessIdentity;
pub use invocation::{DEFAULT_DEADLINE, DEFAULT_OUTPUT_CAP, Invocation, InvocationBuilder};
pub use run::{OsRunner, RunFuture, Runner};
pub use spawn::ENVIRONMENT;
pub use stdin::{SecretBytes, Stdin};
pub use supervise::{Supervised, supervise};
pub use surroundings::{inside_a_service, systemd_runs};
pub use tools::{InvalidToolDirectory, ToolMissing, Tools};
pub use transcript::{Outcome, Transcript};
pub use unit::UnitRunner;
