//! Health, for as long as somebody listens.

use std::sync::Arc;
use std::time::Duration;

use quorate_proto::{limits, v1};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::service::stopping;
use crate::host::Host;
use crate::liveness::Looks;
use crate::observe::health::HealthCollector;

/// The interval that a caller gets who asks for this one.
pub(super) fn interval(asked_ms: u32) -> Duration {
    match asked_ms {
        0 => limits::HEALTH_INTERVAL,
        ms => Duration::from_millis(ms.into()).clamp(limits::HEALTH_INTERVAL_SHORTEST, limits::HEALTH_INTERVAL_LONGEST),
    }
}

/// Looks at each interval and tells; ends with the listener, or with the agent.
pub(super) fn start(
    host: Arc<Host>,
    looks: Looks,
    interval: Duration,
    stop: CancellationToken,
) -> impl Stream<Item = Result<v1::Observation, Status>> + Send {
    // One message ahead at most: a slow listener gets fewer, never old ones.
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut collector = HealthCollector::new(host);
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    drop(sender.send(Err(stopping())).await);
                    return;
                }
                () = sender.closed() => return,
                _ = ticks.tick() => {}
            }
            let look = looks.begin();
            let observation = collector.tick().await;
            // A listener who takes their time is no look that hangs.
            drop(look);
            if sender.send(Ok(observation.into())).await.is_err() {
                return;
            }
        }
    });
    ReceiverStream::new(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_kept_within_what_both_sides_agreed_on() {
        let asked = |ms| interval(ms).as_millis();
        assert_eq!(
            [asked(0), asked(1), asked(500), asked(u32::MAX)],
            [1000, 100, 500, 10_000]
        );
    }
}
