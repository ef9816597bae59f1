//! A record, and what is read out of a file of them.
//!
//! A record is a line of 64 bytes, so that none lies in two sectors of a disk: its number, its time in milliseconds since 1970, the run of
//! the writer that wrote it, and a CRC-32 of these. The last one of a file may be torn, where the guest was cut off while it was written; it was never told to anybody.

/// The length of a record, in bytes.
pub const LENGTH: usize = 64;

/// There is no record with a higher number: its digits have their place. Ten a second last for thirty thousand million years.
pub const HIGHEST: u64 = 9_999_999_999_999_999_999;

const LATEST: u64 = 99_999_999_999_999_999;

/// A record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Record {
    /// Its number; 0 only where there is none yet.
    pub number: u64,
    /// When it was written, by the guest's wall clock, in milliseconds since 1970-01-01 00:00 UTC.
    pub time_ms: u64,
    /// The run of the writer that wrote it.
    pub run: u64,
}

impl Record {
    /// As it stands in the file.
    #[must_use]
    pub fn encode(&self) -> String {
        let body = format!(
            "{:019} {:017} {:016x} ",
            self.number.min(HIGHEST),
            self.time_ms.min(LATEST),
            self.run
        );
        format!("{body}{:08x}\n", crc32(body.as_bytes()))
    }

    /// Of exactly the bytes of one record; `None`: they are none, or not all of one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut words = text.split(' ');
        let number = words.next()?.parse().ok()?;
        let time_ms = words.next()?.parse().ok()?;
        let run = u64::from_str_radix(words.next()?, 16).ok()?;
        let record = Self { number, time_ms, run };
        // Written again, it is the same: the checksum is right, and nothing is written in another way.
        (record.encode() == text).then_some(record)
    }
}

/// What is in a file of records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// The record with the highest number, wherever it stands.
    pub highest: Option<Record>,
    /// Where the next one goes, in bytes from the beginning: behind the last one that is whole.
    pub end: usize,
    /// Bytes behind that: of a record that was torn.
    pub torn: usize,
    /// Places between records that hold none: the disk has damaged them.
    pub damaged: usize,
    /// Nothing in it looks like records: it is somebody else's file.
    pub foreign: bool,
}

/// Reads a whole file of records.
#[must_use]
pub fn read(bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let mut whole = 0;
    for (place, bytes) in bytes.chunks_exact(LENGTH).enumerate() {
        if let Some(record) = Record::decode(bytes) {
            whole += 1;
            contents.end = (place + 1) * LENGTH;
            if contents.highest.is_none_or(|highest| record.number > highest.number) {
                contents.highest = Some(record);
            }
        }
    }
    contents.damaged = contents.end / LENGTH - whole;
    contents.torn = bytes.len() - contents.end;
    // After a loss of power, some filesystems show zeros where a record would have been.
    let could_be_ours = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b' ' | b'\n' | 0);
    contents.foreign = whole == 0 && !bytes.iter().all(could_be_ours);
    contents
}

/// CRC-32 as zip, PNG and Ethernet have it.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc = (crc >> 1) ^ (0xEDB8_8320 * carry);
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(number: u64) -> Record {
        Record {
            number,
            time_ms: 1_764_300_000_000 + number * 100,
            run: 0x9f8e,
        }
    }

    fn file(numbers: impl IntoIterator<Item = u64>) -> String {
        numbers.into_iter().map(|number| record(number).encode()).collect()
    }

    #[test]
    fn a_record_is_a_line_of_64_bytes() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        let text = record(4711).encode();
        assert!(
            text.starts_with("0000000000000004711 00001764300471100 0000000000009f8e "),
            "{text}"
        );
        assert_eq!((text.len(), text.lines().count()), (LENGTH, 1));
        assert_eq!(Record::decode(text.as_bytes()), Some(record(4711)));
    }

    #[test]
    fn the_last_one_may_be_torn() {
        let whole = file(1..=3);
        for cut in 0..LENGTH {
            let read = read(&whole.as_bytes()[..whole.len() - LENGTH + cut]);
            assert_eq!((read.highest, read.end, read.torn), (Some(record(2)), 2 * LENGTH, cut));
            assert!(!read.foreign && read.damaged == 0);
        }
        let zeros = [file(1..=2).as_bytes(), &[0; 200]].concat();
        let read = read(&zeros);
        assert_eq!((read.highest, read.torn), (Some(record(2)), 200));
    }

    #[test]
    fn damage_in_the_middle_hides_nothing_that_follows() {
        let mut bytes = file(1..=5).into_bytes();
        bytes[LENGTH + 3] = b'x';
        let read = read(&bytes);
        assert_eq!((read.highest, read.damaged, read.torn), (Some(record(5)), 1, 0));
    }

    #[test]
    fn a_file_of_somebody_else_is_known() {
        assert!(read(b"root:x:0:0:root:/root:/bin/bash\n").foreign);
        assert!(!read(b"").foreign);
        assert!(!read(&[0; 300]).foreign);
        assert!(!read(&file([7]).as_bytes()[..20]).foreign);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number in 0..=HIGHEST, time_ms in 0..=LATEST, run: u64) {
            let record = Record { number, time_ms, run };
            prop_assert_eq!(Record::decode(record.encode().as_bytes()), Some(record));
        }

        #[test]
        fn no_flipped_bit_goes_unseen(number in 0..1_000_000_u64, at in 0..LENGTH, bit in 0..8_u8) {
            let mut bytes = record(number).encode().into_bytes();
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(Record::decode(&bytes), None);
        }

        #[test]
        fn any_bytes_are_borne(bytes: Vec<u8>) {
            let contents = read(&bytes);
            prop_assert_eq!(contents.end + contents.torn, bytes.len());
        }
    }
}
