//! What a node must be given to join: never kept, never shown.

use std::fmt;

use quorate_exec::SecretBytes;
use quorate_tools::pve_config::certificate::is_fingerprint;

/// A ticket or password, and the certificate that it may be shown to.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinSecret {
    /// A root@pam ticket of the member, or root's password there; without a line feed.
    pub password: SecretBytes,
    /// SHA-256 of the member's certificate, as `pvecm add --fingerprint` wants it.
    pub fingerprint: String,
}

/// Why a secret is none. Never holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// Nothing.
    #[error("the ticket or password is empty")]
    Empty,
    /// It would not be one line on a tool's stdin.
    #[error("the ticket or password has control characters, or is longer than 2048 bytes")]
    NotALine,
    /// Not a fingerprint.
    #[error("the member's fingerprint is not 32 pairs of hexadecimal digits with colons")]
    Fingerprint,
}

impl JoinSecret {
    /// Checks and takes it.
    ///
    /// # Errors
    /// What it breaks.
    pub fn new(password: String, fingerprint: String) -> Result<Self, InvalidSecret> {
        let password = line(password)?;
        if !is_fingerprint(&fingerprint) {
            return Err(InvalidSecret::Fingerprint);
        }
        Ok(Self { password, fingerprint })
    }
}

/// A secret that is one line on a tool's stdin, still without its line feed.
///
/// # Errors
/// It is empty, or none.
pub fn line(secret: String) -> Result<SecretBytes, InvalidSecret> {
    let secret = SecretBytes::new(secret);
    let bytes = secret.expose();
    if bytes.is_empty() {
        return Err(InvalidSecret::Empty);
    }
    if bytes.len() > 2048 || bytes.iter().any(u8::is_ascii_control) {
        return Err(InvalidSecret::NotALine);
    }
    Ok(secret)
}

impl Default for JoinSecret {
    fn default() -> Self {
        Self {
            password: SecretBytes::new(Vec::new()),
            fingerprint: String::new(),
        }
    }
}

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSecret")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}
