//! A command line as a person could paste it into a shell.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;

/// Writes one word, quoted as little as a POSIX shell needs.
///
/// Words with control characters or bytes that are not UTF-8 use the `$'…'` form, so that nothing in them can move
/// the cursor of the terminal on which they are shown.
pub(crate) fn word(out: &mut fmt::Formatter<'_>, word: &OsStr) -> fmt::Result {
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(is_plain) => out.write_str(text),
        Some(text) if !text.chars().any(char::is_control) => {
            out.write_char('\'')?;
            out.write_str(&text.replace('\'', r"'\''"))?;
            out.write_char('\'')
        }
        _ => escaped(out, word.as_bytes()),
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "%+,-./:=@_".contains(c)
}

fn escaped(out: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    out.write_str("$'")?;
    for &byte in bytes {
        match byte {
            b'\n' => out.write_str(r"\n")?,
            b'\t' => out.write_str(r"\t")?,
            b'\'' => out.write_str(r"\'")?,
            b'\\' => out.write_str(r"\\")?,
            b' '..=b'~' => out.write_char(char::from(byte))?,
            // Three octal digits never swallow the character that follows, unlike `\x`.
            other => write!(out, "\\{other:03o}")?,
        }
    }
    out.write_char('\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Quoted<'a>(&'a OsStr);

    impl fmt::Display for Quoted<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            word(f, self.0)
        }
    }

    fn quoted(bytes: &[u8]) -> String {
        Quoted(OsStr::from_bytes(bytes)).to_string()
    }

    #[test]
    fn plain_words_stay_plain_and_the_rest_is_quoted() {
        assert_eq!(quoted(b"--link0=10.0.0.1"), "--link0=10.0.0.1");
        assert_eq!(quoted(b""), "''");
        assert_eq!(quoted(b"two words"), "'two words'");
        assert_eq!(quoted(b"it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted("größe".as_bytes()), "'größe'");
    }

    #[test]
    fn nothing_reaches_the_terminal_as_a_control_character() {
        assert_eq!(quoted(b"a\nb"), r"$'a\nb'");
        assert_eq!(quoted(b"\x1b[2J1"), r"$'\033[2J1'");
        assert_eq!(quoted(b"\xff'\\"), r"$'\377\'\\'");
        assert!(!quoted("\u{9b}2J".as_bytes()).contains('\u{9b}'));
    }
}
