//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage: quorate-tally [--records FILE] [--listen ADDRESS:PORT]... [--interval MS] [--keep RECORDS]

Writes numbered records, each onto the disk before the next, and tells whoever connects the number of the last one.

  --records FILE          where they are written (/var/lib/quorate-tally/records)
  --listen ADDRESS:PORT   where it answers (port 7460 of all addresses); may be given several times
  --interval MS           milliseconds between two records, 1 to 60000 (100)
  --keep RECORDS          how many are kept at least, in two files of so many each (65536)
  --help, --version";

/// Nearly two hours of ten a second, in 4 MiB: what somebody looks at after a failover.
const KEEP: u64 = 65_536;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Version,
    Run(Options),
}

/// How to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The file.
    pub(crate) records: PathBuf,
    /// Where to listen; none: port 7460 of all addresses.
    pub(crate) listen: Vec<SocketAddr>,
    /// From one record to the next.
    pub(crate) every: Duration,
    /// Records in a file before a new one is begun.
    pub(crate) keep: u64,
}

pub(crate) fn parse(args: &[String]) -> Result<Command, String> {
    let mut options = Options {
        records: PathBuf::from("/var/lib/quorate-tally/records"),
        listen: Vec::new(),
        every: Duration::from_millis(100),
        keep: KEEP,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (name, given) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (arg.as_str(), None),
        };
        match name {
            "--help" | "-h" => return Ok(Command::Help),
            "--version" | "-V" => return Ok(Command::Version),
            "--records" | "--listen" | "--interval" | "--keep" => {}
            _ => return Err(format!("there is no option {arg}")),
        }
        let value = given
            .or_else(|| args.next().cloned())
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("{name} wants a value"))?;
        match name {
            "--records" => options.records = PathBuf::from(value),
            "--listen" => options.listen.push(value.parse().map_err(|_| {
                format!("--listen {value}: not of the form ADDRESS:PORT; an IPv6 address stands in brackets")
            })?),
            "--interval" => options.every = Duration::from_millis(number(name, &value, 60_000)?),
            _ => options.keep = number(name, &value, 1 << 20)?,
        }
    }
    Ok(Command::Run(options))
}

fn number(name: &str, value: &str, most: u64) -> Result<u64, String> {
    u64::from_str(value)
        .ok()
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| format!("{name} {value}: not a number from 1 to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&args)
    }

    #[test]
    fn options_and_what_they_are_without() {
        let Ok(Command::Run(options)) = parsed("") else {
            panic!()
        };
        assert_eq!(options.records, PathBuf::from("/var/lib/quorate-tally/records"));
        assert_eq!(
            (options.listen, options.every, options.keep),
            (vec![], Duration::from_millis(100), 65_536)
        );
        let line = "--records /a --listen 127.0.0.1:0 --listen=[::1]:7460 --interval 5 --keep 16";
        let Ok(Command::Run(options)) = parsed(line) else {
            panic!()
        };
        assert_eq!(
            (options.listen.len(), options.every, options.keep),
            (2, Duration::from_millis(5), 16)
        );
        assert_eq!(parsed("--interval 5 --help"), Ok(Command::Help));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, wrong) in [
            ("--fast", "there is no option --fast"),
            ("records", "there is no option records"),
            ("--records", "--records wants a value"),
            ("--interval 0", "--interval 0: not a number from 1 to 60000"),
            ("--keep many", "--keep many: not a number from 1 to 1048576"),
        ] {
            assert_eq!(parsed(line), Err(wrong.to_owned()));
        }
        assert!(parsed("--listen 7460").unwrap_err().contains("ADDRESS:PORT"));
    }
}
