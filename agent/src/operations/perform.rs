//! One operation from beginning to end: look, act, look again.

use std::time::Duration;

use quorate_exec::Exit;
use quorate_model::operation::{Action, Outcome, rules};
use quorate_model::time::spoken;
use quorate_model::{Code, Finding};

use super::actions::{self, Before, How, Said, State};
use super::context::Context;
use super::folder::Request;
use super::follow::{self, End, follow};
use super::passed::Passed;
use super::redact::redact;
use super::secret;
use crate::errors::chain;

/// How often the node is looked at while something is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a supervisor waits for the secret, and the agent for the supervisor.
const SECRET_WITHIN: Duration = Duration::from_secs(15);

/// After a tool has failed half-way, this long the node may still come right by itself: pmxcfs tries corosync every six
/// seconds.
const SETTLING: Duration = Duration::from_secs(30);

/// How an operation is taken up.
#[derive(Debug)]
pub(super) enum Start {
    /// For the first time.
    Fresh(Option<Passed>),
    /// After the agent was started again.
    Again,
}

/// Carries the operation out, or on.
pub(super) async fn perform(ctx: &mut Context<'_>, start: Start) -> Outcome {
    let was_requested = match ctx.folder.request() {
        Ok(request) => request.is_some(),
        Err(error) => return unknown(format!("its folder can't be read: {}", chain(&error)), false),
    };
    if !was_requested {
        match actions::before(ctx).await {
            Before::Reached(evidence) => return Outcome::Done { evidence },
            Before::Refused(findings) => {
                return Outcome::Failed {
                    findings,
                    unchanged: true,
                };
            }
            Before::Begun => return finish_begun(ctx).await,
            Before::Ready => {}
        }
        let refused = match start {
            Start::Fresh(passed) => start_tool(ctx, passed).await.err(),
            Start::Again => Some("the agent was restarted before the tool was started".to_owned()),
        };
        if let Some(reason) = refused {
            return not_started(ctx, reason);
        }
    }
    match follow(ctx).await {
        Ok(End::NotStarted { reason }) => not_started(ctx, reason),
        Ok(End::GaveWay) => {
            let what = "its tool only waited, and was ended for an operation that finishes or undoes it";
            Outcome::Failed {
                findings: vec![half_done(ctx, what)],
                unchanged: false,
            }
        }
        Ok(End::Ended {
            exit: Exit::Signal(_), ..
        }) => {
            // pvecm works in a child, whose words it passes on: the child may have gone on, and said more.
            let reason = "the tool was killed by somebody else";
            judge_lost(ctx, reason, false).await
        }
        Ok(End::Ended { exit, output }) => {
            let said = actions::read(ctx, &output);
            let exit = exit.to_string();
            judge(ctx, &exit, said).await
        }
        Ok(End::Lost { reason, over }) => judge_lost(ctx, &reason, over).await,
        Err(error) => judge_lost(ctx, &chain(&error), false).await,
    }
}

/// Starts the tool under a supervisor and hands it its secret.
///
/// An error means that the tool was certainly not started. What can't be told here, following finds out.
async fn start_tool(ctx: &mut Context<'_>, passed: Option<Passed>) -> Result<(), String> {
    let how = actions::of(&ctx.operation.action).how(ctx.host.tools(), passed.as_ref());
    let (command, stdin) = match how.map_err(|error| chain(&error))? {
        How::Tool(invocation) => {
            let stdin = match invocation.stdin() {
                quorate_exec::Stdin::Bytes(bytes) => Some(bytes.clone()),
                quorate_exec::Stdin::Null | quorate_exec::Stdin::File(_) => None,
            };
            (invocation.command().clone(), stdin)
        }
        How::Task => {
            let given = match &passed {
                Some(Passed::CorosyncConf(text)) => Some(text.as_bytes()),
                Some(Passed::Program(bytes)) => Some(bytes.as_slice()),
                Some(Passed::Join(_) | Passed::Storage(_)) | None => None,
            };
            let prepared = ctx.folder.write_task(ctx.operation, ctx.node, given);
            prepared.map_err(|error| chain(&error))?;
            let command = ctx.supervisor.task(&ctx.operation.id);
            (command.map_err(|error| chain(&error))?, None)
        }
    };
    // A supervisor is a new process: its start does not get faster with the lab's pace.
    let within_ms = stdin
        .as_ref()
        .map(|_| u64::try_from(SECRET_WITHIN.as_millis()).unwrap_or(u64::MAX));
    let request = Request::of(&command, within_ms).map_err(|error| chain(&error))?;
    if stdin.is_some() {
        ctx.folder.make_fifo().map_err(|error| chain(&error))?;
    }
    ctx.secret = match passed {
        Some(Passed::Join(secret)) => Some(secret.password),
        Some(Passed::Storage(password)) => Some(password),
        Some(Passed::CorosyncConf(_) | Passed::Program(_)) | None => None,
    };
    ctx.folder.write_request(&request).map_err(|error| chain(&error))?;
    let id = &ctx.operation.id;
    if let Err(error) = ctx
        .supervisor
        .start(ctx.host.runner(), ctx.host.tools(), id, ctx.folder)
        .await
    {
        // Whether it runs all the same, its claim tells; here only what is known for certain counts.
        let reason = chain(&error);
        tracing::warn!(operation = %id, %reason, "a supervisor may not have been started");
        let abandoned = super::folder::Claim::Abandoned { reason: reason.clone() };
        return match ctx.folder.claim(&abandoned) {
            Ok(true) => Err(reason),
            Ok(false) | Err(_) => Ok(()),
        };
    }
    if let Some(bytes) = stdin {
        match secret::deliver(&ctx.folder.path("secret"), &bytes, SECRET_WITHIN).await {
            Ok(true) => {}
            // The supervisor says so itself when it gives up, and until then nothing is certain.
            Ok(false) => tracing::warn!(operation = %id, "nobody took the secret over"),
            Err(error) => tracing::warn!(operation = %id, %error, "the secret could not be handed over"),
        }
    }
    Ok(())
}

/// The tool ran to its end: what it said is evidence, what the node shows decides.
async fn judge(ctx: &mut Context<'_>, exit: &str, said: Said) -> Outcome {
    let deadline = rules(ctx.operation.action.kind()).deadline;
    if said.success {
        if let Some(word) = actions::of(&ctx.operation.action).takes_its_word() {
            return Outcome::Done {
                evidence: word.to_owned(),
            };
        }
        return match wait_for(ctx, deadline).await {
            Ok(evidence) => Outcome::Done { evidence },
            Err((_, missing)) => {
                let waited = spoken(deadline);
                let reason =
                    format!("the tool said that it succeeded, but within {waited} this was not seen: {missing}");
                unknown(reason, true)
            }
        };
    }
    let patience = if said.changed { SETTLING } else { Duration::ZERO };
    let mut findings = said.findings;
    for finding in &mut findings {
        finding.message = redact(&finding.message, ctx.secret.as_ref());
    }
    let state = match wait_for(ctx, patience).await {
        // It is there all the same; what the tool complained about is not kept back.
        Ok(evidence) => {
            let complaints = findings.iter().map(|finding| finding.message.as_str());
            let complaints: Vec<&str> = complaints.collect();
            let evidence = match complaints.as_slice() {
                [] => format!("{evidence}; the tool did not say that it succeeded"),
                some => format!("{evidence}; the tool complained: {}", some.join("; ")),
            };
            return Outcome::Done { evidence };
        }
        Err((state, _)) => state,
    };
    if findings.is_empty() {
        let message = format!(
            "the tool ended with {exit} and without a word of success, while {}",
            said.stage
        );
        let next = "look at its output above, and at the server's task log: pvenode task list";
        findings.push(Finding::new(Code::StepFailed, ctx.node.as_str(), message, next));
    }
    if said.changed {
        findings.push(half_done(ctx, &format!("the tool failed while {}", said.stage)));
    }
    Outcome::Failed {
        findings,
        unchanged: !said.changed && state == State::Untouched,
    }
}

/// Nobody saw how the tool ended: only what the node shows can tell. `over`: it certainly runs no more.
async fn judge_lost(ctx: &mut Context<'_>, reason: &str, over: bool) -> Outcome {
    let action = &ctx.operation.action;
    let stage = follow::output(ctx).map(|output| actions::read(ctx, &output).stage);
    let stage = stage.unwrap_or_else(|_| "unknown".to_owned());
    match wait_for(ctx, rules(action.kind()).deadline).await {
        Ok(evidence) => Outcome::Done { evidence },
        Err((State::Untouched, _)) if over && actions::of(action).stays_here() => {
            let message = format!("{reason}; nothing of it is to be seen on the server");
            let finding = Finding::new(Code::StepFailed, ctx.node.as_str(), message, "apply again");
            Outcome::Failed {
                findings: vec![finding],
                unchanged: true,
            }
        }
        Err((_, missing)) => {
            let reason = format!("{reason}; it was last seen at: {stage}; what is missing: {missing}");
            unknown(reason, over)
        }
    }
}

/// What an earlier try began may come right by itself, and nothing else is tried.
async fn finish_begun(ctx: &mut Context<'_>) -> Outcome {
    match wait_for(ctx, rules(ctx.operation.action.kind()).deadline).await {
        Ok(evidence) => Outcome::Done { evidence },
        Err((_, missing)) => {
            let finding = half_done(
                ctx,
                &format!("an earlier try was not finished; what is missing: {missing}"),
            );
            // We changed nothing; the earlier try did.
            Outcome::Failed {
                findings: vec![finding],
                unchanged: false,
            }
        }
    }
}

/// Looks until it is there, or the time is over; then with what is there instead, and what is missing.
async fn wait_for(ctx: &mut Context<'_>, patience: Duration) -> Result<String, (State, String)> {
    let began = ctx.host.clock().monotonic();
    let mut said = String::new();
    loop {
        let state = actions::look(ctx).await;
        let missing = match &state {
            State::Reached(evidence) => return Ok(evidence.clone()),
            State::Untouched => "a trace of it is there".to_owned(),
            State::Between(missing) => missing.clone(),
        };
        if ctx.host.clock().since(began) >= ctx.pace.of(patience) {
            return Err((state, missing));
        }
        ctx.say_waiting_for(&missing, &mut said);
        ctx.say_if_overdue().await;
        tokio::time::sleep(ctx.interval(LOOK_EVERY)).await;
    }
}

fn half_done(ctx: &Context<'_>, what: &str) -> Finding {
    let node = ctx.node;
    Finding::new(
        Code::NodeHasLeftovers,
        node.as_str(),
        format!("{what}: the server may be left half-way"),
        format!(
            "look on {node}: {}; then apply again, or undo it by hand",
            where_to_look(&ctx.operation.action)
        ),
    )
}

/// What shows how far an action came.
fn where_to_look(action: &Action) -> String {
    match action {
        Action::CreatePool { layout } | Action::GrowPool { layout } => {
            format!("zpool status {}, zpool import, lsblk", layout.name)
        }
        Action::ReplaceDisk { pool, .. } => format!("zpool status {pool}, lsblk"),
        Action::WipeDisk { disk, .. } => format!("lsblk -f /dev/disk/by-id/{}", disk.link),
        Action::AddStorage { storage, .. } | Action::ExtendStorage { storage, .. } => {
            format!("grep -A9 ': {}$' /etc/pve/storage.cfg, pvesm status", storage.name)
        }
        Action::CreateReplication { job, .. }
        | Action::ChangeReplication { job, .. }
        | Action::RemoveReplication { job, .. }
        | Action::SyncReplication { job, .. } => {
            format!("grep -A9 ' {job}$' /etc/pve/replication.cfg, cat /var/log/pve/replicate/{job}")
        }
        Action::SetMigrationNetwork { .. } => "cat /etc/pve/datacenter.cfg".to_owned(),
        Action::AddHaResource { .. }
        | Action::ChangeHaResource { .. }
        | Action::SetHaRule { .. }
        | Action::SetHaGroup { .. } => "ha-manager config, ha-manager status, ls /etc/pve/ha".to_owned(),
        Action::MigrateGuest { guest, .. }
        | Action::RunGuest { guest, .. }
        | Action::CreateCanary { guest, .. }
        | Action::DestroyCanary { guest, .. } => {
            format!("pvenode task list --vmid {guest}, ha-manager status, /etc/pve/.vmlist")
        }
        Action::TakeGuest { lost, guest, .. } => {
            format!(
                "/etc/pve/.vmlist, ls /etc/pve/nodes/{lost}/*/{guest}.conf, grep -A9 ' {guest}-' /etc/pve/replication.cfg"
            )
        }
        Action::SetMaintenance { .. } => "ha-manager status, journalctl -u pve-ha-crm".to_owned(),
        Action::KeepVolumes { .. } | Action::FreeCanaryDisc { .. } => "zfs list -r -t filesystem,volume".to_owned(),
        Action::InjectFault { .. } => "quorate-agent heal --look".to_owned(),
        Action::UpgradeAgent { .. } => "dpkg --audit, systemctl status quorate-agent".to_owned(),
        _ => "pvecm status, journalctl -u corosync -u pve-cluster".to_owned(),
    }
}

fn not_started(ctx: &Context<'_>, reason: String) -> Outcome {
    let finding = Finding::new(
        Code::StepFailed,
        ctx.node.as_str(),
        format!("nothing was done: {reason}"),
        "apply again",
    );
    Outcome::Failed {
        findings: vec![finding],
        unchanged: true,
    }
}

fn unknown(reason: String, over: bool) -> Outcome {
    Outcome::Unknown { reason, over }
}
