//! The copies of guests on other servers: what each job promises, and how old the copy is.

use std::time::Duration;

use quorate_model::copies::CopyState;
use quorate_model::observation::ReplicationJob;
use quorate_model::time::spoken;
use quorate_model::{Facet, Timestamp};
use serde::Serialize;

use crate::table::{or_dash, table};

/// A replication job of a cluster.
#[derive(Debug, Clone, Serialize)]
pub struct CopyRow {
    /// The cluster.
    pub cluster: String,
    /// The job.
    pub job: ReplicationJob,
    /// Who owns the guest; `None`: no such guest is there.
    pub owner: Option<String>,
    /// The oldest that the copy gets while all goes well; `None`: the schedule does not say.
    pub promised: Option<Duration>,
    /// How it stands, by the owner's agent.
    pub copy: Facet<Copy>,
}

/// How a copy stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// In a word, or more.
    pub state: CopyState,
    /// When the run began that made it, by the owner's clock.
    pub last_sync: Option<Timestamp>,
    /// How old it is.
    pub age: Option<Duration>,
    /// How long the last run took.
    pub took: Option<Duration>,
}

impl CopyRow {
    /// Is it known to be as its schedule promises?
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.copy.get().is_ok_and(|copy| copy.state.is_fine())
    }
}

/// One table, and below it what is wrong.
#[must_use]
pub fn replication(rows: &[CopyRow]) -> String {
    if rows.is_empty() {
        return "no guest is replicated\n".to_owned();
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let headers = [
        "CLUSTER", "JOB", "GUEST", "FROM", "TO", "SCHEDULE", "PROMISED", "AGE", "TOOK", "STATE",
    ];
    let below: String = rows.iter().filter_map(trouble).collect();
    let gap = if below.is_empty() { "" } else { "\n" };
    table(&headers, &cells) + gap + &below
}

fn cells(row: &CopyRow) -> Vec<String> {
    let copy = row.copy.get().ok();
    let time = |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), spoken);
    vec![
        row.cluster.clone(),
        row.job.id.clone(),
        row.job.guest.to_string(),
        or_dash(row.owner.as_deref()),
        row.job.target.clone(),
        row.job.schedule.clone(),
        row.promised
            .map_or_else(|| "-".to_owned(), |most| format!("at most {}", spoken(most))),
        copy.map_or_else(|| "?".to_owned(), |copy| time(copy.age)),
        copy.map_or_else(|| "?".to_owned(), |copy| time(copy.took)),
        copy.map_or("?", |copy| word(&copy.state)).to_owned(),
    ]
}

fn word(state: &CopyState) -> &'static str {
    match state {
        CopyState::Fresh => "fresh",
        CopyState::Syncing => "syncing",
        CopyState::Never => "NOT SYNCED YET",
        CopyState::Late => "LATE",
        CopyState::Failing { .. } => "FAILING",
        CopyState::Off => "OFF",
        CopyState::Held(_) => "HELD",
        CopyState::Leaving => "to be removed",
        CopyState::Turning => "to be turned round",
    }
}

/// In a sentence, and what to do.
fn trouble(row: &CopyRow) -> Option<String> {
    let (guest, target) = (row.job.guest, &row.job.target);
    let owner = row.owner.as_deref().unwrap_or("its owner");
    let say = |what: String| Some(format!("{} {}: {what}\n", row.cluster, row.job.id));
    let copy = match row.copy.get() {
        Ok(copy) => copy,
        Err(unknown) => return say(format!("how old the copy of guest {guest} on {target} is: {unknown}")),
    };
    match &copy.state {
        CopyState::Fresh | CopyState::Syncing => None,
        CopyState::Never => say(format!(
            "no run has succeeded on {owner} yet: nothing is known of a copy of guest {guest} on {target}"
        )),
        CopyState::Late => say(format!(
            "the copy of guest {guest} on {target} is older than its schedule promises, and no run failed: runs wait for one another on {owner}, or \
             pvescheduler does not run there"
        )),
        CopyState::Failing {
            error,
            failures,
            age_then,
            ..
        } => {
            let times = if *failures == 1 {
                "once".to_owned()
            } else {
                format!("{failures} times")
            };
            let then = match (age_then, row.promised) {
                (Some(age), Some(promised)) => format!(
                    "; PVE tries again when the copy is {} old, whatever the schedule says ({} promised), and only while {target} is online",
                    spoken(*age),
                    spoken(promised)
                ),
                (Some(age), None) => format!("; PVE tries again when the copy is {} old", spoken(*age)),
                (None, _) => "; there is no copy yet".to_owned(),
            };
            say(format!("failed {times}: {error}{then}"))
        }
        CopyState::Off => say(format!(
            "it is switched off: the copy of guest {guest} on {target} gets older and older"
        )),
        CopyState::Held(held) if held.node == owner => say(format!(
            "guest {guest} is on {owner} again, where what it wrote before {} was kept, and the job is still off: nothing copies it. When the copy may be \
             overwritten, on {owner}: pvesr enable {}",
            held.since, row.job.id
        )),
        CopyState::Held(held) => say(format!(
            "the guest was recovered on {owner}, and what {node} wrote before {since}, and never copied, is kept there until you decide: the job is off. \
             To keep it beside a new copy: quorate replication resolve {guest} --keep; to have it overwritten: quorate replication resolve {guest} --discard",
            node = held.node,
            since = held.since
        )),
        CopyState::Leaving => say(format!(
            "the scheduler of {owner} removes it; with {target} away it can't, and tries each minute"
        )),
        CopyState::Turning => say(format!(
            "{owner} owns guest {guest} now: PVE turns the job round at its next look, and then overwrites what is on the server that owned it before"
        )),
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::facet::UnknownKind;
    use quorate_model::held::Held;

    use super::*;

    fn row(state: CopyState) -> CopyRow {
        CopyRow {
            cluster: "hk1".to_owned(),
            job: ReplicationJob {
                schedule: "*/5".to_owned(),
                ..ReplicationJob::of("100-0", 100, "prox2")
            },
            owner: Some("prox1".to_owned()),
            promised: Some(Duration::from_secs(362)),
            copy: Facet::known(
                Copy {
                    state,
                    last_sync: Some(Timestamp(0)),
                    age: Some(Duration::from_secs(180)),
                    took: Some(Duration::from_secs(2)),
                },
                Timestamp(0),
            ),
        }
    }

    fn words(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_fresh_copy_is_one_line_and_nothing_else() {
        let shown = replication(&[row(CopyState::Fresh)]);
        assert_eq!(shown.lines().count(), 2, "{shown}");
        let line = words(shown.lines().nth(1).unwrap_or_default());
        assert_eq!(
            line,
            "hk1 100-0 100 prox1 prox2 */5 at most 6 min 2 s 3 min 2.0 s fresh"
        );
        assert!(row(CopyState::Fresh).is_fine());
    }

    #[test]
    fn a_failing_job_tells_what_pves_back_off_costs() {
        let failing = CopyState::Failing {
            error: "no route to host".to_owned(),
            failures: 4,
            retry_at: Some(Timestamp(0)),
            age_then: Some(Duration::from_secs(78 * 60)),
        };
        let shown = replication(&[row(failing)]);
        assert!(
            shown.contains("failed 4 times: no route to host; PVE tries again when the copy is 1 h 18 min old"),
            "{shown}"
        );
    }

    #[test]
    fn a_copy_that_is_held_says_why_and_what_to_type() {
        let held = row(CopyState::Held(Held::now(
            "prox2",
            Timestamp::from_seconds(1_795_345_772),
        )));
        let shown = replication(std::slice::from_ref(&held));
        assert!(shown.contains("  HELD\n"), "{shown}");
        assert!(
            shown.contains(
                "what prox2 wrote before 2026-11-22T11:09:32Z, and never copied, is kept there until you decide"
            ),
            "{shown}"
        );
        assert!(shown.contains("quorate replication resolve 100 --keep"), "{shown}");
        assert!(!held.is_fine());
        let back = row(CopyState::Held(Held::now("prox1", Timestamp(0))));
        let shown = words(&replication(&[back]));
        assert!(
            shown.contains("guest 100 is on prox1 again") && shown.contains("pvesr enable 100-0"),
            "{shown}"
        );
    }

    #[test]
    fn what_is_not_known_is_no_copy() {
        let mut unseen = row(CopyState::Fresh);
        unseen.copy = Facet::unknown(UnknownKind::Unreachable, "no route to host");
        let shown = replication(std::slice::from_ref(&unseen));
        assert!(shown.contains("how old the copy of guest 100 on prox2 is: "), "{shown}");
        assert!(!unseen.is_fine());
        assert_eq!(replication(&[]), "no guest is replicated\n");
    }
}
