//! Whatever happens to the journal's files: it opens complete, or it is said to be damaged. Never silently shorter.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use quorate_model::Timestamp;

use super::tests::{contents, copy, numbers, rollout, verified};
use super::*;

/// How an opening ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Whole,
    Damaged,
}

type Contents = Vec<(RolloutId, Vec<Entry>)>;

/// A journal that is damaged again and again: each case on a copy of its own.
struct Victim {
    home: tempfile::TempDir,
    whole: Contents,
    /// Where each record begins and ends in the store's file.
    boundaries: Vec<usize>,
}

impl Victim {
    fn new(records: usize) -> Self {
        let victim = Self::of((0..records).map(verified).collect());
        assert!(victim.boundaries.len() >= records, "records are found in the file");
        victim
    }

    fn of(records: Vec<Record>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("journal");
        let mut journal = SledJournal::open(&dir, false).unwrap();
        let mut frames = Vec::new();
        for (number, record) in records.into_iter().enumerate() {
            journal
                .append(&rollout(number % 3), Timestamp(number as i64), record)
                .unwrap();
            frames.push(journal.raw(number as u64).unwrap());
        }
        let whole = contents(&journal);
        drop(journal);
        let bytes = fs::read(dir.join("store/db")).unwrap();
        let mut boundaries = Vec::new();
        for frame in frames {
            // A page may have been written more than once: every copy of the record counts.
            let mut from = 0;
            while let Some(at) = find(&bytes[from..], &frame) {
                boundaries.extend([from + at, from + at + frame.len()]);
                from += at + frame.len();
            }
        }
        Self {
            home,
            whole,
            boundaries,
        }
    }

    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.home.path().join("journal").join(name)).unwrap()
    }

    /// Damages a copy, opens it, and judges. Cases run side by side: each has a directory of its own.
    fn suffer(&self, case: &str, damage: impl FnOnce(&Path)) -> End {
        let place = self.home.path().join(case);
        copy(&self.home.path().join("journal"), &place);
        damage(&place);
        let opened = std::panic::catch_unwind(|| SledJournal::open(&place, true));
        let end = match opened {
            Ok(Ok(journal)) => {
                assert_eq!(contents(&journal), self.whole, "{case}: it opened, but not as it was");
                End::Whole
            }
            Ok(Err(JournalError::Damaged(_))) => End::Damaged,
            Ok(Err(other)) => panic!("{case}: neither whole nor damaged: {other}"),
            Err(_) => panic!("{case}: a panic came through"),
        };
        fs::remove_dir_all(place).unwrap();
        end
    }

    /// Many cases on as many threads as there are processors.
    fn all<T: Send + Sync>(&self, cases: Vec<T>, one: impl Fn(&T) -> End + Sync) -> BTreeMap<End, usize> {
        // sled speaks of what it meets when it panics; a thousand times is too often.
        let next = std::sync::atomic::AtomicUsize::new(0);
        let threads = std::thread::available_parallelism().map_or(2, |n| n.get());
        let ends = std::sync::Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        let Some(case) = cases.get(index) else { return };
                        let end = one(case);
                        *ends.lock().unwrap().entry(end).or_insert(0) += 1;
                    }
                });
            }
        });
        ends.into_inner().unwrap()
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn replace(dir: &Path, name: &str, bytes: &[u8]) {
    fs::write(dir.join(name), bytes).unwrap();
}

#[test]
fn a_thousand_flipped_bits() {
    let victim = Victim::new(24);
    let db = victim.file("store/db");
    // Zeros behind the last record mean nothing; a flip there would only be one more harmless case.
    let used: Vec<usize> = (0..db.len()).filter(|at| db[*at] != 0).collect();
    let cases: Vec<(usize, u64)> = numbers(0x0dd5).take(1000).enumerate().collect();
    let ends = victim.all(cases, |(number, random)| {
        let place = used[*random as usize % used.len()];
        let mut bytes = db.clone();
        bytes[place] ^= 1 << (random >> 32 & 7);
        victim.suffer(&format!("db-{number}"), |dir| replace(dir, "store/db", &bytes))
    });
    assert!(ends[&End::Damaged] > 700, "most flips hit something: {ends:?}");
}

#[test]
fn every_bit_of_the_small_files() {
    let victim = Victim::new(3);
    for name in ["head.json", "store/conf"] {
        let whole = victim.file(name);
        let cases: Vec<usize> = (0..whole.len() * 8).collect();
        let ends = victim.all(cases, |bit| {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            victim.suffer(&format!("{}-{bit}", name.replace('/', "-")), |dir| {
                replace(dir, name, &bytes)
            })
        });
        assert!(ends.contains_key(&End::Damaged), "{name}: {ends:?}");
    }
}

#[test]
fn cut_at_every_record_and_a_byte_before_and_after() {
    let victim = Victim::new(24);
    let db = victim.file("store/db");
    let mut cases: Vec<usize> = victim.boundaries.iter().flat_map(|at| [at - 1, *at, at + 1]).collect();
    cases.extend(numbers(0xc07).take(100).map(|random| random as usize % db.len()));
    cases.extend([0, 1, db.len() - 1]);
    cases.sort_unstable();
    cases.dedup();
    cases.retain(|length| *length < db.len());
    assert!(cases.len() > 150, "{} cuts", cases.len());
    let ends = victim.all(cases, |length| {
        victim.suffer(&format!("cut-{length}"), |dir| replace(dir, "store/db", &db[..*length]))
    });
    assert!(ends[&End::Damaged] > 50, "{ends:?}");
}

#[test]
fn zeroed_from_every_record_on() {
    let victim = Victim::new(24);
    let db = victim.file("store/db");
    let ends = victim.all(victim.boundaries.clone(), |from| {
        let mut bytes = db.clone();
        bytes[*from..].fill(0);
        victim.suffer(&format!("zero-{from}"), |dir| replace(dir, "store/db", &bytes))
    });
    assert!(ends[&End::Damaged] > 10, "{ends:?}");
}

#[test]
fn files_that_are_missing_empty_zeroed_or_of_another_kind() {
    let victim = Victim::new(9);
    let mut files: Vec<PathBuf> = vec!["head.json".into()];
    for entry in fs::read_dir(victim.home.path().join("journal/store")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            files.push(Path::new("store").join(entry.file_name()));
        }
    }
    assert!(files.len() >= 3, "{files:?}");
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("missing", |path| fs::remove_file(path).unwrap()),
        ("empty", |path| fs::write(path, b"").unwrap()),
        ("zeroed", |path| {
            let length = fs::metadata(path).unwrap().len() as usize;
            fs::write(path, vec![0; length]).unwrap();
        }),
        ("a directory", |path| {
            fs::remove_file(path).unwrap();
            quorate_identity::create_private_dir(path).unwrap();
        }),
    ];
    for file in &files {
        for (what, damage) in damages {
            let end = victim.suffer(&format!("{}-{what}", file.display()).replace(['/', ' '], "-"), |dir| {
                damage(&dir.join(file));
            });
            if ["head.json", "store/db"].contains(&file.to_str().unwrap()) {
                assert_eq!(end, End::Damaged, "{} {what}", file.display());
            }
        }
    }
}

/// The plan of a large cluster, and a record that is too large for sled's own file.
fn large() -> Vec<Record> {
    let file = quorate_planner::testkit::file(32, &["10.10.10.0/24"]);
    let servers = quorate_planner::testkit::Servers::bare(32);
    let plan = quorate_planner::plan(&file, &quorate_model::Wish::default(), &servers.view);
    assert_eq!(plan.steps.len(), 32);
    let created = Record::Created {
        plan: Box::new(plan),
        by: "root".to_owned(),
    };
    let step = "cluster.join/prox2".parse().unwrap();
    let evidence = "seen ".repeat(100_000);
    vec![verified(0), created, Record::Verified { step, evidence }, verified(3)]
}

#[test]
fn large_records_are_whole_or_damaged() {
    let victim = Victim::of(large());
    let blobs: Vec<PathBuf> = fs::read_dir(victim.home.path().join("journal/store/blobs"))
        .unwrap()
        .map(|entry| Path::new("store/blobs").join(entry.unwrap().file_name()))
        .collect();
    assert!(!blobs.is_empty(), "sled keeps it in a file of its own");
    for blob in &blobs {
        let whole = victim.file(blob.to_str().unwrap());
        let mut cases: Vec<Option<Vec<u8>>> = vec![None, Some(vec![]), Some(vec![0; whole.len()])];
        cases.push(Some(whole[..whole.len() / 2].to_vec()));
        for random in numbers(0xb10b).take(40) {
            let mut bytes = whole.clone();
            let at = random as usize % bytes.len();
            bytes[at] ^= 1 << (random >> 32 & 7);
            cases.push(Some(bytes));
        }
        let cases: Vec<_> = cases.into_iter().enumerate().collect();
        let ends = victim.all(cases, |(number, bytes)| {
            victim.suffer(&format!("blob-{number}"), |dir| match bytes {
                None => fs::remove_file(dir.join(blob)).unwrap(),
                Some(bytes) => fs::write(dir.join(blob), bytes).unwrap(),
            })
        });
        assert!(ends.get(&End::Damaged).is_some_and(|damaged| *damaged > 30), "{ends:?}");
    }
}

#[test]
fn what_the_system_refuses_is_no_damage() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    drop(SledJournal::open(&dir, false).unwrap());
    // No file may be opened any more: nothing is moved aside for that.
    let said = child(&dir, "ulimit -n 5;");
    assert!(said.contains("not opened:") && !said.contains("damaged"), "{said}");
}

#[test]
fn who_has_the_store_for_a_moment_is_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    let mut journal = SledJournal::open(&dir, false).unwrap();
    journal.append(&rollout(0), Timestamp(0), verified(0)).unwrap();
    let name = journal.name().cloned();
    drop(journal);
    let held = fs::File::open(dir.join("store/db")).unwrap();
    // It may take a moment: see HELD.
    held.lock().unwrap();
    std::thread::scope(|scope| {
        let (said, saying) = std::sync::mpsc::channel();
        let dir = &dir;
        scope.spawn(move || said.send(SledJournal::open(dir, true).map(|journal| journal.name().cloned())));
        let early = saying.recv_timeout(Duration::from_millis(300));
        assert!(early.is_err(), "it is not opened while somebody has it: {early:?}");
        held.unlock().unwrap();
        assert_eq!(saying.recv_timeout(Duration::from_secs(60)).unwrap().unwrap(), name);
    });
}

#[tokio::test]
async fn a_store_that_somebody_keeps_is_neither_damaged_nor_moved() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    drop(SledJournal::open(&dir, false).unwrap());
    let held = fs::File::open(dir.join("store/db")).unwrap();
    // It may take a moment: see HELD.
    held.lock().unwrap();
    let refused = Store::open(&dir, true, Clock::system()).unwrap_err();
    assert!(
        matches!(&refused, JournalError::Read(said) if said.contains("in use by another")),
        "{refused:?}"
    );
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing is moved aside");
}

#[tokio::test]
async fn a_damaged_journal_is_kept_and_a_new_one_takes_its_place_under_another_name() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    let Opened { store, thread, .. } = Store::open(&dir, false, Clock::system()).unwrap();
    store.append(&rollout(0), verified(0)).await.unwrap();
    let (name, newest) = (store.name().unwrap(), store.newest().unwrap());
    assert_eq!((newest.position, newest.journal.clone()), (0, name.clone()));
    assert_eq!(store.anchor(0).await.unwrap(), Some(newest.clone()));
    assert_eq!(store.anchor(1).await.unwrap(), None);
    drop(store);
    thread.join().unwrap();
    let before = fs::read(dir.join("store/db")).unwrap();

    let Opened { store, thread, damage } = Store::open(&dir, true, Clock::system()).unwrap();
    assert_eq!(
        (damage, store.name()),
        (None, Some(name.clone())),
        "a whole one keeps its name"
    );
    assert_eq!(store.newest(), Some(newest));
    drop(store);
    thread.join().unwrap();

    let cut = before.iter().rposition(|byte| *byte != 0).unwrap() - 40;
    fs::write(dir.join("store/db"), &before[..cut]).unwrap();
    let Opened { store, damage, .. } = Store::open(&dir, true, Clock::system()).unwrap();
    assert!(damage.is_some());
    assert_ne!(store.name(), Some(name));
    assert_eq!(store.newest(), None);
    let aside: Vec<_> = fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("journal.damaged-"))
        .collect();
    // sled may already have mended what it could while it was opened: that is why the whole folder is kept.
    assert!(aside[0].join("store/db").exists() && aside[0].join("head.json").exists());
}

#[tokio::test]
async fn what_is_begun_anew_takes_nothing_of_rollouts_that_it_does_not_know() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    let store = Store::open(&dir, false, Clock::system()).unwrap().store;
    store.append(&rollout(0), verified(0)).await.unwrap();
    let name = store.name();
    store.begin_anew("agents remember more").await.unwrap();
    assert_ne!(store.name(), name);
    assert!(store.rollouts().await.unwrap().is_empty());
    let late = store.append(&rollout(0), verified(1)).await.unwrap_err();
    assert!(matches!(late, JournalError::Damaged(_)), "{late}");
    assert!(store.rollouts().await.unwrap().is_empty());
    assert_eq!(damage_findings(home.path()).len(), 1);
}

/// The other half of the tests below, in a process of its own, since what it must not do holds for a whole process.
#[test]
#[ignore = "runs only as the child of the tests below"]
fn child_that_appends_until_it_can_not() {
    let Some(dir) = std::env::var_os("QUORATE_TEST_JOURNAL") else {
        return;
    };
    let mut journal = match SledJournal::open(Path::new(&dir), false) {
        Ok(journal) => journal,
        Err(error) => return println!("not opened: {error}"),
    };
    for number in 0..5000 {
        match journal.append(&rollout(0), Timestamp(0), verified(number)) {
            Ok(_) => println!("durable {number}"),
            Err(error) => {
                println!("refused: {error}");
                let again = journal.append(&rollout(0), Timestamp(0), verified(number));
                assert!(again.is_err(), "nothing is written after a failure");
                return;
            }
        }
    }
}

/// Runs the child behind a shell that takes something away from it, and gives its words.
#[expect(
    clippy::disallowed_methods,
    reason = "the test starts itself as the process that the system refuses something"
)]
fn child(dir: &Path, limit: &str) -> String {
    let script = format!("{limit} exec \"$0\" \"$@\"");
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .arg(program)
        .args([
            "--ignored",
            "--nocapture",
            "--exact",
            "store::damage_tests::child_that_appends_until_it_can_not",
        ])
        .env("QUORATE_TEST_JOURNAL", dir)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_disk_that_is_full_refuses_and_what_was_acknowledged_is_there() {
    // In blocks of 512 bytes; sled begins with a file of about half a mebibyte. XFSZ must not kill: a full disk does not.
    for blocks in [0, 1, 600, 1100, 1300, 1500, 2100] {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("journal");
        let said = child(&dir, &format!("trap '' XFSZ; ulimit -f {blocks};"));
        let durable = said.lines().filter(|line| line.contains("durable ")).count();
        assert!(
            said.contains("refused:") || said.contains("not opened:"),
            "{blocks} blocks: {said}"
        );
        match SledJournal::open(&dir, false) {
            Ok(journal) => {
                let there = journal.load(&rollout(0)).unwrap().len();
                assert!(
                    there >= durable,
                    "{blocks} blocks: {there} records of {durable} that were acknowledged"
                );
                assert!(
                    there <= durable + 1,
                    "{blocks} blocks: {there} records, {durable} acknowledged"
                );
            }
            Err(JournalError::Damaged(_)) => {}
            Err(other) => panic!("{blocks} blocks: {other}"),
        }
    }
}

#[test]
fn a_folder_that_can_only_be_read_is_no_damage() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    drop(SledJournal::open(&dir, false).unwrap());
    // Root is not held by modes: it is tried as somebody else.
    let root = nix::unistd::geteuid().is_root();
    if root {
        if !Path::new("/usr/bin/setpriv").exists() {
            return;
        }
        for path in [home.path().to_owned(), dir.clone(), dir.join("store")] {
            nix::unistd::chown(&path, Some(65534.into()), None).unwrap();
            for entry in fs::read_dir(&path).unwrap() {
                nix::unistd::chown(&entry.unwrap().path(), Some(65534.into()), None).unwrap();
            }
        }
    }
    let closed = |mode| {
        for path in [dir.clone(), dir.join("store")] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    closed(0o500);
    let limit = if root {
        "set -- --reuid 65534 --clear-groups \"$0\" \"$@\"; set -- /usr/bin/setpriv \"$@\"; exec \"$@\";"
    } else {
        ""
    };
    let said = child(&dir, limit);
    closed(0o700);
    let refused = said.contains("refused:") || said.contains("not opened:");
    let tried = refused || said.contains("durable");
    assert!(!tried || refused && !said.contains("damaged"), "{said}");
}
