//! Fingerprints and serial numbers: what people compare and what revocations name.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use data_encoding::HEXLOWER_PERMISSIVE;
use ring::digest;
use serde::{Deserialize, Serialize};

/// The SHA-256 of a certificate's DER. Shown as 16 groups of four hexadecimal digits, so that two people can compare it
/// over the telephone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

/// Why a text is not a fingerprint or a serial number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FingerprintError {
    /// Not as many hexadecimal digits as a SHA-256 has.
    #[error("{text:?} is not a SHA-256 fingerprint of 64 hexadecimal digits")]
    NotAFingerprint {
        /// The text that was given.
        text: String,
    },
    /// Not 1 to 20 bytes in hexadecimal digits.
    #[error("{text:?} is not a certificate's serial number in hexadecimal digits")]
    NotASerial {
        /// The text that was given.
        text: String,
    },
}

impl Fingerprint {
    /// The SHA-256 of `data`.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(digest::digest(&digest::SHA256, data).as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }

    /// A fingerprint that was kept as bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pair) in self.0.chunks(2).enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            f.write_str(&HEXLOWER.encode(pair))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Colons and spaces between digits are ignored, so that `openssl x509 -fingerprint -sha256` can be pasted.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
        HEXLOWER_PERMISSIVE
            .decode(digits.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| FingerprintError::NotAFingerprint { text: text.to_owned() })
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Self, FingerprintError> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// A certificate's serial number, without leading zero bytes. Shown in hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial(Vec<u8>);

impl Serial {
    pub(crate) fn from_der(bytes: &[u8]) -> Self {
        Self(bytes.iter().copied().skip_while(|byte| *byte == 0).collect())
    }

    /// The number's bytes, most significant first.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let fits = |bytes: &Vec<u8>| (1..=20).contains(&bytes.len());
        bytes
            .filter(fits)
            .map(|bytes| Self::from_der(&bytes))
            .ok_or_else(|| FingerprintError::NotASerial { text: text.to_owned() })
    }
}

impl TryFrom<String> for Serial {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Self, FingerprintError> {
        text.parse()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_in_groups_and_read_back_however_it_is_written() {
        let shown = Fingerprint::of(b"abc").to_string();
        assert_eq!(
            shown,
            "ba78:16bf:8f01:cfea:4141:40de:5dae:2223:b003:61a3:9617:7a9c:b410:ff61:f200:15ad"
        );
        for text in [
            shown.clone(),
            shown.replace(':', " "),
            shown.replace(':', "").to_uppercase(),
        ] {
            assert_eq!(text.parse::<Fingerprint>().unwrap(), Fingerprint::of(b"abc"), "{text}");
        }
        assert!("ba78:16bf".parse::<Fingerprint>().is_err());
        assert!(shown.replace('b', "g").parse::<Fingerprint>().is_err());
    }

    #[test]
    fn serials_do_not_depend_on_leading_zeros() {
        assert_eq!("00ff10".parse::<Serial>().unwrap(), Serial::from_der(&[0xff, 0x10]));
        assert!("".parse::<Serial>().is_err());
        assert!("0f0".parse::<Serial>().is_err());
    }
}
