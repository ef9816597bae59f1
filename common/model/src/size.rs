//! Sizes in bytes, shown as disk vendors and administrators write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// In binary units, as memory is spoken of: `31.3 GiB`.
    #[must_use]
    pub fn binary(self) -> String {
        scaled(self.0, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
    }
}

impl fmt::Display for ByteSize {
    /// In decimal units, as printed on disks: `960 GB`, `3.84 TB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&scaled(self.0, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB"]))
    }
}

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size")]
pub struct InvalidSize(String);

impl FromStr for ByteSize {
    type Err = InvalidSize;

    /// A number, maybe with a fraction, and a unit: `900GB`, `3.84 TB`, `1TiB`.
    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let invalid = || InvalidSize(text.to_owned());
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(end).ok_or_else(invalid)?;
        let unit = unit.trim().to_ascii_lowercase();
        let (decimal, binary) = (
            ["b", "kb", "mb", "gb", "tb", "pb"],
            ["b", "kib", "mib", "gib", "tib", "pib"],
        );
        let power = |units: [&str; 6]| units.iter().position(|known| *known == unit);
        let (base, power) = match (power(decimal), power(binary)) {
            (Some(power), _) => (1000_u64, power),
            (None, Some(power)) => (1024, power),
            (None, None) => return Err(invalid()),
        };
        let scale = base
            .checked_pow(u32::try_from(power).map_err(|_| invalid())?)
            .ok_or_else(invalid)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let bytes = whole
            .parse::<u64>()
            .ok()
            .and_then(|whole| whole.checked_mul(scale))
            .ok_or_else(invalid)?;
        // In whole numbers: a fraction of a size is exact, also of one in binary units. Digits beyond these are less than a byte.
        let (mut digits, mut worth) = (0_u128, 1_u128);
        for (place, digit) in fraction.chars().enumerate() {
            let digit = digit.to_digit(10).ok_or_else(invalid)?;
            if place < 18 {
                digits = digits * 10 + u128::from(digit);
                worth *= 10;
            }
        }
        let rest = u64::try_from(digits * u128::from(scale) / worth).map_err(|_| invalid())?;
        bytes.checked_add(rest).map(Self).ok_or_else(invalid)
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn scaled(bytes: u64, base: f64, units: &[&str]) -> String {
    let mut value = bytes as f64;
    let mut unit = units.first().copied().unwrap_or("B");
    for next in units.iter().skip(1) {
        // 999.5 would be shown as 1000.
        if value < base - base / 2000.0 {
            break;
        }
        value /= base;
        unit = next;
    }
    let decimals = if unit == "B" || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    let number = format!("{value:.decimals$}");
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        &number
    };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_write_it() {
        let size = |text: &str| text.parse::<ByteSize>().map(|size| size.0);
        assert_eq!(size("900GB"), Ok(900_000_000_000));
        assert_eq!(size("3.84 TB"), Ok(3_840_000_000_000));
        assert_eq!(size("1TiB"), Ok(1 << 40));
        assert_eq!(size("1.5TiB"), Ok((1 << 40) + (1 << 39)));
        assert_eq!(size("0.000000000000000000000001PB"), Ok(0));
        assert_eq!(size("512b"), Ok(512));
        for bad in ["", "GB", "900", "900 G", "-1GB", "1.2.3TB", "99999999PB", "ä"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn as_written_on_the_label() {
        assert_eq!(ByteSize(960_197_124_096).to_string(), "960 GB");
        assert_eq!(ByteSize(3_840_755_982_336).to_string(), "3.84 TB");
        assert_eq!(ByteSize(536_870_912).to_string(), "537 MB");
        assert_eq!(ByteSize(0).to_string(), "0 B");
        assert_eq!(ByteSize(999_999_999_999).to_string(), "1 TB");
        assert_eq!(ByteSize(33_554_432_000).binary(), "31.2 GiB");
    }
}
