//! `zpool get`: properties of pools.

use std::collections::BTreeMap;

use quorate_exec::{Invocation, Tools};

use crate::zpool::NAME;
use crate::{CallError, ParseError};

/// What is asked for of every imported pool.
const WANTED: &str = "size,allocated,fragmentation,ashift,autotrim";

/// Of all imported pools: no header (`-H`), numbers in full (`-p`).
///
/// # Errors
/// When zpool is not installed.
pub fn of_pools(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["get", "-Hp", WANTED]).build()?)
}

/// Properties of a pool, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// A number; `None`: it is not there, or `-`.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u32> {
        self.0.get(name)?.parse().ok()
    }

    /// A number of bytes that every pool has; 0 where zpool prints `-`: of a pool that it can't open it knows none.
    ///
    /// # Errors
    /// It is not there.
    pub fn needed(&self, name: &str) -> Result<u64, ParseError> {
        let value = self.0.get(name).and_then(|value| match value.as_str() {
            "-" => Some(0),
            value => value.parse().ok(),
        });
        value.ok_or_else(|| ParseError::missing(NAME, format!("a pool without `{name}`")))
    }

    /// `on` or `off`.
    #[must_use]
    pub fn switch(&self, name: &str) -> Option<bool> {
        match self.0.get(name)?.as_str() {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        }
    }
}

/// Reads them, by pool. A pool that does not answer for a property has `-` there.
///
/// # Errors
/// A line is not a name, a property, a value and its source.
pub fn read(stdout: &str) -> Result<BTreeMap<String, Properties>, ParseError> {
    let mut pools = BTreeMap::<String, Properties>::new();
    // Without a pool it says so, in words.
    for line in stdout.lines().filter(|line| *line != "no pools available") {
        let [pool, property, value, _source] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(ParseError::at(
                NAME,
                line,
                "expected a pool, a property, its value and source",
            ));
        };
        let properties = pools.entry(pool.to_owned()).or_default();
        properties.0.insert(property.to_owned(), value.to_owned());
    }
    Ok(pools)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_by_pool() {
        let call = of_pools(&Tools::imagined()).unwrap().to_string();
        assert_eq!(
            call,
            "/usr/bin/zpool get -Hp size,allocated,fragmentation,ashift,autotrim"
        );
        let pools = read(fixture!("zpool-get/2.1.11/all.out")).unwrap();
        let tank = &pools["tank"];
        assert_eq!(tank.needed("size"), Ok(503_316_480));
        assert_eq!((tank.number("ashift"), tank.switch("autotrim")), (Some(12), Some(true)));
        assert_eq!((tank.number("checkpoint"), tank.switch("nothing")), (None, None));
        assert!(tank.needed("nothing").is_err());
        // Source: zpool_main.c, libzfs_pool.c `zpool_get_prop`: all but name, health and guid of a pool that can't be opened is `-`.
        let faulted = read("dead\tsize\t-\t-\ndead\tallocated\t-\t-\ndead\tashift\t-\t-\n").unwrap();
        let dead = &faulted["dead"];
        assert_eq!((dead.needed("size"), dead.number("ashift")), (Ok(0), None));
        assert_eq!(
            (read(""), read("no pools available\n")),
            (Ok(BTreeMap::new()), Ok(BTreeMap::new()))
        );
        assert!(read("no such pool\n").is_err());
    }
}
