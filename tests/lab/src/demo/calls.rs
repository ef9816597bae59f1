//! Calls a guest from outside while something is done, as somebody who needs it would.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::narrate::{Failed, failed};

/// Where a guest tells the number of its last write.
const NUMBERS: u16 = 7460;
/// Between two calls, and how long each has.
const EVERY: Duration = Duration::from_millis(50);
const WITHIN: Duration = Duration::from_millis(500);

/// One answer: the number, and which run of the guest's program told it.
fn ask(address: Ipv4Addr) -> Option<(u64, String)> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address.into(), NUMBERS), WITHIN).ok()?;
    stream.set_read_timeout(Some(WITHIN)).ok()?;
    let mut line = String::new();
    stream.read_to_string(&mut line).ok()?;
    let word = |name: &str| {
        let mut words = line.trim_end().split(' ').filter_map(|word| word.split_once('='));
        words.find_map(|(key, value)| (key == name).then(|| value.to_owned()))
    };
    Some((word("number")?.parse().ok()?, word("run")?))
}

/// A port on which it accepts connections; the one of ssh is root's.
pub(super) fn port(address: Ipv4Addr) -> u16 {
    let ssh = TcpStream::connect_timeout(&SocketAddr::new(address.into(), 22), WITHIN);
    if ssh.is_ok() { 22 } else { NUMBERS }
}

/// Does it answer?
pub(super) fn answers(address: Ipv4Addr) -> bool {
    ask(address).is_some()
}

/// Somebody who calls all the while.
#[derive(Debug)]
pub(super) struct Caller {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Heard>,
}

/// What was heard.
#[derive(Debug, Default)]
struct Heard {
    calls: u32,
    answers: Vec<(u64, String)>,
    /// The longest time from one answer to the next.
    silence: Duration,
}

impl Caller {
    pub(super) fn begin(address: Ipv4Addr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut heard = Heard::default();
            let mut last = Instant::now();
            while !until.load(Ordering::Relaxed) {
                heard.calls += 1;
                if let Some(answer) = ask(address) {
                    heard.silence = heard.silence.max(last.elapsed());
                    last = Instant::now();
                    heard.answers.push(answer);
                }
                thread::sleep(EVERY);
            }
            heard
        });
        Self { stop, thread }
    }

    /// What was heard, in a line. It fails if the guest was started anew, or lost a number.
    pub(super) fn end(self) -> Result<String, Failed> {
        self.stop.store(true, Ordering::Relaxed);
        let Ok(heard) = self.thread.join() else {
            return failed("whoever calls the guest is gone");
        };
        let (Some(first), Some(last)) = (heard.answers.first(), heard.answers.last()) else {
            return failed("the guest never answered");
        };
        if heard.answers.iter().any(|(_, run)| *run != first.1) {
            return failed("the guest was started anew meanwhile");
        }
        if heard.answers.windows(2).any(|pair| matches!(pair, [a, b] if b.0 < a.0)) {
            return failed("a number of the guest was lost");
        }
        Ok(format!(
            "Called from outside meanwhile: {} calls, {} answers; its numbers went on from {} to {}, and it was silent for {} ms at most.",
            heard.calls,
            heard.answers.len(),
            first.0,
            last.0,
            heard.silence.as_millis()
        ))
    }
}
