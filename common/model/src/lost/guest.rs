//! What can become of a lost server's guest on one that is left, and what its disks hold there.

use serde::{Deserialize, Serialize};

use crate::finding::{Code, Finding};
use crate::guest_ids::JobId;
use crate::observation::GuestKind;
use crate::time::Timestamp;

/// A guest of the lost server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostGuest {
    /// Its id.
    pub vmid: u32,
    /// What it is.
    pub kind: GuestKind,
    /// Its name, where that is known.
    pub name: Option<String>,
    /// Other servers that its jobs copy it to, whose copies may be newer.
    pub elsewhere: Vec<String>,
    /// What can become of it.
    pub fate: Fate,
    /// What its disks hold here, whatever else stands against it; `None`: not all of them are here, or it can't be told.
    pub copy: Option<LostCopy>,
}

/// What can become of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It can be started here.
    Recoverable {
        /// What its disks hold.
        copy: LostCopy,
        /// Jobs that would send to the lost server once PVE has turned them round.
        jobs: Vec<JobId>,
        /// It is started; one that nobody starts at boot is only taken over.
        starts: bool,
    },
    /// HA looks after it: what it does, or why it does nothing.
    Ha(String),
    /// A template: nothing runs that could be started.
    Template,
    /// It can't be started here: why.
    Not(String),
}

/// What a guest's disks hold on a server. Times are those of replication's snapshots: by the clock of the server that was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostCopy {
    /// All of it: its disks are shared, or it has none.
    Whole,
    /// What it was when its oldest disk was last sent. What was written later is only on the lost server.
    Of(Timestamp),
    /// The same, but its disks were last sent at different times; this is the oldest.
    Uneven(Timestamp),
}

impl LostCopy {
    /// When what it holds was written at the latest, by the lost server's clock; `None`: it holds all.
    #[must_use]
    pub fn at(self) -> Option<Timestamp> {
        match self {
            Self::Whole => None,
            Self::Of(at) | Self::Uneven(at) => Some(at),
        }
    }

    /// Does it hold more than another one? Of two of one time, the one whose disks are of one moment.
    #[must_use]
    pub fn is_better_than(self, other: Self) -> bool {
        self.rank() > other.rank()
    }

    fn rank(self) -> (bool, Option<Timestamp>, bool) {
        (self.at().is_none(), self.at(), !matches!(self, Self::Uneven(_)))
    }
}

impl LostGuest {
    /// What stands against it.
    #[must_use]
    pub fn finding(&self) -> Option<Finding> {
        let Fate::Not(why) = &self.fate else { return None };
        Some(Finding::new(
            Code::GuestNotRecoverable,
            format!("guest {}", self.vmid),
            why.clone(),
            "when the reason is gone, ask again; else restore it from its last backup, or bring its server back",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_better_than_any_copy_and_the_newer_than_the_older() {
        let (old, new) = (Timestamp::from_seconds(100), Timestamp::from_seconds(200));
        let sorted = [
            LostCopy::Uneven(old),
            LostCopy::Of(old),
            LostCopy::Uneven(new),
            LostCopy::Of(new),
            LostCopy::Whole,
        ];
        for (place, copy) in sorted.iter().enumerate() {
            for (other_place, other) in sorted.iter().enumerate() {
                assert_eq!(
                    copy.is_better_than(*other),
                    place > other_place,
                    "{copy:?} and {other:?}"
                );
            }
        }
    }
}
