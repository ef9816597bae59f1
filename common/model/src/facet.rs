//! Unknown is not absent: every part of an observation says either what was seen and when, or why nothing is known.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// One part of an observation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Facet<T> {
    /// It was read, whole and understood.
    Known {
        /// What was read.
        value: T,
        /// When, on the node's clock.
        collected_at: Timestamp,
    },
    /// Nothing may be concluded, least of all that the thing is not there.
    Unknown(Unknown),
}

/// Why nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// The kind of failure.
    pub kind: UnknownKind,
    /// What happened, with the tool's name and the offending line where there is one.
    pub reason: String,
}

/// The kinds of not knowing, for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownKind {
    /// Nobody asked for it.
    NotAsked,
    /// The node's agent could not be reached.
    Unreachable,
    /// A tool did not answer in its time.
    TimedOut,
    /// A tool could not be run, or said that it failed.
    Failed,
    /// A tool that is needed is not installed.
    ToolMissing,
    /// The output could not be understood.
    Unparsable,
    /// It was known, but is too old to act on.
    Stale,
    /// Packets were sent, more than once, and none came back.
    NoAnswer,
}

impl Unknown {
    /// Puts kind and reason together.
    #[must_use]
    pub fn new(kind: UnknownKind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
        }
    }
}

impl Unknown {
    /// Nobody asked for it.
    #[must_use]
    pub fn not_asked() -> Self {
        Self::new(UnknownKind::NotAsked, "not asked for")
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown: {}", self.reason)
    }
}

impl<T> Facet<T> {
    /// A facet that was just read.
    pub fn known(value: T, collected_at: Timestamp) -> Self {
        Self::Known { value, collected_at }
    }

    /// A facet of which nothing is known.
    pub fn unknown(kind: UnknownKind, reason: impl Into<String>) -> Self {
        Self::Unknown(Unknown::new(kind, reason))
    }

    /// Nobody asked for it.
    #[must_use]
    pub fn not_asked() -> Self {
        Self::Unknown(Unknown::not_asked())
    }

    /// The value, or why it isn't known. There is deliberately no accessor that forgets the reason.
    ///
    /// # Errors
    /// The reason.
    pub fn get(&self) -> Result<&T, &Unknown> {
        match self {
            Self::Known { value, .. } => Ok(value),
            Self::Unknown(unknown) => Err(unknown),
        }
    }

    /// When it was read, if it was.
    #[must_use]
    pub fn collected_at(&self) -> Option<Timestamp> {
        match self {
            Self::Known { collected_at, .. } => Some(*collected_at),
            Self::Unknown(_) => None,
        }
    }

    /// Was it read?
    #[must_use]
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known { .. })
    }

    /// Did nobody ask for it?
    #[must_use]
    pub fn is_not_asked(&self) -> bool {
        matches!(self, Self::Unknown(unknown) if unknown.kind == UnknownKind::NotAsked)
    }

    /// Changes the value, keeps the rest.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Facet<U> {
        match self {
            Self::Known { value, collected_at } => Facet::Known {
                value: change(value),
                collected_at,
            },
            Self::Unknown(unknown) => Facet::Unknown(unknown),
        }
    }
}

impl<T> Default for Facet<T> {
    fn default() -> Self {
        Self::not_asked()
    }
}
