//! Asks a writer once, by a deadline.

use std::io::{self, ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use quorate_clock::Clock;

use crate::line::{Answer, LONGEST, LineError};

/// Nothing is waited for without a time, however short: zero would mean for ever.
const LEAST: Duration = Duration::from_millis(1);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is reached there, or he does not come to an end in time.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was answered is none of ours.
    #[error(transparent)]
    Line(#[from] LineError),
}

/// Asks whoever listens there. All of it takes at most this long.
///
/// # Errors
/// Nobody answers there in time, or not so.
pub fn ask(at: SocketAddr, within: Duration) -> Result<Answer, AskError> {
    let clock = Clock::system();
    let began = clock.monotonic();
    let mut stream = TcpStream::connect_timeout(&at, within.max(LEAST))?;
    let mut heard: Vec<u8> = Vec::new();
    let mut buffer = [0; LONGEST];
    loop {
        let left = within.saturating_sub(clock.since(began));
        if left < LEAST {
            return Err(io::Error::from(ErrorKind::TimedOut).into());
        }
        stream.set_read_timeout(Some(left))?;
        let length = match stream.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        heard.extend(buffer.iter().take(length));
        // More than it may have is enough to know.
        if length == 0 || heard.len() > LONGEST {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&heard).parse::<Answer>()?)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;

    const LINE: &str =
        "quorate-tally 1 number=4711 time_ms=1764300000123 resumed=4700 run=9f8e7d6c5b4a3928 host=canary boot=0a1b\n";

    fn says(text: &str) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let text = text.to_owned();
        let told = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Who has heard too much hangs up.
            drop(stream.write_all(text.as_bytes()));
        });
        (at, told)
    }

    #[test]
    fn the_number_is_read_and_nothing_is_guessed() {
        let long = "x".repeat(5000);
        for (text, wanted) in [
            (LINE, Ok(4711)),
            (LINE.trim_end(), Err("cut off")),
            ("SSH-2.0-OpenSSH\n", Err("not quorate-tally")),
            (long.as_str(), Err("longer than")),
        ] {
            let (at, told) = says(text);
            let seen = ask(at, Duration::from_secs(20)).map_err(|error| error.to_string());
            match wanted {
                Ok(number) => assert_eq!(seen.unwrap().number, number),
                Err(why) => assert!(seen.unwrap_err().contains(why), "{text}"),
            }
            told.join().unwrap();
        }
    }

    #[test]
    fn one_who_says_nothing_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        // The kernel takes the call in; nobody ever speaks.
        let error = ask(at, Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, AskError::Io(_)), "{error}");
    }
}
