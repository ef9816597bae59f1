//! What is done in the machine past the product: by QEMU's own agent there, as somebody at its console would.

use std::path::Path;
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::wire::Wire;
use crate::{PATIENCE, until};

/// The agent answers at once, unless the machine is very busy.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// Somebody at the machine's console.
#[derive(Debug)]
pub struct Guest {
    wire: Mutex<Wire>,
}

/// What a command left.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code; nothing when a signal ended it.
    pub code: Option<i64>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// A command that was begun.
#[derive(Debug, Clone, Copy)]
pub struct Begun(i64);

impl Guest {
    /// Waits until the machine is up.
    pub(crate) async fn up(socket: &Path) -> Self {
        let mut wire = Wire::open(socket).await.expect("QEMU listens for its guest agent");
        let sync = wire.ask("guest-sync", json!({ "id": 1 }), PATIENCE).await;
        sync.expect("the machine comes up");
        Self { wire: Mutex::new(wire) }
    }

    /// Begins to shut the machine down.
    pub(crate) async fn shut_down(&self) {
        self.begin(&["systemctl", "--no-block", "poweroff"], "").await;
    }

    async fn ask(&self, command: &str, arguments: Value) -> Value {
        let answer = self.wire.lock().await.ask(command, arguments, ANSWERS_WITHIN).await;
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Starts a command, by its words.
    ///
    /// # Panics
    /// It can't be started.
    pub async fn begin(&self, argv: &[&str], stdin: &str) -> Begun {
        let (path, args) = argv.split_first().expect("a command");
        let begun = self
            .ask(
                "guest-exec",
                json!({
                    "path": path, "arg": args, "env": ["LC_ALL=C.UTF-8", "PATH=/usr/sbin:/usr/bin"],
                    "input-data": BASE64.encode(stdin.as_bytes()), "capture-output": true,
                }),
            )
            .await;
        Begun(begun["pid"].as_i64().expect("a process id"))
    }

    /// What a command left, if it has ended.
    pub async fn ended(&self, begun: Begun) -> Option<Output> {
        let status = self.ask("guest-exec-status", json!({ "pid": begun.0 })).await;
        let text = |name: &str| {
            let encoded = status[name].as_str().unwrap_or_default();
            let bytes = BASE64.decode(encoded.as_bytes()).expect("base64");
            String::from_utf8(bytes).expect("text")
        };
        (status["exited"] == true).then(|| Output {
            code: status["exitcode"].as_i64(),
            stdout: text("out-data"),
            stderr: text("err-data"),
        })
    }

    /// Runs a command, by its words, to its end.
    pub async fn run(&self, argv: &[&str]) -> Output {
        self.run_with(argv, "").await
    }

    /// The same, with something on its standard input.
    ///
    /// # Panics
    /// It does not end.
    pub async fn run_with(&self, argv: &[&str], stdin: &str) -> Output {
        let begun = self.begin(argv, stdin).await;
        let mut output = None;
        until(&argv.join(" "), async || {
            output = self.ended(begun).await;
            output.is_some()
        })
        .await;
        output.expect("it was waited for")
    }

    /// Runs a command that must end well, and returns what it printed.
    ///
    /// # Panics
    /// It does not.
    pub async fn ok(&self, argv: &[&str]) -> String {
        let output = self.run(argv).await;
        assert_eq!(output.code, Some(0), "{argv:?}: {output:#?}");
        output.stdout
    }

    /// The same, of words with a space in between.
    pub async fn does(&self, line: &str) -> String {
        let argv: Vec<&str> = line.split(' ').collect();
        self.ok(&argv).await
    }
}
