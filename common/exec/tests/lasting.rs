//! Processes that nobody may kill: supervised tools and detached ones.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs::{self, File};
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getsid};
use quorate_clock::Clock;
use quorate_exec::{
    CommandLine, ExecError, Exit, Finished, Invocation, OsRunner, ProcessIdentity, Runner, Sink, Stdin, spawn_detached,
    supervise,
};

const AMPLE: Duration = Duration::from_secs(60);

fn sh(script: &str, args: &[&Path]) -> CommandLine {
    let words = ["-c".into(), script.into(), "sh".into()].into_iter();
    CommandLine::new(
        "/bin/sh",
        words.chain(args.iter().map(|path| path.as_os_str().to_owned())),
    )
    .unwrap()
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + AMPLE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn content(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))
}

#[tokio::test]
async fn a_supervised_tool_prints_to_files_and_its_end_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let files = (
        Sink::File(File::create(&out).unwrap()),
        Sink::File(File::create(&err).unwrap()),
    );
    let line = sh("cat; echo trouble >&2; exit 7", &[]);
    let mut tool = supervise(&line, Stdin::bytes("a ticket\n"), files.0, files.1).unwrap();
    assert_eq!(tool.wait().await.unwrap(), Exit::Code(7));
    assert_eq!(tool.wait().await.unwrap(), Exit::Code(7));
    assert!(!tool.identity().is_alive().unwrap());
    tool.terminate().unwrap();
    assert_eq!(
        (content(&out).unwrap(), content(&err).unwrap()),
        ("a ticket\n".into(), "trouble\n".into())
    );
}

#[tokio::test]
async fn a_supervised_tool_can_be_asked_to_stop_and_may_end_in_its_own_way() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let line = sh(
        "trap 'echo stopping; exit 5' TERM; echo ready; while :; do sleep 0.01; done",
        &[],
    );
    let mut tool = supervise(&line, Stdin::Null, Sink::File(File::create(&out).unwrap()), Sink::Null).unwrap();
    until("the tool is ready", || content(&out));
    tool.terminate().unwrap();
    assert_eq!(tool.wait().await.unwrap(), Exit::Code(5));
    assert_eq!(content(&out).unwrap(), "ready\nstopping\n");
}

#[tokio::test]
async fn a_supervised_tool_that_is_no_longer_watched_runs_on() {
    let dir = tempfile::tempdir().unwrap();
    let (go, out) = (dir.path().join("go"), dir.path().join("out"));
    let line = sh(r#"until [ -e "$1" ]; do sleep 0.01; done; echo done"#, &[&go]);
    let tool = supervise(&line, Stdin::Null, Sink::File(File::create(&out).unwrap()), Sink::Null).unwrap();
    let identity = tool.identity();
    drop(tool);
    assert!(identity.is_alive().unwrap());
    File::create(&go).unwrap();
    assert_eq!(until("the tool goes on", || content(&out)), "done\n");
}

#[tokio::test]
async fn a_tool_that_has_ended_is_not_alive_even_before_anybody_took_note() {
    let tool = supervise(&sh("exit 0", &[]), Stdin::Null, Sink::Null, Sink::Null).unwrap();
    let identity = tool.identity();
    until("the tool ends", || (!identity.is_alive().unwrap()).then_some(()));
    assert_eq!(ProcessIdentity::of(identity.pid).unwrap(), Some(identity));
}

#[tokio::test]
async fn programs_that_cannot_be_started_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    File::create(&plain).unwrap();
    let line = |path: PathBuf| CommandLine::new(path, [""; 0]).unwrap();
    let (missing, plain) = (line(dir.path().join("missing")), line(plain));
    let supervised = |line| supervise(line, Stdin::Null, Sink::Null, Sink::Null).unwrap_err();
    let detached = |line| spawn_detached(line, &Sink::Null, &Sink::Null).unwrap_err();
    assert!(matches!(supervised(&missing), ExecError::NotFound { .. }));
    assert!(matches!(detached(&missing), ExecError::NotFound { .. }));
    assert!(matches!(supervised(&plain), ExecError::NotExecutable { .. }));
    assert!(matches!(detached(&plain), ExecError::NotExecutable { .. }));
}

#[test]
fn a_detached_process_has_its_own_session_clean_environment_and_is_reaped() {
    let dir = tempfile::tempdir().unwrap();
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let files = (
        Sink::File(File::create(&out).unwrap()),
        Sink::File(File::create(&err).unwrap()),
    );
    let line = CommandLine::new("/usr/bin/env", [""; 0]).unwrap();
    let process = spawn_detached(&line, &files.0, &files.1).unwrap();
    until("the process was reaped", || {
        ProcessIdentity::of(process.pid).unwrap().is_none().then_some(())
    });
    assert_eq!(
        content(&out).unwrap(),
        "LC_ALL=C.UTF-8\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
    );

    let process = spawn_detached(&sh("exec sleep 600", &[]), &Sink::Null, &Sink::Null).unwrap();
    let pid = Pid::from_raw(process.pid);
    assert_eq!(getsid(Some(pid)).unwrap(), pid);
    kill(pid, Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn a_detached_process_survives_the_death_of_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let ended = play("parent_that_is_killed", dir.path()).await;
    assert_eq!(
        ended.exit,
        Exit::Signal(9),
        "{}",
        String::from_utf8_lossy(&ended.stdout)
    );

    let orphan = identity_in(dir.path());
    assert!(orphan.is_alive().unwrap());
    File::create(dir.path().join("go")).unwrap();
    assert_eq!(
        until("the orphan goes on", || content(&dir.path().join("out"))),
        "done\n"
    );
    until("the orphan ends", || (!orphan.is_alive().unwrap()).then_some(()));
}

#[tokio::test]
async fn a_daemon_that_kept_the_output_of_a_read_lives_and_does_not_hold_us() {
    let dir = tempfile::tempdir().unwrap();
    let ended = play("parent_whose_daemon_keeps_its_output", dir.path()).await;
    assert_eq!(ended.exit, Exit::Code(0));
    assert!(ended.left_behind);
    let daemon = identity_in(dir.path());
    assert!(daemon.is_alive().unwrap());
    kill(Pid::from_raw(daemon.pid), Signal::SIGKILL).unwrap();
}

/// Plays a part below in a process of its own, which is this test program.
async fn play(part: &str, dir: &Path) -> Finished {
    let parent = Invocation::of(std::env::current_exe().unwrap())
        .args(["--exact", part, "--ignored", "--nocapture"])
        .stdin(Stdin::bytes(dir.to_str().unwrap()))
        .deadline(AMPLE)
        .build()
        .unwrap();
    OsRunner::new(Clock::system()).run(&parent).await.unwrap()
}

/// Where a part plays. Nowhere, when it is started by hand.
fn stage() -> Option<PathBuf> {
    let stdin = std::io::stdin();
    let told = if stdin.is_terminal() {
        String::new()
    } else {
        std::io::read_to_string(stdin).unwrap()
    };
    Some(PathBuf::from(told)).filter(|dir| dir.is_absolute())
}

fn identity_in(dir: &Path) -> ProcessIdentity {
    serde_json::from_slice(&fs::read(dir.join("identity")).unwrap()).unwrap()
}

#[test]
#[ignore = "a part of a test above"]
fn parent_that_is_killed() {
    let Some(dir) = stage() else { return };
    let line = sh(
        r#"until [ -e "$1" ]; do sleep 0.01; done; echo done"#,
        &[&dir.join("go")],
    );
    let out = Sink::File(File::create(dir.join("out")).unwrap());
    let identity = spawn_detached(&line, &out, &Sink::Null).unwrap();
    fs::write(dir.join("identity"), serde_json::to_vec(&identity).unwrap()).unwrap();
    kill(Pid::this(), Signal::SIGKILL).unwrap();
}

#[test]
#[ignore = "a part of a test above"]
fn parent_whose_daemon_keeps_its_output() {
    let Some(dir) = stage() else { return };
    let ours = Sink::File(std::io::stdout().as_fd().try_clone_to_owned().unwrap().into());
    let identity = spawn_detached(&sh("exec sleep 600", &[]), &ours, &Sink::Null).unwrap();
    fs::write(dir.join("identity"), serde_json::to_vec(&identity).unwrap()).unwrap();
}
