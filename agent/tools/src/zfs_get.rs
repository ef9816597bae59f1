//! `zfs get`: how datasets are set up.

use std::collections::BTreeMap;

use quorate_exec::{Invocation, Tools};

use crate::CallError;

/// Its name.
pub const NAME: &str = "zfs";

/// A property's name.
pub const COMPRESSION: &str = "compression";
/// Seconds since 1970.
pub const CREATION: &str = "creation";

/// How these datasets compress, and when they were made: no header (`-H`), values in full (`-p`).
///
/// # Errors
/// When zfs is not installed.
pub fn of_datasets(tools: &Tools, datasets: &[&str]) -> Result<Invocation, CallError> {
    let wanted = format!("{COMPRESSION},{CREATION}");
    let call = tools
        .call(NAME)?
        .args(["get", "-Hp", "-o", "name,property,value", &wanted]);
    Ok(call.args(datasets.iter().copied()).build()?)
}

/// Reads it, by dataset and property. A line of another form says nothing.
#[must_use]
pub fn read(stdout: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for line in stdout.lines() {
        if let [name, property, value] = line.split('\t').collect::<Vec<_>>().as_slice() {
            let of = found.entry((*name).to_owned()).or_default();
            of.insert((*property).to_owned(), (*value).to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_by_dataset() {
        let call = of_datasets(&Tools::imagined(), &["tank", "data_zfs"])
            .unwrap()
            .to_string();
        assert_eq!(
            call,
            "/usr/bin/zfs get -Hp -o name,property,value compression,creation tank data_zfs"
        );
        let read = read("tank\tcompression\tlz4\ntank\tcreation\t1785000000\ndata_zfs\tcompression\ton\nodd\n");
        assert_eq!(read["tank"][COMPRESSION], "lz4");
        assert_eq!(read["tank"][CREATION], "1785000000");
        assert_eq!(read["data_zfs"].len(), 1);
    }
}
