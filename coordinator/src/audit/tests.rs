//! The log as somebody who wants to hide something meets it, and as a crash leaves it.

use std::fs;

use quorate_clock::Clock;

use super::verify::Broken;
use super::*;

fn fixture() -> (tempfile::TempDir, Audit) {
    let home = tempfile::tempdir().unwrap();
    let state = StateDir::create(&home.path().join("state")).unwrap();
    (home, Audit::of(&state, Clock::system()))
}

fn cancel(audit: &Audit, rollout: &str) {
    let what = What::Cancel {
        rollout: rollout.to_owned(),
    };
    audit
        .record(Act::new(By::this_process(), what).in_cluster("hk1"))
        .unwrap();
}

fn broken(audit: &Audit) -> Option<Broken> {
    verify::file(audit.path(), audit.head().unwrap().as_ref())
        .unwrap()
        .broken
}

fn lines(audit: &Audit) -> Vec<String> {
    fs::read_to_string(audit.path())
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn lines_follow_one_another_whoever_writes_them() {
    let (home, audit) = fixture();
    let other = Audit::of(&StateDir::open(&home.path().join("state")).unwrap(), Clock::system());
    // As two processes do: the daemon, and a command beside it.
    std::thread::scope(|scope| {
        for log in [&audit, &other] {
            scope.spawn(move || (0..40).for_each(|number| cancel(log, &format!("r-{number}"))));
        }
    });
    assert_eq!((lines(&audit).len(), broken(&audit)), (80, None));
    assert!(audit.findings().is_empty());
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(audit.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn every_change_of_a_letter_and_every_missing_line_is_noticed() {
    let (_home, audit) = fixture();
    (0..6).for_each(|number| cancel(&audit, &format!("r-{number}")));
    let whole = fs::read(audit.path()).unwrap();
    for at in (0..whole.len()).step_by(3) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(audit.path(), changed).unwrap();
        assert!(broken(&audit).is_some(), "letter {at}");
    }
    fs::write(audit.path(), &whole).unwrap();
    let all = lines(&audit);
    for gone in 0..all.len() {
        let rest: Vec<&str> = (0..all.len()).filter(|n| *n != gone).map(|n| all[n].as_str()).collect();
        fs::write(audit.path(), rest.join("\n") + "\n").unwrap();
        let broken = broken(&audit).unwrap();
        assert_eq!(broken.line as usize, gone + 1, "{broken}");
    }
    fs::remove_file(audit.path()).unwrap();
    assert!(broken(&audit).unwrap().why.contains("6 lines are missing"));
    assert_eq!(audit.findings()[0].code, Code::AuditBroken);
}

#[test]
fn what_is_appended_to_a_broken_log_does_not_mend_it() {
    let (_home, audit) = fixture();
    (0..4).for_each(|number| cancel(&audit, &format!("r-{number}")));
    let kept: Vec<String> = lines(&audit).into_iter().take(2).collect();
    fs::write(audit.path(), kept.join("\n") + "\n").unwrap();
    cancel(&audit, "r-9");
    let broken = broken(&audit).unwrap();
    assert_eq!(broken.line, 3, "{broken}");
}

#[test]
fn a_tail_that_is_cut_off_together_with_the_head_file_stays_noticed() {
    for damage in [None, Some(&b"\xff{"[..]), Some(b"{")] {
        let (home, audit) = fixture();
        (0..4).for_each(|number| cancel(&audit, &format!("r-{number}")));
        let kept: Vec<String> = lines(&audit).into_iter().take(2).collect();
        fs::write(audit.path(), kept.join("\n") + "\n").unwrap();
        let head = home.path().join("state/audit.head.json");
        match damage {
            None => fs::remove_file(&head).unwrap(),
            Some(bytes) => fs::write(&head, bytes).unwrap(),
        }
        (0..2).for_each(|number| cancel(&audit, &format!("r-{number}")));
        let told = broken(&audit).unwrap();
        assert!(told.line == 3 && told.why.contains("head file"), "{damage:?}: {told}");
        assert_eq!(
            lines(&audit).iter().filter(|line| line.contains("head_lost")).count(),
            1
        );
        assert_eq!(audit.findings()[0].code, Code::AuditBroken);
    }
}

#[test]
fn a_log_that_is_gone_is_not_begun_as_if_there_had_been_none() {
    let (home, audit) = fixture();
    fs::write(home.path().join("state/fleet.json"), "{}").unwrap();
    cancel(&audit, "r-1");
    assert!(lines(&audit)[0].contains("head_lost"), "{:?}", lines(&audit));
    assert_eq!(broken(&audit).unwrap().line, 1);
}

#[test]
fn a_crash_in_the_very_first_line_is_no_loss() {
    let (home, audit) = fixture();
    cancel(&audit, "r-1");
    let head = serde_json::json!({ "count": 0, "last": super::log::GENESIS, "length": 0 });
    fs::write(home.path().join("state/audit.head.json"), head.to_string()).unwrap();
    cancel(&audit, "r-2");
    assert_eq!((lines(&audit).len(), broken(&audit)), (2, None));
}

#[test]
fn a_crash_in_the_middle_of_a_line_leaves_no_half_line() {
    let (_home, audit) = fixture();
    cancel(&audit, "r-1");
    let whole = fs::read(audit.path()).unwrap();
    for torn in [&b"{"[..], &whole[..whole.len() / 2]] {
        let mut bytes = fs::read(audit.path()).unwrap();
        bytes.extend(torn);
        fs::write(audit.path(), &bytes).unwrap();
        cancel(&audit, "r-2");
        assert_eq!(broken(&audit), None);
        let told = lines(&audit);
        assert!(told[told.len() - 2].contains("cut_torn_line"), "{told:?}");
    }
}

#[test]
fn a_crash_between_line_and_head_file_costs_nothing() {
    let (home, audit) = fixture();
    cancel(&audit, "r-1");
    let head = home.path().join("state/audit.head.json");
    let before = fs::read(&head).unwrap();
    cancel(&audit, "r-2");
    fs::write(&head, before).unwrap();
    assert_eq!(
        broken(&audit),
        None,
        "it was written, and what it says may have been done"
    );
    cancel(&audit, "r-3");
    assert_eq!((lines(&audit).len(), broken(&audit)), (3, None));
}

#[test]
fn lines_of_a_later_version_are_no_damage() {
    let (_home, audit) = fixture();
    cancel(&audit, "r-1");
    let previous = audit.head().unwrap().unwrap().last;
    let later = format!(
        r#"{{"number":1,"previous":"{previous}","at":"2030-01-01T00:00:00Z","by":{{"who":"x","from":""}},"what":{{"action":"teleport"}}}}"#
    );
    let mut text = fs::read_to_string(audit.path()).unwrap();
    text.push_str(&later);
    text.push('\n');
    fs::write(audit.path(), text).unwrap();
    cancel(&audit, "r-2");
    assert_eq!(broken(&audit), None);
    assert!(audit.instances().unwrap().is_empty());
}

#[test]
fn the_largest_number_breaks_the_chain_and_nothing_else() {
    let mut chain = verify::Chain::new();
    chain.take(&format!(r#"{{"number":{},"previous":"{}"}}"#, u64::MAX, "0".repeat(64)));
    chain.take("what follows it");
    let broken = chain.end(None).broken.unwrap();
    assert_eq!(broken.line, 1, "{broken}");
}
