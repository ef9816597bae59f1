//! /etc/pve/ceph.conf: which nodes have a monitor.

use crate::ParseError;

const NAME: &str = "ceph.conf";

/// Reads the names of the monitors that have a section of their own (`[mon.NAME]`), as pveceph writes one for each.
///
/// # Errors
/// At a section that is not closed.
pub fn read_monitors(text: &str) -> Result<Vec<String>, ParseError> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        let Some(rest) = line.strip_prefix('[') else {
            continue;
        };
        let name = rest.split_once(']').map(|(name, _)| name.trim());
        let name = name.ok_or_else(|| ParseError::at(NAME, line, "a section that is not closed"))?;
        if let Some(monitor) = name.strip_prefix("mon.") {
            found.push(monitor.to_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monitors_by_name() {
        assert_eq!(
            read_monitors(fixture!("ceph.conf/pve-8.4/three-monitors.conf")).unwrap(),
            ["prox1", "prox2", "prox3"]
        );
        assert_eq!(read_monitors("[global]\n\tfsid = x\n").unwrap(), Vec::<String>::new());
        assert!(read_monitors("[mon.prox1\n").is_err());
    }
}
