//! Drills that are run by themselves: looked at once a minute, begun one at a time, and only where nothing speaks against it.
//!
//! When one is due is worked out from the records ([`quorate_model::drill::due`]); what is kept beside them is only when it was tried last. So a
//! restart begins nothing anew, and a state that was lost begins nothing at all. The same look asks whether what drills left is gone ([`super::left`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use quorate_identity::{Scope, create_private_dir};
use quorate_model::Timestamp;
use quorate_model::drill::due::{DueRow, Known, Steady, Tried, Windows};
use quorate_model::drill::{Due, Phase, Record};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::finding::{Code, Finding, Severity};
use quorate_model::ids::{ClusterName, DrillName};
use quorate_model::maintenance::MaintenanceWindow;
use quorate_model::spec::{ClusterFile, DrillSpec, Located};
use quorate_proto::authz::Caller;
use serde::{Deserialize, Serialize};

use super::Drills;
use super::order::Order;
use super::state::Folder;
use crate::documents;
use crate::incoming::{Proof, Who};
use crate::trust::sentence;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// So long the clock has gone steadily, and this process has run, before anything is begun by it.
const SETTLES: Duration = Duration::from_secs(900);

/// As whom a drill is run by itself.
pub(super) const BY: &str = "schedule";

/// What the last looks came to, for whoever asks.
pub(super) type Rows = BTreeMap<ClusterName, Vec<DueRow>>;

/// When each drill of a cluster was tried last.
type Tries = BTreeMap<DrillName, Try>;

/// A try, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Try {
    at: Timestamp,
    /// Why it was not begun; `None`: it was.
    why: Option<String>,
}

fn tries_file(folder: &Folder) -> PathBuf {
    folder.dir().join("schedule.json")
}

/// Tries that can't be read are none: at the worst one is looked at again too early.
fn tries(folder: &Folder) -> Tries {
    documents::load(&tries_file(folder))
        .unwrap_or_else(|error| {
            tracing::warn!(error = sentence(&error), "when drills were tried last can't be read");
            None
        })
        .unwrap_or_default()
}

fn values(all: &[Located<MaintenanceWindow>]) -> Vec<MaintenanceWindow> {
    all.iter().map(|window| window.value).collect()
}

/// The drills of a file that are run by themselves, as they stand.
fn rows(file: &ClusterFile, records: &[Record], tries: &Tries, now: Timestamp) -> Vec<DueRow> {
    let any = records.iter().map(|record| record.ended).max();
    let scheduled = file
        .drills
        .iter()
        .filter_map(|(name, spec)| Some((name, spec, spec.every.as_ref()?.value)));
    let row = |(name, spec, every): (&DrillName, &DrillSpec, _)| {
        let of_it = || records.iter().filter(|record| record.drill.as_ref() == Some(name));
        let was_made = |record: &&Record| record.line.at(Phase::Fault).is_some();
        let known = Known {
            made: of_it().filter(was_made).map(|record| record.ended).max(),
            any,
            tried: tries.get(name).map(|tried| tried.at),
        };
        let windows = Windows {
            own: values(&spec.windows),
            cluster: values(&file.cluster.maintenance),
        };
        let due = Due::of(every, &windows, &known, now);
        DueRow::of(name.clone(), every, &due, failed(of_it().next_back(), tries.get(name)))
    };
    scheduled.map(row).collect()
}

/// The last that was heard of it and was no drill: a try, or one that ended before its fault.
fn failed(last: Option<&Record>, tried: Option<&Try>) -> Option<Tried> {
    let early = last
        .filter(|record| record.line.at(Phase::Fault).is_none())
        .map(|record| Tried {
            at: record.ended,
            why: format!(
                "drill {} ended before its fault: {}",
                record.number,
                record.aborted.as_deref().unwrap_or("it is not known why")
            ),
        });
    let tried = tried.and_then(|tried| {
        Some(Tried {
            at: tried.at,
            why: tried.why.clone()?,
        })
    });
    early.into_iter().chain(tried).max_by_key(|tried| tried.at)
}

/// Which of all is begun now: the one that is due for longest.
fn next(all: &Rows, now: Timestamp) -> Option<(ClusterName, DrillName)> {
    let each = all
        .iter()
        .flat_map(|(cluster, rows)| rows.iter().map(move |row| (cluster, row)));
    let due = each.filter(|(_, row)| row.begins.is_some_and(|begins| begins <= now));
    let longest = due.min_by_key(|(cluster, row)| (row.due, (*cluster).clone(), row.drill.clone()))?;
    Some((longest.0.clone(), longest.1.drill.clone()))
}

/// What is not green. That HA's master is hit is a matter of a minute, and not of safety.
fn not_green(findings: &[Finding]) -> Vec<Finding> {
    let speaks = |finding: &&Finding| finding.severity > Severity::Note && finding.code != Code::DrillHaMaster;
    findings.iter().filter(speaks).cloned().collect()
}

/// Why it was not begun, in a line.
fn why(failure: &Failure) -> String {
    let found: Vec<String> = failure
        .findings
        .iter()
        .map(|finding| format!("{} {finding}", finding.code.as_str()))
        .collect();
    if found.is_empty() {
        failure.to_string()
    } else {
        found.join("; ")
    }
}

/// Begins what is due, until it is dropped.
pub(crate) async fn keep(drills: Arc<Drills>) {
    let (clock, pace) = (drills.looker.fleet.clock.clone(), drills.looker.fleet.pace);
    let mut steady = Steady::default();
    loop {
        let now = drills.looker.now();
        let is_steady = steady.look(now, clock.monotonic(), pace.wait(SETTLES));
        drills.look_at_schedule(now).await;
        drills.look_at_what_is_left().await;
        if is_steady {
            drills.begin_what_is_due(now).await;
        }
        tokio::time::sleep(pace.wait(LOOK_EVERY)).await;
    }
}

impl Drills {
    /// The drills of a cluster that are run by themselves, as the last look has them.
    pub(crate) fn due(&self, cluster: &ClusterName) -> Vec<DueRow> {
        let rows = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(cluster).cloned().unwrap_or_default()
    }

    /// What there is to say of them.
    pub(crate) fn overdue(&self, cluster: &ClusterName) -> Vec<Finding> {
        let now = self.looker.now();
        self.due(cluster)
            .iter()
            .filter_map(|row| row.overdue(cluster, now))
            .collect()
    }

    /// Records are read, so it is done away from the threads that answer.
    async fn look_at_schedule(self: &Arc<Self>, now: Timestamp) {
        let this = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || this.all_rows(now)).await;
        match looked {
            Ok(rows) => *self.due.lock().unwrap_or_else(PoisonError::into_inner) = rows,
            Err(error) => tracing::error!(%error, "what drills are due can't be told"),
        }
    }

    fn all_rows(&self, now: Timestamp) -> Rows {
        let enrolled = self.looker.fleet.registry.enrolled().into_iter();
        let clusters: BTreeSet<ClusterName> = enrolled.map(|node| node.cluster).collect();
        let of_cluster = |cluster: ClusterName| {
            // Without a file there is nothing that should be run.
            let (file, _) = self.applied(&cluster).ok()?;
            if file.drills.values().all(|spec| spec.every.is_none()) {
                return None;
            }
            let folder = Folder::of(&self.looker.dir, &cluster);
            let records: Vec<Record> = folder.each().into_iter().filter_map(|(_, read)| read.ok()).collect();
            let rows = rows(&file, &records, &tries(&folder), now);
            Some((cluster, rows))
        };
        clusters.into_iter().filter_map(of_cluster).collect()
    }

    async fn begin_what_is_due(self: &Arc<Self>, now: Timestamp) {
        // Never two at once, in whatever clusters.
        if !self.running().is_empty() {
            return;
        }
        let next = next(&self.due.lock().unwrap_or_else(PoisonError::into_inner), now);
        let Some((cluster, name)) = next else { return };
        let why = match self.start_by_schedule(&cluster, &name).await {
            Ok(number) => {
                tracing::info!(%cluster, drill = %name, number, "begun because it is due");
                None
            }
            Err(failure) => {
                let why = why(&failure);
                tracing::warn!(%cluster, drill = %name, why, "due, and not begun");
                Some(why)
            }
        };
        let at = self.looker.now();
        let folder = Folder::of(&self.looker.dir, &cluster);
        let mut tries = tries(&folder);
        tries.insert(name, Try { at, why });
        let kept = create_private_dir(folder.dir())
            .map_err(|error| sentence(&error))
            .and_then(|()| documents::save(&tries_file(&folder), &tries).map_err(|error| sentence(&error)));
        if let Err(error) = kept {
            tracing::error!(error, "when a drill was tried can't be kept");
        }
        self.look_at_schedule(now).await;
    }

    async fn start_by_schedule(self: &Arc<Self>, cluster: &ClusterName, name: &DrillName) -> Result<u64, Failure> {
        let _turn = self.turn.lock().await;
        let (file, spec) = self.applied(cluster)?;
        let order = Order::by_schedule(name, &file)?;
        let looked = self.look(cluster, &file, &order).await?;
        let speaks = not_green(&looked.0.findings);
        if !speaks.is_empty() {
            return Err(Failure::new(ExitCode::Refused, "something speaks against it").with(speaks));
        }
        let by = Who {
            caller: Caller::Socket,
            name: BY.to_owned(),
            from: None,
            proof: Proof::None,
            scope: Scope::Fleet,
        };
        self.begin((cluster, spec), order, looked, &by).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../../docs/examples/drills.toml");
    const RECORD: &str = include_str!("../../../common/model/src/drill/tests/record-1.json");

    /// The example with a drill that is run by itself, whichever it has.
    fn file() -> ClusterFile {
        let file = ClusterFile::parse("hk1.toml", FILE).unwrap();
        assert!(
            file.drills.values().any(|spec| spec.every.is_some()),
            "the example has one that is run by itself"
        );
        file
    }

    fn scheduled(file: &ClusterFile) -> (DrillName, Duration) {
        let found = file
            .drills
            .iter()
            .find_map(|(name, spec)| Some((name, spec.every.as_ref()?)));
        let (name, every) = found.unwrap();
        (name.clone(), every.value.duration())
    }

    fn record(number: u64, drill: &DrillName) -> Record {
        Record {
            number,
            drill: Some(drill.clone()),
            ..Record::read(RECORD).unwrap()
        }
    }

    #[test]
    fn what_is_due_is_worked_out_from_the_records() {
        let file = file();
        let (name, every) = scheduled(&file);
        let made = record(1, &name);
        let now = made.ended.plus(every).plus(Duration::from_secs(30 * 86_400));
        let never = rows(&file, &[], &Tries::new(), now);
        assert!(
            never.iter().all(|row| row.due.is_none() && row.begins.is_none()),
            "{never:?}"
        );
        let due = rows(&file, std::slice::from_ref(&made), &Tries::new(), now);
        let row = due.iter().find(|row| row.drill == name).unwrap();
        assert_eq!(row.due, Some(made.ended.plus(every)));
        assert!(row.begins >= Some(now) && row.failed.is_none());

        // One that ended before its fault is no drill, but after it a while is waited.
        let mut early = record(2, &name);
        early.line.phases.retain(|seen| seen.phase != Phase::Fault);
        early.ended = now;
        early.aborted = Some("listening: tally:192.0.2.7 does not answer".to_owned());
        let tries = Tries::from([(
            name.clone(),
            Try {
                at: made.ended,
                why: None,
            },
        )]);
        let again = rows(&file, &[made.clone(), early], &tries, now);
        let row = again.iter().find(|row| row.drill == name).unwrap();
        assert_eq!(row.due, Some(made.ended.plus(every)));
        assert!(row.begins >= Some(now.plus(quorate_model::drill::due::APART)));
        let failed = row.failed.as_ref().unwrap();
        assert!(failed.at == now && failed.why.contains("does not answer"), "{failed:?}");
    }

    #[test]
    fn one_at_a_time_is_begun_and_first_the_one_that_is_due_for_longest() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let row = |drill: &str, due: i64, begins: i64| DueRow {
            drill: drill.parse().unwrap(),
            every: "90d".parse().unwrap(),
            due: Some(Timestamp::from_seconds(now.seconds() + due)),
            begins: Some(Timestamp::from_seconds(now.seconds() + begins)),
            failed: None,
        };
        let cluster = |name: &str| name.parse::<ClusterName>().unwrap();
        let all = Rows::from([
            (cluster("hk1"), vec![row("cut-prox1", -100, 0), row("later", -900, 60)]),
            (cluster("hk2"), vec![row("cut-prox4", -200, -10)]),
        ]);
        let chosen = next(&all, now).unwrap();
        assert_eq!((chosen.0.as_str(), chosen.1.as_str()), ("hk2", "cut-prox4"));
        assert!(next(&Rows::from([(cluster("hk1"), vec![row("later", -900, 60)])]), now).is_none());
    }

    #[test]
    fn only_green_is_green() {
        let finding = |code: Code| Finding::new(code, "hk1", "", "");
        assert!(not_green(&[finding(Code::DrillHaMaster)]).is_empty());
        for code in [Code::DrillLinkDown, Code::DrillDiffers, Code::DrillUnseen] {
            assert_eq!(not_green(&[finding(code)]).len(), 1, "{code:?}");
        }
        let failure =
            Failure::new(ExitCode::Refused, "something speaks against it").with(vec![finding(Code::DrillLinkDown)]);
        assert!(why(&failure).starts_with("QRT-DRILL-LINK-DOWN"), "{}", why(&failure));
        assert_eq!(why(&Failure::new(ExitCode::Failed, "no file")), "no file");
    }

    #[test]
    fn when_it_was_tried_is_there_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::of(home.path(), &"hk1".parse().unwrap());
        assert!(tries(&folder).is_empty());
        create_private_dir(folder.dir()).unwrap();
        let (name, tried) = (
            "cut-prox1".parse::<DrillName>().unwrap(),
            Try {
                at: Timestamp::from_seconds(7),
                why: Some("QRT-DRILL-BUSY".to_owned()),
            },
        );
        documents::save(&tries_file(&folder), &Tries::from([(name.clone(), tried.clone())])).unwrap();
        assert_eq!(tries(&folder).get(&name), Some(&tried));
        assert!(
            folder.unfinished().unwrap().is_none() && folder.each().is_empty(),
            "it is no drill"
        );
        std::fs::write(tries_file(&folder), "{").unwrap();
        assert!(tries(&folder).is_empty());
    }
}
