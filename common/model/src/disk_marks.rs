//! What a disk carries, told so that it can be told again after a reboot: kernel paths move, what follows them does not.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::observation::disks::{Disk, HolderKind};
use crate::observation::eligibility::{ReasonKind, Role};

/// One thing that a disk carries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// What of its path follows the disk's own: `1` for `/dev/sda1`, `p1` for `/dev/nvme0n1p1`, nothing for the whole disk.
    pub part: String,
    /// What it is.
    pub kind: HolderKind,
    /// Whose, or of which type: see [`HolderKind`].
    pub name: String,
    /// What tells it from another of its kind that somebody makes in its place: see [`Holder::uuid`](crate::observation::disks::Holder).
    /// `None` is the same only as `None`: where one of the two could not be told, nobody knows that it is what was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
}

/// What of the one is not among the other, which was planned. Less is fine: an earlier try may have been cut short. So is a partition of
/// the same table whose type alone still tells what was on it.
pub fn beyond<'m>(seen: &'m BTreeSet<Mark>, planned: &'m BTreeSet<Mark>) -> impl Iterator<Item = &'m Mark> {
    let same_table = seen
        .iter()
        .any(|mark| mark.kind == HolderKind::PartitionTable && planned.contains(mark));
    let of_type_alone = move |mark: &Mark| {
        let bare = !mark.part.is_empty() && mark.name.is_empty() && mark.uuid.is_none();
        let same = |other: &Mark| other.part == mark.part && other.kind == mark.kind;
        same_table && bare && planned.iter().any(same)
    };
    seen.difference(planned).filter(move |mark| !of_type_alone(mark))
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.kind, self.name.as_str()) {
            (HolderKind::OtherSignature, name) => format!("a signature ({name})"),
            (HolderKind::Zfs, "") => "the ZFS label of a pool that is not imported".to_owned(),
            (kind, "") => kind.as_str().to_owned(),
            (kind, name) => format!("{} ({name})", kind.as_str()),
        };
        match self.part.as_str() {
            "" => f.pad(&what),
            part => f.pad(&format!("{what} on partition {}", part.trim_start_matches('p'))),
        }
    }
}

impl Disk {
    /// All that it carries.
    #[must_use]
    pub fn marks(&self) -> BTreeSet<Mark> {
        let marks = self.holders.iter().map(|holder| Mark {
            part: holder
                .device
                .strip_prefix(&self.path)
                .unwrap_or(&holder.device)
                .to_owned(),
            kind: holder.kind,
            name: holder.name.clone(),
            uuid: holder.uuid.clone(),
        });
        marks.collect()
    }

    /// Nothing but a link's name tells it from another disk.
    #[must_use]
    pub fn has_no_identity(&self) -> bool {
        let none = |value: &Option<String>| value.as_ref().is_none_or(|value| value.trim().is_empty());
        none(&self.serial) && none(&self.wwn)
    }

    /// What is to be said against wiping it, in words that follow its name: that it is in use, above all. What is merely left on it, or
    /// speaks against its use for other reasons, is none of it.
    #[must_use]
    pub fn against_wiping(&self) -> Vec<&str> {
        let Some(verdict) = self.verdicts.iter().find(|verdict| verdict.role == Role::Zfs) else {
            return vec!["has not been judged"];
        };
        let against = verdict
            .against
            .iter()
            .filter(|reason| !reason.kind.goes_by_wiping() && !reason.kind.is_about_the_role());
        let nameless = self
            .has_no_identity()
            .then_some("has neither serial number nor WWN, and may be another one next time");
        against.map(|reason| reason.text.as_str()).chain(nameless).collect()
    }
}

impl ReasonKind {
    /// Is it gone once the disk is wiped? All others stay, or forbid it.
    #[must_use]
    pub fn goes_by_wiping(self) -> bool {
        matches!(self, Self::Leftover | Self::NotEmpty)
    }

    /// May a disk be used in spite of it, by the operator's word? Only what can't be decided; never that somebody uses it.
    #[must_use]
    pub fn is_accepted(self, accepted: &BTreeSet<Self>) -> bool {
        self.may_be_accepted() && accepted.contains(&self)
    }

    /// Does it say that the disk is no good for something, and not that somebody needs what is on it?
    #[must_use]
    pub fn is_about_the_role(self) -> bool {
        matches!(self, Self::TooSmall | Self::Removable | Self::Failing) || self.may_be_accepted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_without_the_kernel_s_names() {
        let mark = |part: &str, kind, name: &str| Mark {
            part: part.to_owned(),
            kind,
            name: name.to_owned(),
            uuid: None,
        };
        let told = [
            mark("", HolderKind::PartitionTable, "gpt").to_string(),
            mark("p1", HolderKind::FileSystem, "ext4").to_string(),
            mark("1", HolderKind::Zfs, "").to_string(),
            mark("", HolderKind::OtherSignature, "drbd").to_string(),
        ];
        assert_eq!(
            told,
            [
                "partition table (gpt)",
                "file system (ext4) on partition 1",
                "the ZFS label of a pool that is not imported on partition 1",
                "a signature (drbd)",
            ]
        );
    }

    #[test]
    fn what_was_made_anew_is_not_what_was_planned_and_less_of_it_is() {
        let mark = |part: &str, kind, name: &str, uuid: Option<&str>| Mark {
            part: part.to_owned(),
            kind,
            name: name.to_owned(),
            uuid: uuid.map(str::to_owned),
        };
        let table = mark("", HolderKind::PartitionTable, "gpt", Some("t1"));
        let system = mark("1", HolderKind::FileSystem, "ext4", Some("f1"));
        let label = mark("2", HolderKind::ZfsLabel, "tank", Some("4711"));
        let planned: BTreeSet<Mark> = [&table, &system, &label].map(Clone::clone).into();
        let more = |seen: &[&Mark]| {
            let seen: BTreeSet<Mark> = seen.iter().map(|mark| (*mark).clone()).collect();
            beyond(&seen, &planned).cloned().collect::<Vec<_>>()
        };
        assert_eq!(more(&[&table, &system, &label]), []);
        assert_eq!(more(&[&table, &label]), []);
        // Formatted by hand with the same kind of file system, or by a tool that is too old to tell.
        for uuid in [Some("f2"), None] {
            let anew = mark("1", HolderKind::FileSystem, "ext4", uuid);
            assert_eq!(more(&[&table, &anew]), [anew]);
        }
        // The label is erased, and the partition's type is left; but not on a table that somebody else made.
        let rest = mark("2", HolderKind::ZfsLabel, "", None);
        assert_eq!(more(&[&table, &rest]), []);
        let other = mark("", HolderKind::PartitionTable, "gpt", Some("t2"));
        assert_eq!(more(&[&other, &rest]), [other.clone(), rest.clone()]);
    }
}
