use std::path::Path;

use quorate_clock::Clock;
use quorate_exec::scripted::{Call, Scripted};
use quorate_exec::{Exit, Tools};

use super::*;
use crate::host::HostRoot;

const JOB: &str = "local: 100-0\n\ttarget prox2\n\tcomment quorate hold\n\tschedule */5\n\tsource prox1\n\n";

/// prox2, with a folder for its root and one for the agent's own.
struct Prox2 {
    root: tempfile::TempDir,
    own: tempfile::TempDir,
}

impl Prox2 {
    fn new() -> Self {
        let prox2 = Self {
            root: tempfile::tempdir().unwrap(),
            own: tempfile::tempdir().unwrap(),
        };
        std::fs::set_permissions(prox2.own.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        prox2.put("/proc/sys/kernel/hostname", "prox2\n");
        prox2.put(JOBS, JOB);
        prox2
    }

    fn put(&self, path: &str, text: &str) {
        let place = self.root.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, text).unwrap();
    }

    fn owner(&self, node: &str) {
        let text = format!(r#"{{"version":7,"ids":{{"100":{{"node":"{node}","type":"qemu","version":3}}}}}}"#);
        self.put(VMLIST, &text);
    }

    /// An agent that makes just these calls.
    fn agent(&self, calls: impl IntoIterator<Item = Call>) -> Watcher {
        let (clock, _) = Clock::manual(1_795_345_772_000_000);
        let root = HostRoot::lab(Path::new(self.root.path())).unwrap();
        let host = Host::new(root, Tools::imagined(), Arc::new(Scripted::new(calls)), clock);
        Watcher::new(Arc::new(host.remembering_in(self.own.path().to_owned())))
    }
}

const COMMENT: &str = "quorate hold: kept on prox1 since 2026-11-22T11:09:32Z";

fn disable() -> Call {
    Call::of([
        "/usr/bin/pvesr",
        "update",
        "100-0",
        "--disable",
        "1",
        "--comment",
        COMMENT,
    ])
}

#[tokio::test]
async fn a_recovered_guest_s_job_is_switched_off_until_the_file_says_so() {
    let prox2 = Prox2::new();
    prox2.owner("prox1");
    let refused = "cfs-lock 'file-replication_cfg' error: no quorum!\n";
    let mut agent = prox2.agent([
        disable().exits(Exit::Code(255)).complains(refused),
        disable(),
        disable(),
    ]);
    assert_eq!(agent.look().await, LOOK_EVERY);
    prox2.owner("prox2");
    assert_eq!(agent.look().await, AGAIN, "/etc/pve could not be written");
    assert_eq!(agent.look().await, LOOK_EVERY);
    // The tool said that all is well, and nothing came of it.
    assert_eq!(agent.look().await, LOOK_EVERY);
    let written = format!(
        "local: 100-0\n\ttarget prox1\n\tcomment {}\n\tdisable 1\n\tsource prox2\n\n",
        COMMENT.replace(':', "%3A")
    );
    prox2.put(JOBS, &written);
    for _ in 0..3 {
        assert_eq!(agent.look().await, LOOK_EVERY, "and no tool is called any more");
    }
}

#[tokio::test]
async fn what_was_to_be_done_is_done_by_the_agent_that_comes_after() {
    let prox2 = Prox2::new();
    prox2.owner("prox1");
    prox2.agent([]).look().await;
    // It was recovered, and PVE has turned its job round, while no agent was there.
    prox2.owner("prox2");
    prox2.put(
        JOBS,
        &JOB.replace("prox1", "prox3")
            .replace("prox2", "prox1")
            .replace("prox3", "prox2"),
    );
    prox2.agent([disable()]).look().await;
}

#[tokio::test]
async fn a_migration_calls_no_tool() {
    let prox2 = Prox2::new();
    prox2.owner("prox1");
    let mut agent = prox2.agent([]);
    agent.look().await;
    let state =
        r#"{"100":{"local/prox1":{"last_sync":1795345772,"last_try":1795345772,"fail_count":0,"last_node":"prox1"}}}"#;
    prox2.put(pve_replication_state::PATH, state);
    prox2.owner("prox2");
    assert_eq!(agent.look().await, LOOK_EVERY);
}

#[tokio::test]
async fn where_pmxcfs_is_down_nothing_is_done_and_nothing_forgotten() {
    let prox2 = Prox2::new();
    prox2.owner("prox1");
    let mut agent = prox2.agent([disable()]);
    agent.look().await;
    let known = agent.notes.clone();
    std::fs::remove_file(prox2.root.path().join("etc/pve/.vmlist")).unwrap();
    assert_eq!(agent.look().await, LOOK_EVERY);
    prox2.put(VMLIST, "{");
    assert_eq!(agent.look().await, LOOK_EVERY);
    assert_eq!(agent.notes, known);
    prox2.owner("prox2");
    agent.look().await;
}

#[tokio::test]
async fn jobs_that_vanish_with_pmxcfs_are_not_taken_for_none() {
    let prox2 = Prox2::new();
    prox2.owner("prox2");
    let agent = prox2.agent([]);
    assert_eq!(jobs(&agent.host).await, Ok(Some(JOB.to_owned())));
    std::fs::remove_file(prox2.root.path().join("etc/pve/replication.cfg")).unwrap();
    assert_eq!(jobs(&agent.host).await, Ok(Some(String::new())), "there is none");
    std::fs::remove_file(prox2.root.path().join("etc/pve/.vmlist")).unwrap();
    assert_eq!(jobs(&agent.host).await, Ok(None), "nobody is there to say so");
}
