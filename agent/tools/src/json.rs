//! Reading JSON with an error that names the place.

use serde::de::DeserializeOwned;

use crate::ParseError;

/// How much is shown around the place where a long line breaks.
const AROUND: usize = 60;

pub(crate) fn read<T: DeserializeOwned>(source_name: &'static str, text: &str) -> Result<T, ParseError> {
    if text.trim().is_empty() {
        return Err(ParseError::missing(source_name, "printed nothing"));
    }
    serde_json::from_str(text).map_err(|error| {
        let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
        ParseError::at(source_name, excerpt(line, error.column()), reason(&error))
    })
}

/// Serde's words without the place, which is of no use beside the line itself.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text.get(..end).unwrap_or(&text).to_owned()
}

fn excerpt(line: &str, column: usize) -> &str {
    if line.len() <= 2 * AROUND {
        return line;
    }
    let boundary = |mut at: usize| {
        at = at.min(line.len());
        while !line.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, end) = (
        boundary(column.saturating_sub(AROUND)),
        boundary(column.saturating_add(AROUND)),
    );
    line.get(start..end).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_shows_the_place_of_a_long_line() {
        let text = format!("[{}oops]", "1,".repeat(500));
        let error = read::<Vec<u8>>("ip", &text).unwrap_err();
        assert_eq!(error.reason, "expected value");
        assert!(error.line.unwrap().contains("1,1,oops]"));
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        assert_eq!(read::<u8>("ip", " \n").unwrap_err().to_string(), "ip: printed nothing");
    }
}
