//! `cargo lab demo`: whatever ends it, nothing stays that was not asked for.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::output::{error, line};
use super::{Outcome, place, up};
use crate::{demo, lab};

pub(super) async fn run(acts: &[String], keep: bool, speed: f64, kill_coordinator: bool) -> Outcome {
    demo::check(acts, kill_coordinator)?;
    let dir = if keep { Some(place::claim()?) } else { None };
    let wanted = demo::Wanted {
        keep: dir.as_deref(),
        speed,
        kill_coordinator,
    };
    // Dropping the play ends and removes a lab that shall not be kept.
    let played = tokio::select! {
        played = demo::play(acts, &wanted, &line) => Some(played),
        interrupted = interrupted() => {
            interrupted?;
            None
        }
    };
    match (&dir, &played) {
        (Some(dir), Some(Ok(_))) => {
            line("\nThe lab is still running:");
            up::how_to_reach(dir, true)?;
        }
        (Some(dir), _) => {
            lab::remove(dir);
            place::release()?;
        }
        (None, _) => {}
    }
    let Some(played) = played else {
        error("interrupted; nothing of the lab is left");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let played = played?;
    let acts = if played.passed == 1 { "act" } else { "acts" };
    line(&format!("\n{} {acts} passed, {} failed", played.passed, played.failed));
    Ok(if played.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// As shells report it.
const INTERRUPTED: u8 = 130;

/// Returns when the user or the system wants an end.
async fn interrupted() -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
