//! Where in a message something is not as it must be.

use std::fmt;

/// A message that can't be taken over into the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertError {
    /// The field, from the outermost message in: `observation.disks.disks[2].by_id[0]`; empty: the message itself.
    /// Facets and messages with a single oneof stand for what they hold, so `known` is not named.
    pub path: String,
    /// What is wrong with it: reads on after the path.
    pub reason: String,
}

impl ConvertError {
    /// An error about the very value that was looked at; callers put the path before it.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            reason: reason.into(),
        }
    }

    /// What must be there is not.
    #[must_use]
    pub fn missing() -> Self {
        Self::new("is missing")
    }

    /// The same error, seen from the message that has it in this field.
    #[must_use]
    pub fn under(self, field: &str) -> Self {
        let join = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        Self {
            path: format!("{field}{join}{}", self.path),
            reason: self.reason,
        }
    }

    /// The same error, seen from the list or map that has it at this index or key.
    #[must_use]
    pub fn at(self, index: impl fmt::Display) -> Self {
        self.under(&format!("[{index}]"))
    }
}

impl fmt::Display for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.reason);
        }
        write!(f, "{} {}", self.path, self.reason)
    }
}

impl std::error::Error for ConvertError {}
