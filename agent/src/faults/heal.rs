//! How a fault is taken back, and in which phase it was met.

use std::path::Path;
use std::time::Duration;

use quorate_model::fault::{FaultEnd, HealPhase, MetFault, rules};
use quorate_model::ids::OperationId;
use quorate_model::observation::pools::VdevState;
use quorate_model::time::spoken;
use quorate_tools::nft::{self, EVERYTHING, Table};
use quorate_tools::systemctl;

use super::inject::{disk_state, is_active};
use super::records::{self, Held, Undo};
use super::{STAGE, boot, guests, is_watched, unit};
use crate::errors::chain;
use crate::host::{Host, complaint};

/// A server whose links are back by then gets its lock in time, and nothing happens to it.
const SURELY_IN_TIME: Duration = Duration::from_secs(25);
/// From here on the watchdog may have stopped waiting, and nothing holds the reset up any more.
const TOO_LATE: Duration = Duration::from_secs(50);
/// Until then no guest of the server's has been given to another one.
const NOTHING_MOVED: Duration = Duration::from_secs(55);

/// How often it is looked whether the server is back.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Takes faults back: one, or all, and then also what was left by one that nobody noted. With `only_look` nothing is changed.
pub async fn heal(host: &Host, state_dir: &Path, which: Option<&OperationId>, only_look: bool) -> Vec<MetFault> {
    let (all, broken) = records::all(state_dir);
    let mut met = Vec::new();
    for held in all.iter().filter(|held| which.is_none_or(|id| held.id == *id)) {
        match &held.ended {
            None if only_look => met.push(looked(host, held).await),
            None => met.push(undone(host, state_dir, held).await),
            // Whoever asks for all of them asks for those that are not over.
            Some(_) if which.is_none() => {}
            Some(ended) => {
                let said = format!("it ended at {}: {}", ended.at, ended.how);
                met.push(told(held, HealPhase::NothingThere, vec![said]));
            }
        }
    }
    let Some(id) = which else {
        met.extend(broken.into_iter().map(|why| unnoted(HealPhase::Failed, why)));
        met.extend(leftovers(host, state_dir, only_look).await);
        return met;
    };
    if met.is_empty() {
        let why = match broken.as_slice() {
            [] => format!("no fault {id} was ever noted here"),
            some => format!(
                "no fault {id} is noted here, as far as that can be told: {}",
                some.join("; ")
            ),
        };
        // It may be the one that can't be read.
        let phase = if broken.is_empty() {
            HealPhase::NothingThere
        } else {
            HealPhase::Failed
        };
        met.push(MetFault {
            id: Some(id.clone()),
            ..unnoted(phase, why)
        });
    }
    met
}

pub(super) fn told(held: &Held, phase: HealPhase, said: Vec<String>) -> MetFault {
    MetFault {
        id: Some(held.id.clone()),
        fault: Some(held.fault.clone()),
        begun_at: Some(held.noted_at),
        ends_at: held.ends_at,
        phase,
        said,
    }
}

fn unnoted(phase: HealPhase, said: String) -> MetFault {
    MetFault {
        id: None,
        fault: None,
        begun_at: None,
        ends_at: None,
        phase,
        said: vec![said],
    }
}

/// Tables of ours that no open note knows of: they go.
pub(super) async fn leftovers(host: &Host, state_dir: &Path, only_look: bool) -> Vec<MetFault> {
    let found = match tables(host).await {
        Ok(found) => found,
        Err(why) => return vec![unnoted(HealPhase::Failed, why)],
    };
    // Read after the tables: a note is there before its table.
    let (open, _) = records::open(state_dir);
    let mut met = Vec::new();
    for table in found {
        if open.iter().any(|held| held.undo.table().as_ref() == Some(&table)) {
            continue;
        }
        if only_look {
            met.push(unnoted(
                HealPhase::Holds,
                format!("nft table {table}, of which no note is left"),
            ));
            continue;
        }
        let deleted = host.run(nft::delete(host.tools(), &table)).await;
        met.push(match tables(host).await {
            Ok(left) if !left.contains(&table) => unnoted(
                HealPhase::Undone,
                format!("nft table {table}, of which no note was left, is gone"),
            ),
            Ok(_) => unnoted(
                HealPhase::Failed,
                format!("nft table {table} is still there: {}", words(deleted)),
            ),
            Err(why) => unnoted(HealPhase::Failed, why),
        });
    }
    met
}

/// The tables of ours that are there. A server without nft has none.
pub(super) async fn tables(host: &Host) -> Result<Vec<Table>, String> {
    if host.tools().find(nft::NAME).is_err() {
        return Ok(vec![]);
    }
    let stdout = host.ask(nft::list_tables(host.tools())).await;
    let stdout = stdout.map_err(|unknown| format!("which nft tables there are can't be told: {}", unknown.reason))?;
    nft::read_tables(&stdout).map_err(|error| error.to_string())
}

fn words(run: Result<quorate_exec::Finished, quorate_model::Unknown>) -> String {
    match run {
        Ok(finished) if finished.exit.is_success() => "the tool said that it succeeded".to_owned(),
        Ok(finished) => complaint("the tool", &finished).reason,
        Err(unknown) => unknown.reason,
    }
}

/// Does it hold? What can't be told is an error.
async fn holds(host: &Host, held: &Held) -> Result<bool, String> {
    if let Some(table) = held.undo.table() {
        // An empty table holds nothing up, but it is to go.
        return Ok(tables(host).await?.contains(&table));
    }
    match &held.undo {
        Undo::Start { unit } => is_active(host, unit).await.map(|active| !active),
        Undo::Online { pool, disk } => {
            let state = disk_state(host, pool.as_str(), disk).await?;
            Ok(state == VdevState::Offline)
        }
        // A guest that is started elsewhere is no longer this server's to start.
        Undo::StartGuest { guest, .. } => Ok(is_ours(host, *guest) && guests::process(host, *guest)?.is_none()),
        Undo::Ports { .. } | Undo::Addresses { .. } | Undo::Nothing => Ok(false),
    }
}

/// A machine that runs again, or is another server's by now, is not to be started at the end of the time: whoever stops it meanwhile means it.
pub(super) fn is_up_again(host: &Host, held: &Held) -> bool {
    let Undo::StartGuest {
        guest,
        killed: Some(killed),
    } = held.undo
    else {
        return false;
    };
    // Without pmxcfs nothing is seen of whose it is.
    let seen = host.root().exists("/etc/pve/.vmlist").unwrap_or(false);
    let moved = seen && !is_ours(host, guest);
    moved || matches!(guests::process(host, guest), Ok(Some(pid)) if pid != killed)
}

fn is_ours(host: &Host, guest: u32) -> bool {
    let config = format!("/etc/pve/local/qemu-server/{guest}.conf");
    host.root().exists(&config).unwrap_or(false)
}

/// What is there, without touching it.
async fn looked(host: &Host, held: &Held) -> MetFault {
    match boot(host) {
        Ok(boot) if boot != held.boot => {
            return told(
                held,
                HealPhase::NothingThere,
                vec!["the server was started anew since".to_owned()],
            );
        }
        Err(why) => return told(held, HealPhase::Failed, vec![why]),
        Ok(_) => {}
    }
    if rules(held.fault.kind()).end == FaultEnd::Person {
        return told(held, HealPhase::Person, vec![]);
    }
    match holds(host, held).await {
        Ok(true) => told(held, HealPhase::Holds, vec![]),
        Ok(false) => told(held, HealPhase::NothingThere, vec![]),
        Err(why) => told(held, HealPhase::Failed, vec![why]),
    }
}

/// Takes one back, and says in which phase it was.
pub(super) async fn undone(host: &Host, state_dir: &Path, held: &Held) -> MetFault {
    let mut said = Vec::new();
    let phase = match boot(host) {
        Err(why) => {
            said.push(why);
            HealPhase::Failed
        }
        Ok(boot) if boot != held.boot => {
            said.extend(close(host, state_dir, held, "the server was started anew"));
            HealPhase::NothingThere
        }
        Ok(_) if held.undo == Undo::Nothing => {
            said.push("nothing on this server ends it".to_owned());
            HealPhase::Person
        }
        Ok(_) => match holds(host, held).await {
            Ok(false) => {
                said.extend(timer_stopped(host, held).await);
                said.extend(close(host, state_dir, held, "it was found to be over"));
                HealPhase::NothingThere
            }
            // What can't be told is undone all the same: that does no harm twice.
            Ok(true) | Err(_) => {
                let phase = reset(host, held);
                if in_two_stages(host, held) {
                    said.extend(first_corosync(host, held).await);
                }
                match take_back(host, state_dir, held, "it was taken back").await {
                    Ok(()) => phase,
                    Err(why) => {
                        said.push(why);
                        HealPhase::Failed
                    }
                }
            }
        },
    };
    told(held, phase, said)
}

/// What is to be expected of the watchdog.
fn reset(host: &Host, held: &Held) -> HealPhase {
    if !held.fault.leads_to_reset() || !held.watched || !is_watched(host) {
        return HealPhase::Undone;
    }
    let pace = host.pace();
    match since_it_began(host, held) {
        ago if ago < pace.of(SURELY_IN_TIME) => HealPhase::Undone,
        ago if ago < pace.of(TOO_LATE) => HealPhase::MayReset,
        _ => HealPhase::ResetComing,
    }
}

fn since_it_began(host: &Host, held: &Held) -> Duration {
    let micros = host.now().0.saturating_sub(held.noted_at.0);
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// May guests of this server have been started elsewhere meanwhile?
fn in_two_stages(host: &Host, held: &Held) -> bool {
    matches!(held.undo, Undo::Ports { .. })
        && held.opens_at.is_some()
        && since_it_began(host, held) >= host.pace().of(NOTHING_MOVED)
}

/// The first stage: corosync's packets pass, and when the server is back in the cluster, no guest runs here that belongs elsewhere. Says what was
/// done; it ends when the fault does by itself.
pub(super) async fn first_corosync(host: &Host, held: &Held) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(table) = held.undo.table() {
        let flushed = host.run(nft::flush_set(host.tools(), &table, EVERYTHING)).await;
        if !matches!(&flushed, Ok(finished) if finished.exit.is_success()) {
            said.push(format!("corosync's way could not be opened first: {}", words(flushed)));
        }
    }
    let (began, pace) = (host.clock().monotonic(), host.pace());
    loop {
        let why = match guests::stop_those_of_others(host).await {
            Ok(stopped) => {
                said.extend(stopped);
                return said;
            }
            Err(why) => why,
        };
        let over = held.ends_at.is_some_and(|end| host.now() >= end);
        if over || host.clock().since(began) >= pace.of(STAGE) {
            said.push(format!(
                "whether a guest runs here that belongs to another server could not be told within {}: {why}; look at it: qm list",
                spoken(STAGE)
            ));
            return said;
        }
        tokio::time::sleep(pace.of(LOOK_EVERY)).await;
    }
}

/// Undoes it, sees that it is undone, stops the timer, and notes the end.
///
/// # Errors
/// It holds still, or can't be told.
pub(super) async fn take_back(host: &Host, state_dir: &Path, held: &Held, how: &str) -> Result<(), String> {
    let Some(call) = held.undo.call(host.tools()) else {
        return close(host, state_dir, held, how).map_or(Ok(()), Err);
    };
    // A guest that runs, or is elsewhere by now, is not started once more.
    let needed = !matches!(held.undo, Undo::StartGuest { .. }) || holds(host, held).await?;
    let run = if needed { Some(host.run(call).await) } else { None };
    match holds(host, held).await {
        Ok(false) => {}
        Ok(true) => {
            let said = run.map(words).unwrap_or_default();
            return Err(format!("it holds still: {said}"));
        }
        Err(why) => return Err(format!("whether it is undone can't be told: {why}")),
    }
    let stopped = timer_stopped(host, held).await;
    let closed = close(host, state_dir, held, how);
    match stopped.or(closed) {
        None => Ok(()),
        Some(trouble) => {
            tracing::warn!(fault = %held.id, trouble, "a fault is undone, and something of it is left");
            Ok(())
        }
    }
}

/// Stops the timer, which has nothing to do any more; if it is there. Says what went wrong.
async fn timer_stopped(host: &Host, held: &Held) -> Option<String> {
    held.ends_at?;
    let timer = format!("{}.timer", unit(&held.id));
    match is_active(host, &timer).await {
        Ok(true) => {}
        // None, or no systemd: both are fine.
        Ok(false) | Err(_) => return None,
    }
    match host.run(systemctl::stop(host.tools(), &timer)).await {
        Ok(finished) if finished.exit.is_success() => None,
        other => Some(format!("{timer} could not be stopped: {}", words(other))),
    }
}

/// Notes the end. Says what went wrong.
pub(super) fn close(host: &Host, state_dir: &Path, held: &Held, how: &str) -> Option<String> {
    let closed = records::close(state_dir, held, host.now(), how);
    closed
        .err()
        .map(|error| format!("that it ended could not be noted: {}", chain(&error)))
}
