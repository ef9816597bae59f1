//! Two coordinators at once: the one with the higher generation drives, and no step is carried out by both.

use quorate_model::ids::Generation;
use quorate_model::rollout::{Progress, RolloutResult};

use super::{Run, assert_right, corpus, end_of, rollout};
use crate::RunError;
use crate::memory::MemJournal;

/// Waits until the record of this number is written.
async fn recorded(run: &Run, at: u64) {
    let mut listener = run.progress.subscribe();
    while let Ok(progress) = listener.recv().await {
        if matches!(&progress, Progress::Entry(entry) if entry.sequence == at) {
            return;
        }
    }
}

/// The second one has a copy of the first one's journal: it was restored from a backup, or cloned with its whole machine.
#[tokio::test(start_paused = true)]
async fn a_second_driver_at_every_record() {
    let mut tried = 0;
    for case in corpus() {
        let digest = end_of(&case).await;
        let undisturbed = Run::of(&case);
        undisturbed.end().await;
        for at in 1..undisturbed.entries().len() as u64 - 1 {
            let old = Run::of(&case);
            let what = format!("a second driver at record {at}");
            let taking_over = async {
                recorded(&old, at).await;
                old.world.claim(Generation(2));
                let journal = MemJournal::of(&rollout(), old.entries());
                let new = Run::again(journal, old.world.clone(), 2);
                let result = new.end().await;
                assert_eq!(result, RolloutResult::Done, "{}: {what}: {:#?}", case.name, new.told());
                new
            };
            let (ended, new) = tokio::join!(old.go(), taking_over);
            assert_right(&case, &new, &what);
            assert_eq!(new.world.digest(), digest, "{}: {what}", case.name);
            // It may follow what it began to its end, and find the rest done by the other.
            let ended = ended.expect("it does not crash");
            let plausible = matches!(&ended, Err(RunError::Superseded(_)) | Ok(_));
            assert!(plausible, "{}: {what}: {ended:?}", case.name);
            tried += 1;
        }
    }
    println!("a second driver at every record: {tried} cases");
    assert!(tried > 300, "only {tried}");
}
