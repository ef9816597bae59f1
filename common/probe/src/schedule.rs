//! Calls are made on time, whatever becomes of the others.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// A call that has ended. Times are from the beginning of the measurement, by this host's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended<O> {
    /// When it was made.
    pub at: Duration,
    /// When it ended.
    pub ended: Duration,
    /// What came of it.
    pub outcome: O,
}

/// Calls each `every`, counted from now, until `until` ends; then waits for those that are under way. `seen` is told of each as it ends, with
/// its number from 0; nothing of them is kept here.
pub async fn keep_calling<A>(
    every: Duration,
    until: impl Future<Output = ()>,
    call: impl Fn(u64) -> A,
    mut seen: impl FnMut(u64, Ended<A::Output>),
) where
    A: Future<Output: Send + 'static> + Send + 'static,
{
    let began = Instant::now();
    let mut pace = interval(every);
    // What this host missed while it was busy is not made up for.
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut under_way = JoinSet::new();
    let mut number = 0_u64;
    tokio::pin!(until);
    loop {
        tokio::select! {
            () = &mut until => break,
            _ = pace.tick() => {
                let (this, at) = (number, began.elapsed());
                number = number.saturating_add(1);
                let call = call(this);
                under_way.spawn(async move {
                    let outcome = call.await;
                    (this, Ended { at, ended: began.elapsed(), outcome })
                });
            }
            Some(Ok((number, ended))) = under_way.join_next() => seen(number, ended),
        }
    }
    while let Some(done) = under_way.join_next().await {
        if let Ok((number, ended)) = done {
            seen(number, ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::time::sleep;

    use super::*;

    const EVERY: Duration = Duration::from_millis(100);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_holds_up_no_other() {
        // Each third one hangs for a whole second, and fails then.
        let call = |number: u64| async move {
            let hangs = number % 3 == 1;
            sleep(millis(if hangs { 1000 } else { 2 })).await;
            !hangs
        };
        let mut seen = BTreeMap::new();
        keep_calling(EVERY, sleep(millis(3050)), call, |number, ended| {
            seen.insert(number, ended);
        })
        .await;
        let made: Vec<Duration> = seen.values().map(|call| call.at).collect();
        let wanted: Vec<Duration> = (0..=30).map(|number| EVERY * number).collect();
        assert_eq!(made, wanted, "made on time, and waited for after the end");
        for (number, call) in seen {
            let took = if number % 3 == 1 { millis(1000) } else { millis(2) };
            assert_eq!(
                (call.ended, call.outcome),
                (call.at + took, number % 3 != 1),
                "call {number}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_told_once_as_it_ends() {
        let mut told = Vec::new();
        let call = |number: u64| sleep(millis(250 - 60 * number));
        keep_calling(millis(50), sleep(millis(160)), call, |number, _| told.push(number)).await;
        // 250, 240, 230 and 220 ms after the beginning.
        assert_eq!(told, [3, 2, 1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_missed_is_not_made_up_for() {
        let busy = async {
            sleep(millis(250)).await;
            // As if this host had stood still.
            tokio::time::advance(millis(1000)).await;
            sleep(millis(200)).await;
        };
        let mut late = Vec::new();
        let seen = |_: u64, call: Ended<()>| {
            if call.at > millis(250) {
                late.push(call.at);
            }
        };
        keep_calling(EVERY, busy, |_| async {}, seen).await;
        assert!(late.len() <= 4, "{late:?}");
        assert!(late.iter().all(|at| *at >= millis(1250)), "{late:?}");
    }
}
