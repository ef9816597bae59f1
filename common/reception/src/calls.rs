//! Every call: counted while it is open, its request in time and within what requests may hold of memory.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::book::OpenCall;
use crate::connection::Admitted;

/// What every request may hold, in bytes, however much others do: nobody's large ones keep others from cancelling or freezing.
const ALWAYS: usize = 64 << 10;

/// What all requests together may hold.
#[derive(Debug)]
pub(crate) struct Memory {
    most: usize,
    held: AtomicUsize,
}

impl Memory {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            held: AtomicUsize::new(0),
        }
    }
}

/// What one request holds of it, until it is dropped.
#[derive(Debug)]
struct Share {
    memory: Arc<Memory>,
    held: usize,
}

impl Share {
    fn more(&mut self, bytes: usize) -> bool {
        let before = self.memory.held.fetch_add(bytes, Ordering::Relaxed);
        self.held += bytes;
        self.held <= ALWAYS || before.saturating_add(bytes) <= self.memory.most
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.held, Ordering::Relaxed);
    }
}

/// Puts the limits before a service, on connections whose callers are a `C`.
pub struct CallsLayer<C> {
    limits: Limits,
    callers: PhantomData<fn() -> C>,
}

/// What requests are granted.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    usual: Grant,
    large: Grant,
    large_calls: &'static [&'static str],
}

/// What one kind of them is.
#[derive(Debug, Clone)]
struct Grant {
    within: Duration,
    memory: Arc<Memory>,
}

impl Grant {
    fn new(within: Duration, memory: usize) -> Self {
        let memory = Arc::new(Memory::new(memory));
        Self { within, memory }
    }
}

impl<C> CallsLayer<C> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            callers: PhantomData,
        }
    }
}

impl<C> Clone for CallsLayer<C> {
    fn clone(&self) -> Self {
        Self {
            limits: self.limits.clone(),
            callers: PhantomData,
        }
    }
}

impl<C> std::fmt::Debug for CallsLayer<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallsLayer").field("limits", &self.limits).finish()
    }
}

impl<S, C> Layer<S> for CallsLayer<C> {
    type Service = Calls<S, C>;

    fn layer(&self, inner: S) -> Calls<S, C> {
        Calls {
            inner,
            limits: self.limits.clone(),
            callers: PhantomData,
        }
    }
}

/// A service behind the limits. For the service, who calls stands in the extensions as a `C`.
pub struct Calls<S, C> {
    inner: S,
    limits: Limits,
    callers: PhantomData<fn() -> C>,
}

impl<S: Clone, C> Clone for Calls<S, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            limits: self.limits.clone(),
            callers: PhantomData,
        }
    }
}

impl<S, C> std::fmt::Debug for Calls<S, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Limits {
    pub(crate) fn of(limits: &crate::Limits) -> Self {
        Self {
            usual: Grant::new(limits.request, limits.memory),
            large: Grant::new(limits.large.request, limits.large.memory),
            large_calls: limits.large.calls,
        }
    }

    fn timely(&self, path: &str, request: Body) -> Body {
        let large = self.large_calls.contains(&path);
        let Grant { within, memory } = if large { &self.large } else { &self.usual };
        Body::new(Request {
            body: request,
            late: Box::pin(tokio::time::sleep(*within)),
            within: *within,
            share: Share {
                memory: Arc::clone(memory),
                held: 0,
            },
        })
    }
}

impl<S, C> Service<http::Request<Body>> for Calls<S, C>
where
    C: Clone + Send + Sync + 'static,
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let admitted = parts.extensions.get::<Admitted<C>>().cloned();
        let open = admitted.map(|Admitted { who, busy }| {
            parts.extensions.insert(who);
            busy.begin()
        });
        let body = self.limits.timely(parts.uri.path(), body);
        let answer = self.inner.call(http::Request::from_parts(parts, body));
        Box::pin(async move {
            let (parts, body) = answer.await?.into_parts();
            Ok(http::Response::from_parts(
                parts,
                Body::new(Answer { body, _open: open }),
            ))
        })
    }
}

/// A request that has to come in time.
struct Request {
    body: Body,
    late: Pin<Box<Sleep>>,
    within: Duration,
    share: Share,
}

impl HttpBody for Request {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, |data| data.remaining());
                if this.share.more(bytes) {
                    return Poll::Ready(Some(Ok(frame)));
                }
                let why = "too many large requests at once; try again";
                Poll::Ready(Some(Err(Status::resource_exhausted(why))))
            }
            Poll::Pending if this.late.as_mut().poll(cx).is_ready() => {
                let why = format!("the request did not come whole within {} s", this.within.as_secs());
                Poll::Ready(Some(Err(Status::deadline_exceeded(why))))
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer: as long as it is read, its call is open.
struct Answer {
    body: Body,
    _open: Option<OpenCall>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// A part every second, as over a slow line.
    struct Slow {
        parts: usize,
        next: Pin<Box<Sleep>>,
    }

    impl HttpBody for Slow {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let this = self.get_mut();
            if this.parts == 0 {
                return Poll::Ready(None);
            }
            std::task::ready!(this.next.as_mut().poll(cx));
            this.parts -= 1;
            this.next = Box::pin(tokio::time::sleep(Duration::from_secs(1)));
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 10 << 10])))))
        }
    }

    /// How many parts of it come, before it ends or is broken off.
    async fn parts(limits: &Limits, path: &str, parts: usize) -> (usize, Option<String>) {
        let slow = Slow {
            parts,
            next: Box::pin(tokio::time::sleep(Duration::ZERO)),
        };
        let mut body = limits.timely(path, Body::new(slow));
        let mut came = 0;
        loop {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            match frame {
                None => return (came, None),
                Some(Ok(_)) => came += 1,
                Some(Err(status)) => return (came, Some(status.message().to_owned())),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_large_has_more_time_and_memory_of_its_own() {
        let limits = Limits::of(&crate::Limits {
            request: Duration::from_secs(10),
            memory: 1000 << 10,
            large: crate::Large {
                calls: &["/x.Y/Bring"],
                request: Duration::from_secs(60),
                memory: 400 << 10,
            },
            ..crate::Limits::usual(Duration::from_secs(1))
        });
        let (came, why) = parts(&limits, "/x.Y/Ask", 30).await;
        assert!((9..=11).contains(&came), "{came}");
        assert_eq!(why.as_deref(), Some("the request did not come whole within 10 s"));
        assert_eq!(parts(&limits, "/x.Y/Bring", 30).await, (30, None));
        let (came, why) = parts(&limits, "/x.Y/Bring", 50).await;
        assert_eq!(
            (came, why.as_deref()),
            (40, Some("too many large requests at once; try again"))
        );
    }

    #[test]
    fn what_requests_hold_is_counted_and_given_back() {
        let memory = Arc::new(Memory::new(100 << 20));
        let share = || Share {
            memory: Arc::clone(&memory),
            held: 0,
        };
        let (mut one, mut two) = (share(), share());
        assert!(one.more(60 << 20) && two.more(40 << 20));
        assert!(!two.more(1));
        let mut small = share();
        assert!(small.more(ALWAYS) && !small.more(1), "a small one is always heard");
        drop((one, small));
        assert!(two.more(1));
        drop(two);
        assert_eq!(memory.held.load(Ordering::Relaxed), 0);
    }
}
