//! Shows what an administrator would type and see.

use std::cell::Cell;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::Print;
use crate::lab::{Lab, LabError};
use crate::process::Output;
use crate::world::oplog::What;

/// Why an act failed.
#[derive(Debug)]
pub(super) struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<LabError> for Failed {
    fn from(error: LabError) -> Self {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(deeper) = source {
            text.push_str(&format!(": {deeper}"));
            source = deeper.source();
        }
        Self(text)
    }
}

impl Failed {
    pub(super) fn of(error: &dyn std::error::Error) -> Self {
        Self(error.to_string())
    }
}

pub(super) fn failed<T>(text: impl Into<String>) -> Result<T, Failed> {
    Err(Failed(text.into()))
}

/// Tells one act.
pub(super) struct Narrator<'a> {
    pub(super) lab: &'a Lab,
    print: Print<'a>,
    /// The last line was empty: the next empty one is left out.
    gap: Cell<bool>,
}

impl<'a> Narrator<'a> {
    pub(super) fn new(lab: &'a Lab, print: Print<'a>) -> Self {
        Self {
            lab,
            print,
            gap: Cell::new(false),
        }
    }

    fn line(&self, text: &str) {
        let text = text.trim_end();
        let empty = text.is_empty();
        if !(empty && self.gap.replace(empty)) {
            self.gap.set(empty);
            (self.print)(text);
        }
    }

    pub(super) fn title(&self, name: &str, title: &str) {
        self.line(&format!("── Act {name}: {title} ──"));
    }

    pub(super) fn say(&self, text: &str) {
        self.line("");
        self.line(text);
    }

    /// What was typed on a host.
    pub(super) fn typed(&self, host: &str, line: &str) {
        self.line("");
        self.line(&format!("{host}# {line}"));
    }

    /// A line of output.
    pub(super) fn plain(&self, line: &str) {
        self.line(&format!("  {line}"));
    }

    fn show(&self, output: &Output) {
        for line in output.stdout.lines().chain(output.stderr.lines()) {
            self.plain(line);
        }
    }

    /// Types a command on the coordinator's host, shows its output as it is, and wants 0.
    pub(super) async fn quorate(&self, args: &[&str]) -> Result<Output, Failed> {
        let shown = format!("quorate {}", args.join(" "));
        self.typed("coordinator", &shown);
        let output = self.lab.quorate(args).await?;
        self.show(&output);
        wanted(&shown, output)
    }

    /// Types a command, and shows its output, however it ends.
    pub(super) async fn seen(&self, args: &[&str]) -> Result<Output, Failed> {
        self.typed("coordinator", &format!("quorate {}", args.join(" ")));
        let output = self.lab.quorate(args).await?;
        self.show(&output);
        Ok(output)
    }

    /// Types a host tool's command on a server, shows its output, and wants 0.
    pub(super) async fn tool(&self, node: &str, line: &str) -> Result<Output, Failed> {
        self.typed(node, line);
        let words: Vec<&str> = line.split(' ').collect();
        let output = self.lab.tool(node, &words, None).await?;
        self.show(&output);
        wanted(line, output)
    }

    /// Types a command that is to be refused by findings, and shows what it says.
    pub(super) async fn refused(&self, args: &[&str]) -> Result<Output, Failed> {
        self.ends(args, 3).await
    }

    /// Types a command that is to show that something is not well.
    pub(super) async fn not_well(&self, args: &[&str]) -> Result<Output, Failed> {
        self.ends(args, 9).await
    }

    async fn ends(&self, args: &[&str], code: i32) -> Result<Output, Failed> {
        let shown = format!("quorate {}", args.join(" "));
        self.typed("coordinator", &shown);
        let output = self.lab.quorate(args).await?;
        self.show(&output);
        if output.code() == Some(code) {
            return Ok(output);
        }
        failed(format!("`{shown}` ended with {}, not with {code}", output.status))
    }

    /// Types a command on a server; its configuration lies where the lab put it, which is not shown.
    pub(super) async fn agent(&self, node: &str, args: &[&str], stdin: &str) -> Result<Output, Failed> {
        let shown = format!("quorate-agent {}", args.join(" "));
        self.typed(node, &shown);
        let output = self.lab.agent_cli(node, args, Some(stdin.as_bytes())).await?;
        self.show(&output);
        wanted(&shown, output)
    }

    /// Waits until the coordinator answers. A socket may be left from one that died.
    pub(super) async fn coordinator_is_up(&self) -> Result<(), Failed> {
        let up = self
            .lab
            .wait_for("the coordinator's answer", Duration::from_secs(20), async || {
                let answers = self.lab.quorate(&["node", "list"]).await;
                answers.is_ok_and(|output| output.success()) || self.lab.coordinator_pid().is_none()
            })
            .await;
        if self.lab.coordinator_pid().is_none() {
            let log = std::fs::read_to_string(self.lab.layout().coordinator().join("coordinator.log"));
            return failed(format!("the coordinator ended: {}", log.unwrap_or_default().trim()));
        }
        Ok(up?)
    }

    /// Waits until the coordinator holds a connection with every server.
    pub(super) async fn all_connected(&self) -> Result<(), Failed> {
        let wanted = self.lab.names().len();
        let deadline = Duration::from_secs(30);
        let connected = self
            .lab
            .wait_for("a connection with every server", deadline, async || {
                let list = self.lab.quorate(&["node", "list", "-o", "json"]).await;
                let nodes: Vec<serde_json::Value> = list
                    .ok()
                    .and_then(|output| serde_json::from_str(&output.stdout).ok())
                    .unwrap_or_default();
                let is_connected =
                    |node: &serde_json::Value| node.get("connection").is_some_and(|state| state == "connected");
                nodes.iter().filter(|node| is_connected(node)).count() == wanted
            })
            .await;
        Ok(connected?)
    }

    /// Nothing may have been called in a way that the world does not know.
    pub(super) fn nothing_unknown(&self) -> Result<(), Failed> {
        let operations = self.lab.operations()?;
        match operations.iter().find(|entry| entry.what == What::UnknownInvocation) {
            Some(entry) => failed(format!(
                "a tool was called in a way that the lab does not know: {}",
                entry.argv.join(" ")
            )),
            None => Ok(()),
        }
    }

    pub(super) fn address(&self, node: &str) -> Result<Ipv4Addr, Failed> {
        Ok(self.lab.node(node)?.address)
    }
}

fn wanted(shown: &str, output: Output) -> Result<Output, Failed> {
    if output.success() {
        return Ok(output);
    }
    failed(format!("`{shown}` ended with {}", output.status))
}
