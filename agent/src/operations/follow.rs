//! Follows a supervised tool through the files that it and its supervisor write: the same way from the first moment,
//! after the agent's death, and after a reboot.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quorate_exec::Exit;
use quorate_identity::write_secret_file;
use quorate_model::operation::OperationEventKind;

use super::actions;
use super::context::Context;
use super::folder::{Claim, FolderError, Process, Status};
use super::redact::redact;
use super::tail::Tail;

/// How often the files are looked at: often enough for somebody who watches, and no load.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A supervisor claims its operation a few milliseconds after its start; under load it may need seconds. A process does
/// not start faster in a lab.
const SUPERVISOR_WITHIN: Duration = Duration::from_secs(15);

/// How a tool ended, as far as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It was seen to end.
    Ended {
        /// How.
        exit: Exit,
        /// All that it printed on stdout and stderr.
        output: Output,
    },
    /// It did nothing but wait, and was asked to stop, since another operation waited for its place.
    GaveWay,
    /// It was never started.
    NotStarted {
        /// Why.
        reason: String,
    },
    /// It is gone, and nobody saw how.
    Lost {
        /// What is known.
        reason: String,
        /// The tool itself was seen to run, and runs no more.
        over: bool,
    },
}

/// What a tool printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Output {
    /// On stdout.
    pub(super) stdout: String,
    /// On stderr.
    pub(super) stderr: String,
}

/// Why a tool can't be followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    /// A file of the operation can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The output can't be read, or /proc.
    #[error("the tool can't be followed")]
    Io(#[from] io::Error),
}

/// Follows the tool to its end.
pub(super) async fn follow(ctx: &mut Context<'_>) -> Result<End, FollowError> {
    let mut stdout = Tail::new(ctx.folder.path("stdout"), ctx.log.lines(false));
    let mut stderr = Tail::new(ctx.folder.path("stderr"), ctx.log.lines(true));
    let mut announced = ctx
        .log
        .has(|kind| matches!(kind, OperationEventKind::ToolStarted { .. }));
    let began = ctx.host.clock().monotonic();
    let mut asked_to_stop = false;
    loop {
        // The state first, the output second: what was printed before the end is then read before the end is told.
        let waited = ctx.host.clock().since(began) >= SUPERVISOR_WITHIN;
        let end = look(ctx, waited)?;
        if !announced && let Some(process) = process(ctx)? {
            announced = true;
            let command = ctx
                .folder
                .request()?
                .map_or_else(String::new, |request| request.shown());
            let pid = u32::try_from(process.identity.pid).unwrap_or_default();
            ctx.log.say(OperationEventKind::ToolStarted { command, pid });
        }
        for (tail, stderr) in [(&mut stdout, false), (&mut stderr, true)] {
            for line in tail.read(end.is_some())? {
                let text = redact(&line, ctx.secret.as_ref());
                ctx.log.say(OperationEventKind::Line { stderr, text });
            }
        }
        if let Some(end) = end {
            hide_secrets(ctx);
            let gave_way = asked_to_stop && matches!(end, End::Ended { .. });
            return Ok(if gave_way { End::GaveWay } else { end });
        }
        // One that was asked too early is not ended later, when it waits as every join does.
        if ctx.give_way.swap(false, Ordering::Relaxed) && !asked_to_stop {
            asked_to_stop = ask_to_stop(ctx)?;
        }
        ctx.say_if_overdue().await;
        tokio::time::sleep(ctx.interval(LOOK_EVERY)).await;
    }
}

/// What the tool printed stays in its folder for weeks: if it was careless enough to print a secret, that goes, now that nobody writes
/// there any more. After a restart of the agent what was handed over is no longer known, and PVE's tickets are found by their shape.
fn hide_secrets(ctx: &Context<'_>) {
    for name in ["stdout", "stderr"] {
        let path = ctx.folder.path(name);
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let hidden: Vec<String> = text.split('\n').map(|line| redact(line, ctx.secret.as_ref())).collect();
        let hidden = hidden.join("\n");
        if hidden != text
            && let Err(error) = write_secret_file(&path, &hidden)
        {
            tracing::error!(file = %path.display(), %error, "a tool printed a secret, and it can't be taken out of what it printed");
        }
    }
}

/// Asks the tool to stop, if it does nothing but wait; `false`: it does more, or does not run.
fn ask_to_stop(ctx: &Context<'_>) -> Result<bool, FollowError> {
    let Some(Status::Running { process }) = ctx.folder.status()? else {
        return Ok(false);
    };
    if !process.is_alive()? || !actions::only_waits(ctx, &output(ctx)?) {
        return Ok(false);
    }
    tracing::info!(operation = %ctx.operation.id, "its tool only waits, and gives way to another operation");
    process.identity.terminate()?;
    Ok(true)
}

fn process(ctx: &Context<'_>) -> Result<Option<Process>, FolderError> {
    Ok(match ctx.folder.status()? {
        Some(Status::Running { process } | Status::Ended { process, .. }) => Some(process),
        Some(Status::NotStarted { .. }) | None => None,
    })
}

/// The tool's end, if it is over, by what is on disk and in /proc.
fn look(ctx: &Context<'_>, waited: bool) -> Result<Option<End>, FollowError> {
    let supervisor = match ctx.folder.claimed()? {
        Some(Claim::Abandoned { reason }) => return Ok(Some(End::NotStarted { reason })),
        Some(Claim::Supervisor { process }) => process,
        None => {
            if waited {
                let reason = "its supervisor did not start in time".to_owned();
                // If the supervisor comes in this very moment, its claim counts, and we see it next time.
                ctx.folder.claim(&Claim::Abandoned { reason })?;
            }
            return Ok(None);
        }
    };
    // Whether it lives first, what it wrote second: the last word of a dead one is there by then.
    let supervised = supervisor.is_alive()?;
    let lost = |how_far: &str, over| {
        let reason = format!("the tool's supervisor was killed, or the server restarted, before {how_far}");
        Ok(Some(End::Lost { reason, over }))
    };
    match ctx.folder.status()? {
        Some(Status::NotStarted { reason }) => Ok(Some(End::NotStarted { reason })),
        Some(Status::Ended { exit, .. }) => Ok(Some(End::Ended {
            exit,
            output: output(ctx)?,
        })),
        Some(Status::Running { process }) if !supervised && !process.is_alive()? => {
            lost("the tool's end was seen", true)
        }
        None if !supervised => {
            // Nothing outlives the server's own restart.
            lost("it said whether the tool runs", !supervisor.is_of_this_boot()?)
        }
        Some(Status::Running { .. }) | None => Ok(None),
    }
}

/// What the tool printed so far, whole up to a limit that no real tool comes near.
pub(super) fn output(ctx: &Context<'_>) -> io::Result<Output> {
    const LIMIT: u64 = 1024 * 1024;
    let read = |name| {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        match std::fs::File::open(ctx.folder.path(name)) {
            Ok(file) => file.take(LIMIT).read_to_end(&mut bytes).map(drop)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Output {
        stdout: read("stdout")?,
        stderr: read("stderr")?,
    })
}
