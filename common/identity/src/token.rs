//! The token of an invitation: proves to the coordinator that a node was invited, and to the node which fleet's root
//! it may trust.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, DecodeError, DecodeKind};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::fingerprint::Fingerprint;
use crate::key::{KeyError, random};

/// The first part of every token; counts up if the form ever changes.
const PREFIX: &str = "qrt1";
/// 128 bits in base 32.
const SECRET_LENGTH: usize = 26;
/// 256 bits in base 32.
const ROOT_LENGTH: usize = 52;

/// A token: `qrt1.SECRET.ROOT`, in base 32 with lower-case letters. SECRET is 128 random bits, ROOT the SHA-256 of the
/// root certificate's DER. Wiped when dropped, never shown by accident: only [`Token::to_text`] gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: Zeroizing<[u8; 16]>,
    root: Fingerprint,
}

/// What the coordinator keeps of a token: enough to recognise it, not enough to use it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoredToken(Fingerprint);

/// Why a text is not a token. No variant holds any of the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing was given.
    #[error("no token was given")]
    Empty,
    /// Does not start with `qrt1.`.
    #[error("a token starts with \"{PREFIX}.\"")]
    Prefix,
    /// Not three parts between full stops.
    #[error("a token has three parts separated by full stops; this has {parts}: was it copied whole?")]
    Parts {
        /// How many it has.
        parts: usize,
    },
    /// A part is too short or too long.
    #[error("the {part} part of the token has {length} characters instead of {expected}: was it copied whole?")]
    Length {
        /// `second` or `third`.
        part: &'static str,
        /// How many characters it has.
        length: usize,
        /// How many it should have.
        expected: usize,
    },
    /// A character that is not in the alphabet.
    #[error("character {position} of the token is none of a-z and 2-7")]
    Character {
        /// Its position in the whole token, counted from 1.
        position: usize,
    },
    /// The last character of a part carries bits that must be zero.
    #[error("the {part} part of the token does not end as a token does: was it mistyped?")]
    Ending {
        /// `second` or `third`.
        part: &'static str,
    },
}

impl Token {
    /// Makes a token for a fleet whose nodes will trust `root`.
    ///
    /// # Errors
    /// The system's random source failed.
    pub fn generate(root: &Certificate) -> Result<Self, KeyError> {
        Ok(Self {
            secret: Zeroizing::new(random()?),
            root: root.fingerprint(),
        })
    }

    /// The token as the administrator carries it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut secret = Zeroizing::new(BASE32_NOPAD.encode(self.secret.as_slice()));
        let mut root = BASE32_NOPAD.encode(self.root.as_bytes());
        secret.make_ascii_lowercase();
        root.make_ascii_lowercase();
        Zeroizing::new(format!("{PREFIX}.{}.{root}", secret.as_str()))
    }

    /// The fingerprint of the root certificate that the node may trust.
    #[must_use]
    pub fn root(&self) -> Fingerprint {
        self.root
    }

    /// What the coordinator keeps.
    #[must_use]
    pub fn stored(&self) -> StoredToken {
        StoredToken(Fingerprint::of(self.secret.as_slice()))
    }
}

impl StoredToken {
    /// Is it this token? Takes the same time wherever they differ.
    #[must_use]
    pub fn matches(&self, token: &Token) -> bool {
        let (ours, theirs) = (self.0, token.stored().0);
        let difference = ours
            .as_bytes()
            .iter()
            .zip(theirs.as_bytes())
            .fold(0, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}

impl FromStr for Token {
    type Err = TokenError;

    /// White space around the token is ignored, since it is pasted and piped; inside, nothing is forgiven.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        let rest = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_prefix('.'))
            .ok_or(TokenError::Prefix)?;
        let (secret, root) = match rest.split_once('.') {
            Some((secret, root)) if !root.contains('.') => (secret, root),
            _ => {
                return Err(TokenError::Parts {
                    parts: text.split('.').count(),
                });
            }
        };
        let secret_at = PREFIX.len() + 1;
        let secret = decode::<16>("second", secret, SECRET_LENGTH, secret_at)?;
        let root = decode::<32>("third", root, ROOT_LENGTH, secret_at + SECRET_LENGTH + 1)?;
        Ok(Self {
            secret,
            root: Fingerprint::from_bytes(*root),
        })
    }
}

/// Decodes one part, which starts after `offset` characters of the token.
fn decode<const N: usize>(
    part: &'static str,
    text: &str,
    expected: usize,
    offset: usize,
) -> Result<Zeroizing<[u8; N]>, TokenError> {
    let length = text.chars().count();
    if length != expected {
        return Err(TokenError::Length { part, length, expected });
    }
    if let Some(index) = text.chars().position(|c| !matches!(c, 'a'..='z' | '2'..='7')) {
        return Err(TokenError::Character {
            position: offset + index + 1,
        });
    }
    let upper = Zeroizing::new(text.to_ascii_uppercase());
    let bytes = BASE32_NOPAD
        .decode(upper.as_bytes())
        .map(Zeroizing::new)
        .map_err(|error| match error {
            DecodeError {
                kind: DecodeKind::Symbol,
                position,
            } => TokenError::Character {
                position: offset + position + 1,
            },
            _ => TokenError::Ending { part },
        })?;
    let mut array = Zeroizing::new([0; N]);
    for (to, from) in array.iter_mut().zip(bytes.iter()) {
        *to = *from;
    }
    Ok(array)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(secret: [u8; 16], root: [u8; 32]) -> Token {
        Token {
            secret: Zeroizing::new(secret),
            root: Fingerprint::from_bytes(root),
        }
    }

    proptest! {
        #[test]
        fn survives_its_text(secret: [u8; 16], root: [u8; 32]) {
            let token = token(secret, root);
            let text = token.to_text();
            prop_assert_eq!(text.len(), 4 + 1 + 26 + 1 + 52);
            prop_assert!(text.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '.')));
            let back: Token = format!(" {}\n", text.as_str()).parse().unwrap();
            prop_assert_eq!(back, token);
        }

        #[test]
        fn one_text_a_token(text in "(qrt1\\.)?[a-z2-7]{24,27}\\.[a-z2-7]{51,53}") {
            if let Ok(token) = text.parse::<Token>() {
                let written = token.to_text();
                prop_assert_eq!(written.as_str(), text);
            }
        }

        #[test]
        fn anything_else_is_an_error_and_never_shows_the_secret(text in "\\PC{0,100}") {
            if let Err(error) = text.parse::<Token>() {
                prop_assert!(!error.to_string().is_empty());
            }
        }

        #[test]
        fn a_changed_character_is_found_or_makes_another_token(at in 5_usize..84, to in "[a-z2-9A-Z.é]") {
            let original = token([0xa5; 16], [0x5a; 32]);
            let mut text: Vec<char> = original.to_text().chars().collect();
            prop_assume!(text[at] != to.chars().next().unwrap());
            text[at] = to.chars().next().unwrap();
            if let Ok(other) = text.into_iter().collect::<String>().parse::<Token>() {
                prop_assert_ne!(other, original);
            }
        }
    }

    #[test]
    fn errors_say_what_and_where() {
        let good = token([7; 16], [9; 32]).to_text();
        let parse = |text: &str| text.parse::<Token>().unwrap_err();
        assert_eq!(parse("  "), TokenError::Empty);
        assert_eq!(parse("hello"), TokenError::Prefix);
        assert_eq!(parse(&good.replace("qrt1", "qrt2")), TokenError::Prefix);
        assert_eq!(parse("qrt1.abc"), TokenError::Parts { parts: 2 });
        assert_eq!(parse(&format!("{}.x", good.as_str())), TokenError::Parts { parts: 4 });
        assert_eq!(
            parse(&good[..good.len() - 3]),
            TokenError::Length {
                part: "third",
                length: 49,
                expected: 52
            }
        );
        assert_eq!(
            parse("qrt1.abc.def"),
            TokenError::Length {
                part: "second",
                length: 3,
                expected: 26
            }
        );
        let mut typo = good.to_string();
        typo.replace_range(9..10, "0");
        assert_eq!(parse(&typo), TokenError::Character { position: 10 });
        typo.replace_range(9..10, "A");
        assert_eq!(parse(&typo), TokenError::Character { position: 10 });
        let mut typo = good.to_string();
        typo.replace_range(30..31, "b");
        assert_eq!(parse(&typo), TokenError::Ending { part: "second" });
    }

    #[test]
    fn the_coordinator_recognises_without_keeping_the_secret() {
        let (mine, other) = (token([1; 16], [9; 32]), token([2; 16], [9; 32]));
        let stored = serde_json::to_string(&mine.stored()).unwrap();
        assert!(!stored.contains(&mine.to_text()[5..31]));
        let stored: StoredToken = serde_json::from_str(&stored).unwrap();
        assert!(stored.matches(&mine));
        assert!(!stored.matches(&other));
    }

    #[test]
    fn debug_shows_the_root_only() {
        let shown = format!("{:?}", token([0xab; 16], [0xcd; 32]));
        assert!(shown.contains("cdcd:"), "{shown}");
        assert!(
            !shown.contains("171") && !shown.to_lowercase().contains("abab"),
            "{shown}"
        );
    }
}
