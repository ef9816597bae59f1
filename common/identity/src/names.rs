//! Names that may stand in a certificate: one label of a DNS name.

use std::fmt;
use std::str::FromStr;

/// The longest label that DNS allows.
const MAX_LENGTH: usize = 63;

/// The name of a fleet, a cluster, a node, an operator or a viewer: 1 to 63 lower-case letters, digits and inner
/// hyphens. Both the URI name and the DNS name of a certificate are built of these, so nothing has to be escaped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name must not be empty")]
    Empty,
    /// Longer than a DNS label may be.
    #[error("name {name:?} has {length} characters; the limit is {MAX_LENGTH}")]
    TooLong {
        /// The text that was given.
        name: String,
        /// Its length in characters.
        length: usize,
    },
    /// A character outside `a-z`, `0-9` and `-`.
    #[error(
        "name {name:?} has {character:?} at position {position}; lower-case letters, digits and inner hyphens are allowed"
    )]
    BadCharacter {
        /// The text that was given.
        name: String,
        /// The first character that is not allowed.
        character: char,
        /// Its position, counted from 1.
        position: usize,
    },
    /// A hyphen at the start or the end.
    #[error("name {name:?} must not start or end with a hyphen")]
    HyphenAtEdge {
        /// The text that was given.
        name: String,
    },
}

impl Name {
    /// Checks `text` and takes it as a name. Nothing is trimmed, folded or otherwise repaired.
    ///
    /// # Errors
    /// Says which rule the text breaks, and where.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = || text.to_owned();
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        for (index, character) in text.chars().enumerate() {
            if !matches!(character, 'a'..='z' | '0'..='9' | '-') {
                return Err(NameError::BadCharacter {
                    name: name(),
                    character,
                    position: index + 1,
                });
            }
        }
        if text.len() > MAX_LENGTH {
            return Err(NameError::TooLong {
                name: name(),
                length: text.len(),
            });
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(NameError::HyphenAtEdge { name: name() });
        }
        Ok(Self(name()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_labels_and_refuses_everything_else_with_its_place() {
        for good in ["a", "prox1", "hk-1", "0", &"x".repeat(63)] {
            assert_eq!(Name::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(Name::parse(""), Err(NameError::Empty));
        assert!(matches!(
            Name::parse("Prox1"),
            Err(NameError::BadCharacter {
                character: 'P',
                position: 1,
                ..
            })
        ));
        assert!(matches!(
            Name::parse("a/b"),
            Err(NameError::BadCharacter {
                character: '/',
                position: 2,
                ..
            })
        ));
        assert!(matches!(Name::parse("a.b"), Err(NameError::BadCharacter { .. })));
        assert!(matches!(
            Name::parse("münchen"),
            Err(NameError::BadCharacter {
                character: 'ü',
                position: 2,
                ..
            })
        ));
        assert!(matches!(Name::parse("-a"), Err(NameError::HyphenAtEdge { .. })));
        assert!(matches!(Name::parse("a-"), Err(NameError::HyphenAtEdge { .. })));
        assert!(matches!(
            Name::parse(&"x".repeat(64)),
            Err(NameError::TooLong { length: 64, .. })
        ));
    }
}
