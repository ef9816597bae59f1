//! What the journal promises: appended is on disk; opened is complete, or said to be damaged.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use quorate_model::Timestamp;
use quorate_model::rollout::{Record, RolloutResult};

use super::*;

pub(super) fn rollout(number: usize) -> RolloutId {
    format!("hk1-{number}").parse().unwrap()
}

pub(super) fn verified(number: usize) -> Record {
    let step = format!("cluster.join/prox{number}").parse().unwrap();
    Record::Verified {
        step,
        evidence: format!("seen {}", "x".repeat(number * 37 % 400)),
    }
}

fn open(dir: &Path) -> Result<SledJournal, JournalError> {
    SledJournal::open(dir, true)
}

/// A journal of `count` records over three rollouts.
fn written(dir: &Path, count: usize) -> Vec<(RolloutId, Vec<Entry>)> {
    let mut journal = SledJournal::open(dir, false).unwrap();
    for number in 0..count {
        journal
            .append(&rollout(number % 3), Timestamp(number as i64), verified(number))
            .unwrap();
    }
    contents(&journal)
}

pub(super) fn contents(journal: &SledJournal) -> Vec<(RolloutId, Vec<Entry>)> {
    journal
        .rollouts()
        .iter()
        .map(|id| (id.clone(), journal.load(id).unwrap()))
        .collect()
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), &target).map(drop).unwrap()
        }
    }
}

/// Numbers that look random and are the same in every run.
pub(super) fn numbers(mut seed: u64) -> impl Iterator<Item = u64> {
    std::iter::repeat_with(move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    })
}

#[tokio::test]
async fn entries_come_back_in_order_with_numbers_of_their_rollout() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    let (clock, hands) = Clock::manual(1_000_000);
    let Opened { store, damage, .. } = Store::open(&dir, false, clock.clone()).unwrap();
    assert_eq!(damage, None);
    for number in 0..4 {
        let recorded = store.append(&rollout(number % 2), verified(number)).await.unwrap();
        assert_eq!(recorded.entry.sequence, number as u64 / 2);
        hands.advance(std::time::Duration::from_secs(1));
    }
    assert_eq!(store.rollouts().await.unwrap(), [rollout(0), rollout(1)]);
    let entries = store.load(&rollout(1)).await.unwrap();
    assert_eq!(
        entries.iter().map(|e| (e.sequence, e.at.seconds())).collect::<Vec<_>>(),
        [(0, 2), (1, 4)]
    );
    assert_eq!(entries[1].record, verified(3));
    assert!(store.load(&rollout(9)).await.unwrap().is_empty());
}

#[test]
fn a_journal_goes_on_where_it_ended() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    let whole = written(&dir, 10);
    let mut journal = open(&dir).unwrap();
    assert_eq!(contents(&journal), whole);
    let entry = journal
        .append(
            &rollout(0),
            Timestamp(9),
            Record::Finished {
                result: RolloutResult::Done,
            },
        )
        .unwrap();
    assert_eq!(entry.sequence, 4);
    drop(journal);
    assert_eq!(open(&dir).unwrap().load(&rollout(0)).unwrap().last(), Some(&entry));
}

#[test]
fn missing_and_older_files_are_noticed() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    written(&dir, 5);
    let older = home.path().join("older");
    copy(&dir, &older);
    let mut journal = open(&dir).unwrap();
    journal.append(&rollout(0), Timestamp(1), verified(1)).unwrap();
    journal.append(&rollout(0), Timestamp(2), verified(2)).unwrap();
    drop(journal);
    type Damage<'a> = &'a dyn Fn(&Path);
    let damages: [(&str, Damage<'_>); 5] = [
        ("no head file", &|dir| fs::remove_file(dir.join("head.json")).unwrap()),
        ("no db", &|dir| fs::remove_file(dir.join("store/db")).unwrap()),
        ("no store", &|dir| fs::remove_dir_all(dir.join("store")).unwrap()),
        ("an older store under the newer head", &|dir| {
            fs::remove_dir_all(dir.join("store")).unwrap();
            copy(&older.join("store"), &dir.join("store"));
        }),
        ("an older head under the newer store", &|dir| {
            fs::copy(older.join("head.json"), dir.join("head.json"))
                .map(drop)
                .unwrap();
        }),
    ];
    for (what, damage) in damages {
        let copied = home.path().join("copied");
        copy(&dir, &copied);
        damage(&copied);
        assert!(matches!(open(&copied), Err(JournalError::Damaged(_))), "{what}");
        fs::remove_dir_all(copied).unwrap();
    }
    assert!(matches!(open(&home.path().join("gone")), Err(JournalError::Damaged(_))));
}

#[test]
fn an_append_that_died_before_the_head_file_is_taken_over() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    written(&dir, 5);
    let head = fs::read(dir.join("head.json")).unwrap();
    let mut journal = open(&dir).unwrap();
    journal.append(&rollout(0), Timestamp(1), verified(1)).unwrap();
    let whole = contents(&journal);
    drop(journal);
    fs::write(dir.join("head.json"), head).unwrap();
    for _ in 0..2 {
        assert_eq!(contents(&open(&dir).unwrap()), whole);
    }
}

#[tokio::test]
async fn a_damaged_journal_is_moved_aside_and_said() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    written(&dir, 5);
    fs::remove_file(dir.join("head.json")).unwrap();
    let Opened { store, damage, .. } = Store::open(&dir, true, Clock::system()).unwrap();
    assert!(damage.unwrap().contains("head file"));
    assert!(store.rollouts().await.unwrap().is_empty());
    store.append(&rollout(0), verified(0)).await.unwrap();
    let findings = damage_findings(home.path());
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0].message.contains("journal.damaged-"),
        "{}",
        findings[0].message
    );
    let aside = fs::read_dir(home.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name() != "journal")
        .count();
    assert_eq!(aside, 1, "the damaged one must still be there");
}

/// The other half of the test below, in a process of its own: writes until it is killed, and says what is durable.
#[test]
#[ignore = "runs only as the child of the test below"]
fn child_that_writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os("QUORATE_TEST_JOURNAL") else {
        return;
    };
    let mut journal = SledJournal::open(Path::new(&dir), false).unwrap();
    for number in 0.. {
        journal.append(&rollout(0), Timestamp(0), verified(number)).unwrap();
        println!("durable {number}");
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test starts itself as the process that is killed"
)]
fn nothing_acknowledged_is_lost_by_a_kill() {
    for round in 0..5_usize {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("journal");
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--nocapture",
                "--exact",
                "store::tests::child_that_writes_until_it_is_killed",
            ])
            .env("QUORATE_TEST_JOURNAL", &dir)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut durable = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("durable ")?.parse::<usize>().ok());
        let mut last = durable.by_ref().find(|number| *number >= 7 + round * 13).unwrap();
        child.kill().unwrap();
        last = durable.last().unwrap_or(last);
        child.wait().unwrap();
        let entries = open(&dir).unwrap().load(&rollout(0)).unwrap();
        assert!(
            entries.len() > last,
            "{} entries, {last} was acknowledged",
            entries.len()
        );
    }
}

type ChangeByHand = fn(&mut serde_json::Value);

/// The head file of a journal with three records, after a change by hand.
fn changed_head(change: impl FnOnce(&mut serde_json::Value)) -> (tempfile::TempDir, std::path::PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    written(&dir, 3);
    let path = dir.join("head.json");
    let mut head: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut head);
    fs::write(&path, head.to_string()).unwrap();
    (home, dir)
}

#[test]
fn a_head_file_of_a_newer_version_is_no_damaged_one() {
    let changes: [(&str, ChangeByHand); 4] = [
        ("`signature`", |file| file["signature"] = "x".into()),
        ("`epoch`", |file| file["head"]["epoch"] = 7.into()),
        ("format 2", |file| {
            file["format"] = 2.into();
            // It may well count other things under its digest.
            file["sha256"] = "x".into();
        }),
        ("format 2", |file| {
            *file = serde_json::json!({ "format": 2, "chain": [] })
        }),
    ];
    for (what, change) in changes {
        let (home, dir) = changed_head(change);
        let before = fs::read(dir.join("head.json")).unwrap();
        let error = Store::open(&dir, true, Clock::system()).unwrap_err().to_string();
        assert!(error.contains("newer version") && error.contains(what), "{error}");
        assert!(!error.contains("damaged"), "{error}");
        assert_eq!(fs::read(dir.join("head.json")).unwrap(), before);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing was moved aside");
    }
}

#[test]
fn a_head_file_that_names_the_known_format_is_read_and_one_that_was_altered_is_damaged() {
    let (_home, dir) = changed_head(|file| file["format"] = 1.into());
    assert_eq!(open(&dir).unwrap().rollouts().len(), 3);
    let alterations: [ChangeByHand; 3] = [
        |file| file["head"]["count"] = 2.into(),
        // A letter of a field's name: an unknown field, and one that is missing.
        |file| {
            let name = file["head"]["journal"].take();
            file["head"].as_object_mut().unwrap().remove("journal");
            file["head"]["jovrnal"] = name;
        },
        |file| {
            file.as_object_mut().unwrap().remove("sha256");
        },
    ];
    for alter in alterations {
        let (_home, dir) = changed_head(alter);
        assert!(matches!(open(&dir), Err(JournalError::Damaged(_))));
    }
}
