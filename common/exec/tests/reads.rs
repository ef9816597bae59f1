//! What a caller sees of tools that read: output and end, limits, and the ways a tool can misbehave.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use quorate_clock::Clock;
use quorate_exec::{
    ExecError, Exit, Finished, Invocation, InvocationBuilder, OsRunner, ProcessIdentity, Runner, Stdin,
};

/// Long enough for whatever ends by itself, on the slowest machine.
const AMPLE: Duration = Duration::from_secs(60);
/// Deadlines, in seconds, for what never ends by itself but first says something: on a busy machine that takes a while.
const PATIENCE: [f32; 4] = [0.3, 3.0, 10.0, 60.0];

fn sh(script: &str) -> InvocationBuilder {
    Invocation::of("/bin/sh").args(["-c", script]).deadline(AMPLE)
}

async fn run(invocation: InvocationBuilder) -> Result<Finished, ExecError> {
    OsRunner::new(Clock::system()).run(&invocation.build().unwrap()).await
}

async fn stdout_of(invocation: InvocationBuilder) -> String {
    run(invocation).await.unwrap().stdout_text().unwrap().to_owned()
}

/// Waits until the process written down by a script has gone.
async fn assert_dies(pid: i32) {
    let deadline = tokio::time::Instant::now() + AMPLE;
    while let Some(process) = ProcessIdentity::of(pid).unwrap()
        && process.is_alive().unwrap()
    {
        assert!(tokio::time::Instant::now() < deadline, "process {pid} still lives");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn output_streams_and_exit_code_are_told_apart() {
    let finished = run(sh("echo out; echo err >&2; exit 3")).await.unwrap();
    assert_eq!(finished.exit, Exit::Code(3));
    assert_eq!(
        (finished.stdout.as_slice(), finished.stderr.as_slice()),
        (&b"out\n"[..], &b"err\n"[..])
    );
    assert!(!finished.stderr_truncated && !finished.left_behind);
    assert!(finished.started_at > 0);

    let finished = run(sh("kill -KILL $$")).await.unwrap();
    assert_eq!(finished.exit, Exit::Signal(9));
    assert_eq!(finished.exit.to_string(), "killed by SIGKILL");
}

#[tokio::test]
async fn arguments_arrive_unchanged() {
    let odd = ["two words", "-rf", "--", "line\nbreak", "", "$HOME `id` *", "'\""].map(OsString::from);
    let not_utf8 = OsString::from_vec(vec![b'x', 0xff]);
    let invocation = sh(r#"for arg; do printf '%s\0' "$arg"; done"#)
        .arg("sh")
        .args(odd.clone())
        .arg(not_utf8.clone());
    let seen = run(invocation).await.unwrap().stdout;
    let seen: Vec<_> = seen
        .split(|byte| *byte == 0)
        .map(|arg| OsString::from_vec(arg.to_vec()))
        .collect();
    let expected: Vec<_> = odd.into_iter().chain([not_utf8, OsString::new()]).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_environment_and_the_working_directory_are_ours() {
    // This very process has HOME, PATH with cargo's directories and CARGO_… in its environment.
    assert!(std::env::vars_os().count() > 3);
    let environment = stdout_of(Invocation::of("/usr/bin/env")).await;
    let mut lines: Vec<_> = environment.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["LC_ALL=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
    assert_eq!(stdout_of(sh("pwd")).await, "/\n");
}

#[tokio::test]
async fn stdin_is_null_bytes_or_a_file() {
    assert_eq!(stdout_of(sh("cat")).await, "");
    assert_eq!(
        stdout_of(sh("cat").stdin(Stdin::bytes("from bytes"))).await,
        "from bytes"
    );
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"from a file").unwrap();
    assert_eq!(
        stdout_of(sh("cat").stdin(Stdin::File(file.path().to_owned()))).await,
        "from a file"
    );
    let missing = run(sh("cat").stdin(Stdin::File("/nonexistent/input".into()))).await;
    assert!(matches!(missing, Err(ExecError::Spawn { .. })), "{missing:?}");
}

#[tokio::test]
async fn much_stdin_and_much_output_at_once_do_not_block_each_other() {
    let megabyte = vec![b'x'; 1024 * 1024];
    let finished = run(sh("cat").stdin(Stdin::bytes(megabyte.clone()))).await.unwrap();
    assert!(finished.stdout == megabyte);
}

#[tokio::test]
async fn a_tool_that_does_not_read_its_stdin_is_no_error() {
    let finished = run(sh("echo done").stdin(Stdin::bytes(vec![b'x'; 1024 * 1024])))
        .await
        .unwrap();
    assert_eq!(
        (finished.exit, finished.stdout.as_slice()),
        (Exit::Code(0), &b"done\n"[..])
    );
}

#[tokio::test]
async fn missing_unusable_and_broken_programs_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let program = |name: &str| Invocation::of(at(name)).deadline(AMPLE);
    File::create(at("plain")).unwrap();
    fs::create_dir(at("directory")).unwrap();

    let missing = run(program("missing")).await.unwrap_err();
    assert!(matches!(missing, ExecError::NotFound { .. }), "{missing:?}");
    assert_eq!(
        missing.to_string(),
        format!("{} does not exist", at("missing").display())
    );
    for name in ["plain", "directory"] {
        let error = run(program(name)).await.unwrap_err();
        assert!(matches!(error, ExecError::NotExecutable { .. }), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn output_that_is_not_text_is_kept_and_named() {
    let finished = run(sh(r"printf 'ok \377'")).await.unwrap();
    assert_eq!(finished.stdout, b"ok \xff");
    assert_eq!(
        finished.stdout_text().unwrap_err().to_string(),
        "the output is not UTF-8 from byte 3 on"
    );
}

#[tokio::test]
async fn too_much_output_is_an_error_and_never_a_shortened_answer() {
    let error = run(sh("exec cat /dev/zero").output_cap(1000)).await.unwrap_err();
    let ExecError::OutputTooLarge { cap: 1000, partial, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(partial.stdout.len(), 1000);

    let exactly = run(sh("printf 12345").output_cap(5)).await.unwrap();
    assert_eq!(exactly.stdout, b"12345");
}

#[tokio::test]
async fn endless_complaints_are_cut_and_do_not_stop_the_tool() {
    let finished = run(sh("head -c 1000000 /dev/zero >&2; echo done")).await.unwrap();
    assert_eq!(
        (finished.stdout.as_slice(), finished.stderr.len()),
        (&b"done\n"[..], 64 * 1024)
    );
    assert!(finished.stderr_truncated);
}

#[tokio::test]
async fn at_the_deadline_the_whole_group_dies_even_if_it_ignores_sigterm() {
    let script = "trap '' TERM; sleep 600 & echo so far >&2; echo $!; wait";
    for seconds in PATIENCE {
        let deadline = Duration::from_secs_f32(seconds);
        let error = run(sh(script).deadline(deadline)).await.unwrap_err();
        let ExecError::DeadlinePassed {
            deadline: told,
            partial,
            ..
        } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!(*told, deadline);
        let Ok(grandchild) = std::str::from_utf8(&partial.stdout).unwrap().trim().parse() else {
            continue;
        };
        assert_eq!(partial.stderr_text(), "so far");
        return assert_dies(grandchild).await;
    }
    panic!("the tool never came to say anything");
}

#[tokio::test]
async fn a_grandchild_that_holds_the_output_does_not_hold_us() {
    let finished = run(sh("sleep 600 & echo $!")).await.unwrap();
    assert_eq!(finished.exit, Exit::Code(0));
    assert!(finished.left_behind);
    assert_dies(finished.stdout_text().unwrap().trim().parse().unwrap()).await;
}

#[tokio::test]
async fn who_stops_waiting_kills() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let invocation = sh("echo $$ > \"$1.new\"; mv \"$1.new\" \"$1\"; exec sleep 600")
        .arg("sh")
        .arg(&file);
    let task = tokio::spawn(run(invocation));
    let pid = loop {
        if let Ok(text) = fs::read_to_string(&file) {
            break text.trim().parse().unwrap();
        }
        assert!(!task.is_finished());
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    task.abort();
    assert_dies(pid).await;
}

#[tokio::test]
async fn many_at_once_all_come_back() {
    let calls: Vec<_> = (0..40)
        .map(|n| tokio::spawn(stdout_of(sh("echo $1").arg("sh").arg(n.to_string()))))
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().trim(), n.to_string());
    }
}
