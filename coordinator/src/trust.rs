//! What a refused connection means as a finding, and identity's clock.

use quorate_clock::Clock;
use quorate_identity::{PeerComplaint, Refusal, TimeSource, UnixSeconds};
use quorate_model::{Code, Finding, Timestamp};

/// The process's clock in the form that certificates are checked with.
pub(crate) fn time_source(clock: &Clock) -> TimeSource {
    let clock = clock.clone();
    TimeSource::new(move || unix_seconds(&clock))
}

/// Seconds since 1970 by this clock; zero before.
pub(crate) fn unix_seconds(clock: &Clock) -> UnixSeconds {
    u64::try_from(clock.unix_micros().div_euclid(1_000_000)).unwrap_or(0)
}

/// The present by this clock.
pub(crate) fn now(clock: &Clock) -> Timestamp {
    Timestamp(clock.unix_micros())
}

/// The end of a certificate's life, for people.
pub(crate) fn timestamp(seconds: UnixSeconds) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// The finding that a refusal is, unless it is a mere lack of connection.
pub(crate) fn finding(subject: &str, refusal: &Refusal) -> Option<Finding> {
    let code = code(refusal)?;
    Some(Finding::new(code, subject, sentence(refusal), refusal.hint()))
}

/// A refusal with its causes in one line.
pub(crate) fn sentence(refusal: &(dyn std::error::Error + 'static)) -> String {
    let mut text = refusal.to_string();
    let mut source = refusal.source();
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
