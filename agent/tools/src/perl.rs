//! `perl` with PVE's own modules, for the one thing no PVE tool does: making a ticket for root without a password.

use quorate_exec::{Invocation, SecretBytes, Tools};

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "perl";

/// The user name must be exactly this: PVE accepts a valid ticket where it accepts this user's password.
const PROGRAM: &str = "use PVE::AccessControl; print PVE::AccessControl::assemble_ticket('root@pam')";

/// A ticket's first characters.
const PREFIX: &[u8] = b"PVE:root@pam:";

/// Makes a ticket for root@pam, good for two hours. Only on a node whose clock is right: on one that is hours behind, PVE
/// would rotate the cluster's key on this occasion.
///
/// # Errors
/// When perl is not installed.
pub fn assemble_ticket(tools: &Tools) -> Result<Invocation, CallError> {
    // PVE takes a lock below /etc/pve for it, and may make a key.
    Ok(tools.call(NAME)?.args(["-e", PROGRAM]).on_host().build()?)
}

/// Takes the ticket. The error never shows what was printed.
///
/// # Errors
/// When it is no single line that begins as a ticket.
pub fn read_ticket(stdout: &[u8]) -> Result<SecretBytes, ParseError> {
    let ticket = stdout.trim_ascii();
    let one_line = ticket.iter().all(u8::is_ascii_graphic);
    if ticket.starts_with(PREFIX) && ticket.len() > PREFIX.len() && one_line {
        Ok(SecretBytes::new(ticket))
    } else {
        Err(ParseError::missing(
            "perl (assemble_ticket)",
            "what was printed is no ticket",
        ))
    }
}

/// Whether making the ticket rotated the cluster's key, because this node's clock is behind: every ticket made before
/// is then void.
#[must_use]
pub fn rotated_key(stderr: &str) -> bool {
    stderr.contains("auth key pair generated in the future")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_names_the_user_exactly() {
        let call = assemble_ticket(&Tools::imagined()).unwrap();
        let arguments: Vec<_> = call.command().args().map(|arg| arg.to_str().unwrap()).collect();
        assert_eq!(arguments[0], "-e");
        assert_eq!(
            arguments[1],
            "use PVE::AccessControl; print PVE::AccessControl::assemble_ticket('root@pam')"
        );
    }

    #[test]
    fn a_ticket_is_taken_and_nothing_else_is_shown() {
        let ticket = read_ticket(b"PVE:root@pam:6B02D95A::abcDEF==\n").unwrap();
        assert_eq!(ticket.expose(), b"PVE:root@pam:6B02D95A::abcDEF==");
        for bad in [&b""[..], b"PVE:root@pam:", b"secret words", b"PVE:root@pam:a\nb"] {
            let shown = read_ticket(bad).unwrap_err().to_string();
            assert_eq!(shown, "perl (assemble_ticket): what was printed is no ticket");
        }
    }

    #[test]
    fn a_rotated_key_is_noticed() {
        assert!(rotated_key(fixture!("perl/pve-8.4/key-rotated.err")));
        assert!(!rotated_key(""));
    }
}
