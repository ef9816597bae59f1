//! What a process reads: nothing, bytes that may be a secret, or a file.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

/// The standard input of a process. Never inherited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    /// `/dev/null`.
    #[default]
    Null,
    /// These bytes through a pipe, then end of file.
    Bytes(SecretBytes),
    /// The content of a file, opened when the process starts.
    File(PathBuf),
}

impl Stdin {
    /// These bytes. Each is treated as a secret: shown nowhere, overwritten when dropped.
    #[must_use]
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(SecretBytes::new(bytes))
    }

    /// How many bytes are handed over, as far as that is known before.
    #[must_use]
    pub fn known_len(&self) -> Option<usize> {
        match self {
            Self::Null => Some(0),
            Self::Bytes(bytes) => Some(bytes.expose().len()),
            Self::File(_) => None,
        }
    }
}

/// Bytes that no `Debug` shows and that are overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}
