//! Which jobs are to be switched off: a function of what was known, and of what is seen.
//!
//! A migration sends the job's state along, under the name of the guest's former owner, *before* it moves the configuration
//! (pve-guest-common AbstractMigrate.pm, `transfer_replication_state`): when a guest is seen here that was another server's, the state of the job that leads
//! back is there already, with a run that succeeded in that very migration. HA's recovery, and an administrator who moves the configuration by hand,
//! move the configuration and nothing else: then there is no state, or one of a time before the other server had the guest, which PVE's scheduler
//! has not yet cleared away. That is the difference that is acted upon. A migration whose state could not be sent looks like a recovery, and is held:
//! that costs a word of an operator, and the other way round their data.
//!
//! PVE's scheduler clears away the states of guests that are not its server's, or whose job leads elsewhere (ReplicationState.pm,
//! `purge_old_states`), once a minute; and so also the one that has just been sent along, when it looks between that and the job's being turned round.
//! Such a migration is known by the lock that its configuration comes with, while the former owner was online all the time: HA recovers nothing of
//! such a server, and who moves a configuration by hand leaves no such lock.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::Timestamp;
use quorate_model::held::Held;
use quorate_model::observation::ReplicationJob;
use quorate_model::spec::ReturningNode;
use quorate_tools::pve_replication_state::Noted;

use super::notes::{JobNote, Known, Notes};

/// What is seen at one moment: first whose each guest is, and only then all else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight<'a> {
    /// This server.
    pub(super) node: &'a str,
    /// By its clock.
    pub(super) now: Timestamp,
    /// Whose each guest is.
    pub(super) owners: &'a BTreeMap<u32, String>,
    /// Whose each was at the look before, by this process; `None`: this is its first look.
    pub(super) before: Option<&'a BTreeMap<u32, String>>,
    /// All jobs.
    pub(super) jobs: &'a [ReplicationJob],
    /// What PVE's scheduler keeps here of the jobs of this server's guests; `None`: that can't be read.
    pub(super) states: Option<&'a [Noted]>,
    /// Nodes that were online at every look for a while, see [`Steady`](super::steady::Steady).
    pub(super) steady: &'a BTreeSet<String>,
    /// Guests that came here since the look before, and whose configuration says that they are being migrated (`lock: migrate`).
    pub(super) migrating: &'a BTreeSet<u32>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    /// The job's id.
    pub(super) job: String,
    /// What its comment is to say.
    pub(super) held: Held,
}

/// What is known afterwards, and what is to be done.
pub(super) fn judge(notes: &Notes, sight: &Sight<'_>) -> (Notes, Vec<Order>) {
    let mut after = Notes::default();
    let mut orders = Vec::new();
    let holds = |job: &&ReplicationJob| {
        let says = job.comment.as_deref().and_then(ReturningNode::of_comment);
        says == Some(ReturningNode::Hold) && job.removal.is_none()
    };
    let mut by_guest: BTreeMap<u32, Vec<&ReplicationJob>> = BTreeMap::new();
    for job in sight.jobs.iter().filter(holds) {
        by_guest.entry(job.guest).or_default().push(job);
    }
    for (guest, jobs) in by_guest {
        let known = notes.guests.get(&guest);
        let Some(owner) = sight.owners.get(&guest) else {
            // Its configuration is nowhere; whose it was before is not forgotten for that.
            after.guests.extend(known.map(|known| (guest, known.clone())));
            continue;
        };
        let mut now = match known {
            Some(known) if known.owner == *owner => known.clone(),
            _ => Known {
                owner: owner.clone(),
                since: sight.now,
                jobs: BTreeMap::new(),
            },
        };
        if owner == sight.node {
            let noted = jobs.into_iter().map(|job| (job.id.clone(), sight.job(known, job)));
            now.jobs = noted.collect();
            orders.extend(now.jobs.iter().filter_map(|(job, note)| match note {
                JobNote::Holding { held } => Some(Order {
                    job: job.clone(),
                    held: held.clone(),
                }),
                _ => None,
            }));
        }
        after.guests.insert(guest, now);
    }
    (after, orders)
}

/// Where a guest was before it came here.
struct Came<'a> {
    node: &'a str,
    /// When it was first seen there, if that is known.
    since: Option<Timestamp>,
}

impl<'a> Sight<'a> {
    /// How a job stands of a guest that is this server's.
    fn job(&self, known: Option<&'a Known>, job: &'a ReplicationJob) -> JobNote {
        let held = job.held();
        match held {
            Some(held) if held.node != self.node => JobNote::Held { held },
            // The guest is back on the server that held it. What its comment says is over; what matters is how it came here.
            Some(held) => match self.unmarked(known, job) {
                note @ JobNote::Holding { .. } => note,
                _ => JobNote::Returned { held },
            },
            None => self.unmarked(known, job),
        }
    }

    /// The same of a job that is not marked as held elsewhere.
    fn unmarked(&self, known: Option<&'a Known>, job: &'a ReplicationJob) -> JobNote {
        let note = known.filter(|known| known.owner == self.node).map(|known| &known.jobs);
        match note.and_then(|jobs| jobs.get(&job.id)) {
            // It is not yet so, or somebody wrote another comment while it stayed off.
            Some(JobNote::Holding { held }) => JobNote::Holding { held: held.clone() },
            Some(JobNote::Held { held }) if job.disabled => JobNote::Holding { held: held.clone() },
            Some(JobNote::Held { .. } | JobNote::Decided) if !self.has_copied(job) => JobNote::Decided,
            Some(JobNote::Fresh) if !self.has_copied(job) => JobNote::Fresh,
            // It was away and has come back while nobody looked, and what it had copied from here is forgotten.
            Some(JobNote::Settled | JobNote::Returned { .. })
                if self.before.is_none() && self.states.is_some() && !self.has_copied(job) =>
            {
                self.unseen(job)
            }
            Some(_) => JobNote::Settled,
            None => match self.came_from(known, job) {
                Some(from) => self.arrived(job, &from),
                None if self.before.is_some() => JobNote::Fresh,
                None => self.unseen(job),
            },
        }
    }

    /// The server that the guest came from, if it is seen to have come.
    fn came_from(&self, known: Option<&'a Known>, job: &'a ReplicationJob) -> Option<Came<'a>> {
        let noted = known.filter(|known| known.owner != self.node).map(|known| Came {
            node: &known.owner,
            since: Some(known.since),
        });
        let seen = || {
            let before = self.before?.get(&job.guest)?;
            (before != self.node).then_some(Came {
                node: before,
                since: None,
            })
        };
        // PVE has not turned the job round yet: it still says where the guest was.
        let written = || {
            let source = job.source.as_deref()?;
            (source != self.node).then_some(Came {
                node: source,
                since: None,
            })
        };
        noted.or_else(seen).or_else(written)
    }

    /// A job of a guest that came here.
    fn arrived(&self, job: &ReplicationJob, from: &Came<'_>) -> JobNote {
        if job.other_end(self.node) != Some(from.node) {
            return self.elsewhere(job, from);
        }
        if self.was_sent_along(job, from) || self.is_migrated(job, from) {
            JobNote::Settled
        } else {
            self.hold(from.node)
        }
    }

    /// A job of a guest that came here, which does not lead to where the guest was last seen.
    fn elsewhere(&self, job: &ReplicationJob, from: &Came<'_>) -> JobNote {
        let source = job.source.as_deref();
        match source.filter(|source| job.target == self.node && *source != self.node) {
            // By PVE's last word the guest was there, and PVE turns the job round to there.
            Some(source) => {
                let last = Came {
                    node: source,
                    since: from.since,
                };
                if self.was_sent_along(job, &last) || self.was_sent_along(job, from) {
                    JobNote::Settled
                } else {
                    self.hold(source)
                }
            }
            // Nobody looked for a while: where the guest was meanwhile can't be told by what was noted before.
            None if self.before.is_none() => self.unseen(job),
            // What it overwrites is a copy, and never was anybody's disk.
            None => JobNote::Fresh,
        }
    }

    /// Is it in the middle of a migration from there? Then its state was sent along, and PVE's scheduler has cleared it away.
    fn is_migrated(&self, job: &ReplicationJob, from: &Came<'_>) -> bool {
        let before = self.before.and_then(|before| before.get(&job.guest));
        before.is_some_and(|before| before == from.node)
            && self.migrating.contains(&job.guest)
            && self.steady.contains(from.node)
    }

    /// Did the job's state come along, or has a run succeeded from here since?
    fn was_sent_along(&self, job: &ReplicationJob, from: &Came<'_>) -> bool {
        let Some(noted) = self.state(job.guest, from.node) else {
            return false;
        };
        let Some(synced) = noted.state.last_sync else {
            return false;
        };
        // PVE's times are whole seconds. A run of the other server's in the very second in which it got the guest counts; one of this server's own in
        // that second was the one that brought the guest there. Clocks that are further apart than the guest was away make it look older than it is,
        // and it is held.
        let own = noted.last_node.as_deref() == Some(self.node);
        from.since.is_none_or(|since| {
            if own {
                synced.seconds() > since.seconds()
            } else {
                synced.seconds() >= since.seconds()
            }
        })
    }

    /// A job of a guest of which nothing was known. One that has never copied from here is either new or was turned round after a recovery: that can't
    /// be told, and it is held.
    fn unseen(&self, job: &ReplicationJob) -> JobNote {
        match (job.other_end(self.node), self.has_copied(job)) {
            (_, true) | (None, _) => JobNote::Settled,
            (Some(other), false) => self.hold(other),
        }
    }

    fn hold(&self, node: &str) -> JobNote {
        JobNote::Holding {
            held: Held::now(node, self.now),
        }
    }

    /// Has a run succeeded, by what is kept here?
    fn has_copied(&self, job: &ReplicationJob) -> bool {
        let other = job.other_end(self.node);
        let noted = other.and_then(|other| self.state(job.guest, other));
        noted.is_some_and(|noted| noted.state.last_sync.is_some())
    }

    fn state(&self, guest: u32, target: &str) -> Option<&'a Noted> {
        let mut states = self.states?.iter();
        states.find(|noted| noted.state.guest == guest && noted.state.target == target)
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
