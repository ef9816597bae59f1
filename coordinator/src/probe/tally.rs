//! What the program in a guest tells that writes numbers: one line, and the connection ends.
//!
//! `quorate-tally 1 number=4711 time_ms=1764300000123 resumed=4700 run=9f8e7d6c5b4a3928 host=canary boot=0a1b…`

use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use quorate_clock::Clock;

/// Where it listens.
pub(crate) const PORT: u16 = 7460;
/// How a line begins.
const BEGINS: &str = "quorate-tally 1 ";
/// A line is far shorter.
const LONGEST: u64 = 1024;
/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(2);

/// What a guest told, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The last record that is on its disk.
    pub(crate) number: u64,
    /// Which run of the program wrote it.
    pub(crate) run: String,
}

/// Reads the line. Words that are not known are left out.
///
/// # Errors
/// It is no such line.
pub(crate) fn read(line: &str) -> Result<Reading, String> {
    let words = line
        .strip_suffix('\n')
        .and_then(|line| line.strip_prefix(BEGINS))
        .ok_or_else(|| "what answers there does not tell numbers".to_owned())?;
    let word = |name: &str| {
        let mut pairs = words.split(' ').filter_map(|word| word.split_once('='));
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    };
    let number = word("number").and_then(|number| number.parse().ok());
    let run = word("run").filter(|run| !run.is_empty());
    match (number, run) {
        (Some(number), Some(run)) => Ok(Reading {
            number,
            run: run.to_owned(),
        }),
        _ => Err("its answer has no number, or does not say of which run".to_owned()),
    }
}

/// Asks once.
///
/// # Errors
/// Nobody answers there, or not so.
pub(crate) fn ask(at: SocketAddr) -> Result<Reading, String> {
    let line = || -> io::Result<String> {
        let stream = TcpStream::connect_timeout(&at, WITHIN)?;
        stream.set_read_timeout(Some(WITHIN))?;
        let mut text = String::new();
        stream.take(LONGEST).read_to_string(&mut text)?;
        Ok(text)
    };
    read(&line().map_err(|error| error.to_string())?)
}

/// Asks until the number has grown once: it answers, and it writes.
///
/// # Errors
/// It does not within this time: why not the last time.
pub(crate) fn grows(at: SocketAddr, within: Duration, every: Duration) -> Result<Reading, String> {
    let clock = Clock::system();
    let began = clock.monotonic();
    let mut before: Option<Reading> = None;
    loop {
        let why = match (ask(at), &before) {
            (Ok(now), Some(then)) if now.number > then.number => return Ok(now),
            (Ok(now), _) => {
                let why = format!("it answers, and its number stays at {}", now.number);
                before = Some(now);
                why
            }
            (Err(why), _) => why,
        };
        if clock.since(began) >= within {
            return Err(why);
        }
        std::thread::sleep(every);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    const LINE: &str =
        "quorate-tally 1 number=4711 time_ms=1764300000123 resumed=4700 run=9f8e7d6c5b4a3928 host=canary boot=0a1b\n";

    #[test]
    fn the_number_is_read_and_nothing_is_guessed() {
        let reading = read(LINE).unwrap();
        assert_eq!((reading.number, reading.run.as_str()), (4711, "9f8e7d6c5b4a3928"));
        assert_eq!(
            read(&LINE.replace("host=canary", "new=1 host=canary")).unwrap(),
            reading
        );
        for bad in [
            LINE.trim_end(),
            "SSH-2.0-OpenSSH\n",
            "",
            &LINE.replace("4711", "x"),
            &LINE.replace("run=", "ran="),
            &LINE.replace("tally 1", "tally 2"),
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_number_that_grows_is_proof() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let numbers = std::thread::spawn(move || {
            for number in [7, 7, 8] {
                let (mut stream, _) = listener.accept().unwrap();
                stream
                    .write_all(LINE.replace("4711", &number.to_string()).as_bytes())
                    .unwrap();
            }
        });
        let seen = grows(at, Duration::from_secs(60), Duration::from_millis(1)).unwrap();
        assert_eq!(seen.number, 8);
        numbers.join().unwrap();
        assert!(
            grows(at, Duration::ZERO, Duration::from_millis(1)).is_err(),
            "nobody is there any more"
        );
    }
}
