//! How one journal record looks in bytes: everything that is needed to tell that it is whole, in its place, and follows
//! the one before it.
//!
//! `version ‖ position ‖ sequence ‖ digest of the previous frame ‖ rollout ‖ entry as JSON ‖ digest of all that`; numbers
//! big-endian, rollout and entry after their length. The closing digest is both checksum and link of the chain.

use quorate_model::RolloutId;
use quorate_model::rollout::Entry;
use sha2::{Digest, Sha256};

/// The SHA-256 of a frame's body.
pub(super) type Link = [u8; 32];

/// What the first frame follows.
pub(super) const GENESIS: Link = [0; 32];

const VERSION: u8 = 1;

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
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, Link), String> {
        let (body, link) = bytes.split_last_chunk::<32>().ok_or("it is cut short")?;
        if digest(body) != *link {
            return Err("its checksum does not agree".to_owned());
        }
        let mut rest = Reader(body);
        let [version] = rest.take::<1>()?;
        if version != VERSION {
            return Err(format!("it is of format {version}, which this version does not know"));
        }
        let position = u64::from_be_bytes(rest.take()?);
        let sequence = u64::from_be_bytes(rest.take()?);
        let previous = rest.take()?;
        let rollout = std::str::from_utf8(rest.part()?).map_err(|error| error.to_string())?;
        let rollout = RolloutId::new(rollout).map_err(|error| error.to_string())?;
        let entry: Entry = serde_json::from_slice(rest.part()?).map_err(|error| error.to_string())?;
        if !rest.0.is_empty() {
            return Err("something follows it".to_owned());
        }
        if entry.sequence != sequence {
            return Err("it holds another sequence number than it says".to_owned());
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

fn digest(bytes: &[u8]) -> Link {
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
