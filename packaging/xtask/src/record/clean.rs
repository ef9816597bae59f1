//! What a machine tells of itself, taken out; and what of an output counts as its shape.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;

/// The head of a swap area of 64 KiB, with a UUID that is always the same: a signature that takes no tool to write.
pub(crate) fn swap_signature() -> Vec<u8> {
    const SIZE: usize = 64 << 10;
    const HEAD: usize = 1024;
    const MAGIC: usize = 4086;
    let mut bytes = vec![0; HEAD];
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(15_u32.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend([
        0x80, 0x93, 0xca, 0x5b, 0xef, 0xe3, 0x4b, 0x98, 0xa1, 0x27, 0x9c, 0x61, 0x38, 0xc8, 0x62, 0x4f,
    ]);
    bytes.resize(MAGIC, 0);
    bytes.extend(b"SWAPSPACE2");
    bytes.resize(SIZE, 0);
    bytes
}

/// The text with other names in the place of this machine's: its folder, its addresses, its hardware's.
pub(crate) fn text(printed: &str, scratch: &Path) -> String {
    let printed = printed.replace(&scratch.display().to_string(), "/scratch");
    let mut cleaned = String::with_capacity(printed.len());
    let mut word = String::new();
    for c in printed.chars() {
        if c.is_ascii_alphanumeric() || c == ':' || c == '.' {
            word.push(c);
        } else {
            cleaned.push_str(&other(&word));
            word.clear();
            cleaned.push(c);
        }
    }
    cleaned.push_str(&other(&word));
    cleaned
}

/// A MAC address or an IP address of this machine as one of the same shape from the ranges for documentation; any other word as it is.
fn other(word: &str) -> String {
    let is_mac = word.len() == 17
        && word
            .split(':')
            .all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_mac {
        let telling = word != "00:00:00:00:00:00" && word != "ff:ff:ff:ff:ff:ff";
        return if telling {
            "02:00:00:00:00:01".to_owned()
        } else {
            word.to_owned()
        };
    }
    match word.parse::<IpAddr>() {
        Ok(IpAddr::V4(address))
            if !address.is_loopback() && !address.is_unspecified() && !is_documentation(address.octets()) =>
        {
            "192.0.2.1".to_owned()
        }
        Ok(IpAddr::V6(address)) if word.contains("::") && !address.is_loopback() && !address.is_unspecified() => {
            if word.starts_with("fe80") {
                "fe80::1".to_owned()
            } else {
                "2001:db8::1".to_owned()
            }
        }
        _ => word.to_owned(),
    }
}

fn is_documentation(octets: [u8; 4]) -> bool {
    matches!(octets, [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _])
}

/// What is compared: of JSON its fields and their kinds, of other text its words, with figures as figures. Lines that a machine has more
/// of than another, such as one for each processor, count once.
pub(crate) fn shape(text: &str, ending: &str) -> String {
    if ending == "json"
        && let Ok(document) = serde_json::from_str::<Value>(text)
    {
        let mut fields = BTreeSet::new();
        json(&document, "", &mut fields);
        return fields.into_iter().map(|field| format!("{field}\n")).collect();
    }
    let mut seen = BTreeSet::new();
    let lines = text.lines().map(figures).filter(|line| seen.insert(line.clone()));
    lines.map(|line| format!("{line}\n")).collect()
}

fn json(value: &Value, at: &str, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => object
            .iter()
            .for_each(|(key, value)| json(value, &format!("{at}/{key}"), fields)),
        Value::Array(items) => items.iter().for_each(|item| json(item, &format!("{at}[]"), fields)),
        // What one device has and another has not.
        Value::Null => {}
        Value::Bool(_) => drop(fields.insert(format!("{at}: a flag"))),
        Value::Number(_) => drop(fields.insert(format!("{at}: a number"))),
        Value::String(_) => drop(fields.insert(format!("{at}: a text"))),
    }
}

/// Each run of digits is one zero, each run of blanks one blank.
fn figures(line: &str) -> String {
    let mut shape = String::with_capacity(line.len());
    for c in line.chars() {
        let c = match c {
            c if c.is_ascii_digit() => '0',
            c if c.is_whitespace() => ' ',
            c => c,
        };
        if !((c == '0' || c == ' ') && shape.ends_with(c)) {
            shape.push(c);
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machines_own_names_are_taken_out() {
        let seen = |printed: &str| text(printed, Path::new("/tmp/x1"));
        assert_eq!(seen("wipefs: /tmp/x1/blank: done"), "wipefs: /scratch/blank: done");
        assert_eq!(
            seen(
                "link/ether b6:74:67:71:44:53 inet 10.1.2.3/24 brd 255.255.255.255, fe80::b474:67ff:fe71:4453 ::1 127.0.0.1"
            ),
            "link/ether 02:00:00:00:00:01 inet 192.0.2.1/24 brd 192.0.2.1, fe80::1 ::1 127.0.0.1"
        );
        assert_eq!(
            seen("3.1.7-1 12:30:06 ff:ff:ff:ff:ff:ff"),
            "3.1.7-1 12:30:06 ff:ff:ff:ff:ff:ff"
        );
    }

    #[test]
    fn a_shape_has_no_figures_and_json_has_fields() {
        assert_eq!(
            shape("  12 345\nMem: 1 kB\n", "out"),
            shape("     7 8\nMem: 99999 kB\n", "out")
        );
        assert_ne!(shape("a b\n", "out"), shape("a c\n", "out"));
        assert_eq!(
            shape(r#"[{"a": 1, "b": [null, "x"], "c": null}, {"a": 2}]"#, "json"),
            "[]/a: a number\n[]/b[]: a text\n"
        );
    }
}
