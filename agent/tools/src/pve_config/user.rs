//! /etc/pve/user.cfg: users and API tokens.

use std::collections::BTreeMap;

use crate::ParseError;

const NAME: &str = "user.cfg";

/// Kinds of entries that are not looked into.
const OTHERS: [&str; 4] = ["group", "role", "pool", "acl"];

/// Whom the file names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Users {
    /// Users but root@pam, in the file's order.
    pub users: Vec<String>,
    /// API tokens, as `USER!NAME`.
    pub tokens: Vec<String>,
}

/// Reads the file: lines of fields with colons between them.
///
/// # Errors
/// At a kind of entry that PVE does not have, or an entry without a name.
pub fn read(text: &str) -> Result<Users, ParseError> {
    let mut found = Users::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let bad = |what| ParseError::at(NAME, line, what);
        let mut fields = line.split(':').map(str::trim);
        let kind = fields.next().unwrap_or_default();
        if OTHERS.contains(&kind) || kind.starts_with('#') {
            continue;
        }
        let name = fields.next().filter(|name| name.contains('@'));
        let name = name.ok_or_else(|| bad("expected `user:NAME@REALM` or `token:NAME@REALM!TOKEN`"))?;
        match kind {
            "user" if name == "root@pam" => {}
            "user" => found.users.push(name.to_owned()),
            "token" if name.contains('!') => found.tokens.push(name.to_owned()),
            _ => return Err(bad("an entry of an unknown kind")),
        }
    }
    Ok(found)
}

/// Groups, roles, pools and ACLs: what the file says beside users and tokens. `None`: nothing.
#[must_use]
pub fn others(text: &str) -> Option<String> {
    let lines = text.lines().map(str::trim).filter(|line| {
        let kind = line.split(':').next().unwrap_or_default();
        OTHERS.contains(&kind)
    });
    let found: String = lines.map(|line| format!("{line}\n")).collect();
    (!found.is_empty()).then_some(found)
}

/// PVE's pools of guests, with the ids of those in them: `pool:NAME:COMMENT:GUESTS:STORAGES:`.
///
/// # Errors
/// At a pool without a name, or a guest that is no number.
pub fn pools(text: &str) -> Result<BTreeMap<String, Vec<u32>>, ParseError> {
    let mut found = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        let Some(rest) = line.strip_prefix("pool:") else {
            continue;
        };
        let bad = |what| ParseError::at(NAME, line, what);
        let mut fields = rest.split(':').map(str::trim);
        let name = fields.next().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| bad("a pool without a name"))?;
        let guests = fields.nth(1).unwrap_or_default();
        let guests = guests.split([',', ';', ' ']).filter(|id| !id.is_empty());
        let guests = guests.map(|id| id.parse().map_err(|_| bad("a pool's guest that is no number")));
        found.insert(name.to_owned(), guests.collect::<Result<_, _>>()?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_tokens() {
        let users = read(fixture!("user.cfg/pve-8.4/tokens.cfg")).unwrap();
        assert_eq!(users.users, ["monitor@pve"]);
        assert_eq!(
            others("user:a@pve:1\n\nacl:1:/:a@pve:Administrator:\n").as_deref(),
            Some("acl:1:/:a@pve:Administrator:\n")
        );
        assert_eq!(others("user:root@pam:1:0:::x@y::\n"), None);
        assert_eq!(users.tokens, ["root@pam!backup", "monitor@pve!grafana"]);
        assert_eq!(
            read("user:root@pam:1:0:::root@lab.example::\n").unwrap(),
            Users::default()
        );
    }

    #[test]
    fn pools_of_guests() {
        let pools = pools("user:a@pve:1\npool:prod:all of it:100,101:local:\npool:empty:::\n").unwrap();
        assert_eq!(pools["prod"], [100, 101]);
        assert!(pools["empty"].is_empty());
        assert!(super::pools("pool:x:::\npool:y::abc::\n").is_err());
    }

    #[test]
    fn an_unknown_entry_is_an_error() {
        assert_eq!(
            read("robot:x@pve:1\n").unwrap_err().to_string(),
            "user.cfg: an entry of an unknown kind: `robot:x@pve:1`"
        );
        assert!(read("token:monitor@pve:0:1::\n").is_err(), "a token without a name");
        assert!(read("user\n").is_err());
    }
}
