//! /etc/pve/datacenter.cfg: what holds for the whole cluster, `KEY: VALUE` a line.

use std::collections::BTreeMap;

use crate::ParseError;

const NAME: &str = "datacenter.cfg";

/// Reads all settings, as they are written.
///
/// # Errors
/// At a line that is no setting, or one that stands twice.
pub fn read(text: &str) -> Result<BTreeMap<String, String>, ParseError> {
    let mut found = BTreeMap::new();
    let lines = text.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let bad = |what| ParseError::at(NAME, line, what);
        let (key, value) = line.split_once(':').ok_or_else(|| bad("expected `KEY: VALUE`"))?;
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(bad("expected `KEY: VALUE`"));
        }
        if found.insert(key.to_owned(), value.trim().to_owned()).is_some() {
            return Err(bad("this setting stands twice"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_by_key() {
        let text = "keyboard: de\nmigration: type=secure,network=10.10.10.0/24\n# a remark\n\nmac_prefix: BC:24:11\n";
        let settings = read(text).unwrap();
        assert_eq!(settings["migration"], "type=secure,network=10.10.10.0/24");
        assert_eq!(settings["mac_prefix"], "BC:24:11");
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_setting_is_an_error() {
        for bad in ["keyboard", "two words: x", "a: 1\na: 2"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
