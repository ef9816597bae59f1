//! Second factors of root@pam: /etc/pve/priv/tfa.cfg, and what /etc/pve/domains.cfg asks of everybody in the realm.
//! tfa.cfg holds secrets: no error shows a word of it.

use serde_json::Value;

use super::sections;
use crate::ParseError;

const NAME: &str = "tfa.cfg";
const ROOT: &str = "root@pam";

/// Has root@pam an entry in tfa.cfg? PVE 7 and later write JSON, before that one line each: `USER:TYPE:DATA`.
///
/// # Errors
/// When it is neither.
pub fn root_has_factor(text: &str) -> Result<bool, ParseError> {
    if text.trim_start().starts_with('{') {
        let file: Value = serde_json::from_str(text)
            .map_err(|error| ParseError::missing(NAME, format!("is no JSON (line {})", error.line())))?;
        return match file.get("users") {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Object(users)) => users.get(ROOT).map_or(Ok(false), has_entries),
            Some(_) => Err(ParseError::missing(NAME, "`users` is no object")),
        };
    }
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut fields = line.trim().splitn(3, ':');
        let (Some(user), Some(_), Some(_)) = (fields.next(), fields.next(), fields.next()) else {
            let line = number + 1;
            return Err(ParseError::missing(NAME, format!("line {line} is no `USER:TYPE:DATA`")));
        };
        if user == ROOT {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A user's entry lists factors by kind; beside them it has counters and locks, which are no factors. A kind that is not
/// known here counts: better a factor too many than a join that can't log in.
fn has_entries(user: &Value) -> Result<bool, ParseError> {
    const NO_FACTORS: [&str; 2] = ["totp-locked", "tfa-locked-until"];
    let Value::Object(kinds) = user else {
        return Err(ParseError::missing(NAME, format!("the entry of {ROOT} is no object")));
    };
    let some = |value: &Value| match value {
        Value::Null => false,
        Value::Array(entries) => !entries.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
        _ => true,
    };
    Ok(kinds
        .iter()
        .any(|(kind, value)| !NO_FACTORS.contains(&kind.as_str()) && some(value)))
}

/// Does the realm `pam` ask everybody for a second factor? Source: its `tfa` in domains.cfg.
///
/// # Errors
/// When the file is no section file.
pub fn realm_wants_factor(domains: &str) -> Result<bool, ParseError> {
    let sections = sections::read("domains.cfg", domains)?;
    Ok(sections
        .iter()
        .any(|section| section.id == "pam" && section.value("tfa").is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_of_root_is_seen() {
        assert!(root_has_factor(fixture!("tfa.cfg/pve-8.4/root-totp.json")).unwrap());
        assert!(!root_has_factor(fixture!("tfa.cfg/pve-8.4/others.json")).unwrap());
        assert!(!root_has_factor("{}").unwrap() && !root_has_factor("").unwrap());
        let locked = r#"{"users":{"root@pam":{"totp":[],"totp-locked":true}}}"#;
        assert!(!root_has_factor(locked).unwrap());
        assert!(root_has_factor(r#"{"users":{"root@pam":{"recovery":{"entries":["x"]}}}}"#).unwrap());
        assert!(root_has_factor("root@pam:u2f:eyJ9\n").unwrap());
        assert!(!root_has_factor("monitor@pve:u2f:eyJ9\n").unwrap());
    }

    #[test]
    fn a_realm_may_ask_everybody() {
        assert!(realm_wants_factor("pam: pam\n\tcomment x\n\ttfa type=oath\n").unwrap());
        assert!(!realm_wants_factor("pam: pam\n\tcomment x\n\npve: pve\n\ttfa type=oath\n").unwrap());
    }

    #[test]
    fn errors_show_nothing_of_the_file() {
        for text in [
            "{\"users\": \"SEED\"}",
            "{ SEED",
            "{\"users\":{\"root@pam\":\"SEED\"}}",
            "SEED\n",
            "{\"users\": {\"SEED\": ",
        ] {
            let said = root_has_factor(text).unwrap_err();
            assert!(said.line.is_none() && !said.to_string().contains("SEED"), "{said}");
        }
    }
}
