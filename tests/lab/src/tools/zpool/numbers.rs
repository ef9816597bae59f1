//! Numbers as ZFS's tools show them to people. Source: OpenZFS libzutil (`zfs_nicenum_format`), seen in all captures.

/// A count: `273`, `32.3K`.
pub(super) fn count(number: u64) -> String {
    nice(number, "")
}

/// Bytes: `0B`, `20.7M`, `1.21T`.
pub(super) fn bytes(number: u64) -> String {
    nice(number, "B")
}

fn nice(number: u64, none: &str) -> String {
    let units = ["K", "M", "G", "T", "P", "E"];
    let mut power = 0_u32;
    while power < 6 && number >> (10 * (power + 1)) > 0 {
        power += 1;
    }
    let Some(unit) = power.checked_sub(1).and_then(|index| units.get(index as usize)) else {
        return format!("{number}{none}");
    };
    let scale = 1_u64 << (10 * power);
    if number.is_multiple_of(scale) {
        return format!("{}{unit}", number / scale);
    }
    // As many decimals as fit into five characters.
    let value = number as f64 / scale as f64;
    let texts = [2, 1, 0].map(|decimals| format!("{value:.decimals$}{unit}"));
    let [two, one, whole] = texts;
    [two, one].into_iter().find(|text| text.len() <= 5).unwrap_or(whole)
}

/// `00:47:12`, `2 days 00:47:12`.
pub(super) fn time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    if days == 0 {
        clock
    } else {
        format!("{days} days {clock}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(bytes(0), "0B");
        assert_eq!(bytes(503_316_480), "480M");
        assert_eq!(bytes(393_216), "384K");
        assert_eq!(bytes(25_375_539), "24.2M");
        assert_eq!(bytes(960_186_638_336), "894G");
        assert_eq!(count(33_076), "32.3K");
        assert_eq!(count(273), "273");
        assert_eq!(time(2_832), "00:47:12");
        assert_eq!(time(90_061), "1 days 01:01:01");
    }
}
