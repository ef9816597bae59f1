//! What is handed over by stdin, or marked private, shows nowhere.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate_clock::Clock;
use quorate_exec::{Arg, Invocation, OsRunner, Runner, Stdin, Transcript};
use tracing_subscriber::filter::LevelFilter;

const SECRET: &str = "PVE:root@pam:64A1B2C3";
const PRIVATE: &str = "a person's own words";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(run: impl FnOnce()) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, run);
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn secrets_are_in_no_log_debug_or_transcript() {
    // The tool prints what it was given, on both streams: answers can be secrets too.
    let script = r#"tee /dev/stderr; printf %s "$1"; exit 1"#;
    let invocation = Invocation::of("/bin/sh")
        .args(["-c", script, "sh"])
        .arg(Arg::private(PRIVATE))
        .stdin(Stdin::bytes(SECRET))
        .deadline(Duration::from_secs(60))
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut seen = vec![format!("{invocation} {invocation:?}")];
    let mut result = None;
    seen.push(logged(|| {
        result = Some(runtime.block_on(OsRunner::new(Clock::system()).run(&invocation)))
    }));
    let result = result.unwrap();
    let finished = result.as_ref().unwrap();
    assert_eq!(finished.stdout_text().unwrap(), format!("{SECRET}{PRIVATE}"));
    assert_eq!(finished.stderr_text(), SECRET);
    seen.push(format!("{finished:?}"));
    let transcript = Transcript::of(&invocation, &result, finished.duration);
    seen.push(format!("{transcript} {transcript:?}"));

    for text in &seen {
        assert!(!text.contains("64A1B2C3") && !text.contains("own words"), "{text}");
    }
    let log = seen.get(1).unwrap();
    assert!(
        log.contains("ran a tool") && log.contains("/bin/sh -c") && log.contains("exit code 1"),
        "{log}"
    );
}
