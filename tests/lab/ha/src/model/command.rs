//! Commands to the master: the lines of `/etc/pve/ha/crm_commands`, which `ha-manager` writes and the master takes once a round.

use std::fmt;

use super::{DisarmMode, Motion, Seconds, Sid};

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrmCommand {
    /// `migrate SID NODE`, `relocate SID NODE`.
    Move {
        /// How.
        motion: Motion,
        /// What.
        sid: Sid,
        /// Where to.
        target: String,
    },
    /// `stop SID TIMEOUT`.
    Stop {
        /// What.
        sid: Sid,
        /// Seconds until it is stopped hard; 0 is at once.
        timeout: Seconds,
    },
    /// `enable-node-maintenance NODE`.
    EnableMaintenance(String),
    /// `disable-node-maintenance NODE`.
    DisableMaintenance(String),
    /// `disarm-ha MODE`.
    Disarm(DisarmMode),
    /// `arm-ha`.
    Arm,
}

/// A line that is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{line}' is no command for the CRM")]
pub struct CommandError {
    /// The line.
    pub line: String,
}

impl CrmCommand {
    /// Reads one line.
    ///
    /// # Errors
    ///
    /// The line is no command.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Self::from_words(&words).ok_or_else(|| CommandError { line: line.to_owned() })
    }

    fn from_words(words: &[&str]) -> Option<Self> {
        Some(match *words {
            [word @ ("migrate" | "relocate"), sid, target] => Self::Move {
                motion: Motion::from_word(word)?,
                sid: Sid::parse(sid).ok()?,
                target: target.to_owned(),
            },
            ["stop", sid, timeout] => Self::Stop {
                sid: Sid::parse(sid).ok()?,
                timeout: timeout.parse().ok()?,
            },
            ["enable-node-maintenance", node] => Self::EnableMaintenance(node.to_owned()),
            ["disable-node-maintenance", node] => Self::DisableMaintenance(node.to_owned()),
            ["disarm-ha", mode] => Self::Disarm(DisarmMode::from_word(mode)?),
            ["arm-ha"] => Self::Arm,
            _ => return None,
        })
    }
}

impl fmt::Display for CrmCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Move { motion, sid, target } => write!(f, "{motion} {sid} {target}"),
            Self::Stop { sid, timeout } => write!(f, "stop {sid} {timeout}"),
            Self::EnableMaintenance(node) => write!(f, "enable-node-maintenance {node}"),
            Self::DisableMaintenance(node) => write!(f, "disable-node-maintenance {node}"),
            Self::Disarm(mode) => write!(f, "disarm-ha {mode}"),
            Self::Arm => f.write_str("arm-ha"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_written_as_it_was_read() {
        for line in [
            "migrate vm:101 n2",
            "relocate ct:7 n1",
            "stop vm:101 0",
            "enable-node-maintenance n3",
            "disable-node-maintenance n3",
            "disarm-ha ignore",
            "arm-ha",
        ] {
            assert_eq!(CrmCommand::parse(line).unwrap().to_string(), line);
        }
    }

    #[test]
    fn what_is_no_command_is_named() {
        for line in [
            "",
            "migrate vm:101",
            "stop vm:101 soon",
            "disarm-ha maybe",
            "arm-ha now",
        ] {
            assert_eq!(CrmCommand::parse(line).unwrap_err().line, line);
        }
    }
}
