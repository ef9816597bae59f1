//! How guests are protected, in findings: copies that get too old before they are, and guests of which there is none.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_model::calendar::Calendar;
use quorate_model::copies::{Age, Keeping, keeping};
use quorate_model::observation::cluster::Member;
use quorate_model::observation::{ConfiguredGuest, FacetName, PveConfig, ReplicationJob, ReplicationState, Storages};
use quorate_model::spec::{Chosen, ClusterFile};
use quorate_model::time::spoken;
use quorate_model::{ClusterName, Code, Finding, NodeRef, Observation, Timestamp};
use quorate_planner::{Copying, copying};
use quorate_proto::Sighting;

use super::health::stale;
use crate::fleet::known_guests::{Since, Told};

/// Whoever makes a guest gets so long to protect it before a word is said.
const GRACE: Duration = Duration::from_secs(3600);

/// A member of each cluster is asked each minute.
pub(super) const OLD: Duration = Duration::from_secs(10 * 60);

/// A cluster with what is known of its guests.
struct Scene<'a> {
    now: Timestamp,
    cluster: &'a ClusterName,
    told: &'a Told,
    /// The file that was applied last.
    file: Option<&'a ClusterFile>,
    /// What the member that told shows of itself.
    speaker: &'a Observation,
    member: &'a Member,
    seen: &'a [Sighting],
}

/// What is worth saying about the guests of this cluster. Of servers that can't be seen, that alone is told, elsewhere.
pub(crate) fn protection(
    now: Timestamp,
    cluster: &ClusterName,
    told: &Told,
    file: Option<&ClusterFile>,
    seen: &[Sighting],
) -> Vec<Finding> {
    let by = NodeRef::new(cluster.clone(), told.by.clone());
    let own = seen.iter().find(|sighting| sighting.node == by);
    let Some(own) = own.filter(|own| !stale(now, own)) else {
        return Vec::new();
    };
    let Ok(speaker) = &own.view.observation else {
        return Vec::new();
    };
    let config = match &told.config {
        Ok(config) => config,
        Err(unknown) => {
            let message = format!("what is configured of guests on {by}: {}", unknown.reason);
            let next = format!("on {}: quorate-agent observe {}", told.by, FacetName::Config.as_str());
            return vec![Finding::new(Code::FacetUnknown, by.to_string(), message, next)];
        }
    };
    // A server alone has nowhere to copy to.
    let member = speaker.cluster.get().ok().and_then(|cluster| cluster.member());
    let Some(member) = member.filter(|member| member.nodes.len() > 1) else {
        return Vec::new();
    };
    let seen_ago = told.at.age(now);
    if seen_ago > OLD {
        let message = format!(
            "what is configured of the guests of {cluster} was seen {} ago by {}, and by nobody since",
            spoken(seen_ago),
            told.by
        );
        let next = format!("quorate guests --cluster {cluster}; quorate status --fresh");
        return vec![Finding::new(Code::DataStale, cluster.as_str(), message, next)];
    }
    let scene = Scene {
        now,
        cluster,
        told,
        file,
        speaker,
        member,
        seen,
    };
    let mut findings = Vec::new();
    match config.replication.get() {
        Ok(jobs) => {
            findings.extend(jobs.iter().filter_map(|job| scene.age(config, job)));
            if let (Ok(guests), Ok(storages)) = (config.guests.get(), speaker.storages.get()) {
                findings.extend(
                    guests
                        .iter()
                        .filter_map(|guest| scene.unprotected(config, guest, jobs, storages)),
                );
            }
        }
        Err(unknown) => {
            let message = format!("which guests are copied could not be seen on {by}: {}", unknown.reason);
            let next = format!("on {}: look at /etc/pve/replication.cfg", told.by);
            findings.push(Finding::new(Code::FacetUnknown, by.to_string(), message, next));
        }
    }
    findings
}

impl Scene<'_> {
    fn subject(&self, guest: u32) -> String {
        format!("{}/guest {guest}", self.cluster)
    }

    /// The node that owns a guest now.
    fn owner(&self, config: &PveConfig, guest: u32) -> Option<String> {
        // The list comes over the stream every few seconds, what is configured once a minute.
        let listed = self.speaker.guests.get().ok();
        let listed = listed.map(|guests| guests.iter().find(|one| one.vmid == guest).map(|one| one.node.clone()));
        listed.unwrap_or_else(|| {
            let configured = config.guests.get().ok()?;
            let own = configured.iter().find(|one| one.guest.vmid == guest)?;
            Some(own.guest.node.clone())
        })
    }

    /// What the owner of a guest keeps of its jobs, and when it was read by its clock; `None`: its server can't be seen, which is told elsewhere.
    fn states(&self, owner: &str) -> Option<(&[ReplicationState], Timestamp)> {
        let of_owner = self.seen.iter().find(|sighting| sighting.node.node.as_str() == owner);
        let seen = of_owner.filter(|sighting| !stale(self.now, sighting))?;
        let replication = &seen.view.observation.as_ref().ok()?.replication;
        Some((replication.get().ok()?, replication.collected_at()?))
    }

    /// The time from one copy to the next that is wanted: by the file that was applied, where it means this copy; otherwise by the job itself.
    fn wanted(&self, config: &PveConfig, job: &ReplicationJob) -> Option<Duration> {
        let by_file = self.file.and_then(|file| {
            let guests = config.guests.get().ok()?;
            let guest = guests.iter().find(|one| one.guest.vmid == job.guest)?;
            let pools = pools_of(config, job.guest);
            let chosen = chosen(guest, &pools);
            let tables = file.replication.iter().filter(|table| {
                let wants = |node: &str| table.copies_on.value.iter().any(|one| one.as_str() == node);
                wants(&job.target)
            });
            let closest = tables
                .filter_map(|table| Some((table.guests.names(chosen)?, table)))
                .max_by_key(|(close, _)| *close)?;
            closest.1.schedule().parse::<Calendar>().ok()
        });
        match by_file {
            Some(calendar) => Some(calendar.longest_gap()),
            None => job.interval().ok(),
        }
    }

    /// A copy that is too old, or is going to be.
    fn age(&self, config: &PveConfig, job: &ReplicationJob) -> Option<Finding> {
        let owner = self.owner(config, job.guest)?;
        let (states, now) = self.states(&owner)?;
        let state = states
            .iter()
            .find(|state| state.guest == job.guest && state.target == job.target);
        let online = self.member.online().any(|node| node == job.target);
        let wanted = self.wanted(config, job)?;
        let (code, age) = match keeping(job, (owner.as_str(), state), (wanted, online), now) {
            Keeping::InTime | Keeping::AtRest => return None,
            Keeping::NotMade => return Some(self.not_made(job, &owner, state)),
            Keeping::Ageing(age) => (Code::CopyAgeing, age),
            Keeping::TooOld(age) => (Code::CopyTooOld, age),
        };
        let (guest, target) = (job.guest, &job.target);
        let mut message = format!("the copy of guest {guest} on {target} is {} old", spoken(age.now));
        if let (Code::CopyAgeing, Some(then)) = (code, age.then) {
            message.push_str(&format!(", and will be {} old before it is made anew", spoken(then)));
        }
        message.push_str(&format!("; wanted is {}, at most {}", spoken(wanted), spoken(age.most)));
        message.push_str(&again(job, &age, state, online));
        let next = if online {
            format!("quorate replication {guest}; on {owner}: pvesr schedule-now {}", job.id)
        } else {
            format!("bring {target} back; quorate replication {guest}")
        };
        Some(Finding::new(code, self.subject(guest), message, next))
    }

    fn not_made(&self, job: &ReplicationJob, owner: &str, state: Option<&ReplicationState>) -> Finding {
        let (guest, target) = (job.guest, &job.target);
        let why = match state.and_then(|state| state.error.as_deref()) {
            Some(error) => format!(": {error}"),
            None => String::new(),
        };
        let message = format!(
            "nothing is known of a copy of guest {guest} on {target}: no run of {} has succeeded on {owner} yet{why}",
            job.id
        );
        let next = format!("quorate replication {guest}");
        Finding::new(Code::CopyNotMade, self.subject(guest), message, next)
    }

    /// A guest of which there is no copy, though it could be lost with its server.
    fn unprotected(
        &self,
        config: &PveConfig,
        guest: &ConfiguredGuest,
        jobs: &[ReplicationJob],
        storages: &Storages,
    ) -> Option<Finding> {
        let (vmid, node) = (guest.guest.vmid, &guest.guest.node);
        let why_not = match copying(guest, storages) {
            Copying::Needless => return None,
            Copying::Can { .. } => String::new(),
            Copying::Cannot(reasons) => format!("; as it is it can't be copied: {}", reasons.join("; ")),
            Copying::Untold(why) => return Some(self.untold(vmid, node, &why)),
        };
        let own: Vec<&ReplicationJob> = jobs.iter().filter(|job| job.guest == vmid).collect();
        if own.iter().any(|job| !job.disabled && job.removal.is_none()) {
            return None;
        }
        // That it is unprotected is told with what is held, and with what to type: switching the job on would be the decision to lose that.
        if own.iter().any(|job| job.held().is_some()) {
            return None;
        }
        let tables = self.file.map_or(&[][..], |file| file.replication.as_slice());
        if let Err(unknown) = config.guest_pools.get()
            && tables.iter().any(|table| table.guests.looks_at_pools())
        {
            return Some(self.untold(vmid, node, &unknown.reason));
        }
        let pools = pools_of(config, vmid);
        let chosen = chosen(guest, &pools);
        if tables.iter().any(|table| table.guests.excepts(chosen)) {
            return None;
        }
        let age = guest_age(self.now, self.told, guest, GRACE);
        if age.is_some_and(|age| age < GRACE) {
            return None;
        }
        let job = match own.first() {
            Some(job) if job.disabled => format!("its replication job {} is switched off", job.id),
            Some(job) => format!("its replication job {} is being removed", job.id),
            None => "no replication job is there for it".to_owned(),
        };
        let since = match age {
            Some(age) => format!("for {}", spoken(age)),
            None => "nobody can say for how long".to_owned(),
        };
        let message = format!("guest {vmid} has disks on {node} alone, and {job} ({since}){why_not}");
        let next = match tables.iter().any(|table| table.guests.names(chosen).is_some()) {
            true => "the cluster file asks for copies of it: quorate plan FILE, then quorate apply FILE".to_owned(),
            false => {
                format!("quorate protect {vmid}; or except = [{vmid}] in a table of replication, if it is meant so")
            }
        };
        Some(Finding::new(Code::GuestUnprotected, self.subject(vmid), message, next))
    }

    fn untold(&self, guest: u32, node: &str, why: &str) -> Finding {
        let message = format!("whether guest {guest} is protected can't be told: {why}");
        let next = format!("on {node}: qm config {guest}, or pct config {guest}");
        Finding::new(Code::GuestUntold, self.subject(guest), message, next)
    }
}

/// How old a guest is at the least; `None`: that can't be told, and it counts as old. One that the coordinator has known for `enough` is old
/// enough, whenever it was created.
pub(super) fn guest_age(now: Timestamp, told: &Told, guest: &ConfiguredGuest, enough: Duration) -> Option<Duration> {
    let created = guest.config.get().ok().and_then(|config| config.created);
    // A clock that was wrong when it was created says nothing.
    if let Some(created) = created.filter(|created| *created <= now) {
        return Some(created.age(now));
    }
    let since: &Since = told.since.get(&guest.guest.vmid)?;
    let known = since.at.age(now);
    (since.new || known >= enough).then_some(known)
}

/// When PVE tries again.
fn again(job: &ReplicationJob, age: &Age, state: Option<&ReplicationState>, online: bool) -> String {
    let target = &job.target;
    let why = state
        .and_then(|state| state.error.as_deref())
        .unwrap_or("no reason is kept");
    let failures = match state.map_or(0, |state| state.failures) {
        1 => "a failure".to_owned(),
        more => format!("{more} failures"),
    };
    match age.retry_at {
        Some(_) if !online => format!("; after {failures} ({why}) PVE tries again only when {target} is online"),
        Some(at) => format!("; after {failures} ({why}) PVE tries again only at {at}"),
        None if !online => format!("; {target} is not online, and no run succeeds before it is"),
        None => format!("; its job {} runs at {}, and no run failed", job.id, job.schedule),
    }
}

/// PVE's pools that a guest is in, as far as they are seen.
fn pools_of(config: &PveConfig, guest: u32) -> BTreeSet<&str> {
    let pools = config.guest_pools.get().ok().into_iter().flatten();
    let within = pools.filter(|(_, guests)| guests.contains(&guest));
    within.map(|(name, _)| name.as_str()).collect()
}

fn chosen<'a>(guest: &'a ConfiguredGuest, pools: &'a BTreeSet<&'a str>) -> Chosen<'a> {
    Chosen {
        vmid: guest.guest.vmid,
        tags: guest.config.get().map_or(&[], |config| config.tags.as_slice()),
        pools,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quorate_model::Facet;
    use quorate_model::observation::guest_config::GuestConfig;
    use quorate_planner::testkit::{self as kit, NOW, Servers};

    use super::*;

    const LINKS: &[&str] = &["10.10.10.0/24"];

    /// A file that wants guest 100 and all that are tagged `web` copied each five minutes, but 103 not.
    fn file() -> ClusterFile {
        let mut text = String::from("[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\"]\n");
        for n in 1..=3 {
            text.push_str(&format!("[nodes.prox{n}]\naddress = \"192.168.1.{}\"\n", 10 + n));
        }
        text.push_str(
            "[[replication]]\nguests = [100]\ncopies_on = [\"prox1\", \"prox2\"]\nevery = \"5m\"\nexcept = [103]\n",
        );
        kit::parse(&text)
    }

    fn servers(guests: &[ConfiguredGuest]) -> Servers {
        Servers::bare(3)
            .members("hk1", &["prox1", "prox2", "prox3"], LINKS)
            .with_guests(guests)
            .with_each(|seen| {
                seen.guests = Facet::known(guests.iter().map(|one| one.guest.clone()).collect(), NOW);
            })
    }

    fn findings(servers: &Servers, file: Option<&ClusterFile>, since: &[(u32, Since)]) -> Vec<Finding> {
        let cluster: ClusterName = "hk1".parse().unwrap();
        let seen: Vec<Sighting> = servers
            .view
            .nodes
            .iter()
            .map(|(node, view)| Sighting {
                node: NodeRef::new(cluster.clone(), node.clone()),
                view: view.clone(),
                received_at: Some(NOW),
                connection: None,
            })
            .collect();
        let by = kit::name("prox3");
        let told = Told {
            config: servers.view.facet(&by, |o| &o.config).cloned(),
            by,
            at: NOW,
            since: since.iter().copied().collect::<BTreeMap<_, _>>(),
        };
        protection(NOW, &cluster, &told, file, &seen)
    }

    fn codes(findings: &[Finding]) -> Vec<(Code, &str)> {
        findings.iter().map(|one| (one.code, one.subject.as_str())).collect()
    }

    /// Guest 100 with a job to prox2, which stands so.
    fn copied(change: impl Fn(&mut ReplicationState)) -> Servers {
        let mut state = kit::copied(100, "prox2");
        change(&mut state);
        servers(&[kit::guest(100, "prox1", "data_zfs")])
            .with_each(|seen| {
                kit::known(&mut seen.config).replication = Facet::known(vec![kit::job("100-0", "prox1", "prox2")], NOW)
            })
            .with("prox1", |seen| {
                seen.replication = Facet::known(vec![state.clone()], NOW)
            })
            .with("prox3", |seen| seen.replication = Facet::known(vec![], NOW))
    }

    fn ago(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp(NOW.0 - seconds * 1_000_000))
    }

    fn failing(ago_sync: i64, ago_try: i64) -> Servers {
        copied(|state| {
            (state.last_sync, state.last_try) = (ago(ago_sync), ago(ago_try));
            (state.failures, state.error) = (2, Some("no route to host".to_owned()));
        })
    }

    #[test]
    fn the_alarm_comes_before_the_copy_is_too_old() {
        let file = file();
        assert_eq!(findings(&copied(|_| ()), Some(&file), &[]), []);
        let soon = findings(&failing(350, 30), Some(&file), &[]);
        assert_eq!(codes(&soon), [(Code::CopyAgeing, "hk1/guest 100")]);
        assert_eq!(soon[0].severity, quorate_model::Severity::Warning);
        let message = &soon[0].message;
        assert!(
            message.starts_with(
                "the copy of guest 100 on prox2 is 5 min 50 s old, and will be 15 min 21 s old before it is made anew; wanted is 5 min, at most \
                 6 min 1 s; after 2 failures (no route to host) PVE tries again only at "
            ),
            "{message}"
        );
        let late = findings(&failing(600, 30), Some(&file), &[]);
        assert_eq!(codes(&late), [(Code::CopyTooOld, "hk1/guest 100")]);
        assert_eq!(late[0].severity, quorate_model::Severity::Critical);
    }

    #[test]
    fn pve_does_not_even_try_while_the_other_server_is_away() {
        let away = failing(350, 30).with_each(|seen| {
            if let quorate_model::observation::Membership::Member(member) =
                &mut kit::known(&mut seen.cluster).membership
            {
                member
                    .nodes
                    .iter_mut()
                    .filter(|node| node.name == "prox2")
                    .for_each(|node| node.online = false);
            }
        });
        let told = findings(&away, Some(&file()), &[]);
        assert!(
            told[0].message.ends_with("PVE tries again only when prox2 is online"),
            "{}",
            told[0].message
        );
    }

    #[test]
    fn without_a_file_the_jobs_own_schedule_counts_and_with_one_the_files() {
        let slow = |servers: Servers| {
            servers.with_each(|seen| {
                let jobs = kit::known(&mut kit::known(&mut seen.config).replication);
                jobs[0].schedule = "*/15".to_owned();
            })
        };
        assert_eq!(findings(&slow(copied(|_| ())), None, &[]), []);
        let told = findings(&slow(copied(|_| ())), Some(&file()), &[]);
        assert_eq!(codes(&told), [(Code::CopyAgeing, "hk1/guest 100")]);
        assert!(
            told[0].message.contains("its job 100-0 runs at */15"),
            "{}",
            told[0].message
        );
    }

    #[test]
    fn a_copy_that_was_never_made_is_told_and_a_server_that_can_t_be_seen_is_told_elsewhere() {
        let never = copied(|state| state.last_sync = None);
        assert_eq!(
            codes(&findings(&never, None, &[])),
            [(Code::CopyNotMade, "hk1/guest 100")]
        );
        let unseen = failing(900, 30).with("prox1", |seen| seen.replication = Facet::not_asked());
        assert_eq!(findings(&unseen, None, &[]), []);
    }

    fn guest(vmid: u32, storage: &str, change: impl Fn(&mut GuestConfig)) -> ConfiguredGuest {
        let mut guest = kit::guest(vmid, "prox1", storage);
        change(kit::known(&mut guest.config));
        guest
    }

    #[test]
    fn a_guest_without_a_copy_is_told_when_it_is_an_hour_old_or_of_unknown_age() {
        let hour = |more: i64| ago(3600 + more);
        let guests = [
            guest(101, "data_zfs", |config| config.created = hour(1)),
            guest(102, "data_zfs", |config| config.created = hour(-1)),
            // Meant so by the file.
            guest(103, "data_zfs", |_| ()),
            guest(104, "data_zfs", |config| config.template = true),
            // On every server.
            guest(105, "nas", |_| ()),
            // Not even by moving a disk.
            guest(106, "local", |config| config.created = hour(1)),
            // Found there when somebody first looked, and one that came while somebody watched.
            guest(107, "data_zfs", |_| ()),
            guest(108, "data_zfs", |_| ()),
        ];
        let since = |seconds, new| Since {
            at: ago(seconds).unwrap(),
            new,
        };
        let all = servers(&guests);
        let told = findings(&all, Some(&file()), &[(107, since(60, false)), (108, since(60, true))]);
        let subjects: Vec<_> = codes(&told)
            .into_iter()
            .map(|(code, subject)| {
                assert_eq!(code, Code::GuestUnprotected);
                subject.to_owned()
            })
            .collect();
        assert_eq!(subjects, ["hk1/guest 101", "hk1/guest 106", "hk1/guest 107"]);
        assert!(
            told[1].message.contains("it can't be copied: scsi0 lies on local"),
            "{}",
            told[1].message
        );
        assert!(
            told[2].message.contains("nobody can say for how long"),
            "{}",
            told[2].message
        );
        assert!(told[0].next.starts_with("quorate protect 101"), "{}", told[0].next);
        // One alone has nowhere to go.
        let alone = Servers::bare(3).members("hk1", &["prox3"], LINKS).with_guests(&guests);
        assert_eq!(findings(&alone, None, &[]), []);
    }

    #[test]
    fn what_can_t_be_read_is_not_protected_and_not_unprotected() {
        let odd = Facet::unknown(quorate_model::UnknownKind::Unparsable, "expected MiB: `memory: lots`");
        let mut unread = kit::guest(101, "prox1", "data_zfs");
        unread.config = odd;
        let told = findings(&servers(&[unread]), None, &[]);
        assert_eq!(codes(&told), [(Code::GuestUntold, "hk1/guest 101")]);
    }

    #[test]
    fn beside_what_is_held_nothing_is_told_that_leads_to_discarding_it() {
        for last_sync in [None, ago(9_000)] {
            let held = copied(|state| state.last_sync = last_sync).with_each(|seen| {
                let job = &mut kit::known(&mut kit::known(&mut seen.config).replication)[0];
                job.disabled = true;
                job.comment = Some(quorate_model::held::Held::now("prox2", NOW).comment());
            });
            assert_eq!(findings(&held, Some(&file()), &[]), []);
            assert_eq!(findings(&held, None, &[]), []);
        }
    }

    #[test]
    fn a_job_that_is_switched_off_protects_nothing() {
        let off = copied(|_| ()).with_each(|seen| {
            kit::known(&mut kit::known(&mut seen.config).replication)[0].disabled = true;
        });
        let told = findings(&off, None, &[]);
        assert_eq!(codes(&told), [(Code::GuestUnprotected, "hk1/guest 100")]);
        assert!(
            told[0].message.contains("its replication job 100-0 is switched off"),
            "{}",
            told[0].message
        );
    }
}
