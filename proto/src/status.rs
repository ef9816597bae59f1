//! A failure travels as a gRPC status: the code by its exit code, the whole of it in the details. Whatever a server of
//! Quorate refuses has details; a status without comes from the transport, or from tonic itself.

use prost::Message;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::{Code as FindingCode, Finding};
use tonic::{Code, Status};

use crate::convert::ConvertError;
use crate::limits::{MAX_STATUS_DETAILS, MAX_STATUS_MESSAGE};
use crate::v1;

/// The failure as a status. It arrives whole, unless its findings are too many for a header: then the last ones are
/// left out, and it says how many.
#[must_use]
pub fn to_status(failure: Failure) -> Status {
    let code = code_of(failure.exit);
    let message = shortened(&failure.message, MAX_STATUS_MESSAGE).to_owned();
    Status::with_details(code, message, fitting(failure.into()).encode_to_vec().into())
}

/// What a status says, for the operator: what the other end put into its details, or else what its code means.
#[must_use]
pub fn to_failure(status: &Status) -> Failure {
    if status.details().is_empty() {
        return from_transport(status);
    }
    let read = v1::FailureDetail::decode(status.details())
        .map_err(|error| ConvertError::new(format!("is garbled: {error}")))
        .and_then(Failure::try_from);
    read.unwrap_or_else(|error| {
        let mut failure = from_transport(status);
        failure.causes.push(format!("its details can't be understood: {error}"));
        failure.hint(SAME_VERSION)
    })
}

/// The status that refuses a call because of one finding: who may not call is denied, all else refused.
#[must_use]
pub fn refuse(finding: Finding) -> Status {
    let exit = match finding.code {
        FindingCode::RoleNotAllowed | FindingCode::RoleWrongCa => ExitCode::Denied,
        FindingCode::TokenUnknown | FindingCode::TokenExpired | FindingCode::TokenUsed => ExitCode::Denied,
        FindingCode::TokenWrongName | FindingCode::TokenWrongAddress => ExitCode::Denied,
        _ => ExitCode::Refused,
    };
    to_status(Failure::new(exit, format!("refused by {}", finding.code.as_str())).with(vec![finding]))
}

/// For the server: a request that can't be understood.
impl From<ConvertError> for Status {
    fn from(error: ConvertError) -> Self {
        to_status(
            Failure::new(ExitCode::Usage, "the request can't be understood")
                .because(&error)
                .hint(SAME_VERSION),
        )
    }
}

/// For the caller: an answer that can't be understood.
impl From<ConvertError> for Failure {
    fn from(error: ConvertError) -> Self {
        Self::new(ExitCode::Internal, "the answer can't be understood")
            .because(&error)
            .hint(SAME_VERSION)
    }
}

const SAME_VERSION: &str = "check that coordinator, agents and command line are of the same version";

fn code_of(exit: ExitCode) -> Code {
    match exit {
        ExitCode::Usage => Code::InvalidArgument,
        ExitCode::Refused | ExitCode::Degraded => Code::FailedPrecondition,
        ExitCode::Failed => Code::Aborted,
        ExitCode::Unreachable => Code::Unavailable,
        ExitCode::Denied => Code::PermissionDenied,
        ExitCode::NotFound => Code::NotFound,
        ExitCode::Cancelled => Code::Cancelled,
        // A failure that claims to be none is a bug of whoever made it.
        ExitCode::Internal | ExitCode::Done => Code::Internal,
    }
}

/// Without details nobody of ours has spoken, so broken-off calls and unknown errors mean a lost connection here.
fn exit_of(code: Code) -> ExitCode {
    match code {
        Code::InvalidArgument => ExitCode::Usage,
        Code::FailedPrecondition | Code::AlreadyExists => ExitCode::Refused,
        Code::PermissionDenied | Code::Unauthenticated => ExitCode::Denied,
        Code::NotFound => ExitCode::NotFound,
        Code::Aborted => ExitCode::Failed,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::ResourceExhausted => {
            ExitCode::Unreachable
        }
        Code::Internal | Code::Unimplemented | Code::OutOfRange | Code::DataLoss | Code::Ok => ExitCode::Internal,
    }
}

fn from_transport(status: &Status) -> Failure {
    let message = if status.message().is_empty() {
        status.code().description()
    } else {
        status.message()
    };
    let mut failure = Failure::new(exit_of(status.code()), message);
    if let Some(source) = std::error::Error::source(status) {
        failure = failure.because(source);
        // tonic takes the outermost error's text as the message.
        if failure.causes.first() == Some(&failure.message) {
            failure.causes.remove(0);
        }
    }
    if status.code() == Code::Unimplemented {
        failure.hint(SAME_VERSION)
    } else {
        failure
    }
}

/// Leaves out what does not fit into a header: the end of a very long message, causes and hints if they alone are too
/// long, and findings from the last.
fn fitting(mut detail: v1::FailureDetail) -> v1::FailureDetail {
    if detail.encoded_len() <= MAX_STATUS_DETAILS {
        return detail;
    }
    const ROOM_FOR_NOTE: usize = 128;
    let fits = |detail: &v1::FailureDetail| detail.encoded_len() + ROOM_FOR_NOTE <= MAX_STATUS_DETAILS;
    let findings = std::mem::take(&mut detail.findings);
    let total = findings.len();
    detail.message = shortened(&detail.message, MAX_STATUS_DETAILS / 4).to_owned();
    if !fits(&detail) {
        detail.causes.clear();
        detail.hints.clear();
    }
    for finding in findings {
        detail.findings.push(finding);
        if !fits(&detail) {
            detail.findings.pop();
            break;
        }
    }
    detail.hints.push(match total - detail.findings.len() {
        0 => "not all of it fitted into this answer: see the log of whoever refused".to_owned(),
        more => format!("{more} more findings did not fit into this answer: mend these first"),
    });
    detail
}

/// The longest beginning of a text that has no more than so many bytes.
fn shortened(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::limits::MAX_HEADERS;

    fn over_the_wire(status: &Status) -> Status {
        Status::from_header_map(&headers(status)).unwrap()
    }

    fn headers(status: &Status) -> tonic::codegen::http::HeaderMap {
        let mut headers = tonic::codegen::http::HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        headers
    }

    fn header_bytes(status: &Status) -> usize {
        // RFC 9113, 6.5.2: name and value and 32 for each.
        headers(status)
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 32)
            .sum()
    }

    fn finding(message: &str) -> Finding {
        Finding::new(FindingCode::NodeHasGuests, "prox2", message, "move them away")
    }

    #[test]
    fn a_failure_arrives_as_it_left() {
        for (exit, _) in ExitCode::ALL {
            let failure = Failure::new(exit, "can't apply: ünläsbar\n\"%\"")
                .because(&std::io::Error::other("x"))
                .hint("do this")
                .with(vec![finding("has 2 guests")]);
            let status = to_status(failure.clone());
            assert_ne!(status.code(), Code::Ok);
            let arrived = over_the_wire(&status);
            assert_eq!(arrived.code(), status.code());
            assert_eq!(arrived.message(), failure.message);
            assert_eq!(to_failure(&arrived), failure);
        }
    }

    #[test]
    fn codes_by_exit_code() {
        let codes: Vec<_> = ExitCode::ALL
            .iter()
            .map(|(exit, _)| (*exit as u8, code_of(*exit)))
            .collect();
        assert_eq!(
            codes,
            [
                (0, Code::Internal),
                (1, Code::Internal),
                (2, Code::InvalidArgument),
                (3, Code::FailedPrecondition),
                (4, Code::Aborted),
                (5, Code::Unavailable),
                (6, Code::PermissionDenied),
                (7, Code::NotFound),
                (8, Code::Cancelled),
                (9, Code::FailedPrecondition),
            ]
        );
    }

    #[test]
    fn too_many_findings_still_arrive_with_a_reason() {
        let findings: Vec<_> = (0..200)
            .map(|n| finding(&format!("has guest {n}: {}", "ä".repeat(100))))
            .collect();
        let failure = Failure::new(ExitCode::Refused, "ä".repeat(5000))
            .hint("try again")
            .with(findings.clone());
        let status = to_status(failure);
        let room_for_others = 1024;
        assert!(
            header_bytes(&status) + room_for_others < MAX_HEADERS as usize,
            "{}",
            header_bytes(&status)
        );

        let arrived = to_failure(&over_the_wire(&status));
        let shown = arrived.findings.len();
        assert_eq!(arrived.exit, ExitCode::Refused);
        assert!(arrived.message.starts_with("äää"));
        assert!(shown > 10 && arrived.findings[..] == findings[..shown]);
        assert_eq!(arrived.hints[0], "try again");
        assert!(
            arrived.hints[1].starts_with(&format!("{} more findings", 200 - shown)),
            "{:?}",
            arrived.hints
        );
    }

    #[test]
    fn causes_of_any_length_don_t_crowd_out_findings() {
        let mut failure = Failure::new(ExitCode::Refused, "no").with(vec![finding("has 2 guests")]);
        failure.causes = vec!["x".repeat(MAX_STATUS_DETAILS)];
        let arrived = to_failure(&over_the_wire(&to_status(failure)));
        assert_eq!(arrived.findings, [finding("has 2 guests")]);
        assert!(
            arrived.hints[0].starts_with("not all of it fitted"),
            "{:?}",
            arrived.hints
        );
    }

    #[test]
    fn a_text_is_never_cut_inside_a_letter() {
        assert_eq!(["äb", "a", ""].map(|text| shortened(text, 2)), ["ä", "a", ""]);
        assert_eq!(shortened("bä", 2), "b");
        assert_eq!(shortened("ä", 1), "");
    }

    #[test]
    fn a_single_finding_refuses_with_its_code() {
        let status = refuse(finding("has 2 guests"));
        assert_eq!(
            (status.code(), status.message()),
            (Code::FailedPrecondition, "refused by QRT-NODE-HAS-GUESTS")
        );
        assert_eq!(to_failure(&status).findings, [finding("has 2 guests")]);

        let denied = refuse(Finding::new(
            FindingCode::RoleNotAllowed,
            "ann",
            "a viewer may not call Apply",
            "",
        ));
        assert_eq!(denied.code(), Code::PermissionDenied);
        assert_eq!(to_failure(&denied).exit, ExitCode::Denied);
    }

    #[test]
    fn without_details_the_code_decides() {
        let exit = |code| to_failure(&Status::new(code, "m")).exit;
        assert_eq!(exit(Code::Unavailable), ExitCode::Unreachable);
        assert_eq!(exit(Code::Unknown), ExitCode::Unreachable);
        assert_eq!(exit(Code::Unauthenticated), ExitCode::Denied);
        assert_eq!(exit(Code::OutOfRange), ExitCode::Internal);
        assert_eq!(
            to_failure(&Status::new(Code::NotFound, "")).message,
            Code::NotFound.description()
        );
        assert!(to_failure(&Status::unimplemented("x")).hints[0].contains("same version"));
    }

    #[test]
    fn causes_on_this_side_are_told_once() {
        let mut status = Status::unavailable("transport error");
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        status.set_source(Arc::new(refused));
        assert_eq!(to_failure(&status).to_string(), "transport error: connection refused");

        let mut status = Status::unknown("broken pipe");
        status.set_source(Arc::new(std::io::Error::other("broken pipe")));
        assert_eq!(to_failure(&status).to_string(), "broken pipe");
    }

    #[test]
    fn details_of_somebody_else_are_no_silence() {
        for details in [&b"\xff\xff"[..], &b"\x08\x63"[..]] {
            let status = Status::with_details(Code::PermissionDenied, "no", details.to_vec().into());
            let failure = to_failure(&status);
            assert_eq!((failure.exit, failure.message.as_str()), (ExitCode::Denied, "no"));
            assert!(
                failure.causes[0].starts_with("its details can't be understood: "),
                "{failure}"
            );
        }
    }

    #[test]
    fn a_garbled_request_names_its_field() {
        let failure = to_failure(&ConvertError::missing().under("driver").into());
        assert_eq!(failure.exit, ExitCode::Usage);
        assert_eq!(
            failure.to_string(),
            "the request can't be understood: driver is missing"
        );
    }
}
