//! A command that goes on for minutes: what it says is shown while it says it.

use std::fs;
use std::time::{Duration, Instant};

use super::narrate::{Failed, Narrator, failed};
use crate::process::Daemon;

/// As long as a command that is run in one go may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at what it has said.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// It ends with whoever follows it.
struct Followed(Daemon);

impl Drop for Followed {
    fn drop(&mut self) {
        self.0.kill();
    }
}

impl Narrator<'_> {
    /// Types a command on the coordinator's host, shows each line of its output as it comes and then gives it to `hears`, and wants 0.
    pub(super) async fn followed(
        &self,
        args: &[&str],
        mut hears: impl AsyncFnMut(&str) -> Result<(), Failed>,
    ) -> Result<String, Failed> {
        let shown = format!("quorate {}", args.join(" "));
        self.typed("coordinator", &shown);
        let log = self.lab.layout().coordinator().join("followed.log");
        fs::write(&log, "").map_err(|error| Failed::of(&error))?;
        let mut command = Followed(self.lab.quorate_in_background(args, &log)?);
        let end = Instant::now() + PATIENCE;
        let mut told = 0;
        loop {
            // Asked before its output is read: nothing comes after the end.
            let ended = command.0.ended();
            let text = fs::read(&log).map_err(|error| Failed::of(&error))?;
            let text = String::from_utf8_lossy(&text).into_owned();
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            let fresh = text.get(told..whole).unwrap_or_default();
            told = told.max(whole);
            for line in fresh.lines() {
                self.plain(line);
                hears(line).await?;
            }
            match ended {
                Some(status) if status.success() => return Ok(text),
                Some(status) => return failed(format!("`{shown}` ended with {status}")),
                None if Instant::now() >= end => return failed(format!("`{shown}` did not end in {PATIENCE:?}")),
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
}
