//! Clients of what answers in the machine, on this side of its cable: what they notice is what customers would.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quorate_reality::until;
use tokio::net::UdpSocket;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// A new client comes so often, whatever has become of those before.
const EVERY: Duration = Duration::from_millis(250);
/// An emulated machine may be slow.
const WAITS: Duration = Duration::from_secs(2);
/// Whoever has heard nothing for so long is cut off.
const SILENCE: Duration = Duration::from_secs(3);

/// Clients that come one after the other, until dropped.
pub(crate) struct Clients {
    what: &'static str,
    answers: Arc<Mutex<Vec<Instant>>>,
    coming: JoinHandle<()>,
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.coming.abort();
    }
}

impl Clients {
    /// Of somebody who says over UDP what he hears.
    pub(crate) fn of(what: &'static str, at: SocketAddr) -> Self {
        let answers: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let heard = Arc::clone(&answers);
        let coming = tokio::spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let heard = Arc::clone(&heard);
                clients.spawn(async move {
                    if timeout(WAITS, ask(at)).await.is_ok_and(|answer| answer.is_ok()) {
                        heard.lock().unwrap().push(Instant::now());
                    }
                });
                while clients.try_join_next().is_some() {}
                tokio::time::sleep(EVERY).await;
            }
        });
        Self { what, answers, coming }
    }

    /// When the last answer came.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.answers.lock().unwrap().iter().max().copied()
    }

    /// When the first answer since then came.
    pub(crate) fn first_since(&self, since: Instant) -> Option<Instant> {
        let answers = self.answers.lock().unwrap();
        answers.iter().filter(|at| **at > since).min().copied()
    }

    /// Does nobody hear anything any more?
    pub(crate) fn are_cut_off(&self) -> bool {
        self.last().is_none_or(|last| last.elapsed() > SILENCE)
    }

    /// Waits until one is answered from now on.
    pub(crate) async fn are_served(&self) -> Instant {
        let since = Instant::now();
        until(&format!("{}: clients are served", self.what), async || {
            self.first_since(since).is_some()
        })
        .await;
        self.first_since(since).unwrap()
    }

    /// Waits until nobody is answered any more.
    pub(crate) async fn lose_it(&self) {
        until(&format!("{}: clients are cut off", self.what), async || {
            self.are_cut_off()
        })
        .await;
    }

    /// The longest time without an answer that began after `since` or held on then.
    pub(crate) fn outage(&self, since: Instant) -> Duration {
        let mut answers = self.answers.lock().unwrap().clone();
        answers.sort();
        let gaps = answers.windows(2).filter(|pair| pair[1] > since);
        gaps.map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

async fn ask(at: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.send_to(b"?", at).await?;
    socket.recv(&mut [0; 1]).await.map(drop)
}
