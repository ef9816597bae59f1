//! `quorate-agent task ID`: an action that takes more than one tool. It is started and followed like a tool: a process of its own,
//! its words in files, no deadline, out of reach of the agent's end. What it does may be done again from the beginning.

mod abandon_join;
mod add_link;
mod allow_agents;
mod canary;
mod clean_up_after;
mod disk_lock;
mod fault;
mod finish_join;
mod free_canary_disc;
mod ha_rounds;
mod keep_volumes;
mod keys;
mod lock;
mod maintenance;
mod migrate;
mod pools;
mod qdevice;
mod take_guest;
mod task_log;
mod upgrade;
mod wipe_disk;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use quorate_exec::{Invocation, Sink, Stdin, supervise};
use quorate_model::Observation;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{NodeName, OperationId};
use quorate_model::operation::{Action, Operation};
use quorate_tools::CallError;
use quorate_tools::canary::New;

use super::actions::against;
use super::folder::{Folder, TaskFile};
use crate::config::Config;
use crate::errors::chain;
use crate::host::Host;
use crate::pace::Pace;
use crate::recover::taking::Taking;

/// The line after which something is changed.
pub(super) const CHANGING: &str = "begins to change something";
/// The line that says that all of it is done.
pub(super) const DONE: &str = "done";

/// A task.
#[derive(Debug)]
pub struct Task<'h> {
    host: &'h Host,
    folder: Folder,
    operation: Operation,
    node: NodeName,
    pace: Pace,
    state_dir: PathBuf,
}

/// Why a task ended early, in words that read on after the node's name.
#[derive(Debug)]
struct Stopped(String);

impl<E: std::error::Error + 'static> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self(chain(&error))
    }
}

fn stopped<T>(why: impl Into<String>) -> Result<T, Stopped> {
    Err(Stopped(why.into()))
}

impl<'h> Task<'h> {
    /// Takes up what the operation's folder says.
    ///
    /// # Errors
    /// The folder can't be used, or has no task.
    pub fn take(host: &'h Host, config: &Config, id: &OperationId) -> Result<Self, Failure> {
        let folder = Folder::of(&config.state_dir, id);
        let unusable = |what: &str| Failure::new(ExitCode::Failed, format!("operation {id}: {what}"));
        let task = folder
            .task()
            .map_err(|error| unusable("its folder can't be used").because(&error))?;
        let TaskFile { operation, node } = task.ok_or_else(|| unusable("there is no task in its folder"))?;
        Ok(Self {
            host,
            folder,
            operation,
            node,
            pace: config.lab.as_ref().map_or(Pace::REAL, |lab| lab.pace),
            state_dir: config.state_dir.clone(),
        })
    }

    /// Does it, from wherever the node is.
    ///
    /// # Errors
    /// Why it ended early; it stands on stderr.
    pub async fn run(&self) -> Result<(), Failure> {
        match self.act().await {
            Ok(()) => {
                say(DONE);
                Ok(())
            }
            Err(Stopped(why)) => Err(Failure::new(ExitCode::Failed, why)),
        }
    }

    async fn act(&self) -> Result<(), Stopped> {
        match &self.operation.action {
            Action::FinishJoin { cluster, .. } => finish_join::run(self, cluster).await,
            Action::AbandonJoin { .. } => abandon_join::run(self).await,
            Action::AddLink {
                cluster,
                link,
                addresses,
                priority,
            } => add_link::run(self, cluster, *link, addresses, *priority).await,
            Action::CleanUpAfter {
                removed, keep_folder, ..
            } => clean_up_after::run(self, removed, *keep_folder),
            Action::AdmitKeys {
                cluster,
                keys,
                from,
                minutes,
            } => keys::admit(self, cluster, keys, from, *minutes),
            Action::WithdrawKeys { cluster } => keys::withdraw(self, cluster),
            Action::SetUpQdevice { address, host_keys, .. } => qdevice::set_up(self, *address, host_keys).await,
            Action::AllowAgents { passages, from, .. } => allow_agents::run(self, passages, from),
            Action::CreatePool { layout } => pools::create(self, layout).await,
            Action::GrowPool { layout } => pools::grow(self, layout).await,
            Action::ReplaceDisk { pool, old, with, .. } => pools::replace(self, pool, old, with).await,
            Action::WipeDisk { disk, .. } => wipe_disk::run(self, disk).await,
            Action::UpgradeAgent { version, package, .. } => upgrade::run(self, *version, package).await,
            Action::MigrateGuest {
                guest,
                kind,
                target,
                how,
                managed,
                ..
            } => {
                let what = migrate::Move {
                    guest: *guest,
                    kind: *kind,
                    target,
                    how: *how,
                };
                migrate::run(self, &what, *managed).await
            }
            Action::SetMaintenance { node, on, .. } => maintenance::run(self, node, *on).await,
            Action::KeepVolumes {
                guest, volumes, since, ..
            } => keep_volumes::run(self, *guest, volumes, *since).await,
            Action::InjectFault { fault, seconds, .. } => fault::run(self, fault, *seconds).await,
            Action::CreateCanary {
                guest,
                source,
                storage,
                bridge,
                vlan,
                address,
                memory,
                program,
                ..
            } => {
                let new = New {
                    guest: *guest,
                    source,
                    storage,
                    bridge,
                    vlan: *vlan,
                    address: *address,
                    memory: *memory,
                };
                canary::create(self, new, program).await
            }
            Action::DestroyCanary { guest, kind, .. } => canary::destroy(self, *kind, *guest).await,
            Action::FreeCanaryDisc {
                guest,
                owner,
                storage,
                volume,
                ..
            } => free_canary_disc::run(self, *guest, owner, (storage, volume)).await,
            Action::TakeGuest {
                cluster,
                guest,
                kind,
                lost,
                jobs,
                copy,
                starts,
                seen_off,
            } => {
                let jobs: Vec<_> = jobs.iter().cloned().collect();
                let what = Taking {
                    cluster,
                    lost,
                    vmid: *guest,
                    kind: *kind,
                    jobs: &jobs,
                    copy: *copy,
                    starts: *starts,
                    seen_off: *seen_off,
                };
                take_guest::run(self, &what).await
            }
            other => stopped(format!("`{}` is no task", other.kind().as_str())),
        }
    }

    /// Runs a tool that changes something to its end, however long it takes; its words go where ours go.
    async fn change(&self, call: Result<Invocation, CallError>) -> Result<(), Stopped> {
        let invocation = call?;
        let command = invocation.command();
        say(&command.to_string());
        let file = |name: &str| self.folder.append(name).map(Sink::File);
        let mut tool = supervise(command, Stdin::Null, file("stdout")?, file("stderr")?)?;
        let exit = tool.wait().await?;
        if exit.is_success() {
            Ok(())
        } else {
            stopped(format!("{command} ended with {exit}"))
        }
    }

    /// What the tools have printed on stderr up to now.
    fn errors(&self) -> Result<String, Stopped> {
        let bytes = match std::fs::read(self.folder.path("stderr")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Looks once more at all that stood against the action in the instant before: a lock may have been waited for while another command
    /// changed it. Gives what was seen.
    async fn look_again(&self) -> Result<Observation, Stopped> {
        let (seen, against) = against(self.host, &self.operation.action, &self.node).await;
        if against.is_empty() {
            return Ok(seen);
        }
        let told: Vec<String> = against.into_iter().map(|finding| finding.message).collect();
        stopped(told.join("; "))
    }

    /// Waits, at the lab's pace if there is one.
    async fn pause(&self, in_life: Duration) {
        tokio::time::sleep(self.pace.of(in_life)).await;
    }

    /// A folder of the agent's own for what is put aside: never overwritten, never removed.
    fn aside(&self, what: &str) -> PathBuf {
        self.state_dir
            .join("put-aside")
            .join(format!("{what}-{}", self.operation.id))
    }
}

/// A line for whoever follows: a task speaks as a tool does, and its stdout is a file that is followed. Where that has no room left, what
/// is done goes on all the same: to end half-way would be worse than to be silent.
fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    drop(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
}
