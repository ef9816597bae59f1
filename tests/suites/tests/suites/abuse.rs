//! Callers who only cost: too large, too many, too slow, gone without a word. They are refused or dropped in time, the daemon does
//! not grow, and whoever behaves notices nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use quorate_identity::Role;
use quorate_lab::Lab;
use quorate_proto::limits;
use quorate_suites::Fleet;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::Channel;

use crate::matrix::API;
use crate::matrix::callers::{Cas, Shown, node, now, operator};
use crate::matrix::dial::{AMPLE, call, channel, sends, tcp, tls};

/// What a daemon may grow by, whatever is done to it.
const GROWTH: u64 = 64 << 20;

struct Target {
    address: SocketAddr,
    name: String,
    pid: u32,
    /// A call that is answered at once.
    quick: &'static str,
    /// One that takes a message.
    large: &'static str,
    cas: Cas,
    shown: Shown,
    /// Somebody else's certificate, who behaves.
    behaves: Shown,
}

/// Where the one who behaves calls from: neighbours of the others share their places with them.
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

impl Target {
    async fn stream(&self) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        tls(
            tcp(self.address, None).await,
            &self.cas.roots,
            &self.name,
            Some(&self.shown),
        )
        .await
    }

    async fn channel(&self) -> Channel {
        channel(self.stream().await.unwrap()).await.unwrap()
    }

    /// As whoever behaves.
    async fn behaving(&self) -> Channel {
        let stream = tcp(self.address, Some(NEIGHBOUR)).await;
        let stream = tls(stream, &self.cas.roots, &self.name, Some(&self.behaves)).await;
        channel(stream.unwrap()).await.unwrap()
    }

    fn memory(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    fn sockets(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap().flatten();
        let kinds = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        kinds
            .filter(|kind| kind.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// Waits until nobody is connected who was not before.
    async fn is_left_alone(&self, before: usize, by: &str) {
        let what = format!("everybody is gone who was {by}");
        quorate_suites::until(&what, AMPLE, async || self.sockets() <= before).await;
    }
}

/// A message of this many bytes that every method can read: a field that none has.
fn message(bytes: usize) -> Vec<u8> {
    let mut head = vec![0xa2, 0x06];
    // A length of four bytes, whatever it is.
    let content = bytes - 2 - 4;
    for place in 0..4 {
        let more = if place < 3 { 0x80 } else { 0 };
        head.push(u8::try_from((content >> (7 * place)) & 0x7f).unwrap() | more);
    }
    head.resize(bytes, 0);
    head
}

/// Somebody who behaves: asks every now and then, by turns over an old connection and a new one.
struct Healthy {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    asked: Arc<AtomicUsize>,
    running: tokio::task::JoinHandle<()>,
}

impl Healthy {
    fn start(target: &Arc<Target>) -> Self {
        let (stop, most, asked) = (
            Arc::<AtomicBool>::default(),
            Arc::<AtomicU64>::default(),
            Arc::<AtomicUsize>::default(),
        );
        let (target, ended, seen, count) = (
            Arc::clone(target),
            Arc::clone(&stop),
            Arc::clone(&most),
            Arc::clone(&asked),
        );
        let running = tokio::spawn(async move {
            let old = target.behaving().await;
            while !ended.load(Ordering::Relaxed) {
                call(&old, target.quick, vec![]).await.expect("over the old connection");
                let new = target.behaving().await;
                call(&new, target.quick, vec![]).await.expect("over a new connection");
                seen.fetch_max(target.memory(), Ordering::Relaxed);
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self {
            stop,
            most,
            asked,
            running,
        }
    }

    /// Returns what the daemon held at most.
    async fn ends_well(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.running.await.expect("whoever behaves is answered all the time");
        assert!(self.asked.load(Ordering::Relaxed) > 10);
        self.most.load(Ordering::Relaxed)
    }
}

async fn one_byte_over_the_limit(target: &Target) {
    let channel = target.channel().await;
    let refused = call(&channel, target.large, message(limits::MAX_MESSAGE + 1))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::OutOfRange, "{refused:?}");
    // The largest that is taken is read, and found to make no sense.
    if let Err(read) = call(&channel, target.large, message(limits::MAX_MESSAGE)).await {
        assert!(!read.details().is_empty(), "{read:?}");
    }
}

async fn a_thousand_streams(target: &Target) {
    let channel = target.channel().await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (channel, path) = (channel.clone(), target.large);
        asking.spawn(async move { call_that_never_comes_whole(&channel, path).await });
    }
    // As many as are let in at one time are answered that they were not in time. The others wait for them, or are refused if they
    // did not know of the limit yet.
    let mut late = 0;
    while late < limits::MAX_STREAMS {
        let status = tokio::time::timeout(AMPLE, asking.join_next())
            .await
            .expect("in time")
            .unwrap()
            .unwrap();
        match status.code() {
            tonic::Code::DeadlineExceeded => late += 1,
            tonic::Code::Unavailable => {}
            _ => panic!("{status:?}"),
        }
    }
    asking.shutdown().await;
}

async fn call_that_never_comes_whole(channel: &Channel, path: &'static str) -> tonic::Status {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    if let Err(error) = grpc.ready().await {
        return tonic::Status::unavailable(error.to_string());
    }
    let path = http::uri::PathAndQuery::from_static(path);
    let request = tonic::Request::new(tokio_stream::pending::<Vec<u8>>());
    let answers = grpc.streaming(request, path, crate::matrix::dial::Raw).await;
    match answers {
        Ok(answers) => answers.into_inner().message().await.err(),
        Err(status) => Some(status),
    }
    .unwrap_or_else(|| tonic::Status::ok("answered"))
}

/// One byte a second, before TLS and within it.
async fn slow(target: &Target) {
    let trickle = async |stream: &mut (dyn Stream + Unpin + Send), bytes: &[u8]| {
        for byte in bytes {
            if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            let mut heard = [0; 1024];
            let second = tokio::time::timeout(Duration::from_secs(1), async {
                while stream.read(&mut heard).await.is_ok_and(|bytes| bytes > 0) {}
            });
            if second.await.is_ok() {
                return;
            }
        }
        panic!("{} s were not enough to be dropped", bytes.len());
    };
    let mut plain = tcp(target.address, None).await;
    let mut hello = crate::matrix::dial::TLS12.to_vec();
    hello.resize(60, 0);
    let mut secret = target.stream().await.unwrap();
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    request.resize(60, 0);
    tokio::join!(trickle(&mut plain, &hello), trickle(&mut secret, &request));
}

trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite {}
impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite> Stream for S {}

/// They came as far as HTTP/2 and answer no ping.
async fn half_open(target: &Target, before: usize) {
    let mut gone = Vec::new();
    for _ in 0..20 {
        let mut stream = target.stream().await.unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await
            .unwrap();
        stream.flush().await.unwrap();
        gone.push(stream);
    }
    target.is_left_alone(before, "half-open").await;
    drop(gone);
}

async fn a_thousand_idle_connections(target: &Target, before: usize) {
    let mut idle = Vec::new();
    for _ in 0..900 {
        idle.push(tcp(target.address, None).await);
    }
    let mut known = Vec::new();
    for _ in 0..100 {
        // With so many others at the door, some lose their place in the middle of the handshake.
        if let Ok(stream) = target.stream().await {
            known.push(stream);
        }
    }
    target.is_left_alone(before, "idle").await;
    drop((idle, known));
}

async fn abuse(target: Target) {
    let target = Arc::new(target);
    // What grows with the first calls is no growth by abuse.
    let warm = target.channel().await;
    for _ in 0..20 {
        call(&warm, target.quick, vec![]).await.unwrap();
    }
    drop(warm);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begun = target.memory();
    let healthy = Healthy::start(&target);
    // The healthy one has two connections, each for a moment one more.
    let before = target.sockets() + 4;
    one_byte_over_the_limit(&target).await;
    a_thousand_streams(&target).await;
    slow(&target).await;
    half_open(&target, before).await;
    a_thousand_idle_connections(&target, before).await;
    drop(sends(tcp(target.address, None).await, b"\x16\x03\x01\xff\xff").await);
    let most = healthy.ends_well().await;
    let grown = most.saturating_sub(begun);
    assert!(grown <= GROWTH, "grew by {} MiB", grown >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coordinator_stays_as_it_is() {
    let fleet = Fleet::bare(Lab::builder().nodes(1)).await;
    let cas = Cas::load(
        &fleet.lab.layout().coordinator().join("state"),
        "a passphrase for tests",
    );
    abuse(Target {
        address: (fleet.lab.coordinator_address(), API).into(),
        name: Role::Coordinator.dns_name(cas.roots.fleet()).unwrap(),
        pid: fleet.lab.coordinator_pid().unwrap(),
        quick: "/quorate.v1.Coordinator/ListNodes",
        large: "/quorate.v1.Coordinator/Plan",
        shown: Shown::of(&cas.identity(&operator("anna", &[]), now())),
        behaves: Shown::of(&cas.identity(&operator("ben", &[]), now())),
        cas,
    })
    .await;
    assert!(fleet.lab.coordinator_ended().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_stays_as_it_is() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(1)).await;
    let cas = Cas::load(
        &fleet.lab.layout().coordinator().join("state"),
        "a passphrase for tests",
    );
    let config = std::fs::read_to_string(fleet.lab.layout().agent_config("prox1")).unwrap();
    // Not through the lab's network: its programs have limits of their own.
    let listen = config.lines().find_map(|line| line.strip_prefix("listen = ")).unwrap();
    abuse(Target {
        address: listen.trim_matches('"').parse().unwrap(),
        name: node("hk1", "prox1").dns_name(cas.roots.fleet()).unwrap(),
        pid: fleet.lab.agent_pid("prox1").unwrap(),
        quick: "/quorate.v1.Agent/Ledger",
        large: "/quorate.v1.Agent/KeepSpec",
        shown: Shown::of(&cas.identity(&Role::Coordinator, now())),
        behaves: Shown::of(&cas.identity(&Role::Coordinator, now())),
        cas,
    })
    .await;
    fleet.connected(&fleet.lab.names()).await;
}
