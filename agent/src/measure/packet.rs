//! The packets: a head of 48 bytes, then nothing but length. An answer is as long as its request, never longer.

use super::KEY;

const MAGIC: [u8; 4] = *b"QRTe";
const REQUEST: u8 = 1;
const ANSWER: u8 = 2;

/// The shortest packet.
pub(super) const HEAD: usize = 48;

/// What a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packet {
    /// "Send this back."
    Request {
        /// The sender's number for it.
        number: u64,
    },
    /// "Here it is."
    Answer {
        /// As in the request.
        number: u64,
        /// When the request arrived and when this left, in microseconds on the answering server's clock.
        there: (i64, i64),
    },
}

impl Packet {
    /// Reads a packet of this session; anything else is nothing.
    pub(super) fn read(bytes: &[u8], key: &[u8; KEY]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let ([kind, 0, 0, 0], rest) = rest.split_first_chunk::<4>()? else {
            return None;
        };
        let (theirs, rest) = rest.split_first_chunk::<KEY>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (arrived, rest) = rest.split_first_chunk::<8>()?;
        let (left, _) = rest.split_first_chunk::<8>()?;
        if *magic != MAGIC || theirs != key {
            return None;
        }
        let number = u64::from_be_bytes(*number);
        match *kind {
            REQUEST => Some(Self::Request { number }),
            ANSWER => Some(Self::Answer {
                number,
                there: (i64::from_be_bytes(*arrived), i64::from_be_bytes(*left)),
            }),
            _ => None,
        }
    }

    /// Writes it with this length, at least [`HEAD`].
    pub(super) fn write(self, length: usize, key: &[u8; KEY]) -> Vec<u8> {
        let (kind, number, (arrived, left)) = match self {
            Self::Request { number } => (REQUEST, number, (0, 0)),
            Self::Answer { number, there } => (ANSWER, number, there),
        };
        let mut bytes = Vec::with_capacity(length.max(HEAD));
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[kind, 0, 0, 0]);
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&arrived.to_be_bytes());
        bytes.extend_from_slice(&left.to_be_bytes());
        bytes.resize(length.max(HEAD), 0);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [u8; KEY] = [7; KEY];

    #[test]
    fn packets_read_back_at_any_length() {
        let answer = Packet::Answer {
            number: 9,
            there: (-1, i64::MAX),
        };
        for length in [0, HEAD, 1472] {
            for packet in [answer, Packet::Request { number: u64::MAX }] {
                let bytes = packet.write(length, &OURS);
                assert_eq!(bytes.len(), length.max(HEAD));
                assert_eq!(Packet::read(&bytes, &OURS), Some(packet));
            }
        }
    }

    #[test]
    fn what_is_not_of_this_session_is_nothing() {
        let bytes = Packet::Request { number: 1 }.write(HEAD, &OURS);
        assert_eq!(Packet::read(&bytes, &[8; KEY]), None, "another key");
        assert_eq!(Packet::read(&bytes[..HEAD - 1], &OURS), None, "too short");
        for index in 0..8 {
            let mut other = bytes.clone();
            other[index] ^= 0x40;
            assert_eq!(Packet::read(&other, &OURS), None, "byte {index}");
        }
        assert_eq!(Packet::read(&[], &OURS), None);
    }
}
