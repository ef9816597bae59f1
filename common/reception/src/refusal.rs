//! What a refused connection is called.

use std::net::SocketAddr;

use quorate_identity::{PeerComplaint, Refusal};
use quorate_model::{Code, Finding};

/// The finding that a refusal is, unless it is a mere lack of connection.
#[must_use]
pub fn finding(subject: &str, refusal: &Refusal) -> Option<Finding> {
    let code = code(refusal)?;
    Some(Finding::new(code, subject, sentence(refusal), refusal.hint()))
}

/// Writes into the log that a caller was refused, with the code of the finding that it is.
pub fn note(address: SocketAddr, refusal: &Refusal) {
    let (code, reason) = (code(refusal).map_or("-", Code::as_str), sentence(refusal));
    tracing::warn!(%address, code, %reason, hint = refusal.hint(), "refused a caller");
}

/// An error with its causes in one line.
#[must_use]
pub fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn code(refusal: &Refusal) -> Option<Code> {
    Some(match refusal {
        Refusal::Unreachable { .. }
        | Refusal::TimedOut { .. }
        | Refusal::Closed
        | Refusal::ClosedAfterHandshake
        | Refusal::Broken(_) => return None,
        Refusal::NoCertificate | Refusal::ByPeer(PeerComplaint::NoCertificate) => Code::TlsNoCertificate,
        Refusal::UnknownIssuer | Refusal::WrongFleet { .. } | Refusal::ByPeer(PeerComplaint::UnknownCa) => {
            Code::TlsOtherCa
        }
        Refusal::Expired { .. }
        | Refusal::ByPeer(PeerComplaint::NotValidNow {
            valid_by_our_clock: false,
        }) => Code::TlsExpired,
        // Valid by our clock and not by theirs: whichever is wrong, it is a matter of clocks.
        Refusal::NotYetValid { .. }
        | Refusal::ByPeer(PeerComplaint::NotValidNow {
            valid_by_our_clock: true,
        }) => Code::TlsNotYetValid,
        Refusal::WrongName { .. } | Refusal::WrongRole { .. } => Code::TlsWrongName,
        Refusal::Revoked { .. } | Refusal::ByPeer(PeerComplaint::Revoked) => Code::TlsRevoked,
        Refusal::RoleFromWrongCa { .. } => Code::RoleWrongCa,
        Refusal::WrongPurpose
        | Refusal::NoRole(_)
        | Refusal::NotAServer { .. }
        | Refusal::ByPeer(PeerComplaint::WrongPurpose) => Code::RoleNotAllowed,
        _ => Code::TlsFailed,
    })
}
