//! ssh's public key files (`*.pub`).

use quorate_model::ids::SshPublicKey;

use crate::ParseError;

const NAME: &str = "ssh public key";

/// Reads the key of a file; `None`: it is of a kind that today's sshd no longer takes (DSA), and of no use to anybody.
///
/// # Errors
/// When the file is no public key.
pub fn read(text: &str) -> Result<Option<SshPublicKey>, ParseError> {
    let line = text.trim();
    let mut words = line.split_whitespace();
    let (Some(kind), Some(blob)) = (words.next(), words.next()) else {
        return Err(ParseError::at(NAME, line, "expected `TYPE KEY COMMENT`"));
    };
    if kind == "ssh-dss" {
        return Ok(None);
    }
    let key = SshPublicKey::new(format!("{kind} {blob}"));
    key.map(Some).map_err(|error| ParseError::at(NAME, line, error.reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_its_comment() {
        let blob = "AAAAC3NzaC1lZDI1NTE5AAAAIJ".repeat(3);
        let key = read(&format!("ssh-ed25519 {blob} root@prox1\n")).unwrap().unwrap();
        assert_eq!(key.as_str(), format!("ssh-ed25519 {blob}"));
        assert_eq!(read("ssh-dss AAAAB3NzaC1kc3M root@prox1\n").unwrap(), None);
        for bad in ["", "ssh-rsa\n", "rsa AAAA\n", "ssh-rsa ????\n"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
