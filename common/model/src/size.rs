//! Sizes in bytes, shown as disk vendors and administrators write them.

use std::fmt;

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
    fn as_written_on_the_label() {
        assert_eq!(ByteSize(960_197_124_096).to_string(), "960 GB");
        assert_eq!(ByteSize(3_840_755_982_336).to_string(), "3.84 TB");
        assert_eq!(ByteSize(536_870_912).to_string(), "537 MB");
        assert_eq!(ByteSize(0).to_string(), "0 B");
        assert_eq!(ByteSize(999_999_999_999).to_string(), "1 TB");
        assert_eq!(ByteSize(33_554_432_000).binary(), "31.2 GiB");
    }
}
