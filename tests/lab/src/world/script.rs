//! Scripted misbehaviour of host tools.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a tool does instead of its work, or in the middle of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "does")]
pub enum ToolScript {
    /// Does nothing for a simulated time (or for ever), then its usual work.
    Hang {
        /// Simulated milliseconds; for ever without.
        ms: Option<u64>,
    },
    /// Does nothing until the server's scripts are cleared, then its usual work.
    Hold,
    /// Prints this on stdout and ends with 0.
    Garbage {
        /// The text.
        text: String,
    },
    /// Ends by a signal after so many lines of output.
    Die {
        /// Lines of stdout that still come out.
        after_lines: u32,
        /// For example 9.
        signal: i32,
    },
    /// Prints this on stderr only and ends with a code.
    Fail {
        /// The exit code.
        code: i32,
        /// The text, with its own line ends.
        stderr: String,
    },
}

/// As it is told of in the status.
impl fmt::Display for ToolScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hang { ms: Some(ms) } => write!(f, "hangs for {ms} ms"),
            Self::Hang { ms: None } => f.write_str("hangs for ever"),
            Self::Hold => f.write_str("is held"),
            Self::Garbage { .. } => f.write_str("prints garbage"),
            Self::Die { after_lines, signal } => write!(f, "dies of signal {signal} after {after_lines} lines"),
            Self::Fail { code, .. } => write!(f, "fails with {code}"),
        }
    }
}

/// One scripted misbehaviour: for which calls, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misbehaviour {
    /// The tool's name.
    pub tool: String,
    /// Only calls whose arguments, joined by blanks, hold this.
    #[serde(default)]
    pub matching: Option<String>,
    /// Only so many calls; all without.
    #[serde(default)]
    pub times: Option<u32>,
    /// What happens.
    pub script: ToolScript,
}

impl Misbehaviour {
    /// Is it about this call?
    fn is_of(&self, tool: &str, argv: &[String]) -> bool {
        let line = argv.join(" ");
        self.tool == tool && self.matching.as_ref().is_none_or(|text| line.contains(text))
    }
}

/// The script for a call, if there is one; counts it.
pub(crate) fn take(list: &mut Vec<Misbehaviour>, tool: &str, argv: &[String]) -> Option<ToolScript> {
    let index = list.iter().position(|entry| entry.is_of(tool, argv))?;
    let entry = list.get_mut(index)?;
    let script = entry.script.clone();
    if let Some(times) = &mut entry.times {
        *times = times.saturating_sub(1);
        if *times == 0 {
            list.remove(index);
        }
    }
    Some(script)
}

/// Is a call still held?
pub(crate) fn holds(list: &[Misbehaviour], tool: &str, argv: &[String]) -> bool {
    list.iter()
        .any(|entry| entry.script == ToolScript::Hold && entry.is_of(tool, argv))
}

/// How long a hang lasts, in simulated time.
pub(crate) fn hang(ms: Option<u64>) -> Option<Duration> {
    ms.map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_held_by_what_is_about_it_and_not_by_another_call_of_its_tool() {
        let argv = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let held = [Misbehaviour {
            tool: "pvecm".to_owned(),
            matching: Some("qdevice setup".to_owned()),
            times: None,
            script: ToolScript::Hold,
        }];
        assert!(holds(&held, "pvecm", &argv("qdevice setup 192.168.1.20")));
        assert!(!holds(&held, "pvecm", &argv("create hk1")));
    }
}
