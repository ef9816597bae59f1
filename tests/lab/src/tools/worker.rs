//! PVE's worker processes: what a task prints goes to its log and to the caller; its failure shows on stderr, while the
//! caller's program still ends with 0.

use std::time::Duration;

use super::Call;
use super::io::Stop;
use crate::world::complain;
use crate::world::oplog::What;

/// Why a task ends without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Perl's `die`.
    Died(String),
    /// From outside.
    Stopped(Stop),
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

pub(crate) fn died<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Died(text.into()))
}

/// By which name a tool's tasks stand in the journal.
fn unit(tool: &str) -> &'static str {
    match tool {
        "qm" => "qm",
        "pct" => "pct",
        _ => "pvecm",
    }
}

/// One running task.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    pub(crate) call: &'a Call,
    pub(crate) upid: String,
}

impl<'a> Worker<'a> {
    pub(crate) fn start(call: &'a Call, kind: &'static str, id: &str) -> Self {
        let upid = call.world.with(|state| {
            let Some(server) = state.servers.get_mut(call.node) else {
                return String::new();
            };
            let (name, now, booted, pid) = (server.spec.name.clone(), server.now(), server.booted, server.pid());
            let upid = server
                .tasks
                .start(&name, pid, booted, now, kind, id)
                .unwrap_or_else(|error| {
                    complain(&format!("{name}: can't write the task list: {error}"));
                    String::new()
                });
            server.log(unit(&call.tool), pid, format!("<root@pam> starting task {upid}"));
            state.note(Some(call.node), What::TaskStarted, upid.clone());
            upid
        });
        Self { call, upid }
    }

    /// Prints to the task's log, then to the caller. A caller that has gone kills the worker here: SIGPIPE.
    pub(crate) async fn say(&self, text: &str) -> Result<(), Failure> {
        self.call.world.with(|state| {
            if let Some(server) = state.servers.get_mut(self.call.node)
                && let Err(error) = server.tasks.say(&self.upid, text)
            {
                complain(&format!("{}: can't write a task's log: {error}", server.name()));
            }
        });
        Ok(self.call.io.out(text).await?)
    }

    pub(crate) async fn pause(&self, ms: u64) -> Result<(), Failure> {
        Ok(self.call.io.pause(Duration::from_millis(ms)).await?)
    }

    /// Ends the task; returns the tool's exit code, which is 0 whatever happened.
    pub(crate) async fn end(self, result: Result<(), Failure>) -> Result<i32, Stop> {
        self.end_with(result, 0).await
    }

    /// Ends the task of a tool that does tell of a failure, by this exit code.
    pub(crate) async fn end_with(self, result: Result<(), Failure>, failed: i32) -> Result<i32, Stop> {
        let (status, stop) = match result {
            Ok(()) => ("OK".to_owned(), None),
            Err(Failure::Died(text)) => (text, None),
            Err(Failure::Stopped(Stop::Terminated)) => ("received interrupt".to_owned(), None),
            Err(Failure::Stopped(stop)) => (String::new(), Some(stop)),
        };
        let line = status.trim_end().replace('\n', " ");
        self.call.world.with(|state| {
            let Some(server) = state.servers.get_mut(self.call.node) else {
                return;
            };
            if stop.is_some() {
                server.tasks.vanish(&self.upid);
                state.note(Some(self.call.node), What::TaskEnded, format!("{} died", self.upid));
                return;
            }
            let now = server.now();
            if let Err(error) = server.tasks.end(&self.upid, now, &line) {
                complain(&format!("{}: can't write the task list: {error}", server.name()));
            }
            let pid = server.next_pid;
            server.log(
                unit(&self.call.tool),
                pid,
                format!("<root@pam> end task {} {line}", self.upid),
            );
            state.note(Some(self.call.node), What::TaskEnded, format!("{} {line}", self.upid));
        });
        match stop {
            Some(stop) => Err(stop),
            None if line == "OK" => Ok(0),
            None => {
                self.call.io.err(&format!("{line}\n")).await?;
                // It tells the cluster of its task's end, too.
                let alone = self.call.server(|server, _| !server.pmxcfs.running);
                if alone == Some(true) {
                    self.call
                        .io
                        .err("ipcc_send_rec[4] failed: Connection refused\n")
                        .await?;
                }
                Ok(failed)
            }
        }
    }
}
