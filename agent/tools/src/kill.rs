//! `kill` of procps: ends a process at once. A program of its own, so that on a simulated server no process of this machine is ever meant.

use quorate_exec::{Invocation, Tools};

use crate::CallError;

/// Its name.
pub const NAME: &str = "kill";

/// `kill -KILL PID`.
///
/// # Errors
/// When kill is not installed.
pub fn now(tools: &Tools, pid: u32) -> Result<Invocation, CallError> {
    let pid = pid.to_string();
    Ok(tools.call(NAME)?.args(["-KILL", &pid]).on_host().build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_once() {
        assert_eq!(
            now(&Tools::imagined(), 4711).unwrap().to_string(),
            "/usr/bin/kill -KILL 4711"
        );
    }
}
