//! What is measured of somebody on this host who answers, and who stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate_probe::{Miss, Unable};
use quorate_tally::Answer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::call::Call;
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
    let measuring = measure((&target, None), EVERY, done.notified(), seen);
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
