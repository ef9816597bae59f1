//! What is kept: readable later, chained, and compared with what was before.

use std::sync::LazyLock;

use super::story::record;
use crate::drill::axis::Range;
use crate::drill::figures::Figure;
use crate::drill::record::{Record, RecordError, check_chain};
use crate::drill::trend::{TrendRow, worse};
use crate::drill::verdict::Outcome;
use crate::finding::Code;

/// As this version writes the story's record. What later versions write may be another file; this one stays readable. It is written anew as
/// snapshots are.
static KEPT: LazyLock<String> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/drill/tests/record-1.json");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(path, record().to_json().unwrap()).unwrap();
    }
    std::fs::read_to_string(path).unwrap()
});

#[test]
fn what_was_kept_is_read_as_it_was_written() {
    let read = Record::read(&KEPT).unwrap();
    assert_eq!(
        (read.number, read.figures.service.told()),
        (1, record().figures.service.told())
    );
    assert_eq!(read.to_json().unwrap(), *KEPT);
}

#[test]
fn the_story_is_kept_as_it_was() {
    let text = record().to_json().unwrap();
    assert!(
        text == *KEPT,
        "this version writes another record than record-1.json has:\n{text}"
    );
}

#[test]
fn what_a_later_version_adds_is_covered_by_the_digest_and_may_be_left_out_by_an_older_one() {
    let mut value: serde_json::Value = serde_json::from_str(&KEPT).unwrap();
    value["weather"] = "fine".into();
    assert_eq!(Record::read(&value.to_string()).unwrap_err(), RecordError::Altered(1));
    value["format"] = 2.into();
    assert_eq!(Record::read(&value.to_string()).unwrap_err(), RecordError::Later(2));
}

#[test]
fn the_layout_does_not_matter_and_the_content_does() {
    let value: serde_json::Value = serde_json::from_str(&KEPT).unwrap();
    assert_eq!(Record::read(&value.to_string()).unwrap(), Record::read(&KEPT).unwrap());
    let altered = KEPT.replacen("\"operator\": \"kim", "\"operator\": \"tim", 1);
    assert_ne!(altered, *KEPT);
    assert_eq!(Record::read(&altered).unwrap_err(), RecordError::Altered(1));
    let signed = KEPT.replacen("\"signature\": \"\"", "\"signature\": \"AAAA\"", 1);
    assert_eq!(
        Record::read(&signed).unwrap().signature,
        "AAAA",
        "the signature is of the digest"
    );
    for text in ["", "{}", "[]", "{\"format\": 1}", "{\"format\": \"1\"}"] {
        assert!(matches!(Record::read(text), Err(RecordError::Unreadable(_))), "{text}");
    }
}

/// So many records, each after the one before.
fn chain(count: u64) -> Vec<Record> {
    let mut all: Vec<Record> = Vec::new();
    for number in 1..=count {
        let previous = all.last().map_or(String::new(), |before| before.digest.clone());
        let next = Record {
            number,
            previous,
            ..record()
        };
        all.push(next.sealed().unwrap());
    }
    all
}

#[test]
fn a_record_that_was_taken_out_or_written_anew_breaks_the_chain() {
    let mut all = chain(4);
    assert_eq!(check_chain(&all), Ok(()));
    assert_eq!(check_chain(&all[2..]), Ok(()), "older ones may have been put away");
    let out = all.remove(1);
    assert_eq!(check_chain(&all), Err(RecordError::Broken { number: 3 }));
    let anew = Record {
        operator: "tim".to_owned(),
        ..out
    };
    all.insert(1, anew.sealed().unwrap());
    assert_eq!(check_chain(&all), Err(RecordError::Broken { number: 3 }));
}

fn rows(outages: &[i64]) -> Vec<TrendRow> {
    let row = |seconds: &i64| TrendRow {
        outage: Figure::Known {
            span: Range::seconds(*seconds, *seconds, *seconds),
            how: String::new(),
        },
        ..TrendRow::from(&record())
    };
    outages.iter().map(row).collect()
}

#[test]
fn a_drill_is_worse_only_beyond_chance() {
    let told = |outages: &[i64]| worse(&rows(outages)).len();
    assert_eq!(told(&[140, 150, 135, 145, 165]), 0, "HA's own rounds");
    assert_eq!(told(&[140, 150, 135, 145, 200]), 1);
    assert_eq!(told(&[140, 210, 135, 145, 205]), 0, "so long it was before");
    assert_eq!(told(&[200]), 0);
    assert_eq!(told(&[]), 0);
    let found = worse(&rows(&[140, 150, 200]));
    assert_eq!(found[0].code, Code::DrillWorse);
    assert!(
        found[0].message.contains("3 min 20 s") && found[0].message.contains("2 min 20 s"),
        "{}",
        found[0].message
    );
}

#[test]
fn one_of_another_kind_does_not_hide_what_got_worse() {
    let mut all = rows(&[140, 140, 200, 20, 140]);
    all[3].guest = 901;
    assert!(worse(&all).is_empty(), "it was as before again");
    all.pop();
    let found = worse(&all);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("3 min 20 s"), "{found:?}");
}

#[test]
fn a_copy_is_too_old_only_beyond_twice_what_any_was() {
    let aged = |ages: &[i64]| {
        let mut all = rows(&vec![140; ages.len()]);
        for (row, age) in all.iter_mut().zip(ages) {
            row.copy_age = Figure::Known {
                span: Range::seconds(*age, *age, *age),
                how: String::new(),
            };
        }
        worse(&all)
    };
    assert_eq!(
        aged(&[60, 200, 30, 390]),
        [],
        "where in its interval it is hit is chance"
    );
    let found = aged(&[60, 200, 30, 410]);
    assert_eq!((found.len(), found[0].code), (1, Code::DrillWorse));
    assert!(
        found[0].message.starts_with("the copy that was used"),
        "{}",
        found[0].message
    );
}

#[test]
fn only_like_is_held_against_like() {
    let mut all = rows(&[140, 140, 200]);
    all[2].master = Some(true);
    assert!(worse(&all).is_empty(), "the master takes a minute more");
    let mut failed = rows(&[140, 140]);
    failed[1].outcome = Outcome::Failed;
    assert_eq!(worse(&failed).len(), 1);
}
