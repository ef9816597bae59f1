//! Copies that are held: after a recovery elsewhere, the server that was lost still has what was written last. The job that would overwrite it is
//! switched off by the new owner's agent, and its comment says so to whoever reads PVE's configuration.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::guest_ids::VMIDS;
use crate::ids::InvalidName;
use crate::time::Timestamp;

/// What a comment begins with that says that a copy is held; what follows is its [`Held`].
const WORDS: &str = "quorate hold: kept on ";
const SINCE: &str = " since ";

/// A copy that is held until somebody decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The server that had the guest before. What it wrote until it was lost, and never copied, is there and nowhere else.
    pub node: String,
    /// When the guest was seen with another server, to the second, by the clock of that one: the lost server wrote until then at the latest.
    pub since: Timestamp,
}

impl Held {
    /// Held since now, to the second.
    #[must_use]
    pub fn now(node: impl Into<String>, now: Timestamp) -> Self {
        Self {
            node: node.into(),
            since: Timestamp::from_seconds(now.seconds()),
        }
    }

    /// What the job's comment says, where PVE keeps it for all members.
    #[must_use]
    pub fn comment(&self) -> String {
        format!("{WORDS}{}{SINCE}{}", self.node, self.since)
    }

    /// The time in the names of volumes that are kept, see [`GuestVolume::kept`].
    #[must_use]
    pub fn stamp(&self) -> String {
        stamp(self.since)
    }

    /// What a job's comment says; `None`: nothing of a copy that is held.
    #[must_use]
    pub fn of_comment(comment: &str) -> Option<Self> {
        let (node, since) = comment.trim().strip_prefix(WORDS)?.split_once(SINCE)?;
        Some(Self {
            node: node.to_owned(),
            since: since.parse().ok()?,
        })
    }
}

/// Characters of a dataset's name. Source: OpenZFS namecheck (`valid_char`), without the blank, which no tool's output could be split at.
fn is_dataset_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/')
}

/// OpenZFS takes names of up to 255 bytes, a snapshot's included; what is added to one that is kept, and PVE's snapshots, find room behind this.
const LONGEST: usize = 150;

/// How PVE calls guests' volumes in a pool. Source: pve-storage ZFSPoolPlugin.pm (`parse_volname`).
const KINDS: [&str; 4] = ["vm-", "subvol-", "base-", "basevol-"];

/// What a volume is called that is kept: none of PVE's own patterns begins so, and PVE therefore neither lists, copies nor frees it.
pub const KEPT: &str = "quorate-kept-";

/// A guest's volume in a pool: `data_zfs/vm-100-disk-0`. Its last part is of the form that PVE gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GuestVolume(String);

impl GuestVolume {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The guest whose it is, by its name.
    #[must_use]
    pub fn guest(&self) -> u32 {
        // That there is one was checked.
        guest_of(&self.0).unwrap_or(0)
    }

    /// What it is called when it is kept: beside itself, with the time since which it is held.
    #[must_use]
    pub fn kept(&self, since: Timestamp) -> String {
        let (parent, name) = self.0.rsplit_once('/').unwrap_or(("", &self.0));
        format!("{parent}/{KEPT}{name}-{}", stamp(since))
    }
}

/// `20261122T110932Z`: a dataset's name takes no more of a time.
fn stamp(since: Timestamp) -> String {
    since.to_string().chars().filter(char::is_ascii_alphanumeric).collect()
}

/// The guest of a volume in a pool, by its dataset's name.
fn guest_of(dataset: &str) -> Option<u32> {
    let name = dataset.rsplit('/').next()?;
    let rest = KINDS.iter().find_map(|kind| name.strip_prefix(kind))?;
    let (guest, disk) = rest.split_once('-')?;
    let plain = guest.bytes().all(|byte| byte.is_ascii_digit());
    let guest = guest.parse().ok().filter(|guest| plain && VMIDS.contains(guest))?;
    (!disk.is_empty()).then_some(guest)
}

impl FromStr for GuestVolume {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bad = |reason| InvalidName {
            what: "volume of a guest",
            text: text.to_owned(),
            reason,
        };
        if text.len() > LONGEST {
            return Err(bad("it is longer than 150 characters"));
        }
        let parts: Vec<&str> = text.split('/').collect();
        let sound = |part: &&str| !part.is_empty() && !part.starts_with(['-', '.']);
        if parts.len() < 2 || !parts.iter().all(sound) || !text.bytes().all(is_dataset_char) {
            return Err(bad("it is not POOL/VOLUME, with datasets between them"));
        }
        if guest_of(text).is_none() {
            return Err(bad("its last part is not as PVE calls a guest's disk: vm-100-disk-0"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for GuestVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for GuestVolume {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<GuestVolume> for String {
    fn from(volume: GuestVolume) -> String {
        volume.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_comment_says_is_read_back() {
        let held = Held::now("prox1", Timestamp(1_795_345_772_900_000));
        assert_eq!(held.comment(), "quorate hold: kept on prox1 since 2026-11-22T11:09:32Z");
        assert_eq!(Held::of_comment(&held.comment()), Some(held));
        for other in [
            "quorate hold",
            "quorate hold: kept on prox1",
            "quorate hold: kept on prox1 since noon",
        ] {
            assert_eq!(Held::of_comment(other), None, "{other}");
        }
    }

    #[test]
    fn a_volume_that_is_kept_has_a_name_that_pve_takes_for_none_of_its_own() {
        let since = Timestamp::from_seconds(1_795_345_772);
        let volume: GuestVolume = "data_zfs/guests/vm-100-disk-0".parse().unwrap();
        assert_eq!(volume.guest(), 100);
        assert_eq!(
            volume.kept(since),
            "data_zfs/guests/quorate-kept-vm-100-disk-0-20261122T110932Z"
        );
        assert!(volume.kept(since).parse::<GuestVolume>().is_err());
        assert_eq!("tank/subvol-101-disk-1".parse::<GuestVolume>().unwrap().guest(), 101);
    }

    #[test]
    fn nothing_else_is_a_guest_s_volume() {
        let long = format!("tank/vm-100-{}", "x".repeat(200));
        for bad in [
            "vm-100-disk-0",
            "tank",
            "tank/ROOT/pve-1",
            "tank/vm-99-disk-0",
            "tank/vm-100",
            "tank/vm-100-",
            "tank/vm-+100-disk-0",
            "/vm-100-disk-0",
            "-tank/vm-100-disk-0",
            "tank/../vm-100-disk-0",
            "tank/vm-100-disk 0",
            "tank/vm-100-disk-0@snap",
            &long,
        ] {
            assert!(bad.parse::<GuestVolume>().is_err(), "{bad}");
        }
    }
}
