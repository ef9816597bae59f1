//! After an unplanned recovery, the server that was lost still has what the guest wrote after its last copy. PVE turns the guest's job round within a
//! minute, and when that server is back, `zfs recv -F` rolls its disks back to the last common copy. Where the job says `hold`, the agent of the new owner
//! switches it off before, without any coordinator, and whatever its policy says of changes: it takes nothing away, and somebody decides afterwards.
//!
//! Whose each guest is stands in a small file of pmxcfs, which is read once a second, on the thread for what may stall.

mod judge;
mod notes;
mod steady;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use quorate_model::facet::Unknown;
use quorate_model::guest_ids::JobId;
use quorate_model::observation::{Guest, ReplicationJob};
use quorate_tools::pve_config::replication;
use quorate_tools::pve_replication_state::{self, Noted};
use quorate_tools::{pmxcfs, pvesr};
use tokio_util::sync::CancellationToken;

use crate::host::{Host, ReadError, complaint, unparsable, unreadable};
use crate::observe::{MEMBERS, hostname, strays};
use judge::{Order, Sight, judge};
use notes::Notes;
use steady::Steady;

/// PVE's scheduler looks once a minute, and tries a target again five minutes after it failed at the earliest: there is time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// However fast a lab goes, files are not read in a circle.
const AT_MOST: Duration = Duration::from_millis(100);

/// While /etc/pve can't be written, or the lock is held.
const AGAIN: Duration = Duration::from_secs(5);

/// That a job has copied at last shows in a file that changes each time it runs: it is read now and then only.
const STATES_EVERY: Duration = Duration::from_secs(30);

const VMLIST: &str = "/etc/pve/.vmlist";
const JOBS: &str = "/etc/pve/replication.cfg";

/// Watches until `stop`.
pub(crate) async fn watch(host: Arc<Host>, stop: CancellationToken) {
    let mut watcher = Watcher::new(host);
    loop {
        let pause = watcher.look().await;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// What this process has seen.
struct Watcher {
    host: Arc<Host>,
    notes: Notes,
    /// What the files said at the last look.
    files: Option<Files>,
    owners: Option<BTreeMap<u32, String>>,
    /// Which nodes were there all the time.
    steady: Steady,
    /// When states are looked at though no file has changed, on the monotonic clock.
    states_due: Duration,
    /// What was complained about last.
    told: Option<String>,
}

/// The two files that tell whether anything has changed.
#[derive(Debug, PartialEq, Eq)]
struct Files {
    guests: String,
    jobs: String,
}

impl Watcher {
    fn new(host: Arc<Host>) -> Self {
        let notes = host.state_dir().map(Notes::read).unwrap_or_default();
        Self {
            host,
            notes,
            files: None,
            owners: None,
            steady: Steady::default(),
            states_due: Duration::ZERO,
            told: None,
        }
    }

    /// Looks once, and does what is to be done. When to look again.
    async fn look(&mut self) -> Duration {
        let pace = self.host.pace();
        let soon = pace.of(LOOK_EVERY).max(AT_MOST);
        match self.orders().await {
            Ok(orders) if orders.is_empty() => soon,
            Ok(orders) => {
                let mut done = true;
                for order in &orders {
                    done &= self.switch_off(order).await;
                }
                // Whether it is so, the file tells, and not the tool.
                self.files = None;
                if done { soon } else { pace.of(AGAIN).max(AT_MOST) }
            }
            Err(unknown) => {
                let what = format!("whose guests are can't be seen: {}", unknown.reason);
                self.tell("owners", &what);
                // What is seen next may have changed meanwhile.
                self.files = None;
                self.steady = Steady::default();
                soon
            }
        }
    }

    /// What is to be done, by what is seen now.
    async fn orders(&mut self) -> Result<Vec<Order>, Unknown> {
        let host = Arc::clone(&self.host);
        let Some(files) = files(&host).await? else {
            // No PVE here, or pmxcfs is down: nothing is known of anybody's guests, and nothing is forgotten.
            self.files = None;
            self.steady = Steady::default();
            return Ok(Vec::new());
        };
        let members = host.read_if_there(MEMBERS).await.ok().flatten();
        let now = host.clock().monotonic();
        self.steady.look(now, members.as_deref(), host.pace());
        if self.files.as_ref() == Some(&files) && now < self.states_due {
            return Ok(Vec::new());
        }
        let guests = pmxcfs::vmlist::read(&files.guests).map_err(unparsable)?;
        let node = hostname(&host);
        let migrating = self.migrating(&guests, &node).await;
        let owners: BTreeMap<u32, String> = guests.into_iter().map(|guest| (guest.vmid, guest.node)).collect();
        let jobs: Vec<ReplicationJob> = replication::read(&files.jobs).map_err(unparsable)?;
        let states = self.states();
        let steady = self.steady.nodes(now, host.pace());
        let sight = Sight {
            node: &node,
            now: host.now(),
            owners: &owners,
            before: self.owners.as_ref(),
            jobs: &jobs,
            states: states.as_deref(),
            steady: &steady,
            migrating: &migrating,
        };
        let (notes, orders) = judge(&self.notes, &sight);
        self.take(notes);
        self.owners = Some(owners);
        self.files = Some(files);
        self.states_due = now.saturating_add(host.pace().of(STATES_EVERY));
        Ok(orders)
    }

    /// Guests that have come here since the look before, and are still locked by a migration. What can't be read is none of them.
    async fn migrating(&self, guests: &[Guest], node: &str) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        let Some(before) = &self.owners else { return found };
        for guest in guests.iter().filter(|guest| guest.node == node) {
            let came = before.get(&guest.vmid).is_some_and(|before| before != node);
            if came && strays::is_moving(&self.host, guest).await == Ok(Some(true)) {
                found.insert(guest.vmid);
            }
        }
        found
    }

    /// What PVE's scheduler keeps; `None`: it can't be read.
    fn states(&mut self) -> Option<Vec<Noted>> {
        let text = match self.host.root().read_text(pve_replication_state::PATH) {
            // Before the first job ran there is none.
            Err(ReadError::NotFound { .. }) => return Some(Vec::new()),
            text => text.map_err(unreadable),
        };
        match text.and_then(|text| pve_replication_state::read(&text).map_err(unparsable)) {
            Ok(states) => Some(states),
            Err(unknown) => {
                let what = format!(
                    "how copies went can't be seen, and what can't be told is held: {}",
                    unknown.reason
                );
                self.tell("states", &what);
                None
            }
        }
    }

    /// What is known from now on. It is on the disk before anything is done.
    fn take(&mut self, notes: Notes) {
        if notes == self.notes {
            return;
        }
        tell_changes(&self.notes, &notes);
        self.notes = notes;
        let Some(state_dir) = self.host.state_dir() else { return };
        if let Err(error) = self.notes.write(state_dir) {
            let why = crate::errors::chain(&error);
            self.tell("notes", &format!("what is known of copies can't be noted: {why}"));
        }
    }

    /// Has the job switched off. Did the tool say that it did?
    async fn switch_off(&mut self, order: &Order) -> bool {
        let Ok(job) = order.job.parse::<JobId>() else {
            let what = format!("the job {} can't be switched off: that is no job's id", order.job);
            self.tell(&order.job, &what);
            return false;
        };
        let host = Arc::clone(&self.host);
        let ended = host.run(pvesr::hold(host.tools(), &job, &order.held)).await;
        let ended = ended.and_then(|finished| {
            if finished.exit.is_success() {
                Ok(())
            } else {
                Err(complaint(pvesr::NAME, &finished))
            }
        });
        match ended {
            Ok(()) => {
                self.told = None;
                true
            }
            Err(unknown) => {
                let what = format!(
                    "the job {job} is to be switched off, and is not yet: {}",
                    unknown.reason
                );
                self.tell(&what, &what);
                false
            }
        }
    }

    /// `about`: what it is about, so that the same is not told again each second though its words count on.
    fn tell(&mut self, about: &str, what: &str) {
        if self.told.as_deref() != Some(about) {
            tracing::warn!("{what}");
            self.told = Some(about.to_owned());
        }
    }
}

/// The two files; `None`: there is no list of guests. Where there is no job there is no file of them, and where pmxcfs stops between the two there is
/// none either: then nothing may be forgotten.
async fn files(host: &Host) -> Result<Option<Files>, Unknown> {
    let Some(guests) = host.read_if_there(VMLIST).await.map_err(unreadable)? else {
        return Ok(None);
    };
    let jobs = jobs(host).await?;
    Ok(jobs.map(|jobs| Files { guests, jobs }))
}

/// The jobs, of which there may be none; `None`: pmxcfs is not there to say so.
async fn jobs(host: &Host) -> Result<Option<String>, Unknown> {
    if let Some(jobs) = host.read_if_there(JOBS).await.map_err(unreadable)? {
        return Ok(Some(jobs));
    }
    let guests = host.read_if_there(VMLIST).await.map_err(unreadable)?;
    Ok(guests.map(|_| String::new()))
}

/// Puts into the log what became of jobs.
fn tell_changes(before: &Notes, after: &Notes) {
    use notes::JobNote;
    for (guest, known) in &after.guests {
        for (job, note) in &known.jobs {
            let old = before.guests.get(guest).and_then(|known| known.jobs.get(job));
            match note {
                _ if old == Some(note) => {}
                JobNote::Holding { held } => tracing::warn!(
                    guest,
                    job,
                    node = held.node,
                    "the guest came here without a migration: the job that would overwrite what its former server has is switched off"
                ),
                JobNote::Held { held } => tracing::warn!(
                    guest,
                    job,
                    node = held.node,
                    "the job is off: what that server has is kept until somebody decides (quorate replication resolve)"
                ),
                JobNote::Decided => tracing::info!(guest, job, "the job was switched on again: somebody decided"),
                JobNote::Returned { held } => tracing::warn!(
                    guest,
                    job,
                    node = held.node,
                    "the guest is back on the server that held it, and the job is still off: nothing copies it until it is switched on (pvesr enable)"
                ),
                JobNote::Fresh | JobNote::Settled => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
