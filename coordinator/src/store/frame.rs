//! How one journal record looks in bytes: everything that is needed to tell that it is whole, in its place, and follows
//! the one before it.
//!
//! `version ‖ position ‖ sequence ‖ digest of the previous frame ‖ rollout ‖ entry as JSON ‖ digest of all that`; numbers
//! big-endian, rollout and entry after their length. The closing digest is both checksum and link of the chain.

use quorate_engine::ports::JournalError;
use quorate_model::RolloutId;
use quorate_model::rollout::Entry;
use sha2::{Digest, Sha256};

/// The SHA-256 of a frame's body.
pub(super) type Link = [u8; 32];

/// What the first frame follows.
pub(super) const GENESIS: Link = [0; 32];

const VERSION: u8 = 1;

/// Why a frame can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FrameError {
    /// It is not as it was written.
    Damaged(String),
    /// It is as it was written, and this version does not understand it.
    Newer(String),
}

impl From<String> for FrameError {
    fn from(what: String) -> Self {
        Self::Damaged(what)
    }
}

impl FrameError {
    /// Of the frame at this position.
    pub(super) fn of(self, position: u64) -> JournalError {
        match self {
            Self::Damaged(what) => JournalError::Damaged(format!("record {position}: {what}")),
            // Nothing is moved aside for that: the version that wrote it can read it.
            Self::Newer(what) => JournalError::Read(format!(
                "record {position} was written by another version of quorate, which has to go on with it: {what}"
            )),
        }
    }
}

/// A decoded frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    /// Its number in the whole journal, from 0.
    pub(super) position: u64,
    /// The digest of the frame before it.
    pub(super) previous: Link,
    /// The rollout that the entry belongs to.
    pub(super) rollout: RolloutId,
    /// The entry; its sequence counts within the rollout.
    pub(super) entry: Entry,
}

impl Frame {
    /// Bytes and digest.
    pub(super) fn encode(&self) -> Result<(Vec<u8>, Link), String> {
        let payload = serde_json::to_vec(&self.entry).map_err(|error| error.to_string())?;
        let rollout = self.rollout.as_str().as_bytes();
        let mut bytes = vec![VERSION];
        bytes.extend(self.position.to_be_bytes());
        bytes.extend(self.entry.sequence.to_be_bytes());
        bytes.extend(self.previous);
        for part in [rollout, &payload] {
            let length = u32::try_from(part.len()).map_err(|_| "the record is too large".to_owned())?;
            bytes.extend(length.to_be_bytes());
            bytes.extend(part);
        }
        let link = digest(&bytes);
        bytes.extend(link);
        Ok((bytes, link))
    }

    /// Reads a frame; says what is wrong with it.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, Link), FrameError> {
        let (body, link) = bytes
            .split_last_chunk::<32>()
            .ok_or_else(|| "it is cut short".to_owned())?;
        if digest(body) != *link {
            return Err(FrameError::Damaged("its checksum does not agree".to_owned()));
        }
        let mut rest = Reader(body);
        let [version] = rest.take::<1>()?;
        if version != VERSION {
            return Err(FrameError::Newer(format!("it is of format {version}")));
        }
        let position = u64::from_be_bytes(rest.take()?);
        let sequence = u64::from_be_bytes(rest.take()?);
        let previous = rest.take()?;
        let rollout = std::str::from_utf8(rest.part()?).map_err(|error| error.to_string())?;
        let rollout = RolloutId::new(rollout).map_err(|error| error.to_string())?;
        // It is as it was written, so who wrote it knew more than we do.
        let entry: Entry =
            serde_json::from_slice(rest.part()?).map_err(|error| FrameError::Newer(error.to_string()))?;
        if !rest.0.is_empty() {
            return Err(FrameError::Damaged("something follows it".to_owned()));
        }
        if entry.sequence != sequence {
            return Err(FrameError::Damaged(
                "it holds another sequence number than it says".to_owned(),
            ));
        }
        Ok((
            Self {
                position,
                previous,
                rollout,
                entry,
            },
            *link,
        ))
    }
}

pub(super) fn digest(bytes: &[u8]) -> Link {
    Sha256::digest(bytes).into()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or("it is cut short")?;
        self.0 = rest;
        Ok(*head)
    }

    fn part(&mut self) -> Result<&'a [u8], String> {
        let length = usize::try_from(u32::from_be_bytes(self.take()?)).map_err(|error| error.to_string())?;
        let (part, rest) = self.0.split_at_checked(length).ok_or("it is cut short")?;
        self.0 = rest;
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::Timestamp;
    use quorate_model::rollout::Record;

    use super::*;

    fn frame() -> Frame {
        Frame {
            position: 7,
            previous: [9; 32],
            rollout: "r-1".parse().unwrap(),
            entry: Entry {
                sequence: 3,
                at: Timestamp(5),
                record: Record::CancelRequested { by: "anna".to_owned() },
            },
        }
    }

    #[test]
    fn a_frame_reads_back_as_it_was_written() {
        let (bytes, link) = frame().encode().unwrap();
        assert_eq!(Frame::decode(&bytes).unwrap(), (frame(), link));
    }

    #[test]
    fn a_whole_plan_reads_back() {
        let file = quorate_planner::testkit::file(3, &["10.10.10.0/24"]);
        let plan = quorate_planner::plan(
            &file,
            &quorate_model::Wish::default(),
            &quorate_planner::testkit::Servers::bare(3).view,
        );
        assert_eq!(plan.steps.len(), 3);
        let record = Record::Created {
            plan: Box::new(plan),
            by: "root".to_owned(),
        };
        let created = Frame {
            entry: Entry {
                sequence: 0,
                at: Timestamp(1),
                record,
            },
            ..frame()
        };
        let (bytes, _) = created.encode().unwrap();
        assert_eq!(Frame::decode(&bytes).unwrap().0, created);
    }

    #[test]
    fn what_a_later_version_wrote_is_no_damage() {
        let sealed = |mut body: Vec<u8>| {
            let link = digest(&body);
            body.extend(link);
            Frame::decode(&body).unwrap_err()
        };
        let (bytes, _) = frame().encode().unwrap();
        let body = &bytes[..bytes.len() - 32];
        let mut other = body.to_vec();
        other[0] = VERSION + 1;
        assert!(matches!(sealed(other), FrameError::Newer(_)));
        let at = body.windows(6).position(|part| part == b"cancel").unwrap();
        let mut other = body.to_vec();
        other[at..at + 6].copy_from_slice(b"telepo");
        let error = sealed(other);
        assert!(matches!(error, FrameError::Newer(_)), "{error:?}");
        assert!(
            matches!(error.of(7), JournalError::Read(_)),
            "the daemon does not start; nothing is moved aside"
        );
        assert!(matches!(Frame::decode(&bytes[1..]), Err(FrameError::Damaged(_))));
    }

    #[test]
    fn no_flipped_bit_and_no_cut_goes_unnoticed() {
        let (bytes, _) = frame().encode().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::decode(&damaged).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Frame::decode(&bytes[..length]).is_err(), "cut at {length}");
        }
    }
}
