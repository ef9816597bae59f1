//! `nft` of nftables: tables of our own that let packets fall until the kernel itself forgets them.
//!
//! What is to fall is matched against a set whose elements have a timeout. When it is over, the kernel takes the element out and the rule
//! matches nothing any more: no process is needed. nft 1.0.6, asked for JSON, tells timeouts in whole seconds and no device of a chain.

mod script;

use std::collections::BTreeMap;
use std::fmt;

use quorate_exec::{Invocation, Stdin, Tools};
use serde::Deserialize;
use serde_json::Value;

use crate::{CallError, ParseError, json};

pub use script::{EVERYTHING, GUESTS, OWN4, OWN6, addresses, ports};

/// Its name.
pub const NAME: &str = "nft";

/// How the names of our tables begin.
pub const PREFIX: &str = "quorate_fault_";

/// Which packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Those of a port, whoever sends or gets them.
    Netdev,
    /// The server's own, IPv4 and IPv6.
    Inet,
}

impl Family {
    /// As nft writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Netdev => "netdev",
            Self::Inet => "inet",
        }
    }
}

/// A table of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table {
    /// Its family.
    pub family: Family,
    /// Its name, which begins with [`PREFIX`].
    pub name: String,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family.as_str(), self.name)
    }
}

impl Table {
    /// The table of a fault: nft's names have no hyphens.
    #[must_use]
    pub fn of(family: Family, id: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' };
        Self {
            family,
            name: format!("{PREFIX}{}", id.chars().map(plain).collect::<String>()),
        }
    }
}

/// `nft -f -`: all that stands in the text is done at once, or nothing.
///
/// # Errors
/// When nft is not installed.
pub fn load(tools: &Tools, script: &str) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?.args(["-f", "-"]).stdin(Stdin::bytes(script));
    Ok(call.on_host().build()?)
}

/// `nft delete table …`: the undo, and the same words for the timer.
///
/// # Errors
/// When nft is not installed.
pub fn delete(tools: &Tools, table: &Table) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?;
    let call = call.args(["delete", "table", table.family.as_str(), &table.name]);
    Ok(call.on_host().build()?)
}

/// `nft flush set …`: what it held passes again.
///
/// # Errors
/// When nft is not installed.
pub fn flush_set(tools: &Tools, table: &Table, set: &str) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?;
    let call = call.args(["flush", "set", table.family.as_str(), &table.name, set]);
    Ok(call.on_host().build()?)
}

/// Asks for all tables.
///
/// # Errors
/// When nft is not installed.
pub fn list_tables(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["-j", "list", "tables"]).on_host().build()?)
}

/// Asks for one table with all that is in it.
///
/// # Errors
/// When nft is not installed.
pub fn list(tools: &Tools, table: &Table) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?;
    let call = call.args(["-j", "list", "table", table.family.as_str(), &table.name]);
    Ok(call.on_host().build()?)
}

/// Whether nft, by its stderr, knows no such table.
#[must_use]
pub fn says_no_such(stderr: &str) -> bool {
    stderr.contains("No such file or directory")
}

#[derive(Deserialize)]
struct Document {
    nftables: Vec<BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct NamedTable {
    family: String,
    name: String,
}

#[derive(Deserialize)]
struct NamedSet {
    name: String,
    #[serde(default)]
    elem: Vec<Value>,
}

fn objects(stdout: &str) -> Result<Vec<BTreeMap<String, Value>>, ParseError> {
    let objects = json::read::<Document>(NAME, stdout)?.nftables;
    if objects.iter().any(BTreeMap::is_empty) {
        return Err(ParseError::missing(NAME, "an object of no kind"));
    }
    Ok(objects)
}

fn read_as<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, ParseError> {
    serde_json::from_value(value.clone()).map_err(|error| ParseError::at(NAME, &value.to_string(), error.to_string()))
}

/// Reads [`list_tables`]: those of ours. Others' are left alone, and are not told.
///
/// # Errors
/// When it is not JSON of nft's, or a table has no name or family, or one of ours has a family that we never use.
pub fn read_tables(stdout: &str) -> Result<Vec<Table>, ParseError> {
    let mut ours = Vec::new();
    for value in objects(stdout)?.iter().filter_map(|object| object.get("table")) {
        let found: NamedTable = read_as(value)?;
        if !found.name.starts_with(PREFIX) {
            continue;
        }
        let family = [Family::Netdev, Family::Inet]
            .into_iter()
            .find(|family| family.as_str() == found.family);
        let family = family.ok_or_else(|| ParseError::at(NAME, &value.to_string(), "a family that is none of ours"))?;
        ours.push(Table {
            family,
            name: found.name,
        });
    }
    Ok(ours)
}

/// What is in a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// Its sets, and how many elements each holds still.
    pub sets: BTreeMap<String, usize>,
    /// How many chains it has.
    pub chains: usize,
}

impl Content {
    /// Does anything fall by it?
    #[must_use]
    pub fn holds(&self) -> bool {
        self.sets.values().any(|elements| *elements > 0)
    }
}

/// Reads [`list`].
///
/// # Errors
/// When it is not JSON of nft's, or a set has no name.
pub fn read(stdout: &str) -> Result<Content, ParseError> {
    let mut content = Content::default();
    for object in objects(stdout)? {
        if let Some(value) = object.get("set") {
            let set: NamedSet = read_as(value)?;
            content.sets.insert(set.name, set.elem.len());
        }
        content.chains += usize::from(object.contains_key("chain"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::of(Family::Netdev, "hk1-9.1-cut.1")
    }

    #[test]
    fn every_call_names_our_own_table() {
        let tools = Tools::imagined();
        let calls = [
            list_tables(&tools).unwrap(),
            list(&tools, &table()).unwrap(),
            delete(&tools, &table()).unwrap(),
            flush_set(&tools, &table(), EVERYTHING).unwrap(),
            load(&tools, "x").unwrap(),
        ];
        assert!(calls.iter().all(Invocation::is_on_host));
        assert_eq!(
            calls.map(|call| call.command().to_string()),
            [
                "/usr/bin/nft -j list tables",
                "/usr/bin/nft -j list table netdev quorate_fault_hk1_9.1_cut.1",
                "/usr/bin/nft delete table netdev quorate_fault_hk1_9.1_cut.1",
                "/usr/bin/nft flush set netdev quorate_fault_hk1_9.1_cut.1 everything",
                "/usr/bin/nft -f -",
            ]
        );
    }

    #[test]
    fn others_tables_are_not_told() {
        assert_eq!(read_tables(fixture!("nft/1.0.6/tables.out")).unwrap(), [table()]);
        assert_eq!(read_tables(fixture!("nft/1.0.6/no-tables.out")).unwrap(), []);
        let odd = fixture!("nft/1.0.6/tables.out").replace("netdev", "bridge");
        assert!(read_tables(&odd).unwrap_err().to_string().contains("none of ours"));
        assert!(read_tables("").is_err() && read_tables("{}").is_err());
    }

    #[test]
    fn what_a_table_still_holds() {
        let sets = |text| read(text).unwrap().sets.into_iter().collect::<Vec<_>>();
        let of = |everything, guests| vec![(EVERYTHING.to_owned(), everything), (GUESTS.to_owned(), guests)];
        assert_eq!(sets(fixture!("nft/1.0.6/table-holds.out")), of(2, 2));
        assert_eq!(sets(fixture!("nft/1.0.6/table-half.out")), of(0, 2));
        assert_eq!(sets(fixture!("nft/1.0.6/table-over.out")), of(0, 0));
        assert_eq!(
            sets(fixture!("nft/1.0.6/link-holds.out")),
            [(OWN4.to_owned(), 2), (OWN6.to_owned(), 1)]
        );
        let content = read(fixture!("nft/1.0.6/table-over.out")).unwrap();
        assert!(!content.holds() && content.chains == 4);
        assert!(read("[]").is_err() && read(r#"{"nftables":[{}]}"#).is_err());
    }

    #[test]
    fn no_such_table_is_told_from_other_complaints() {
        assert!(says_no_such(fixture!("nft/1.0.6/delete-missing.err")));
        assert!(says_no_such(fixture!("nft/1.0.6/list-missing.err")));
        assert!(!says_no_such(fixture!("nft/1.0.6/exists.err")));
        assert!(!says_no_such(fixture!("nft/1.0.6/no-rights.err")));
    }
}
