//! Calls are made on time, whatever becomes of the others.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_tally::Answer;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::call::{Answered, Call, Miss, Told};

/// The guest in which a run of a numbered writer was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home {
    /// The guest's name for itself.
    pub(crate) host: String,
    /// The start of the guest.
    pub(crate) boot: String,
}

/// All calls of a measurement.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// In the order in which they were made.
    pub(crate) made: Vec<Call>,
    /// Where each run of a numbered writer was.
    pub(crate) homes: BTreeMap<u64, Home>,
}

/// Calls each `every`, counted from now, until `until` ends; then waits for those that are under way. `seen` is told of each as it ends, with
/// its number from 0.
pub(crate) async fn keep_calling<A>(
    every: Duration,
    until: impl Future<Output = ()>,
    call: impl Fn(u64) -> A,
    mut seen: impl FnMut(u64, &Call),
) -> Calls
where
    A: Future<Output = Result<Option<Answer>, Miss>> + Send + 'static,
{
    let began = Instant::now();
    let mut pace = interval(every);
    // What this host missed while it was busy is not made up for.
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut under_way = JoinSet::new();
    let mut ended = BTreeMap::new();
    let mut homes = BTreeMap::new();
    let mut number = 0_u64;
    let mut take = |number: u64, at: Duration, ended_at: Duration, outcome: Result<Option<Answer>, Miss>| {
        let outcome = outcome.map(|answer| Answered {
            at: ended_at,
            told: answer.map(|answer| {
                let told = Told::from(&answer);
                let Answer { run, host, boot, .. } = answer;
                homes.entry(run).or_insert(Home { host, boot });
                told
            }),
        });
        let call = Call { at, outcome };
        seen(number, &call);
        ended.insert(number, call);
    };
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
                    (this, at, began.elapsed(), outcome)
                });
            }
            Some(Ok((number, at, ended_at, outcome))) = under_way.join_next() => take(number, at, ended_at, outcome),
        }
    }
    while let Some(done) = under_way.join_next().await {
        if let Ok((number, at, ended_at, outcome)) = done {
            take(number, at, ended_at, outcome);
        }
    }
    Calls {
        made: ended.into_values().collect(),
        homes,
    }
}

#[cfg(test)]
mod tests {
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
            if number % 3 == 1 {
                sleep(millis(1000)).await;
                return Err(Miss::Silent);
            }
            sleep(millis(2)).await;
            Ok(None)
        };
        let calls = keep_calling(EVERY, sleep(millis(3050)), call, |_, _| ()).await;
        let made: Vec<Duration> = calls.made.iter().map(|call| call.at).collect();
        let wanted: Vec<Duration> = (0..=30).map(|number| EVERY * number).collect();
        assert_eq!(made, wanted, "made on time, and waited for after the end");
        for (number, call) in calls.made.iter().enumerate() {
            let answered = (number % 3 != 1).then(|| call.at + millis(2));
            assert_eq!(call.answered(), answered);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_told_once_as_it_ends() {
        let mut told = Vec::new();
        let call = |number: u64| async move {
            sleep(millis(250 - 60 * number)).await;
            Ok(None)
        };
        keep_calling(millis(50), sleep(millis(160)), call, |number, _| told.push(number)).await;
        // 250, 240, 230 and 220 ms after the beginning.
        assert_eq!(told, [3, 2, 1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_missed_is_not_made_up_for() {
        let call = |_| async { Ok(None) };
        let busy = async {
            sleep(millis(250)).await;
            // As if this host had stood still.
            tokio::time::advance(millis(1000)).await;
            sleep(millis(200)).await;
        };
        let calls = keep_calling(EVERY, busy, call, |_, _| ()).await;
        let late: Vec<Duration> = calls
            .made
            .iter()
            .map(|call| call.at)
            .filter(|at| *at > millis(250))
            .collect();
        assert!(late.len() <= 4, "{late:?}");
        assert!(late.iter().all(|at| *at >= millis(1250)), "{late:?}");
    }
}
