//! `zfs get`: how datasets are set up.

use std::collections::BTreeMap;

use quorate_exec::{Invocation, Tools};

use crate::CallError;

/// Its name.
pub const NAME: &str = "zfs";

/// How these datasets compress: no header (`-H`), values in full (`-p`).
///
/// # Errors
/// When zfs is not installed.
pub fn compression(tools: &Tools, datasets: &[&str]) -> Result<Invocation, CallError> {
    let call = tools
        .call(NAME)?
        .args(["get", "-Hp", "-o", "name,value", "compression"]);
    Ok(call.args(datasets.iter().copied()).build()?)
}

/// Reads it, by dataset. A line of another form says nothing.
#[must_use]
pub fn read(stdout: &str) -> BTreeMap<String, String> {
    let lines = stdout.lines().filter_map(|line| line.split_once('\t'));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_by_dataset() {
        let call = compression(&Tools::imagined(), &["tank", "data_zfs"])
            .unwrap()
            .to_string();
        assert_eq!(call, "/usr/bin/zfs get -Hp -o name,value compression tank data_zfs");
        let read = read("tank\tlz4\ndata_zfs\ton\n");
        assert_eq!(read["tank"], "lz4");
        assert_eq!(read["data_zfs"], "on");
    }
}
