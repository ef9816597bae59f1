//! `quorate probe`: calls something from this host, or from nodes, and says when it did not answer.

use std::path::PathBuf;
use std::time::Duration;

use quorate_model::NodeRef;
use quorate_model::failure::{ExitCode, Failure};

use super::{Answer, Format, output};
use crate::probe::{self, Password, Strip, Target};
use crate::storage_secret::line_of;

/// Options of `quorate probe`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who is called: tcp:ADDRESS:PORT (takes a connection), tcp+banner:ADDRESS:PORT (and says something), tally:ADDRESS[:PORT] (quorate-tally in a
    /// guest), icmp:ADDRESS (a ping), http://HOST[:PORT]/PATH or https:// (a status below 500; nobody's certificate is looked at),
    /// postgres://USER@HOST[:PORT]/DATABASE[?sslmode=MODE] (takes a row each time; those that were acknowledged are counted at the end)
    #[arg(value_name = "TARGET")]
    pub(super) target: Target,
    /// For how long: 500ms, 30s, 10m, 2h; Ctrl-C ends it earlier, with what was seen until then
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = lasting)]
    pub(super) lasting: Duration,
    /// From one call to the next: 10ms to 1m
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = interval)]
    pub(super) interval: Duration,
    /// From these nodes instead of this host: CLUSTER/NODE, several with commas between; it asks the coordinator, and each of them makes at most
    /// 100 calls a second in all
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    pub(super) from: Vec<NodeRef>,
    /// Where the password for a database is: the only line of a file that nobody but its owner may use
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    password_file: Option<PathBuf>,
}

/// What is kept of each call takes memory.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Faster, this host would measure itself.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

fn lasting(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(1), LONGEST, "1ms to 24h")
}

fn interval(text: &str) -> Result<Duration, String> {
    within(text, SHORTEST_INTERVAL, LONGEST_INTERVAL, "10ms to 1m")
}

fn within(text: &str, least: Duration, most: Duration, range: &str) -> Result<Duration, String> {
    let time = time(text).ok_or_else(|| format!("`{text}` is no time; write 500ms, 30s, 10m or 2h"))?;
    let fits = (least..=most).contains(&time);
    fits.then_some(time)
        .ok_or_else(|| format!("`{text}` is not from {range}"))
}

fn time(text: &str) -> Option<Duration> {
    let end = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(end)?;
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

pub(crate) fn run(args: &Args, format: Format) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(ExitCode::Internal, "can't start the runtime").because(&e))?;
    runtime.block_on(ask(args, format))
}

async fn ask(args: &Args, format: Format) -> Answer {
    let mut strip = Strip::default();
    let seen = |number: u64, call: &_| {
        if format == Format::Table {
            output::text(&strip.takes(number, call));
        }
    };
    let until = async {
        tokio::select! {
            () = tokio::time::sleep(args.lasting) => {}
            // Where there are no signals, time ends it.
            Ok(()) = tokio::signal::ctrl_c() => {}
        }
    };
    let measured = probe::measure((&args.target, password(args)?), args.interval, until, seen).await;
    let measured = measured.map_err(|unable| failure(&args.target, &unable))?;
    match format {
        Format::Table => output::text(&format!("{}\n{measured}", strip.ends())),
        Format::Json => output::json(&serde_json::json!({ "measured": measured })),
    }
    let well = measured.gaps.is_empty() && !measured.lost();
    Ok(if well { ExitCode::Done } else { ExitCode::Degraded })
}

/// The password for a database, if one is named.
fn password(args: &Args) -> Result<Option<Password>, Failure> {
    let Some(path) = &args.password_file else {
        return Ok(None);
    };
    if !matches!(args.target, Target::Database(_)) {
        let message = format!("{} takes no password", args.target);
        return Err(Failure::new(ExitCode::Usage, message).hint("leave --password-file out"));
    }
    match line_of(path) {
        Ok(line) => Ok(Some(Password::new(line))),
        Err(unusable) => {
            let message = format!("the password in {} can't be used", path.display());
            Err(Failure::new(ExitCode::Usage, message)
                .because(&unusable)
                .hint(unusable.next.clone()))
        }
    }
}

/// What can't be called at all.
fn failure(target: &Target, unable: &probe::Unable) -> Failure {
    let exit = match unable {
        probe::Unable::Ping(_) | probe::Unable::Denied(_) | probe::Unable::NotEncrypted(_) => ExitCode::Denied,
        probe::Unable::Name(..) | probe::Unable::NoAnswer(_) => ExitCode::Unreachable,
        probe::Unable::Tls(_) | probe::Unable::Here(_) => ExitCode::Internal,
        probe::Unable::Certificates(_) => ExitCode::Usage,
    };
    Failure::new(exit, format!("{target} can't be called from this host"))
        .because(unable)
        .hint(unable.hint())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::FORMS;

    #[test]
    fn times_are_written_with_their_unit() {
        assert_eq!(lasting("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(lasting("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(interval("250ms"), Ok(Duration::from_millis(250)));
        for wrong in [
            "30",
            "s",
            "",
            "1.5s",
            "-1s",
            "25h",
            "0s",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(lasting(wrong).is_err(), "{wrong}");
        }
        assert_eq!(interval("5ms"), Err("`5ms` is not from 10ms to 1m".to_owned()));
    }

    #[test]
    fn the_help_names_every_form() {
        let help = <crate::cli::Cli as clap::CommandFactory>::command()
            .find_subcommand_mut("probe")
            .unwrap()
            .render_long_help()
            .to_string();
        for form in [
            "tcp:",
            "tcp+banner:",
            "tally:",
            "icmp:",
            "http://",
            "https://",
            "postgres://",
        ] {
            assert!(help.contains(form) && FORMS.contains(form), "{form}: {help}");
        }
    }
}
