//! `pvesh set /cluster/options`: what holds for the whole cluster.

use quorate_exec::{Invocation, Tools};

use super::NAME;
use crate::CallError;

/// Sets `migration`, whole: what is left out of it is gone.
///
/// # Errors
/// When pvesh is not installed.
pub fn set_migration(tools: &Tools, migration: &str) -> Result<Invocation, CallError> {
    let call = tools
        .call(NAME)?
        .args(["set", "/cluster/options", "--migration", migration]);
    Ok(call.build()?)
}
