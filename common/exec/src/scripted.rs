//! A runner that starts nothing: it compares each call with the next expected one and plays back its answer.
//!
//! Strict on purpose. A call that was not expected, in another order, with another argument or other stdin fails the
//! test, and so does an expected call that never came.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{ExecError, Exit, Finished, Invocation, RunFuture, Runner, Stdin};

/// One expected call and its answer: exit code 0 and no output unless said otherwise.
#[derive(Debug)]
#[must_use]
pub struct Call {
    argv: Vec<String>,
    stdin: Stdin,
    answer: Result<Finished, ExecError>,
}

impl Call {
    /// Expects exactly this program (absolute path) and these arguments, with empty stdin.
    pub fn of<'a>(argv: impl IntoIterator<Item = &'a str>) -> Self {
        let finished = Finished {
            exit: Exit::Code(0),
            stdout: Vec::new(),
            stderr: Vec::new(),
            stderr_truncated: false,
            left_behind: false,
            started_at: 0,
            duration: Duration::ZERO,
        };
        Self {
            argv: argv.into_iter().map(str::to_owned).collect(),
            stdin: Stdin::Null,
            answer: Ok(finished),
        }
    }

    /// Expects these bytes on stdin.
    pub fn with_stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Stdin::bytes(bytes);
        self
    }

    /// Answers with this on stdout.
    pub fn prints(self, stdout: impl Into<Vec<u8>>) -> Self {
        self.changed(|finished| finished.stdout = stdout.into())
    }

    /// Answers with this on stderr.
    pub fn complains(self, stderr: impl Into<Vec<u8>>) -> Self {
        self.changed(|finished| finished.stderr = stderr.into())
    }

    /// Answers with this end.
    pub fn exits(self, exit: Exit) -> Self {
        self.changed(|finished| finished.exit = exit)
    }

    /// Gives no answer but this error.
    pub fn fails(mut self, error: ExecError) -> Self {
        self.answer = Err(error);
        self
    }

    fn changed(mut self, change: impl FnOnce(&mut Finished)) -> Self {
        if let Ok(finished) = &mut self.answer {
            change(finished);
        }
        self
    }

    fn matches(&self, invocation: &Invocation) -> bool {
        let command = invocation.command();
        let argv = std::iter::once(command.program().as_os_str()).chain(command.args());
        argv.eq(self.argv.iter().map(std::ffi::OsStr::new)) && self.stdin == *invocation.stdin()
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with stdin {:?}", self.argv, self.stdin)
    }
}

/// Plays back calls in their order. Fails the test when dropped with calls left, or after an unexpected one.
#[derive(Debug)]
pub struct Scripted {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    expected: VecDeque<Call>,
    /// Kept and repeated at the end: the panic itself may end in a task that nobody joins.
    fault: Option<String>,
}

impl Scripted {
    /// Expects these calls, in this order.
    #[must_use]
    pub fn new(calls: impl IntoIterator<Item = Call>) -> Self {
        Self {
            state: Mutex::new(State {
                expected: calls.into_iter().collect(),
                fault: None,
            }),
        }
    }

    #[expect(clippy::panic, reason = "failing the test is this type's purpose")]
    fn answer(&self, invocation: &Invocation) -> Result<Finished, ExecError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = match state.expected.pop_front() {
            Some(call) if call.matches(invocation) => return call.answer,
            Some(call) => format!(
                "unexpected call: {invocation} with stdin {:?}\n   expected call: {call}",
                invocation.stdin()
            ),
            None => format!("unexpected call: {invocation}; no more were expected"),
        };
        state.fault = Some(fault.clone());
        drop(state);
        panic!("{fault}");
    }
}

impl Runner for Scripted {
    fn run<'a>(&'a self, invocation: &'a Invocation) -> RunFuture<'a> {
        Box::pin(async move { self.answer(invocation) })
    }
}

impl Drop for Scripted {
    #[expect(clippy::panic, reason = "failing the test is this type's purpose")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(fault) = &state.fault {
            panic!("{fault}");
        }
        if let Some(call) = state.expected.front() {
            panic!("{} expected calls never came, the first: {call}", state.expected.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::Tools;

    fn lsblk() -> Invocation {
        Tools::imagined().call("lsblk").unwrap().arg("--json").build().unwrap()
    }

    fn message(run: impl FnOnce()) -> String {
        let payload = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        payload.downcast_ref::<String>().unwrap().clone()
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn plays_back_what_was_expected() {
        let runner = Scripted::new([
            Call::of(["/usr/bin/lsblk", "--json"])
                .prints("{}")
                .complains("hm")
                .exits(Exit::Code(32)),
            Call::of(["/usr/bin/lsblk", "--json"]).fails(ExecError::NotFound {
                program: "/usr/bin/lsblk".into(),
            }),
        ]);
        let first = block_on(runner.run(&lsblk())).unwrap();
        assert_eq!(
            (first.exit, first.stdout_text(), &*first.stderr_text()),
            (Exit::Code(32), Ok("{}"), "hm")
        );
        assert!(matches!(
            block_on(runner.run(&lsblk())),
            Err(ExecError::NotFound { .. })
        ));
    }

    #[test]
    fn another_argument_or_stdin_fails_and_fails_again_at_the_end() {
        for call in [
            Call::of(["/usr/bin/lsblk", "--bytes"]),
            Call::of(["/usr/bin/lsblk", "--json"]).with_stdin("x"),
        ] {
            let runner = Scripted::new([call]);
            let seen = message(|| drop(block_on(runner.run(&lsblk()))));
            assert!(seen.starts_with("unexpected call: /usr/bin/lsblk --json"), "{seen}");
            assert_eq!(message(|| drop(runner)), seen);
        }
    }

    #[test]
    fn leftover_calls_fail() {
        let runner = Scripted::new([Call::of(["/usr/bin/lsblk", "--json"])]);
        assert!(message(|| drop(runner)).starts_with("1 expected calls never came"));
    }
}
