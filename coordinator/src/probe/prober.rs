//! Measures: on a thread of its own while something else goes on, or here.
//!
//! A question that waits for an answer at the terminal must not look like a pause: hence the thread.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quorate_clock::Clock;
use quorate_probe::{Patience, Unable, keep_calling};
use tokio::sync::oneshot;

use super::call::{Call, Gathering};
use super::callee::Callee;
use super::database::Password;
use super::gaps::Measured;
use super::target::Target;

/// Between two calls.
const EVERY: Duration = Duration::from_millis(100);

/// Calls until it is told to stop.
#[derive(Debug)]
pub(crate) struct Prober {
    /// Dropped, it tells the thread to end.
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Option<Measured>>,
}

impl Prober {
    /// Begins, if the guest answers there now.
    ///
    /// # Errors
    /// It does not, or can't be called: nothing could be measured.
    pub(crate) fn begin(target: Target) -> Result<Self, Unable> {
        let (stop, stopped) = oneshot::channel();
        let (say, begun) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("probe".to_owned())
            .spawn(move || {
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        drop(say.send(Err(Unable::Here(error))));
                        return None;
                    }
                };
                runtime.block_on(async {
                    let (callee, said) = match answers_now(&target).await {
                        Ok(callee) => (Some(callee), Ok(())),
                        Err(unable) => (None, Err(unable)),
                    };
                    // Whoever asked waits for it.
                    say.send(said).ok()?;
                    let until = async {
                        // Nothing is ever sent: it ends when the other end is dropped.
                        drop(stopped.await);
                    };
                    Some(call(&target, callee?, EVERY, until, |_, _| ()).await)
                })
            })
            .map_err(Unable::Here)?;
        match begun.recv() {
            Ok(Ok(())) => Ok(Self { stop, thread }),
            Ok(Err(unable)) => Err(unable),
            Err(_) => Err(Unable::Here(std::io::Error::other("the thread is gone"))),
        }
    }

    /// Ends, and says what was seen; `None`: the thread is gone.
    pub(crate) fn end(self) -> Option<Measured> {
        let Self { stop, thread } = self;
        drop(stop);
        thread.join().ok()?
    }
}

/// Does somebody answer there now? Calls once.
///
/// # Errors
/// Nobody does, or nobody can be called there at all.
pub(crate) async fn answers(target: &Target) -> Result<(), Unable> {
    answers_now(target).await.map(drop)
}

async fn answers_now(target: &Target) -> Result<Callee, Unable> {
    let callee = Callee::find(target, None).await?;
    // Of no call that follows: those are counted from 0.
    let outcome = callee.clone().call(u64::MAX, Patience::First).await;
    outcome.answer.map_err(Unable::NoAnswer)?;
    Ok(callee)
}

/// Calls from here until `until` ends, also one that does not answer. `seen` is told of each call, with its number from 0, as it ends.
///
/// # Errors
/// Nobody can be called there at all.
pub(crate) async fn measure(
    (target, password): (&Target, Option<Password>),
    every: Duration,
    until: impl Future<Output = ()>,
    seen: impl FnMut(u64, &Call),
) -> Result<Measured, Unable> {
    let callee = Callee::find(target, password).await?;
    Ok(call(target, callee, every, until, seen).await)
}

async fn call(
    target: &Target,
    callee: Callee,
    every: Duration,
    until: impl Future<Output = ()>,
    mut seen: impl FnMut(u64, &Call),
) -> Measured {
    let began_unix_ms = Clock::system().unix_micros() / 1000;
    let mut gathering = Gathering::default();
    let calling = |number| callee.clone().call(number, Patience::Usual);
    keep_calling(every, until, calling, |number, ended| {
        seen(number, &gathering.take(number, ended));
    })
    .await;
    let calls = gathering.calls();
    let mut shown = target.to_string();
    if let Some(address) = callee.address().filter(|address| !shown.contains(address)) {
        // A name stands for an address of that time.
        shown.push_str(&format!(" ({address})"));
    }
    Measured {
        rows: callee.counted(&calls).await,
        ..Measured::of(shown, began_unix_ms, every, &calls)
    }
}
