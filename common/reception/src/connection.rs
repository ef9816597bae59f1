//! A connection with somebody who is known, which ends when it has nothing to ask or is asked to leave.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

use crate::book::{Busy, Seat};

/// A connection. To its server it ends as if the caller had gone.
pub struct Connection<S, C> {
    stream: S,
    who: C,
    seat: Seat,
    left: Pin<Box<WaitForCancellationFutureOwned>>,
    times: (Duration, Duration),
    look: Pin<Box<Sleep>>,
}

/// Who calls, as it stands in a request's extensions beside `C` itself.
#[derive(Debug, Clone)]
pub struct Admitted<C> {
    /// Who.
    pub who: C,
    pub(crate) busy: Arc<Busy>,
}

impl<S, C> Connection<S, C> {
    pub(crate) fn new(stream: S, who: C, seat: Seat, times: (Duration, Duration)) -> Self {
        Self {
            left: Box::pin(seat.leave.clone().cancelled_owned()),
            look: Box::pin(tokio::time::sleep(times.0)),
            stream,
            who,
            seat,
            times,
        }
    }

    /// Is it over? Wakes the reader when it is.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        if self.left.as_mut().poll(cx).is_ready() {
            return true;
        }
        while self.look.as_mut().poll(cx).is_ready() {
            match self.seat.busy.end(self.times) {
                Some(end) if end <= Instant::now() => return true,
                Some(end) => self.look.as_mut().reset(end),
                // A call is open. When it ends nobody tells; so it is looked again when it could matter.
                None => self.look.as_mut().reset(Instant::now() + self.times.1),
            }
        }
        false
    }
}

impl<S, C: Clone + Send + Sync + 'static> Connected for Connection<S, C> {
    type ConnectInfo = Admitted<C>;

    fn connect_info(&self) -> Admitted<C> {
        Admitted {
            who: self.who.clone(),
            busy: Arc::clone(&self.seat.busy),
        }
    }
}

impl<S: AsyncRead + Unpin, C: Unpin> AsyncRead for Connection<S, C> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_over(cx) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin, C: Unpin> AsyncWrite for Connection<S, C> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S, C: std::fmt::Debug> std::fmt::Debug for Connection<S, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("who", &self.who)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::{Limits, Reception};

    #[tokio::test]
    async fn who_never_asks_and_who_asks_no_more_are_let_go() {
        let limits = Limits {
            first_call: Duration::from_millis(20),
            idle: Duration::from_millis(20),
            ..Limits::usual(Duration::from_secs(5))
        };
        let reception = Reception::new(limits);
        let (near, _far) = tokio::io::duplex(16);
        let mut silent = reception.seat(near, (), "anna").unwrap();
        assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);

        let (near, _far) = tokio::io::duplex(16);
        let mut once = reception.seat(near, (), "anna").unwrap();
        let call = once.connect_info().busy.begin();
        let still_open = tokio::time::timeout(Duration::from_millis(200), once.read(&mut [0])).await;
        assert!(still_open.is_err(), "a call is open");
        drop(call);
        assert_eq!(once.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn who_is_expelled_is_gone_at_once_also_in_the_middle_of_a_call() {
        let reception = Reception::new(Limits::usual(Duration::from_secs(5)));
        let (near, _far) = tokio::io::duplex(16);
        let mut thief = reception.seat(near, (), "anna").unwrap();
        let call = thief.connect_info().busy.begin();
        let reading = tokio::spawn(async move { thief.read(&mut [0]).await });
        tokio::task::yield_now().await;
        assert_eq!(reception.expel("anna"), 1);
        assert_eq!(reading.await.unwrap().unwrap(), 0);
        drop(call);
    }
}
