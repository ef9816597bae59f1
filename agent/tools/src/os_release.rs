//! /etc/os-release: the distribution.

use crate::ParseError;

const NAME: &str = "/etc/os-release";

/// Reads `PRETTY_NAME`, else `NAME`.
///
/// # Errors
/// When neither is there.
pub fn read(text: &str) -> Result<String, ParseError> {
    let value = |key: &str| {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
        line.map(unquote).filter(|value| !value.is_empty())
    };
    let found = value("PRETTY_NAME").or_else(|| value("NAME"));
    found.ok_or_else(|| ParseError::missing(NAME, "PRETTY_NAME is missing"))
}

/// Takes off shell quotes; of the escapes inside only the backslash itself matters here.
fn unquote(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    inner.unwrap_or(value).replace('\\', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pretty_name_counts() {
        assert_eq!(
            read(fixture!("os-release/debian-12.out")).unwrap(),
            "Debian GNU/Linux 12 (bookworm)"
        );
        assert_eq!(read(fixture!("os-release/plain.out")).unwrap(), "My Distro");
        assert!(read("ID=x\n").is_err());
    }
}
