//! What is kept of a drill from its beginning to its record, and what of it is believed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use quorate_identity::create_private_dir;
use quorate_model::Timestamp;
use quorate_model::drill::record::{Record, check_chain};
use quorate_model::drill::verdict::Outcome;
use quorate_model::drill::{Event, What};

use super::order::Order;
use super::record::{Gathered, compose};
use super::stage::Stage;
use super::state::{FaultSeen, Folder, KeptError, Moves, Running, Spec, Syncs};

/// As an earlier version wrote it.
const FIRST: &str = include_str!("../../../common/model/src/drill/tests/record-1.json");

fn first() -> Record {
    Record::read(FIRST).unwrap()
}

/// The same drill again, as it goes on.
fn running(number: u64) -> Running {
    let of = first();
    Running {
        number,
        cluster: of.cluster,
        order: Order {
            name: of.drill,
            fault: of.fault,
            kind: of.kind,
            lasts: of.lasts,
            node: of.victim,
            guest: of.guest,
            probes: vec!["tally:192.0.2.7".parse().unwrap()],
            password_file: None,
            expected: of.expected,
            risked: BTreeSet::new(),
            confirmed: Some("hk1/prox1".to_owned()),
            accepted: vec![],
            scheduled: false,
            windows: vec![],
        },
        operator: "kim".to_owned(),
        began: Timestamp::from_seconds(1_795_345_772),
        stage: Stage::Observing,
        spec: Spec {
            name: "hk1.toml".to_owned(),
            digest: of.spec_digest,
            text: String::new(),
        },
        findings: vec![],
        fates: vec![],
        before: vec![],
        after: vec![],
        circumstances: of.circumstances,
        predicted: of.predicted,
        recovered: of.subject.recovered,
        discards: Some(100),
        leaves: Some("data_zfs/vm-100-cloudinit".parse().unwrap()),
        syncs: Syncs::default(),
        moves: Moves::default(),
        operation: "drill-hk1-2-0000abcd".parse().unwrap(),
        clocks: BTreeMap::new(),
        copies: vec![],
        known: BTreeSet::new(),
        fault: FaultSeen {
            asked: Some(Timestamp::from_seconds(1_795_345_800)),
            made: Some(Timestamp::from_seconds(1_795_345_802)),
            held: None,
            gone: None,
        },
        events: vec![Event {
            at: Timestamp::from_seconds(1_795_346_200),
            within_micros: 5_000_000,
            what: What::FaultGone { by: "timer".to_owned() },
        }],
        aborted: None,
        left: vec![],
    }
}

/// A folder in which the first record lies.
fn folder(home: &Path) -> Folder {
    let folder = Folder::of(home, &first().cluster);
    create_private_dir(&folder.one(1)).unwrap();
    std::fs::write(folder.one(1).join("record.json"), FIRST).unwrap();
    folder
}

#[test]
fn the_next_one_follows_the_last_and_an_empty_folder_is_taken_again() {
    let home = tempfile::tempdir().unwrap();
    let none = Folder::of(&home.path().join("none"), &first().cluster);
    assert_eq!(none.next().unwrap(), (1, String::new()));
    let folder = folder(home.path());
    create_private_dir(&folder.one(2)).unwrap();
    assert_eq!(folder.next().unwrap(), (2, first().digest));
    assert!(folder.unfinished().unwrap().is_none());
    assert_eq!(folder.last_over().unwrap().unwrap().1, first().ended);
}

#[test]
fn one_that_goes_on_is_found_as_it_was_and_one_that_cannot_be_read_is_not_over() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::of(home.path(), &first().cluster);
    folder.keep(&running(1)).unwrap();
    assert_eq!(folder.unfinished().unwrap(), Some(running(1)));
    std::fs::write(folder.one(1).join("running.json"), "{").unwrap();
    assert!(matches!(folder.unfinished(), Err(KeptError::Document(_))));
}

#[test]
fn a_drill_of_which_little_was_seen_has_a_record_that_says_so_and_follows_the_one_before_it() {
    let home = tempfile::tempdir().unwrap();
    let folder = folder(home.path());
    folder.keep(&running(2)).unwrap();
    std::fs::write(folder.one(2).join("probe-0.jsonl"), "").unwrap();
    let gathered = Gathered {
        ended: Timestamp::from_seconds(1_795_347_000),
        clocks: BTreeMap::new(),
        missing: BTreeMap::new(),
        made: None,
        rows: None,
        previous: folder.next().unwrap().1,
        signer: String::new(),
        pace: crate::pace::Pace::at(1.0),
    };
    let record = compose(&running(2), &gathered, &folder.one(2)).unwrap();
    assert_eq!(record.verdict.outcome, Outcome::Undecided);
    folder.seal(&record).unwrap();
    let mut left: Vec<String> = std::fs::read_dir(folder.one(2))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    left.sort();
    assert_eq!(left, ["record.json", "report.html", "report.txt"]);
    assert!(folder.unfinished().unwrap().is_none());
    let all = folder.records().unwrap();
    assert_eq!((all.len(), check_chain(&all)), (2, Ok(())));
}

#[test]
fn a_record_that_was_altered_is_not_shown() {
    let home = tempfile::tempdir().unwrap();
    let folder = folder(home.path());
    let altered = FIRST.replacen("\"number\": 1", "\"number\": 9", 1);
    assert_ne!(altered, FIRST);
    std::fs::write(folder.one(1).join("record.json"), altered).unwrap();
    assert!(matches!(folder.records(), Err(KeptError::Record { .. })));
}
