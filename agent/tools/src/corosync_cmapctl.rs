//! `corosync-cmapctl`: the version of the configuration that each member really runs with.

use std::collections::BTreeMap;

use quorate_exec::{Invocation, Tools};

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "corosync-cmapctl";

/// Asks for the runtime keys of the members, values uncut (`-b`).
///
/// # Errors
/// When it is not installed.
pub fn members(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["-b", "runtime.members."]).build()?)
}

/// A member in corosync's runtime map. Its `ip` is left out on purpose: it goes stale when links change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeMember {
    /// config_version that it runs with.
    pub config_version: u64,
    /// `joined` rather than `left`.
    pub joined: bool,
}

/// Reads the members by id.
///
/// # Errors
/// When a line is no `KEY (TYPE) = VALUE`, or a member lacks version or status.
pub fn read(stdout: &str) -> Result<BTreeMap<u32, RuntimeMember>, ParseError> {
    let mut found: BTreeMap<u32, (Option<u64>, Option<bool>)> = BTreeMap::new();
    for line in stdout.lines().filter(|line| !line.trim().is_empty()) {
        let bad = |what| ParseError::at(NAME, line, what);
        let (left, value) = line
            .split_once(" = ")
            .ok_or_else(|| bad("expected `KEY (TYPE) = VALUE`"))?;
        let key = left.split(" (").next().unwrap_or(left).trim();
        let Some((id, field)) = key
            .strip_prefix("runtime.members.")
            .and_then(|rest| rest.split_once('.'))
        else {
            continue;
        };
        let id = id.parse().map_err(|_| bad("expected a node's id"))?;
        let member = found.entry(id).or_default();
        match field {
            "config_version" => member.0 = Some(value.trim().parse().map_err(|_| bad("expected a number"))?),
            "status" => member.1 = Some(value.trim() == "joined"),
            _ => {}
        }
    }
    let whole = |(id, (version, joined)): (u32, (Option<u64>, Option<bool>))| match (version, joined) {
        (Some(config_version), Some(joined)) => Ok((id, RuntimeMember { config_version, joined })),
        _ => Err(ParseError::missing(
            NAME,
            format!("config_version or status of member {id} is missing"),
        )),
    };
    found.into_iter().map(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_by_id() {
        assert_eq!(
            members(&Tools::imagined()).unwrap().to_string(),
            "/usr/bin/corosync-cmapctl -b runtime.members."
        );
        let found = read(fixture!("corosync-cmapctl/3.1.7/members.out")).unwrap();
        assert_eq!(found.len(), 3);
        assert!(found.values().all(|member| *member
            == RuntimeMember {
                config_version: 5,
                joined: true
            }));
        let found = read(fixture!("corosync-cmapctl/3.1.7/member-left.out")).unwrap();
        assert_eq!(
            found.values().map(|member| member.joined).collect::<Vec<_>>(),
            [true, true, false]
        );
    }

    #[test]
    fn half_a_member_is_an_error() {
        let error = read("runtime.members.7.status (str) = joined\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "corosync-cmapctl: config_version or status of member 7 is missing"
        );
        assert!(read("Failed\n").is_err());
        assert!(read("runtime.members.x.status (str) = joined\n").is_err());
    }
}
