//! Disks and pools in findings: what fails, what fills, what nobody has checked for long.

use std::time::Duration;

use quorate_model::observation::disks::Disk;
use quorate_model::observation::pools::{Leaf, Pool, Scan, ScanKind, ScanState, VdevState};
use quorate_model::time::spoken;
use quorate_model::{Code, Finding, NodeRef, Observation, Timestamp};

/// Percent of a pool's room from which on it becomes slow, and from which on it is about to fail.
const FILLING: u8 = 80;
const FULL: u8 = 90;

/// Percent of the free room in pieces from which on that is felt.
const FRAGMENTED: u32 = 70;

/// Debian scrubs on the second Sunday of a month: at most five weeks lie between two of them, and a scrub may take days.
const SCRUBBED_WITHIN: Duration = Duration::from_secs(38 * 86_400);

/// A scrub may be paused over a working day.
const STOPPED_FOR: Duration = Duration::from_secs(86_400);

/// Percent of its rated life from which on a disk is worn.
const WORN: u32 = 90;

/// What is worth saying about a server's disks and pools.
pub(super) fn storage(name: &NodeRef, observation: &Observation, findings: &mut Vec<Finding>) {
    for disk in observation.disks.get().ok().into_iter().flat_map(|disks| &disks.disks) {
        smart(name, disk, findings);
    }
    for pool in observation.pools.get().ok().into_iter().flatten() {
        let mut say = |code, message: String, next: String| {
            findings.push(Finding::new(code, format!("{name}/{}", pool.name), message, next));
        };
        health(name, pool, &mut say);
        room(name, pool, &mut say);
        scans(name, pool, observation.observed_at, &mut say);
    }
}

fn smart(name: &NodeRef, disk: &Disk, findings: &mut Vec<Finding>) {
    let Ok(smart) = disk.smart.get() else { return };
    let shown = disk.stable_name().unwrap_or(&disk.path);
    let what = format!("{shown} ({}) in {name}", disk.model.as_deref().unwrap_or("no model"));
    let next = format!("on {}: smartctl -a {}; replace it", name.node, disk.path);
    let subject = format!("{name}/{shown}");
    if smart.passed == Some(false) {
        findings.push(Finding::new(
            Code::DiskFailing,
            &subject,
            format!("{what} says that it fails"),
            &next,
        ));
    }
    if let Some(wear) = smart.wear_percent.filter(|wear| *wear >= WORN) {
        let message = format!("{what} has used {wear} % of its rated life");
        findings.push(Finding::new(Code::DiskWorn, &subject, message, next));
    }
}

type Say<'a> = dyn FnMut(Code, String, String) + 'a;

fn health(name: &NodeRef, pool: &Pool, say: &mut Say<'_>) {
    let (node, called) = (&name.node, &pool.name);
    let look = format!("on {node}: zpool status -v {called}");
    if pool.state != VdevState::Online {
        let bad: Vec<String> = pool.leaves().filter(|leaf| is_bad(leaf)).map(state_of).collect();
        let which = if bad.is_empty() {
            String::new()
        } else {
            format!(": {}", bad.join(", "))
        };
        let replaced: Vec<String> = pool
            .leaves()
            .filter(|leaf| is_to_be_replaced(leaf))
            .map(|leaf| format!("quorate zfs replace {name} {called} {}", short(leaf)))
            .collect();
        let mut next = look.clone();
        if !replaced.is_empty() {
            next.push_str(&format!(
                "; if its cable and its place are fine, from here: {}",
                replaced.join("; ")
            ));
        }
        say(
            Code::PoolNotOnline,
            format!("pool {called} of {name} is {}{which}", pool.state.as_str()),
            next,
        );
    }
    if pool.data_errors.is_none() {
        let message =
            format!("whether pool {called} of {name} has lost data is not known: zpool does not say it in known words");
        say(Code::FacetUnknown, message, look.clone());
    }
    if let Some(count) = pool.data_errors.filter(|count| *count > 0) {
        let message = format!("pool {called} of {name} has lost data: {count} errors that nothing could repair");
        say(
            Code::PoolDataLost,
            message,
            format!("{look} names the files; restore them from a backup"),
        );
    }
    let faulty = pool.leaves().filter_map(|leaf| {
        let errors = leaf
            .health
            .errors
            .filter(|all| all.read + all.write + all.checksum > 0)?;
        Some(format!(
            "{} ({} reads, {} writes, {} checksums)",
            leaf.name, errors.read, errors.write, errors.checksum
        ))
    });
    let faulty: Vec<String> = faulty.collect();
    if !faulty.is_empty() {
        say(
            Code::PoolErrors,
            format!("disks of pool {called} of {name} made errors: {}", faulty.join(", ")),
            format!("{look}; cable, then disk; when it is mended: zpool clear {called}"),
        );
    }
}

fn is_bad(leaf: &Leaf) -> bool {
    !matches!(
        leaf.health.state,
        VdevState::Online | VdevState::Available | VdevState::InUse
    )
}

/// One that somebody took out by hand is put back by hand.
fn is_to_be_replaced(leaf: &Leaf) -> bool {
    let broken = matches!(
        leaf.health.state,
        VdevState::Degraded | VdevState::Faulted | VdevState::Unavail | VdevState::Removed
    );
    // Of a disk that PVE boots from more is made anew than its part of the pool.
    broken && !leaf.is_being_replaced() && leaf.whole_disk().is_some()
}

/// What `quorate zfs replace` takes for a disk of a pool.
fn short(leaf: &Leaf) -> &str {
    let whole = leaf.whole_disk().unwrap_or(&leaf.name);
    whole.strip_prefix("/dev/disk/by-id/").unwrap_or(whole)
}

fn state_of(leaf: &Leaf) -> String {
    format!("{} is {}", leaf.name, leaf.health.state.as_str())
}

fn room(name: &NodeRef, pool: &Pool, say: &mut Say<'_>) {
    let (called, fill) = (&pool.name, pool.fill());
    let message = format!("pool {called} of {name} is {fill} % full");
    let next = format!(
        "on {}: zfs list -o space -r {called}; remove snapshots, or add a vdev",
        name.node
    );
    if fill >= FULL {
        say(Code::PoolFull, message, next);
    } else if fill >= FILLING {
        say(Code::PoolFilling, message, next);
    }
    if let Some(pieces) = pool.fragmentation.filter(|pieces| *pieces >= FRAGMENTED) {
        let message = format!("{pieces} % of the free room of pool {called} of {name} is in pieces");
        say(
            Code::PoolFragmented,
            message,
            "free some room: ZFS fills larger pieces first".to_owned(),
        );
    }
}

fn scans(name: &NodeRef, pool: &Pool, now: Timestamp, say: &mut Say<'_>) {
    let called = &pool.name;
    let next = format!(
        "on {}: zpool scrub {called}; the schedule is in /etc/cron.d/zfsutils-linux",
        name.node
    );
    if pool.scrub_scheduled == Some(false) {
        say(
            Code::PoolNotScrubbed,
            format!("nothing scrubs pool {called} of {name} from time to time"),
            format!(
                "on {0}: systemctl enable --now zfs-scrub-monthly@{called}.timer; or put Debian's /etc/cron.d/zfsutils-linux back",
                name.node
            ),
        );
    }
    match &pool.scan {
        // A new one has its turn before it.
        None if pool.created.is_none_or(|created| created.age(now) > SCRUBBED_WITHIN) => say(
            Code::PoolNeverScrubbed,
            format!("pool {called} of {name} was never scrubbed"),
            next,
        ),
        None => {}
        Some(Scan {
            kind: ScanKind::Scrub,
            state: ScanState::Finished,
            at: Some(at),
            ..
        }) if at.age(now) > SCRUBBED_WITHIN => say(
            Code::PoolScrubOld,
            format!("pool {called} of {name} was scrubbed {} ago", spoken(at.age(now))),
            next,
        ),
        // zpool remembers only what it did last: when a scrub came to its end before that can't be told.
        Some(Scan {
            kind: ScanKind::Scrub,
            state: state @ (ScanState::Cancelled | ScanState::Paused),
            at: Some(at),
            ..
        }) if at.age(now) > STOPPED_FOR => {
            let what = if *state == ScanState::Paused {
                "paused"
            } else {
                "stopped"
            };
            let message = format!(
                "the last scrub of pool {called} of {name} was {what} {} ago, before its end",
                spoken(at.age(now))
            );
            say(Code::PoolScrubOld, message, next);
        }
        Some(Scan {
            kind: ScanKind::Resilver,
            state: ScanState::Finished | ScanState::Cancelled | ScanState::Paused,
            at: Some(at),
            ..
        }) if at.age(now) > SCRUBBED_WITHIN => say(
            Code::PoolScrubOld,
            format!(
                "pool {called} of {name} was not scrubbed since it resilvered, {} ago",
                spoken(at.age(now))
            ),
            next,
        ),
        Some(Scan {
            kind: ScanKind::Resilver,
            state: ScanState::Running,
            percent,
            ..
        }) => {
            let done = percent.map_or_else(String::new, |percent| format!(", {percent:.0} % done"));
            say(
                Code::PoolResilvers,
                format!("pool {called} of {name} resilvers{done}"),
                format!("on {}: zpool status {called}", name.node),
            );
        }
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::observation::pools::{Vdev, VdevClass, VdevErrors, VdevHealth};
    use quorate_model::{ByteSize, Facet};

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_345_772_000_000);

    fn health_of(state: VdevState) -> VdevHealth {
        VdevHealth {
            state,
            errors: Some(VdevErrors::default()),
            note: None,
        }
    }

    fn pool() -> Pool {
        let leaf = |n: u8| Leaf {
            name: format!("/dev/disk/by-id/wwn-{n}-part1"),
            health: health_of(VdevState::Online),
            group: None,
        };
        Pool {
            name: "data_zfs".to_owned(),
            state: VdevState::Online,
            complaint: None,
            data_errors: Some(0),
            scan: Some(Scan {
                kind: ScanKind::Scrub,
                state: ScanState::Finished,
                at: Some(Timestamp::from_seconds(NOW.seconds() - 86_400)),
                percent: None,
                errors: Some(0),
            }),
            vdevs: vec![Vdev {
                class: VdevClass::Data,
                name: "mirror-0".to_owned(),
                health: health_of(VdevState::Online),
                leaves: vec![leaf(1), leaf(2)],
            }],
            size: ByteSize(1000),
            allocated: ByteSize(799),
            fragmentation: Some(12),
            ashift: Some(12),
            autotrim: Some(true),
            compression: None,
            scrub_scheduled: Some(true),
            import_enabled: None,
            volumes: Facet::not_asked(),
            created: None,
        }
    }

    fn findings(pool: Pool) -> Vec<Finding> {
        let mut observation = Observation::empty("prox1", NOW);
        observation.pools = Facet::known(vec![pool], NOW);
        let mut findings = Vec::new();
        storage(&"hk1/prox1".parse().unwrap(), &observation, &mut findings);
        findings
    }

    fn said(change: impl FnOnce(&mut Pool)) -> Vec<(Code, String)> {
        let mut pool = pool();
        change(&mut pool);
        findings(pool)
            .into_iter()
            .map(|finding| (finding.code, finding.message))
            .collect()
    }

    fn codes(change: impl FnOnce(&mut Pool)) -> Vec<Code> {
        said(change).into_iter().map(|(code, _)| code).collect()
    }

    #[test]
    fn a_healthy_pool_is_not_talked_about() {
        assert_eq!(said(|_| {}), []);
    }

    #[test]
    fn what_is_not_online_is_named_with_its_disk() {
        let said = said(|pool| {
            pool.state = VdevState::Degraded;
            pool.vdevs[0].leaves[1].health = health_of(VdevState::Removed);
        });
        let message = "pool data_zfs of hk1/prox1 is DEGRADED: /dev/disk/by-id/wwn-2-part1 is REMOVED";
        assert_eq!(said, [(Code::PoolNotOnline, message.to_owned())]);
    }

    #[test]
    fn what_is_gone_is_replaced_by_the_name_that_the_command_takes() {
        let next = |name: &str, state| {
            let mut pool = pool();
            pool.state = VdevState::Degraded;
            pool.vdevs[0].leaves[1].name = name.to_owned();
            pool.vdevs[0].leaves[1].health = health_of(state);
            pool.vdevs[0].leaves[1].health.note = Some("was /dev/disk/by-id/wwn-2-part1".to_owned());
            findings(pool).remove(0).next
        };
        let look = "on prox1: zpool status -v data_zfs";
        let replace = |what: &str| {
            format!(
                "{look}; if its cable and its place are fine, from here: quorate zfs replace hk1/prox1 data_zfs {what}"
            )
        };
        let (gone, broken) = (VdevState::Unavail, VdevState::Faulted);
        assert_eq!(next("12345678901234567890", gone), replace("12345678901234567890"));
        assert_eq!(next("/dev/disk/by-id/wwn-2-part1", broken), replace("wwn-2"));
        assert_eq!(next("/dev/disk/by-id/wwn-2-part3", broken), look);
        assert_eq!(next("/dev/disk/by-id/wwn-2-part1", VdevState::Offline), look);
    }

    #[test]
    fn a_pool_that_is_called_online_may_have_lost_data() {
        assert_eq!(codes(|pool| pool.data_errors = Some(4)), [Code::PoolDataLost]);
        assert_eq!(codes(|pool| pool.data_errors = None), [Code::FacetUnknown]);
        let errors = |pool: &mut Pool| {
            pool.vdevs[0].leaves[0].health.errors = Some(VdevErrors {
                checksum: 273,
                ..VdevErrors::default()
            });
        };
        assert_eq!(codes(errors), [Code::PoolErrors]);
    }

    #[test]
    fn room_is_told_at_eight_and_nine_tenths() {
        let full = |allocated| move |pool: &mut Pool| pool.allocated = ByteSize(allocated);
        assert_eq!(codes(full(800)), [Code::PoolFilling]);
        assert_eq!(codes(full(899)), [Code::PoolFilling]);
        assert_eq!(codes(full(900)), [Code::PoolFull]);
        assert_eq!(codes(|pool| pool.fragmentation = Some(70)), [Code::PoolFragmented]);
    }

    #[test]
    fn a_scrub_that_is_long_ago_is_told_and_one_that_runs_is_not() {
        let old = Some(Timestamp::from_seconds(NOW.seconds() - 39 * 86_400));
        let scan = |kind, state| {
            move |pool: &mut Pool| {
                pool.scan = Some(Scan {
                    kind,
                    state,
                    at: old,
                    percent: Some(28.04),
                    errors: None,
                });
            }
        };
        assert_eq!(codes(scan(ScanKind::Scrub, ScanState::Finished)), [Code::PoolScrubOld]);
        assert_eq!(codes(scan(ScanKind::Scrub, ScanState::Running)), []);
        // zpool tells of the resilver alone: since then at least there was no scrub.
        let since = said(scan(ScanKind::Resilver, ScanState::Finished));
        let message = "pool data_zfs of hk1/prox1 was not scrubbed since it resilvered, 39 d ago";
        assert_eq!(since, [(Code::PoolScrubOld, message.to_owned())]);
        let stopped = |state, hours: i64| {
            said(move |pool: &mut Pool| {
                pool.scan = Some(Scan {
                    kind: ScanKind::Scrub,
                    state,
                    at: Some(Timestamp::from_seconds(NOW.seconds() - hours * 3600)),
                    percent: None,
                    errors: None,
                });
            })
        };
        let message = "the last scrub of pool data_zfs of hk1/prox1 was stopped 2 d ago, before its end";
        assert_eq!(
            stopped(ScanState::Cancelled, 48),
            [(Code::PoolScrubOld, message.to_owned())]
        );
        assert!(stopped(ScanState::Paused, 48)[0].1.contains("was paused 2 d ago"));
        assert_eq!(stopped(ScanState::Paused, 8), []);
        assert_eq!(codes(|pool| pool.scan = None), [Code::PoolNeverScrubbed]);
        let never = |days: i64| {
            codes(|pool| {
                pool.scan = None;
                pool.created = Some(Timestamp(NOW.0 - days * 86_400_000_000));
            })
        };
        assert_eq!(never(1), [], "a pool of yesterday");
        assert_eq!(never(60), [Code::PoolNeverScrubbed]);
        assert_eq!(
            codes(|pool| pool.scrub_scheduled = Some(false)),
            [Code::PoolNotScrubbed]
        );
        assert_eq!(codes(|pool| pool.scrub_scheduled = None), []);
        let said = said(scan(ScanKind::Resilver, ScanState::Running));
        let message = "pool data_zfs of hk1/prox1 resilvers, 28 % done";
        assert_eq!(said, [(Code::PoolResilvers, message.to_owned())]);
    }
}
