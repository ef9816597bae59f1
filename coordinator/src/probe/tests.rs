//! Each kind of target against somebody on this host who answers, and who stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate_tally::Answer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::call::{Call, Miss};
use super::place::{Patience, Place, Unable};
use super::prober::{Prober, measure};
use super::target::Target;

/// Between two calls here.
const EVERY: std::time::Duration = std::time::Duration::from_millis(10);

/// Does with each connection what `serve` says, until it is dropped.
struct Service {
    address: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serves<F: Future<Output = ()> + Send + 'static>(
    at: &str,
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> Service {
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Service { address, task }
}

async fn says(text: String) -> Service {
    serves("127.0.0.1:0", move |mut stream| {
        let text = text.clone();
        async move {
            drop(stream.write_all(text.as_bytes()).await);
            drop(stream.shutdown().await);
            drop(stream.read(&mut [0; 512]).await);
        }
    })
    .await
}

async fn call(target: &str) -> Result<Option<Answer>, Miss> {
    let target: Target = target.parse().unwrap();
    let place = Place::find(&target).await.unwrap();
    place.call(0, Patience::First).await
}

fn answer(number: u64, run: u64, resumed: u64) -> String {
    let (host, boot) = ("canary".to_owned(), format!("b{run}"));
    let time_ms = 1_764_300_000_000 + number;
    Answer {
        number,
        time_ms,
        resumed,
        run,
        host,
        boot,
    }
    .to_string()
}

#[tokio::test]
async fn a_port_answers_when_it_takes_a_connection() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        if TcpListener::bind(at).await.is_err() {
            println!("skipped: there is no {at} here");
            continue;
        }
        let service = serves(at, |_| async {}).await;
        assert_eq!(call(&format!("tcp:{}", service.address)).await, Ok(None));
    }
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(call(&format!("tcp:{gone}")).await, Err(Miss::Refused));
}

#[tokio::test]
async fn a_banner_is_something_said_unasked() {
    let polite = says("SSH-2.0-OpenSSH_9.2p1\r\n".to_owned()).await;
    assert_eq!(call(&format!("tcp+banner:{}", polite.address)).await, Ok(None));
    let rude = serves("127.0.0.1:0", |_| async {}).await;
    assert_eq!(call(&format!("tcp:{}", rude.address)).await, Ok(None));
    assert_eq!(call(&format!("tcp+banner:{}", rude.address)).await, Err(Miss::Cut));
}

#[tokio::test]
async fn a_numbered_writer_tells_its_last_record() {
    let writer = says(answer(4711, 7, 4700)).await;
    let told = call(&format!("tally:{}", writer.address)).await.unwrap().unwrap();
    assert_eq!((told.number, told.run, told.resumed), (4711, 7, 4700));
    let stranger = says("220 mail.example ESMTP\r\n".to_owned()).await;
    assert_eq!(call(&format!("tally:{}", stranger.address)).await, Err(Miss::Stranger));
    let cut = says(answer(4711, 7, 4700).trim_end().to_owned()).await;
    assert_eq!(call(&format!("tally:{}", cut.address)).await, Err(Miss::Stranger));
}

#[tokio::test]
async fn a_web_server_answers_with_its_status() {
    for (first, wanted) in [
        ("HTTP/1.1 200 OK", Ok(None)),
        ("HTTP/1.1 404 Not Found", Ok(None)),
        ("HTTP/1.1 503 Service Unavailable", Err(Miss::Status(503))),
        ("SSH-2.0-OpenSSH_9.2p1", Err(Miss::Stranger)),
    ] {
        let server = says(format!("{first}\r\n\r\n")).await;
        assert_eq!(
            call(&format!("http://{}/health", server.address)).await,
            wanted,
            "{first}"
        );
        assert_eq!(
            call(&format!("https://{}/", server.address)).await,
            Err(Miss::NoTls),
            "{first}"
        );
    }
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_one_that_is_none_is_told() {
    let server = says("HTTP/1.1 200 OK\r\n\r\n".to_owned()).await;
    let port = server.address.rsplit(':').next().unwrap();
    let target: Target = format!("http://localhost:{port}/").parse().unwrap();
    match Place::find(&target).await.unwrap() {
        Place::Http(address, ..) => assert!(address.ip().is_loopback()),
        other => panic!("{other:?}"),
    }
    // Longer than any label of a name: nobody has to be asked.
    let target: Target = format!("http://{}.invalid/", "a".repeat(64)).parse().unwrap();
    assert!(matches!(Place::find(&target).await, Err(Unable::Name(..))));
}

/// Of a service that answers, is gone, and answers again, each time for as many calls as are seen to end so.
#[tokio::test]
async fn a_service_that_stops_and_starts_leaves_one_gap() {
    let writer = Arc::new(AtomicU64::new(100));
    let tells = |run: u64, resumed: u64, writer: &Arc<AtomicU64>| {
        let writer = Arc::clone(writer);
        move |mut stream: TcpStream| {
            let number = writer.fetch_add(1, Ordering::Relaxed) + 1;
            async move {
                drop(stream.write_all(answer(number, run, resumed).as_bytes()).await);
            }
        }
    };
    let first = serves("127.0.0.1:0", tells(1, 0, &writer)).await;
    let address = first.address.clone();
    let target: Target = format!("tally:{address}").parse().unwrap();
    let (changed, done) = (Notify::new(), Notify::new());
    let phase = AtomicU64::new(0);
    let in_a_row = AtomicU64::new(0);
    let seen = |_: u64, call: &Call| {
        // Ten answers, then ten without, then ten.
        let wanted = phase.load(Ordering::Relaxed) != 1;
        let row = if call.outcome.is_ok() == wanted {
            in_a_row.fetch_add(1, Ordering::Relaxed) + 1
        } else {
            0
        };
        if row == 10 {
            in_a_row.store(0, Ordering::Relaxed);
            match phase.fetch_add(1, Ordering::Relaxed) {
                2 => done.notify_one(),
                _ => changed.notify_one(),
            }
        }
    };
    let world = async {
        changed.notified().await;
        drop(first);
        changed.notified().await;
        // What the copy had of it: five records less than were told.
        let told = writer.load(Ordering::Relaxed);
        writer.store(told - 5, Ordering::Relaxed);
        let second = serves(&address, tells(2, told - 5, &writer)).await;
        std::future::pending::<()>().await;
        drop(second);
    };
    let measuring = measure(&target, EVERY, done.notified(), seen);
    let measured = tokio::select! {
        measured = measuring => measured.unwrap(),
        () = world => panic!(),
    };
    let [gap] = measured.gaps.as_slice() else {
        panic!("{measured}")
    };
    assert!(gap.lost >= 10 && gap.length_ms >= Some(gap.at_least_ms), "{measured}");
    assert!(gap.why.contains_key("connection refused"), "{measured}");
    let across = gap.records.unwrap();
    assert_eq!((across.new_run, across.lost), (Some(true), Some(5)), "{measured}");
    assert_eq!(measured.records.unwrap().new_runs.len(), 1);
}

#[test]
fn nobody_is_measured_who_does_not_answer_now() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let target = format!("tcp:{port}").parse().unwrap();
    assert!(matches!(Prober::begin(target), Err(Unable::NoAnswer(Miss::Refused))));
}

#[test]
fn who_answers_all_the_time_has_no_gap() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("tcp:{}", listener.local_addr().unwrap()).parse().unwrap();
    let prober = Prober::begin(target).unwrap();
    // Until it has been called a few times.
    for _ in 0..5 {
        drop(listener.accept().unwrap());
    }
    let seen = prober.end().unwrap();
    assert!(seen.calls >= 3, "{seen}");
    assert!(!seen.still_away() && seen.gaps.is_empty(), "{seen}");
}
