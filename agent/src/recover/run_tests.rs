use super::plan::tests::scene;
use super::steps::tests::Heard;
use super::votes::Quorum;
use super::*;
use crate::observe::testing::Fake;

fn asked() -> Asked {
    Asked {
        lost: "prox1".to_owned(),
        apply: true,
        ..Asked::default()
    }
}

fn typed(answer: Option<&str>, confirm: Option<&str>) -> Result<Word, Failure> {
    let fake = Fake::new();
    let console = Heard {
        answer: answer.map(str::to_owned),
        ..Heard::default()
    };
    let asked = Asked {
        confirm: confirm.map(str::to_owned),
        ..asked()
    };
    word(&fake.bare(), &scene(Quorum::There), &asked, &console)
}

#[test]
fn the_last_word_is_the_servers_name_in_full() {
    assert_eq!(typed(Some("hk1/prox1\n"), None).unwrap().typed, "hk1/prox1");
    assert_eq!(typed(None, Some("hk1/prox1")).unwrap().typed, "hk1/prox1");
    for wrong in ["prox1", "hk1/prox2", "yes", ""] {
        assert_eq!(
            typed(Some(wrong), None).unwrap_err().exit,
            ExitCode::Cancelled,
            "{wrong}"
        );
    }
    assert_eq!(typed(None, None).unwrap_err().exit, ExitCode::Usage);
}

#[test]
fn what_is_to_be_typed_is_told_with_all_that_was_said() {
    let asked = Asked {
        guests: vec![100, 101],
        expected_votes: Some(1),
        seen_off: true,
        bmc: Some("192.168.9.11".parse().unwrap()),
        ..asked()
    };
    let told = would(&scene(Quorum::There), &asked);
    let line = "quorate-agent recover --lost prox1 --guest 100 --guest 101 --expected-votes 1 --seen-off --bmc 192.168.9.11 --apply";
    assert!(told.contains(line), "{told}");
}

#[test]
fn a_second_try_goes_on_with_the_record_of_the_first() {
    let fake = Fake::new();
    let mut again = scene(Quorum::There);
    let first = record::tests::record(record::Step::Moving);
    again.record = Some(first.clone());
    let word = Word {
        typed: "hk1/prox1".to_owned(),
        seen_off: false,
        at: fake.bare().now(),
    };
    let record = opened(&fake.bare(), &again, &asked(), word);
    assert_eq!((record.opened_at, record.guests), (first.opened_at, first.guests));
    assert_eq!(
        record.expected_votes,
        Some(1),
        "votes that were set before are not forgotten"
    );
}

#[test]
fn one_recovery_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let _held = lock(dir.path()).unwrap();
    assert_eq!(
        lock(dir.path()).unwrap_err().message,
        "another recovery runs on this server"
    );
}
