//! The coordinator's disk, and a second coordinator: what is lost is said, and the work goes on to the same end.

use std::path::{Path, PathBuf};

use quorate_lab::process::{Daemon, Program};
use quorate_lab::{Lab, What, binaries};
use quorate_suites::{Fleet, codes, told};

async fn begin(fleet: &Fleet) -> String {
    let file = fleet.cluster_file(&fleet.lab.names());
    let started = fleet.json(&["apply", &file, "--yes", "--detach"]).await;
    started["rollout"].as_str().expect("a rollout was started").to_owned()
}

/// Kills the coordinator in the middle of a join, damages its state, and sees the work done by a second apply.
async fn lost_in_the_middle(moment: What, damage: impl Fn(&Path)) {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(10.0)).await;
    let rollout = begin(&fleet).await;
    fleet.until("the moment", async || fleet.happened(moment) >= 1).await;
    fleet.lab.kill_coordinator();
    damage(&fleet.state_dir());
    fleet.start_coordinator(&[]).await;
    fleet.connected(&fleet.lab.names()).await;

    // It says so, in status and in the list, from the first moment on.
    let status = fleet.json(&["status"]).await;
    assert!(
        codes(&status["findings"]).contains(&"QRT-JOURNAL-DAMAGED".to_owned()),
        "{status:#}"
    );
    fleet
        .until("the lost rollout is listed", async || {
            let list = fleet.run(&["rollout", "list"]).await;
            list.stdout
                .lines()
                .any(|line| line.contains(&rollout) && line.contains("ABANDONED"))
        })
        .await;
    let file = fleet.cluster_file(&fleet.lab.names());
    fleet
        .until("the servers have told, and nothing unknown runs", async || {
            let status = fleet.json(&["status"]).await;
            let pending =
                |f: &serde_json::Value| f["message"].as_str().is_some_and(|text| text.contains("was lost at"));
            !status["findings"].as_array().unwrap().iter().any(pending)
        })
        .await;
    fleet.ok(&["plan", &file]).await;
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.is_one_quorate_cluster(&fleet.lab.names()).await;
    assert_eq!(fleet.calls("pvecm", "create").len(), 1);
    assert_eq!(fleet.calls("pvecm", "add").len(), 2, "no join ran twice");
    let plan = fleet.plan().await;
    assert_eq!(plan["steps"].as_array().map(Vec::len), Some(0), "{plan:#}");
    let verified = fleet.ok(&["audit", "--verify"]).await;
    assert!(verified.stdout.contains("whole"), "{}", told(&verified));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_deleted_during_a_join() {
    lost_in_the_middle(What::AddnodeCommitted, |state| {
        std::fs::remove_dir_all(state.join("journal")).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_cut_while_the_cluster_is_created() {
    lost_in_the_middle(What::ClusterCreated, |state| {
        let path = state.join("journal/store/db");
        let bytes = std::fs::read(&path).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        std::fs::write(&path, &bytes[..end / 2]).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn journal_and_generation_are_both_lost_after_a_join() {
    lost_in_the_middle(What::JoinCompleted, |state| {
        for name in ["journal/head.json", "driver.json", "driver.copy"] {
            std::fs::remove_file(state.join(name)).unwrap();
        }
    })
    .await;
}

/// A second coordinator on a folder of its own, beside the lab's.
pub(crate) struct Second {
    config: PathBuf,
    dir: PathBuf,
    daemon: Option<Daemon>,
}

impl Second {
    /// Restored from a backup of the lab's coordinator.
    pub(crate) async fn restored(fleet: &Fleet, backup: &str) -> Self {
        let dir = fleet.lab.layout().coordinator().join("second");
        std::fs::create_dir(&dir).unwrap();
        let config = dir.join("coordinator.toml");
        let text = std::fs::read_to_string(fleet.lab.layout().coordinator_config()).unwrap();
        let mut own = String::new();
        for line in text.lines() {
            let line = match line.split(['=', ' ']).next().unwrap_or_default() {
                "state_dir" => format!("state_dir = \"{}\"", dir.join("state").display()),
                "socket" => format!("socket = \"{}\"", dir.join("q.sock").display()),
                "api_listen" | "enrol_listen" => line.replace(":7440", ":0").replace(":7441", ":0"),
                _ => line.to_owned(),
            };
            own.push_str(&line);
            own.push('\n');
        }
        std::fs::write(&config, own).unwrap();
        let second = Self {
            config,
            dir,
            daemon: None,
        };
        let passphrase = fleet.passphrase_file();
        let restore = [
            "init",
            "--restore",
            backup,
            "--passphrase-file",
            &passphrase.to_string_lossy(),
        ];
        let restored = second.run(&restore).await;
        assert!(restored.success(), "{}", told(&restored));
        second
    }

    fn program(&self) -> Program {
        Program::new(binaries::ensure_built().unwrap().quorate)
            .dir(&self.dir)
            .env("HOME", &self.dir)
            .env("QUORATE_CONFIG", &self.config)
    }

    pub(crate) async fn run(&self, args: &[&str]) -> quorate_lab::Output {
        self.program().args(args).run().await.unwrap()
    }

    pub(crate) async fn start(&mut self, fleet: &Fleet, args: &[&str]) {
        let log = self.dir.join("coordinator.log");
        self.daemon = Some(self.program().args(["serve"]).args(args).spawn(&log, false).unwrap());
        fleet
            .until("the second coordinator is linked with all", async || {
                let list = self.run(&["node", "list"]).await;
                list.stdout.matches(" connected").count() == fleet.lab.names().len()
            })
            .await;
        fleet
            .until("it knows its generation", async || {
                let status = self.run(&["status"]).await;
                !status.stdout.contains("QRT-GENERATION-LOST")
            })
            .await;
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.kill();
        }
    }
}

pub(crate) async fn backed_up(fleet: &Fleet) -> String {
    let status = fleet.json(&["status"]).await;
    assert!(
        codes(&status["findings"]).contains(&"QRT-BACKUP-MISSING".to_owned()),
        "{status:#}"
    );
    let file = fleet.lab.layout().coordinator().join("fleet.age");
    let file = file.to_string_lossy().into_owned();
    let passphrase = fleet.passphrase_file();
    let args = ["backup", &file, "--passphrase-file", &passphrase.to_string_lossy()];
    let made = fleet.ok(&args).await;
    assert!(made.stdout.contains("was read back"), "{}", told(&made));
    let again = fleet.ends(&args, 2).await;
    assert!(again.stderr.contains("not overwritten"), "{}", told(&again));
    let status = fleet.json(&["status"]).await;
    assert!(
        !codes(&status["findings"]).iter().any(|code| code.contains("BACKUP")),
        "{status:#}"
    );
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_coordinators_one_drives_and_the_other_says_so_and_comes_back_only_by_taking_over() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(10.0)).await;
    let backup = backed_up(&fleet).await;
    let names = fleet.lab.names();
    let two = fleet.cluster_file(&names[..2]);
    let mut second = Second::restored(&fleet, &backup).await;
    second.start(&fleet, &[]).await;

    // The second drives two of the three; the third hears nothing of it.
    let applied = second.run(&["apply", &two, "--yes"]).await;
    assert!(applied.success(), "{}", told(&applied));

    // The first may have the third on its side and not the others: nothing is begun, nowhere.
    let three = fleet.cluster_file(&names);
    let refused = fleet.ends(&["apply", &three, "--yes"], 3).await;
    assert!(refused.stderr.contains("QRT-DRIVER-SUPERSEDED"), "{}", told(&refused));
    assert!(refused.stderr.contains("--take-over"), "{}", told(&refused));
    assert_eq!(fleet.happened(What::AddnodeCommitted), 1);
    let status = fleet.json(&["status"]).await;
    assert!(
        codes(&status["findings"]).contains(&"QRT-DRIVER-SUPERSEDED".to_owned()),
        "{status:#}"
    );

    // Started again, it does not drive; told to take over, it does, and the second gives way.
    fleet.lab.stop_coordinator().await.unwrap();
    let stopped = fleet.ends(&["serve"], 3).await;
    assert!(
        stopped.stderr.contains("another coordinator drives"),
        "{}",
        told(&stopped)
    );
    fleet.start_coordinator(&["--take-over"]).await;
    fleet.connected(&names).await;
    fleet.ok(&["apply", &three, "--yes"]).await;
    fleet.is_one_quorate_cluster(&names).await;
    let late = second.run(&["apply", &three, "--yes"]).await;
    assert!(late.success(), "there is nothing to do any more: {}", told(&late));
    assert_eq!(fleet.calls("pvecm", "create").len(), 1);
    assert_eq!(fleet.calls("pvecm", "add").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_or_missing_line_of_the_audit_log_is_told_with_its_number() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(1)).await;
    let shown = fleet.ok(&["audit"]).await;
    for word in ["init", "start", "invite", "enrol"] {
        assert!(shown.stdout.contains(word), "{word}: {}", told(&shown));
    }
    let none = fleet.ok(&["audit", "--cluster", "other"]).await;
    assert!(none.stdout.contains("Nothing"), "{}", told(&none));
    let path = fleet.state_dir().join("audit.jsonl");
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let changed = whole.replacen("invite", "invent", 1);
    let without_the_last = format!("{}\n", lines[..lines.len() - 1].join("\n"));
    let without_the_second = format!("{}\n{}\n", lines[0], lines[2..].join("\n"));
    for (text, line) in [
        (
            &changed,
            whole.lines().position(|line| line.contains("invite")).unwrap() + 1,
        ),
        (&without_the_second, 2),
        (&without_the_last, lines.len()),
    ] {
        std::fs::write(&path, text).unwrap();
        let verified = fleet.json(&["audit", "--verify"]).await;
        assert_eq!(verified["whole"], false, "{verified:#}");
        let at = verified["broken_at_line"].as_u64().unwrap() as usize;
        // A changed line shows where the next one does not follow it.
        assert!(at == line || at == line + 1, "{verified:#}: {line}");
        fleet.ends(&["audit", "--verify"], 9).await;
        let status = fleet.json(&["status"]).await;
        assert!(
            codes(&status["findings"]).contains(&"QRT-AUDIT-BROKEN".to_owned()),
            "{status:#}"
        );
    }
    std::fs::write(&path, &whole).unwrap();
    fleet.ok(&["audit", "--verify"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coordinators_own_certificate_is_renewed_with_the_root_key() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(1)).await;
    let certificate = fleet.state_dir().join("coordinator.pem");
    let before = std::fs::read_to_string(&certificate).unwrap();
    let passphrase = fleet.passphrase_file();
    fleet
        .ok(&["renew", "--passphrase-file", &passphrase.to_string_lossy()])
        .await;
    assert_ne!(std::fs::read_to_string(&certificate).unwrap(), before);
    fleet.lab.stop_coordinator().await.unwrap();
    fleet.start_coordinator(&[]).await;
    fleet.connected(&fleet.lab.names()).await;
}
