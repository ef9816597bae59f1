//! What is done to a service to bring it into a state, and how that ends: the resource agent (`PVE::HA::LRM`).

use super::workers::Worker;
use crate::env::{Act, LrmEnv, Progress};
use crate::log::Level;
use crate::model::{Exit, ServiceConfig, ServiceState, Sid};

/// What became of a beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Begun {
    /// It is over already.
    Ended(Exit),
    /// It is under way.
    Going(Act),
}

/// Begins what a worker is for.
pub(super) fn begin(env: &mut dyn LrmEnv, sid: &Sid, config: Option<&ServiceConfig>, worker: &Worker) -> Begun {
    let act = match what_to_do(env, sid, config, worker) {
        Ok(act) => act,
        Err(exit) => return Begun::Ended(exit),
    };
    let progress = env.begin(sid, &act);
    match end(env, sid, &act, progress) {
        Some(exit) => Begun::Ended(exit),
        None => Begun::Going(act),
    }
}

/// What is to be done; an exit code, where it is nothing.
fn what_to_do(env: &mut dyn LrmEnv, sid: &Sid, config: Option<&ServiceConfig>, worker: &Worker) -> Result<Act, Exit> {
    if !env.knows_type(sid.kind()) {
        let line = format!("service type '{}' not implemented", sid.kind());
        env.log(Level::Error, &line);
        return Err(Exit::UnknownServiceType);
    }
    let Some(config) = config else {
        let line = format!("missing resource configuration for '{sid}'");
        env.log(Level::Error, &line);
        return Err(Exit::UnknownService);
    };
    if worker.state == ServiceState::Error {
        let line = format!(
            "service {sid} is in an error state and needs manual intervention. Look up 'ERROR RECOVERY' in the \
             documentation."
        );
        env.log(Level::Error, &line);
        return Err(Exit::Success);
    }
    if config.node != env.node() {
        env.log(Level::Error, &format!("service '{sid}' not on this node"));
        return Err(Exit::WrongNode);
    }
    let runs = env.runs(sid);
    match worker.state {
        ServiceState::Started if runs => Err(Exit::Success),
        ServiceState::Started => {
            env.log(Level::Info, &format!("starting service {sid}"));
            Ok(Act::Start)
        }
        ServiceState::RequestStop | ServiceState::Stopped if !runs => Err(Exit::Success),
        ServiceState::RequestStop | ServiceState::Stopped => {
            let timeout = worker
                .timeout
                .map(|timeout| format!(" (timeout={timeout})"))
                .unwrap_or_default();
            env.log(Level::Info, &format!("stopping service {sid}{timeout}"));
            Ok(Act::Stop {
                timeout: worker.timeout,
            })
        }
        ServiceState::Migrate | ServiceState::Relocate | ServiceState::RequestStartBalance => {
            where_to(env, sid, config, worker, runs)
        }
        ServiceState::RequestStart
        | ServiceState::Fence
        | ServiceState::Recovery
        | ServiceState::Freeze
        | ServiceState::Error => {
            env.log(Level::Error, &format!("implement me (cmd '{}')", worker.state));
            Err(Exit::UnknownCommand)
        }
    }
}

fn where_to(env: &mut dyn LrmEnv, sid: &Sid, config: &ServiceConfig, worker: &Worker, runs: bool) -> Result<Act, Exit> {
    let Some(target) = &worker.target else {
        let line = format!("{} '{sid}' failed - missing target", worker.state);
        env.log(Level::Error, &line);
        return Err(Exit::NotRun);
    };
    if config.node == *target {
        return Err(Exit::Success);
    }
    if worker.state == ServiceState::RequestStartBalance && runs {
        let line = format!("ignoring rebalance-on-start for service {sid} - already running");
        env.log(Level::Info, &line);
        return Err(Exit::Ignored);
    }
    Ok(Act::Move {
        target: target.clone(),
        online: worker.state == ServiceState::Migrate,
    })
}

/// How what was begun ended; nothing while it goes on.
pub(super) fn end(env: &mut dyn LrmEnv, sid: &Sid, act: &Act, progress: Progress) -> Option<Exit> {
    let done = match progress {
        Progress::Going => return None,
        Progress::Failed => return Some(Exit::NotRun),
        Progress::Ended { done } => done,
    };
    let runs = env.runs(sid);
    let (exit, level, line) = match act {
        Act::Start if runs => (Exit::Success, Level::Info, format!("service status {sid} started")),
        Act::Start => (Exit::Error, Level::Warning, format!("unable to start service {sid}")),
        Act::Stop { .. } if !runs => (Exit::Success, Level::Info, format!("service status {sid} stopped")),
        Act::Stop { .. } => {
            let line = format!("unable to stop service {sid} (still running)");
            (Exit::Error, Level::Info, line)
        }
        Act::Move { .. } if done => return Some(Exit::Success),
        Act::Move { .. } => {
            let line = format!("service {sid} not moved (migration error)");
            (Exit::Error, Level::Error, line)
        }
    };
    env.log(level, &line);
    Some(exit)
}
