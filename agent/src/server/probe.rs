//! Calls from this node, told to whoever asked for them, for as long as they listen.

use std::pin::Pin;
use std::time::Duration;

use quorate_model::Timestamp;
use quorate_model::failure::{ExitCode, Failure};
use quorate_probe::{Ended, Miss, Patience, Place, Unable, keep_calling};
use quorate_proto::status::to_status;
use quorate_proto::{Wire, limits, v1};
use quorate_tally::Answer;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::service::stopping;
use crate::probe::{Asked, Probes, Share};

/// Calls that may wait to be taken: half a minute at the highest rate. Who is further behind does not listen.
const WAITING: usize = 3000;

/// So many go into one message at most.
const IN_ONE: usize = 500;

/// The answers.
pub(super) type Answers = Pin<Box<dyn Stream<Item = Result<v1::ProbeCalls, Status>> + Send>>;

/// Begins.
///
/// # Errors
/// What is asked for makes no sense, nobody can be called there from here, or enough is called already.
pub(super) async fn start(
    probes: &Probes,
    now: impl Fn() -> Timestamp,
    request: v1::ProbeRequest,
    stop: CancellationToken,
) -> Result<Answers, Failure> {
    let asked = Asked::read(&request.target, request.every_ms, request.seconds)
        .map_err(|why| Failure::new(ExitCode::Usage, why))?;
    let share = probes.share(asked.every).map_err(|error| {
        Failure::new(ExitCode::Refused, error.to_string()).hint("call more slowly (--interval), or later")
    })?;
    let place = match tokio::time::timeout(limits::PROBE_TIMEOUT, Place::find(&asked.target)).await {
        Ok(found) => found.map_err(|unable| failure(&asked.target, &unable))?,
        Err(_) => {
            let message = format!("{} was not looked up in time", asked.target);
            return Err(Failure::new(ExitCode::Unreachable, message));
        }
    };
    let (sender, receiver) = mpsc::channel(1);
    let first = v1::ProbeCalls {
        began: now().into_wire(),
        address: place.address().to_string(),
        calls: vec![],
    };
    tracing::info!(target = %asked.target, every = ?asked.every, lasts = ?asked.lasts, "calling");
    tokio::spawn(call((place, share), (asked.every, asked.lasts), (first, sender), stop));
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

type Sender = mpsc::Sender<Result<v1::ProbeCalls, Status>>;

/// Until its time is over, the listener or the agent goes.
async fn call(
    (place, _share): (Place, Share),
    (every, lasts): (Duration, Duration),
    (first, sender): (v1::ProbeCalls, Sender),
    stop: CancellationToken,
) {
    let (tell, mut told) = mpsc::channel(WAITING);
    let behind = CancellationToken::new();
    let calling = async {
        let until = async {
            tokio::select! {
                () = tokio::time::sleep(lasts) => {}
                () = sender.closed() => {}
                () = behind.cancelled() => {}
                () = stop.cancelled() => {}
            }
        };
        let call = |number| place.clone().call(number, Patience::Usual);
        // Dropped with it: nothing comes after the last one.
        let tell = tell;
        keep_calling(every, until, call, |number, ended| {
            if tell.try_send(one(number, ended)).is_err() {
                behind.cancel();
            }
        })
        .await;
    };
    let handing_on = async {
        if sender.send(Ok(first)).await.is_err() {
            return;
        }
        let mut calls = Vec::new();
        while told.recv_many(&mut calls, IN_ONE).await > 0 {
            let message = v1::ProbeCalls {
                calls: std::mem::take(&mut calls),
                ..Default::default()
            };
            if sender.send(Ok(message)).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(calling, handing_on);
    if stop.is_cancelled() {
        drop(sender.send(Err(stopping())).await);
    } else if behind.is_cancelled() {
        let message = "what was called was not taken in time: it ends here";
        drop(
            sender
                .send(Err(to_status(Failure::new(ExitCode::Failed, message))))
                .await,
        );
    }
}

fn one(number: u64, ended: Ended<Result<Option<Answer>, Miss>>) -> v1::ProbeCall {
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let (miss, told) = match ended.outcome {
        Ok(answer) => (String::new(), answer),
        Err(miss) => (miss.word(), None),
    };
    v1::ProbeCall {
        number,
        at_micros: micros(ended.at),
        took_micros: micros(ended.ended.saturating_sub(ended.at)),
        miss,
        told: told.map(|answer| v1::TallyAnswer {
            number: answer.number,
            time_ms: answer.time_ms,
            resumed: answer.resumed,
            run: answer.run,
            host: answer.host,
            boot: answer.boot,
        }),
    }
}

/// What can't be called from here at all.
fn failure(target: &quorate_probe::Target, unable: &Unable) -> Failure {
    let exit = match unable {
        Unable::Ping(_) | Unable::Denied(_) | Unable::NotEncrypted(_) => ExitCode::Denied,
        Unable::Name(..) | Unable::NoAnswer(_) => ExitCode::Unreachable,
        Unable::Tls(_) | Unable::Here(_) => ExitCode::Internal,
        Unable::Certificates(_) => ExitCode::Usage,
    };
    Failure::new(exit, format!("{target} can't be called from this node"))
        .because(unable)
        .hint(unable.hint())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_stream::StreamExt as _;

    use super::*;

    const NOW: Timestamp = Timestamp(1_764_300_000_000_000);

    fn request(target: String, seconds: u32) -> v1::ProbeRequest {
        v1::ProbeRequest {
            target,
            every_ms: 10,
            seconds,
        }
    }

    /// All that is told until it ends.
    async fn all(mut answers: Answers) -> (v1::ProbeCalls, Vec<v1::ProbeCall>) {
        let first = answers.next().await.unwrap().unwrap();
        let mut calls = Vec::new();
        while let Some(more) = answers.next().await {
            calls.extend(more.unwrap().calls);
        }
        (first, calls)
    }

    #[tokio::test]
    async fn each_call_is_told_by_its_own_time_and_it_ends_by_itself() {
        for at in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(at).await else {
                println!("skipped: there is no {at} here");
                continue;
            };
            let target = format!("tcp:{}", listener.local_addr().unwrap());
            let probes = Probes::default();
            let stop = CancellationToken::new();
            let answers = start(&probes, || NOW, request(target, 1), stop).await.unwrap();
            let (first, mut calls) = all(answers).await;
            assert_eq!(first.began, NOW.into_wire());
            assert!(first.address == "127.0.0.1" || first.address == "::1", "{first:?}");
            calls.sort_by_key(|call| call.number);
            assert!(calls.len() >= 2, "{calls:?}");
            assert!(calls.iter().all(|call| call.miss.is_empty()), "{calls:?}");
            assert!(
                calls.windows(2).all(|pair| pair[0].at_micros < pair[1].at_micros),
                "{calls:?}"
            );
            // Its share is given back, though only once its task is over.
            let free = async {
                while probes.share(Duration::from_millis(10)).is_err() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), free).await.unwrap();
        }
    }

    #[tokio::test]
    async fn it_ends_with_whoever_listens() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let probes = Probes::default();
        let request = request(format!("tcp:{gone}"), 86_400);
        let mut answers = start(&probes, || NOW, request, CancellationToken::new()).await.unwrap();
        assert!(answers.next().await.unwrap().unwrap().calls.is_empty());
        let call = answers.next().await.unwrap().unwrap().calls.remove(0);
        assert_eq!((call.number, call.miss.as_str()), (0, "refused"));
        assert!(probes.share(Duration::from_millis(10)).is_err(), "it goes on");
        drop(answers);
        let free = async {
            while probes.share(Duration::from_millis(10)).is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), free).await.unwrap();
    }

    #[tokio::test]
    async fn an_agent_that_is_stopped_says_so() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let stop = CancellationToken::new();
        let request = request(format!("tcp:{gone}"), 86_400);
        let mut answers = start(&Probes::default(), || NOW, request, stop.clone()).await.unwrap();
        assert!(answers.next().await.unwrap().is_ok());
        stop.cancel();
        let last = async {
            loop {
                if let Err(status) = answers.next().await.unwrap() {
                    return status;
                }
            }
        };
        let status = tokio::time::timeout(Duration::from_secs(30), last).await.unwrap();
        assert_eq!(
            quorate_proto::status::to_failure(&status).message,
            "the agent is being stopped"
        );
        assert!(answers.next().await.is_none());
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused_before_anything_is_called() {
        let stop = CancellationToken::new();
        let refused = start(&Probes::default(), || NOW, v1::ProbeRequest::default(), stop).await;
        assert_eq!(refused.err().unwrap().exit, ExitCode::Usage);
    }
}
