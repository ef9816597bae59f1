//! What the program says and asks: the only place that touches terminal and standard streams.
#![expect(clippy::print_stderr, reason = "this is where the program talks")]

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use quorate_agent::enroll::Enrolled;
use quorate_agent::recover::Console;
use quorate_identity::Token;
use quorate_model::Observation;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::fault::{HealPhase, MetFault};
use quorate_model::observation::disks::Edges;
use sd_notify::NotifyState;
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

/// No token comes near this, in bytes.
const LONGEST_TOKEN: u64 = 4096;

/// Logs go to stderr: systemd's journal has its own time stamps, a person needs ours.
pub(crate) fn log() {
    let filter = EnvFilter::try_from_env("QUORATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false);
    let ansi = io::stderr().is_terminal();
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.with_ansi(false).without_time().init();
    } else {
        builder.with_ansi(ansi).init();
    }
}

pub(crate) fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd does not listen");
    }
}

fn say(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match written {
        // Whoever read has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::new(ExitCode::Failed, "can't write to stdout").because(&error)),
    }
}

pub(crate) fn failure(failure: &Failure) {
    eprintln!("error: {}", failure.message);
    for cause in &failure.causes {
        eprintln!("  because: {cause}");
    }
    for finding in &failure.findings {
        eprintln!("  {finding}");
        if !finding.next.is_empty() {
            eprintln!("    next: {}", finding.next);
        }
    }
    for hint in &failure.hints {
        eprintln!("  next: {hint}");
    }
}

pub(crate) fn observation(observation: &Observation, json: bool) -> Result<(), Failure> {
    if !json {
        return say(&quorate_show::observation(observation));
    }
    let text = serde_json::to_string_pretty(observation)
        .map_err(|error| Failure::new(ExitCode::Internal, "the observation can't be put into JSON").because(&error))?;
    say(&format!("{text}\n"))
}

/// What was met of rehearsed failures. One that holds still is a failure of ours.
pub(crate) fn met(met: &[MetFault], json: bool) -> Result<(), Failure> {
    if json {
        let text = serde_json::to_string_pretty(met)
            .map_err(|error| Failure::new(ExitCode::Internal, "what was met can't be put into JSON").because(&error))?;
        say(&format!("{text}\n"))?;
    } else {
        say(&quorate_show::faults(met))?;
    }
    if met.iter().any(|met| met.phase == HealPhase::Failed) {
        let failure = Failure::new(ExitCode::Failed, "not everything could be undone");
        return Err(failure.hint("a reboot of this server ends it in any case"));
    }
    Ok(())
}

pub(crate) fn edges(edges: &Edges) -> Result<(), Failure> {
    let text = serde_json::to_string(edges)
        .map_err(|error| Failure::new(ExitCode::Internal, "what was read can't be put into JSON").because(&error))?;
    say(&format!("{text}\n"))
}

/// Whoever sits at this terminal.
#[derive(Debug)]
pub(crate) struct Terminal;

impl Console for Terminal {
    fn say(&self, text: &str) {
        if let Err(failure) = say(text) {
            tracing::warn!("{failure}");
        }
    }

    fn ask(&self, question: &str) -> Result<String, Failure> {
        if !io::stdin().is_terminal() {
            return Err(
                Failure::new(ExitCode::Usage, "nobody is there to be asked: stdin is no terminal")
                    .hint("say the server's name beforehand: --confirm CLUSTER/NODE"),
            );
        }
        say(question)?;
        let mut answer = String::new();
        io::stdin()
            .lock()
            .take(LONGEST_TOKEN)
            .read_line(&mut answer)
            .map_err(|error| Failure::new(ExitCode::Internal, "can't read the answer").because(&error))?;
        Ok(answer)
    }
}

pub(crate) fn enrolled(enrolled: &Enrolled) -> Result<(), Failure> {
    say(&format!(
        "This server is node {} of fleet {}.\n\
         Fleet's root: {}\n\
         It must be the one that quorate node invite showed on the coordinator.\n\
         The certificate is good until {} and is renewed by itself.\n\
         Next: systemctl enable --now quorate-agent\n",
        enrolled.node, enrolled.fleet, enrolled.root, enrolled.not_after
    ))
}

/// The token: from a file, from whoever types it, or from stdin. Never from the command line, which everybody can read.
pub(crate) fn token(file: Option<&Path>) -> Result<Token, Failure> {
    let unreadable = |error: io::Error| Failure::new(ExitCode::Usage, "the token can't be read").because(&error);
    let text = match file {
        Some(path) => read(std::fs::File::open(path).map_err(unreadable)?),
        None if io::stdin().is_terminal() => rpassword::prompt_password("token: ").map(Zeroizing::new),
        None => read(io::stdin().lock()),
    };
    let token = text.map_err(unreadable)?.parse::<Token>();
    token.map_err(|error| {
        Failure::new(ExitCode::Usage, "this is no token")
            .because(&error)
            .hint("copy it whole from where `quorate node invite` showed it, or invite the server again")
    })
}

fn read(from: impl io::Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    from.take(LONGEST_TOKEN).read_to_string(&mut text)?;
    Ok(text)
}
