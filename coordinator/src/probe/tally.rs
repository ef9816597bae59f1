//! Does the program in a guest that writes numbers answer, and does it write? Asked once in a while by whoever waits for it; the prober has its
//! own calls. The line is the library's.

use std::net::SocketAddr;
use std::time::Duration;

use quorate_clock::Clock;
use quorate_tally::Answer;

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(2);

/// Asks once.
///
/// # Errors
/// Nobody answers there, or not so.
pub(crate) fn ask(at: SocketAddr) -> Result<Answer, String> {
    quorate_tally::ask(at, WITHIN).map_err(|error| error.to_string())
}

/// Asks until the number has grown once: it answers, and it writes.
///
/// # Errors
/// It does not within this time: why not the last time.
pub(crate) fn grows(at: SocketAddr, within: Duration, every: Duration) -> Result<Answer, String> {
    let clock = Clock::system();
    let began = clock.monotonic();
    let mut before: Option<Answer> = None;
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

    fn line(number: u64) -> String {
        Answer {
            number,
            time_ms: 1_764_300_000_123,
            resumed: 0,
            run: 7,
            host: "canary".to_owned(),
            boot: "0a1b".to_owned(),
        }
        .to_string()
    }

    /// Says each of these to one caller, in turn.
    fn says(lines: Vec<String>) -> (SocketAddr, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let told = std::thread::spawn(move || {
            for line in lines {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(line.as_bytes()).unwrap();
            }
        });
        (at, told)
    }

    #[test]
    fn the_number_is_read_and_nothing_is_guessed() {
        let (at, told) = says(vec![
            line(4711),
            line(4711).trim_end().to_owned(),
            "SSH-2.0-OpenSSH\n".to_owned(),
        ]);
        assert_eq!(ask(at).map(|answer| answer.number), Ok(4711));
        assert!(ask(at).unwrap_err().contains("cut off"));
        assert!(ask(at).unwrap_err().contains("not quorate-tally"));
        told.join().unwrap();
    }

    #[test]
    fn only_a_number_that_grows_is_proof() {
        let (at, told) = says([7, 7, 8].map(line).to_vec());
        let seen = grows(at, Duration::from_secs(60), Duration::from_millis(1)).unwrap();
        assert_eq!(seen.number, 8);
        told.join().unwrap();
        assert!(
            grows(at, Duration::ZERO, Duration::from_millis(1)).is_err(),
            "nobody is there any more"
        );
    }
}
