//! `df` of coreutils: free space.

use quorate_exec::{Invocation, Tools};
use quorate_model::ByteSize;

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "df";

/// Asks for the space on the file system of one path, in bytes. What only root may use is left out: who plans with it is
/// on the safe side.
///
/// # Errors
/// When df is not installed.
pub fn space(tools: &Tools, path: &str) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["--output=avail,size", "-B1", path]).build()?)
}

/// Reads what is still free.
///
/// # Errors
/// When it is not one heading and one line of figures.
pub fn read(stdout: &str) -> Result<ByteSize, ParseError> {
    let mut lines = stdout.lines().filter(|line| !line.trim().is_empty());
    let (Some(_), Some(line), None) = (lines.next(), lines.next(), lines.next()) else {
        return Err(ParseError::missing(NAME, "expected a heading and one line"));
    };
    let free = line.split_whitespace().next().and_then(|word| word.parse().ok());
    free.map(ByteSize)
        .ok_or_else(|| ParseError::at(NAME, line, "expected a number of bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_bytes() {
        assert_eq!(
            space(&Tools::imagined(), "/var/lib").unwrap().to_string(),
            "/usr/bin/df --output=avail,size -B1 /var/lib"
        );
        assert_eq!(read(fixture!("df/9.1/one.out")).unwrap(), ByteSize(65_037_406_208));
        for bad in ["", "Avail\n", "Avail\n-\n", "Avail\n1\n2\n"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
