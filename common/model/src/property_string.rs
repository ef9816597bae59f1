//! PVE's property strings, such as `migration: secure,network=10.10.10.0/24`: parts in any order, of which one key may be left out.

use std::collections::BTreeMap;

/// The parts by key. A part that is a word alone is the value of `default_key`. Source: pve-common JSONSchema.pm (`parse_property_string`).
#[must_use]
pub fn parts<'a>(text: &'a str, default_key: &'a str) -> BTreeMap<&'a str, &'a str> {
    let words = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    words
        .map(|part| part.split_once('=').unwrap_or((default_key, part)))
        .collect()
}

/// Do two say the same? PVE writes them in an order of its own.
#[must_use]
pub fn same(one: &str, other: &str, default_key: &str) -> bool {
    parts(one, default_key) == parts(other, default_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_the_key_that_is_left_out_make_no_difference() {
        assert!(same(
            "type=secure,network=10.0.0.0/24",
            "network=10.0.0.0/24,type=secure",
            "type"
        ));
        assert!(same(
            "secure,network=10.0.0.0/24",
            "network=10.0.0.0/24, type=secure",
            "type"
        ));
        assert!(!same(
            "insecure,network=10.0.0.0/24",
            "type=secure,network=10.0.0.0/24",
            "type"
        ));
        assert!(!same("type=secure", "type=secure,network=10.0.0.0/24", "type"));
        assert_eq!(parts("secure,network=a", "type")["type"], "secure");
    }
}
