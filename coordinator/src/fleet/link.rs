//! The link to one node: its health stream, held for as long as the node is enrolled, and taken up again whenever it
//! breaks.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use quorate_model::Observation;
use quorate_model::observation::FacetName;
use quorate_model::operation::Package;
use quorate_proto::{limits, v1};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::call::{CallError, within};
use super::peer::Peer;
use super::revoked::Revoked;

/// The first wait after a failure; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The longest wait. Dialling a node that is down costs one packet.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How often clocks are compared while the link is up.
const COMPARE_CLOCKS: Duration = Duration::from_secs(60);

/// What is looked at when a link comes up: what its stream keeps up to date, but for the disks, which the stream itself tells at once:
/// who asks for them has them read, and sleeping ones woken. What else there is costs the node more, and is asked for freshly by
/// whoever plans.
const AT_FIRST: [FacetName; 6] = [
    FacetName::System,
    FacetName::Network,
    FacetName::Cluster,
    FacetName::Guests,
    FacetName::Ha,
    FacetName::Pools,
];

/// No package is to be fetched for what is seen in passing.
static NOTHING: BTreeSet<Package> = BTreeSet::new();

/// Holds the link for ever. Whoever started it cancels it.
pub(super) async fn hold(peer: Arc<Peer>, revoked: Arc<Revoked>) {
    let mut failures = 0_u32;
    loop {
        let started = Instant::now();
        let error = session(&peer, &revoked).await;
        if started.elapsed() > LONGEST_WAIT {
            failures = 0;
        }
        failures = failures.saturating_add(1);
        peer.update(|health, now| {
            if health.disconnected(error.to_string(), now) {
                tracing::warn!(node = %peer.name, reason = %error, "no link");
            }
        });
        tokio::time::sleep(peer.pace.wait(back_off(failures, rand::random()))).await;
    }
}

/// Exponential, with jitter: after a switch comes back, a hundred nodes should not be dialled in one moment.
/// `random` is anything.
fn back_off(failures: u32, random: u16) -> Duration {
    let whole = FIRST_WAIT
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(LONGEST_WAIT);
    whole / 2 + (whole / 2).mul_f64(f64::from(random) / f64::from(u16::MAX))
}

type Look<'a> = Pin<Box<dyn Future<Output = Result<Observation, CallError>> + Send + 'a>>;

/// One connection's life, from dialling to whatever ends it.
async fn session(peer: &Peer, revoked: &Revoked) -> CallError {
    peer.dial_anew();
    let request = v1::WatchHealthRequest { interval_ms: 0 };
    let mut stream = match within(peer.quick(), &peer.name, peer.client().watch_health(request)).await {
        Ok(stream) => stream,
        Err(error) => return error,
    };
    let list = revoked.list();
    if list.generation() > 0
        && let Err(error) = peer.push_revocations(&list).await
    {
        tracing::warn!(node = %peer.name, reason = %error, "can't hand over the list of revoked certificates");
    }

    let silence = peer.pace.wait(limits::HEALTH_SILENCE).max(limits::HEALTH_INTERVAL * 5);
    let every = peer.pace.wait(COMPARE_CLOCKS);
    let mut compare = interval_at(Instant::now() + every, every);
    compare.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // All of it at once in the beginning; then only clocks, since the stream brings what changes.
    let mut look: Option<Look<'_>> = Some(Box::pin(peer.observe_by(peer.client(), &AT_FIRST, &[], &NOTHING)));
    loop {
        tokio::select! {
            message = timeout(silence, stream.message()) => match message {
                Ok(Ok(Some(message))) => match Observation::try_from(message) {
                    Ok(observation) => peer.update(|health, now| {
                        health.see(observation, now);
                        if health.connected(now) {
                            tracing::info!(node = %peer.name, "linked");
                        }
                    }),
                    Err(error) => return CallError::garbled(&error),
                },
                Ok(Ok(None)) => return CallError::NoAnswer("the agent ended its health stream".to_owned()),
                Ok(Err(status)) => return CallError::of(&peer.name, &status),
                Err(_) => return CallError::NoAnswer("the agent fell silent".to_owned()),
            },
            result = async { match &mut look { Some(look) => look.await, None => std::future::pending().await } } => {
                look = None;
                if let Err(error) = result {
                    tracing::warn!(node = %peer.name, reason = %error, "can't look at the node");
                }
            }
            _ = compare.tick(), if look.is_none() => look = Some(Box::pin(peer.observe(&[FacetName::System], &[], &NOTHING))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_are_spread_and_end_somewhere() {
        assert_eq!(back_off(1, 0), Duration::from_millis(125));
        assert_eq!(back_off(1, u16::MAX), Duration::from_millis(250));
        assert_eq!(back_off(3, u16::MAX), Duration::from_secs(1));
        assert_eq!(back_off(u32::MAX, u16::MAX), LONGEST_WAIT);
        assert_eq!(back_off(u32::MAX, 0), LONGEST_WAIT / 2);
    }
}
