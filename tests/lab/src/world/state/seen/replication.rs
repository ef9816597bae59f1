//! Replication: what a job does, and what a failure and a return make of it.

use std::fs;

use super::Seen;
use super::guests::with_guest;
use crate::world::oplog::What;
use crate::world::replication::file::STATE;

const MINUTE: u64 = 60_000;

fn job(number: u32, target: &str, more: &str) -> String {
    format!("local: 100-{number}\n\ttarget {target}\n\tschedule */5\n\tsource prox1\n{more}\n")
}

/// Guest 100 runs on the first of three, and is copied as these jobs say.
fn copied(jobs: &str) -> Seen {
    let mut seen = with_guest();
    let jobs = jobs.to_owned();
    let planted = seen
        .state
        .write(0, |replica| replica.write_file("replication.cfg", &jobs));
    planted.expect("writable");
    seen.start(0, 100);
    seen
}

impl Seen {
    fn jobs_file(&self, index: usize) -> String {
        let files = &self.state.servers[index].pmxcfs.replica.files;
        files.get("replication.cfg").cloned().unwrap_or_default()
    }

    fn fails(&self, index: usize, target: &str) -> u32 {
        let states = &self.state.servers[index].replication.states;
        states
            .get(&100)
            .and_then(|jobs| jobs.get(target))
            .map_or(0, |state| state.fail_count)
    }

    fn edit_jobs(&mut self, index: usize, key: &str, value: &str) {
        let written = self.state.write(index, |replica| {
            replica.change_jobs(|jobs| jobs.iter_mut().for_each(|job| job.set(key, value)));
        });
        written.expect("writable");
    }
}

/// The number behind `up to`.
fn number(detail: &str) -> u64 {
    detail
        .rsplit(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

#[test]
fn the_first_run_is_full_and_at_the_next_minute_and_the_others_bring_what_is_new() {
    let mut seen = copied(&job(0, "prox2", ""));
    let mark = seen.mark();
    seen.minutes(2);
    let first = seen
        .after(&mark, 0, What::Replicated, "100-0 to prox2")
        .expect("it ran");
    assert!(first <= MINUTE + 15_000, "{first}");
    let log = seen.state.servers[0].replication_lines("100-0").join("\n");
    assert!(
        log.contains("full sync 'data_zfs:vm-100-disk-0'") && log.ends_with("end replication job"),
        "{log}"
    );
    let held = seen.held(1).expect("a copy");
    assert_eq!(held, number(&seen.details(What::Replicated)[0]));
    assert!(held > 0 && held < seen.state.number_of(0, 100));

    seen.minutes(6);
    let log = seen.state.servers[0].replication_lines("100-0").join("\n");
    assert!(
        log.contains("incremental sync") && log.contains("delete previous replication snapshot"),
        "{log}"
    );
    assert!(seen.held(1).expect("a copy") > held + 2000);
    // One snapshot on each side, the same one.
    assert_eq!(seen.snapshots(0).len(), 1);
    assert_eq!(seen.snapshots(0), seen.snapshots(1));
    let kept = fs::read_to_string(seen.state.servers[0].root.join(STATE)).expect("the state");
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    let state = kept.pointer("/100/local~1prox2").expect("its state");
    assert_eq!(state.get("fail_count").and_then(serde_json::Value::as_i64), Some(0));
    assert!(state.get("last_sync").and_then(serde_json::Value::as_i64) > Some(1_600_000_000));
}

/// The owner dies, and the second server takes over.
fn failed_over(jobs: &str) -> (Seen, u64) {
    let mut seen = copied(jobs);
    seen.minutes(3);
    let copied = seen.held(1).expect("a copy");
    seen.state.cut_power(0, false);
    seen.pass(15_000);
    seen.state.steal_guest(1, 100, "prox1", "prox2").expect("recovered");
    assert_eq!(seen.start(1, 100), None);
    assert_eq!(seen.state.number_of(1, 100), copied);
    (seen, copied)
}

#[test]
fn after_a_recovery_the_job_leads_back_and_what_only_the_old_owner_had_is_discarded() {
    let (mut seen, copied) = failed_over(&job(0, "prox2", ""));
    let mark = seen.mark();
    seen.minutes(2);
    assert_eq!(seen.details(What::ReplicationReversed), ["100-0 to prox1"]);
    assert!(seen.jobs_file(1).contains("target prox1\n") && seen.jobs_file(1).contains("source prox2\n"));
    // One try, and none any more while the target is away.
    assert_eq!(seen.fails(1, "prox1"), 1);
    seen.minutes(20);
    assert_eq!(seen.fails(1, "prox1"), 1);
    seen.assert_never(&mark, What::Replicated);

    let lost = {
        let dormant = &seen.state.servers[0].dormant[0].pool;
        dormant.volumes["data_zfs/vm-100-disk-0"].number
    };
    assert!(lost > copied + 100, "{lost} {copied}");
    let mark = seen.mark();
    seen.state.power_on(0);
    seen.minutes(4);
    let after = seen
        .after(&mark, 1, What::Replicated, "100-0 to prox1")
        .expect("it ran");
    assert!(after > 30_000, "{after}");
    assert_eq!(
        seen.details(What::WritesDiscarded),
        [format!("data_zfs/vm-100-disk-0 from {lost} back to {copied}")]
    );
    assert_eq!(seen.snapshots(0).last(), seen.snapshots(1).last());
    assert_eq!(seen.fails(1, "prox1"), 0);
}

#[test]
fn a_job_that_is_disabled_keeps_what_only_the_old_owner_had() {
    let (mut seen, copied) = failed_over(&job(0, "prox2", ""));
    seen.edit_jobs(1, "disable", "1");
    seen.state.power_on(0);
    seen.minutes(15);
    assert!(seen.held(0).expect("its disk") > copied + 100);
    assert_eq!(seen.details(What::WritesDiscarded), Vec::<String>::new());
    // It was turned round all the same.
    assert!(seen.jobs_file(0).contains("target prox1\n"), "{}", seen.jobs_file(0));
}

#[test]
fn another_target_goes_on_from_the_new_owner() {
    let jobs = job(0, "prox2", "") + &job(1, "prox3", "");
    let (mut seen, _) = failed_over(&jobs);
    let mark = seen.mark();
    seen.minutes(3);
    assert!(
        seen.jobs_file(1)
            .contains("target prox3\n\tschedule */5\n\tsource prox2\n"),
        "{}",
        seen.jobs_file(1)
    );
    assert!(
        seen.after(&mark, 1, What::Replicated, "100-1 to prox3").is_some(),
        "{:?}",
        seen.details(What::ReplicationFailed)
    );
    let log = seen.state.servers[1].replication_lines("100-1").join("\n");
    assert!(log.contains("incremental sync"), "{log}");
}

#[test]
fn failures_are_tried_again_after_five_ten_and_fifteen_minutes() {
    let mut seen = copied(&job(0, "prox2", ""));
    seen.minutes(3);
    // The target is a member, and its pool is not there.
    seen.state.servers[1].forget_pools();
    let mark = seen.mark();
    seen.minutes(70);
    let tried = seen.events.iter().skip(mark.events);
    let tried: Vec<u64> = tried
        .filter(|entry| entry.what == What::ReplicationFailed)
        .map(|entry| entry.ms / MINUTE)
        .collect();
    let apart: Vec<u64> = tried.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(apart[..4], [5, 10, 15, 30], "{tried:?}");
    assert!(seen.details(What::ReplicationFailed)[0].contains("storage 'data_zfs' is not available on node 'prox2'"));
}

#[test]
fn a_migration_turns_the_job_round_and_loses_nothing() {
    let mut seen = copied(&(job(0, "prox2", "") + &job(1, "prox3", "")));
    seen.minutes(4);
    let before = seen.state.number_of(0, 100);
    seen.state.move_guest(100, 0, 1, true).expect("moved");
    assert_eq!(seen.state.number_of(1, 100), before);
    // What is left is the copy now.
    assert_eq!(seen.held(0), Some(before));
    let jobs = seen.jobs_file(0);
    assert!(
        jobs.contains("local: 100-0\n\ttarget prox1\n\tschedule */5\n\tsource prox2\n"),
        "{jobs}"
    );
    assert!(
        jobs.contains("local: 100-1\n\ttarget prox3\n\tschedule */5\n\tsource prox2\n"),
        "{jobs}"
    );
    let mark = seen.mark();
    seen.minutes(6);
    for way in ["100-0 to prox1", "100-1 to prox3"] {
        assert!(seen.after(&mark, 1, What::Replicated, way).is_some(), "{way}");
    }
    let log = seen.state.servers[1].replication_lines("100-0").join("\n");
    assert!(log.contains("incremental sync"), "{log}");
    assert_eq!(seen.details(What::WritesDiscarded), Vec::<String>::new());
    assert!(seen.held(0).expect("a copy") > before);
    // And back, as a failback does it.
    let before = seen.state.number_of(1, 100);
    seen.state.move_guest(100, 1, 0, true).expect("moved back");
    assert_eq!(seen.state.number_of(0, 100), before);
}

#[test]
fn a_server_whose_clock_is_behind_the_former_owner_s_makes_no_copy_until_it_has_caught_up() {
    let mut seen = copied(&job(0, "prox2", ""));
    seen.state.servers[1].clock_offset_ms = -240_000;
    seen.minutes(4);
    seen.state.move_guest(100, 0, 1, true).expect("moved");
    let mark = seen.mark();
    seen.minutes(8);
    // One that was under way when the guest moved comes to its end; the new owner makes none.
    assert_eq!(seen.after(&mark, 1, What::Replicated, "100-0 to prox1"), None);
    let failed = seen.details(What::ReplicationFailed);
    assert!(
        failed[0].contains("start time before last sync (") && failed[0].ends_with(") - abort sync"),
        "{failed:?}"
    );
    assert!(seen.fails(1, "prox1") >= 2, "and each further try as well");
    // It has: what it makes from then on is by its own clock.
    seen.state.servers[1].clock_offset_ms = 0;
    seen.minutes(40);
    assert!(seen.after(&mark, 1, What::Replicated, "100-0 to prox1").is_some());
    assert_eq!(seen.fails(1, "prox1"), 0);
}

#[test]
fn without_a_common_snapshot_there_is_no_sync() {
    let mut seen = copied(&job(0, "prox2", ""));
    seen.minutes(3);
    let copy = seen.state.servers[1]
        .volume_mut("data_zfs/vm-100-disk-0")
        .expect("a copy");
    copy.snapshots.iter_mut().for_each(|snapshot| snapshot.guid = 7);
    seen.minutes(5);
    let failed = seen.details(What::ReplicationFailed);
    assert!(
        failed
            .first()
            .is_some_and(|text| text.contains("No common base snapshot on volume(s) data_zfs:vm-100-disk-0")),
        "{failed:?}"
    );
    let copy = seen.state.servers[1]
        .volume_mut("data_zfs/vm-100-disk-0")
        .expect("a copy");
    copy.snapshots.clear();
    seen.minutes(6);
    let failed = seen.details(What::ReplicationFailed);
    assert!(
        failed
            .last()
            .is_some_and(|text| text.ends_with("volume 'data_zfs/vm-100-disk-0' already exists")),
        "{failed:?}"
    );
}

#[test]
fn a_job_that_is_removed_takes_its_copy_along() {
    let mut seen = copied(&job(0, "prox2", ""));
    seen.minutes(3);
    seen.edit_jobs(0, "remove_job", "full");
    seen.minutes(2);
    assert_eq!((seen.held(1), seen.snapshots(0)), (None, Vec::new()));
    assert_eq!(seen.jobs_file(2), "");

    let mut seen = copied(&job(0, "prox2", ""));
    seen.minutes(3);
    seen.edit_jobs(0, "remove_job", "local");
    seen.minutes(2);
    assert!(seen.held(1).is_some() && seen.snapshots(0).is_empty());
    assert_eq!(seen.jobs_file(2), "");

    // A target that is gone keeps a job in the list.
    let mut seen = copied(&job(0, "prox2", ""));
    seen.minutes(3);
    seen.state.cut_power(1, false);
    seen.minutes(1);
    seen.edit_jobs(0, "remove_job", "full");
    seen.minutes(3);
    assert!(seen.fails(0, "prox2") >= 2);
    assert!(seen.jobs_file(0).contains("remove_job full"));
}

#[test]
fn a_migration_s_lock_puts_a_run_off_without_a_failure() {
    let mut seen = copied(&job(0, "prox2", ""));
    seen.state.servers[0].replication.migrating.insert(100);
    seen.minutes(3);
    assert_eq!((seen.held(1), seen.fails(0, "prox2")), (None, 0));
    seen.state.servers[0].replication.migrating.clear();
    seen.minutes(2);
    assert!(seen.held(1).is_some());
}

#[test]
fn a_run_under_way_keeps_a_guest_where_it_is() {
    let mut seen = copied(&job(0, "prox2", ""));
    while seen.state.servers[0].replication.run.is_none() {
        seen.pass(100);
    }
    let locked = "can't lock file '/var/lock/pve-manager/pve-migrate-100' - got timeout";
    assert_eq!(seen.state.move_guest(100, 0, 1, true), Err(locked.to_owned()));
    // The owner dies in the middle: nothing came over, and the snapshot that is left is cleared away by a later run.
    seen.state.cut_power(0, true);
    // It has booted.
    seen.pass(125_000);
    assert_eq!((seen.held(1), seen.snapshots(0).len()), (None, 1));
    seen.start(0, 100);
    seen.minutes(12);
    assert_eq!(seen.snapshots(0), seen.snapshots(1));
    assert_eq!(seen.snapshots(0).len(), 1);
}

#[test]
fn what_was_written_into_the_state_file_by_hand_stays() {
    let mut seen = copied(&job(0, "prox2", ""));
    let text = "{\"100\":{\"local/prox2\":{\"last_sync\":1700000000,\"fail_count\":4,\"error\":\"no route to host\"}}}";
    seen.state.servers[0].replication.take_over(Some(text));
    seen.minutes(3);
    assert_eq!((seen.held(1), seen.fails(0, "prox2")), (None, 4));
}
