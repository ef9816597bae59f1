//! The program itself, killed, restarted, with a full disk, and with callers who take their time.
#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]
#![expect(clippy::print_stdout, reason = "what this machine has not got is told")]

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use quorate_tally::Answer;
use quorate_tally::record::{LENGTH, Record};

/// Long enough for a slow machine; nobody waits for it when all goes well.
const PATIENCE: Duration = Duration::from_secs(30);

#[expect(
    clippy::disallowed_methods,
    reason = "the program that is tested, and tools of the machine that tests it"
)]
fn command(program: &str) -> Command {
    Command::new(program)
}

/// A writer that runs.
struct Writer {
    child: Child,
    log: BufReader<ChildStderr>,
    address: SocketAddr,
}

impl Writer {
    /// Starts, with a record each millisecond.
    fn start(records: &Path, more: &[&str]) -> Self {
        let mut child = command(env!("CARGO_BIN_EXE_quorate-tally"))
            .args(["--listen", "127.0.0.1:0", "--interval", "1", "--records"])
            .arg(records)
            .args(more)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut writer = Self {
            child,
            log,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let line = writer.says("listens on ");
        writer.address = line.rsplit(' ').next().unwrap().parse().unwrap();
        writer
    }

    /// The next line of its log with these words in it.
    fn says(&mut self, words: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(
                self.log.read_line(&mut line).unwrap(),
                0,
                "it ended without {words:?}:\n{seen}"
            );
            if line.contains(words) {
                return line.trim_end().to_owned();
            }
            seen.push_str(&line);
        }
    }

    fn ask(&self) -> Answer {
        self.line().parse().unwrap()
    }

    fn line(&self) -> String {
        let mut stream = self.connect();
        let mut line = String::new();
        stream.read_to_string(&mut line).unwrap();
        line
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The first answer with a higher number.
    fn beyond(&self, number: u64) -> Answer {
        self.until(|answer| answer.number > number)
    }

    fn until(&self, holds: impl Fn(&Answer) -> bool) -> Answer {
        let began = Instant::now();
        loop {
            let answer = self.ask();
            if holds(&answer) {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "{answer:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// As a guest ends that is cut off.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn what_was_told_is_there_after_it_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("records");
    let chance = RandomState::new();
    let mut told = 0;
    let mut runs = Vec::new();
    for round in 0..25_u64 {
        // Files of eight records: it is killed while it begins a new one as well.
        let writer = Writer::start(&records, &["--keep", "8"]);
        let first = writer.ask();
        assert!(
            first.resumed >= told && first.number >= told,
            "{told} was told, now {first:?}"
        );
        assert!(!runs.contains(&first.run), "two runs of one name");
        runs.push(first.run);
        let mut last = writer.beyond(first.number);
        for _ in 0..chance.hash_one(round) % 40 {
            let next = writer.ask();
            assert!(
                next.number >= last.number && next.time_ms >= last.time_ms,
                "{last:?} {next:?}"
            );
            assert_eq!((next.run, next.resumed), (first.run, first.resumed));
            last = next;
        }
        told = last.number;
        writer.kill();
    }
    for file in ["records", "records.old"] {
        assert!(fs::metadata(folder.path().join(file)).is_ok_and(|meta| meta.len() <= 8 * 64));
    }
}

#[test]
fn a_torn_record_is_dropped_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("records");
    let writer = Writer::start(&records, &[]);
    writer.beyond(3);
    writer.kill();
    let bytes = fs::read(&records).unwrap();
    let whole = bytes.len() / LENGTH * LENGTH;
    fs::write(&records, &bytes[..whole - 20]).unwrap();
    let highest = Record::decode(&bytes[whole - 2 * LENGTH..whole - LENGTH])
        .unwrap()
        .number;

    let mut writer = Writer::start(&records, &[]);
    let answer = writer.ask();
    assert_eq!(answer.resumed, highest);
    writer.beyond(highest + 3);
    assert!(writer.says("goes on after").contains(&format!("record {highest},")));
    writer.kill();
    for bytes in fs::read(&records).unwrap().chunks_exact(LENGTH) {
        assert!(Record::decode(bytes).is_some());
    }
}

#[test]
fn nobody_waits_for_a_slow_caller() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::start(&folder.path().join("records"), &[]);
    // More than it keeps open, none of whom reads or goes.
    let slow: Vec<TcpStream> = (0..200).map(|_| writer.connect()).collect();
    let answer = writer.beyond(0);
    assert!(answer.number > 0);
    drop(slow);
    // One who talks first, as a browser does, is not cut off before he has read.
    let mut talker = writer.connect();
    talker.write_all(b"GET / HTTP/1.1\r\nHost: canary\r\n\r\n").unwrap();
    let mut line = String::new();
    talker.read_to_string(&mut line).unwrap();
    assert!(line.parse::<Answer>().is_ok(), "{line}");
    // And one who does not go is put out.
    let mut silent = writer.connect();
    let mut line = String::new();
    silent.read_to_string(&mut line).unwrap();
    let began = Instant::now();
    while silent.write_all(b".").is_ok() {
        assert!(began.elapsed() < PATIENCE, "it keeps the connection open for ever");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn both_kinds_of_addresses_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::start(&folder.path().join("records"), &["--listen", "[::1]:0"]);
    let line = writer.says("listens on [::1]:");
    writer.address = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(writer.beyond(1).number > 1);
}

#[test]
fn two_writers_of_one_file_are_refused_and_so_is_a_file_of_somebody_else() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("records");
    let writer = Writer::start(&records, &[]);
    let ended = |path: &Path| {
        let output = command(env!("CARGO_BIN_EXE_quorate-tally"))
            .args(["--listen", "127.0.0.1:0", "--records"])
            .arg(path)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(ended(&records).contains("another quorate-tally writes"));
    assert!(writer.ask().resumed == 0);
    let notes = folder.path().join("notes");
    fs::write(&notes, "Things to buy: a second server.\n").unwrap();
    assert!(ended(&notes).contains("something else than records"));
    assert_eq!(fs::read_to_string(&notes).unwrap(), "Things to buy: a second server.\n");
}

/// A small filesystem in memory, as long as this lives.
struct Small {
    folder: tempfile::TempDir,
}

impl Small {
    /// `None`, and says why, where nothing can be mounted.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = command("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "quorate-tally-test"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { folder });
        }
        println!("skipped: a small filesystem can't be mounted here (that takes root)");
        None
    }

    fn remount(&self, how: &str) {
        let how = format!("remount,{how}");
        let done = command("mount").args(["-o", &how]).arg(self.folder.path()).status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(command("umount").arg("--lazy").arg(self.folder.path()).status());
    }
}

#[test]
fn a_full_disk_stops_the_count_and_an_emptied_one_lets_it_go_on() {
    let Some(small) = Small::mount() else { return };
    let records = small.folder.path().join("records");
    let mut writer = Writer::start(&records, &[]);
    writer.beyond(3);
    let filler = small.folder.path().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    let line = writer.says("can't be written");
    let number: u64 = line.split(' ').nth(1).unwrap().parse().unwrap();
    for _ in 0..20 {
        assert_eq!(writer.ask().number, number - 1, "{line}");
    }
    // Also one that begins now tells what is there.
    writer.kill();
    let mut writer = Writer::start(&records, &[]);
    writer.says("can't be written");
    let answer = writer.ask();
    assert_eq!((answer.number, answer.resumed), (number - 1, number - 1));
    drop(file);
    fs::remove_file(&filler).unwrap();
    let answer = writer.beyond(number - 1);
    assert_eq!(answer.resumed, number - 1);
    assert!(writer.says("goes on after").contains("is on the disk"));
}

#[test]
fn a_disk_that_became_read_only_is_told_from() {
    let Some(small) = Small::mount() else { return };
    let records = small.folder.path().join("records");
    let writer = Writer::start(&records, &[]);
    let last = writer.beyond(3).number;
    writer.kill();
    small.remount("ro");
    let mut writer = Writer::start(&records, &[]);
    let found = writer.ask();
    assert!(found.number >= last && found.number == found.resumed, "{found:?}");
    writer.says("can't be written");
    assert_eq!(writer.ask().number, found.number);
    small.remount("rw");
    writer.beyond(found.number);
}
