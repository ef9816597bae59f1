//! One call, and what came of it.

use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use quorate_tally::Answer;
use serde::{Serialize, Serializer};

/// One call. Times are from the beginning of the measurement, by this host's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// When it was made.
    pub(crate) at: Duration,
    /// What came of it.
    pub(crate) outcome: Result<Answered, Miss>,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answered {
    /// When it was there.
    pub(crate) at: Duration,
    /// What a numbered writer told.
    pub(crate) told: Option<Told>,
}

/// What a numbered writer told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    /// Its last record.
    pub(crate) number: u64,
    /// The time of that record by the guest's clock, in milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// The record after which this run of the writer went on.
    pub(crate) resumed: u64,
    /// This run of the writer.
    #[serde(serialize_with = "hex")]
    pub(crate) run: u64,
}

impl From<&Answer> for Told {
    fn from(answer: &Answer) -> Self {
        Self {
            number: answer.number,
            time_ms: answer.time_ms,
            resumed: answer.resumed,
            run: answer.run,
        }
    }
}

/// A run of a writer as the writer itself names it.
pub(crate) fn hex<S: Serializer>(run: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{run:016x}"))
}

impl Call {
    /// When it was answered.
    pub(crate) fn answered(&self) -> Option<Duration> {
        self.outcome.ok().map(|answered| answered.at)
    }

    /// What a numbered writer told.
    pub(crate) fn told(&self) -> Option<Told> {
        self.outcome.ok()?.told
    }
}

/// Why a call counts as not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Miss {
    /// Nothing came in time.
    Silent,
    /// There is a host, and nobody listens there.
    Refused,
    /// The network says that there is no way to it.
    NoWay,
    /// It broke off.
    Cut,
    /// It answered with something else than what was called.
    Stranger,
    /// A web server answered that it can't: 500 or above.
    Status(u16),
    /// There was a connection, and no TLS over it.
    NoTls,
    /// This host could not even call.
    Here(ErrorKind),
}

impl Miss {
    /// What an error of a socket says about the other end.
    pub(crate) fn of(error: &std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::Silent,
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => Self::NoWay,
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof => Self::Cut,
            kind => Self::Here(kind),
        }
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("no answer in time"),
            Self::Refused => f.write_str("connection refused"),
            Self::NoWay => f.write_str("no route"),
            Self::Cut => f.write_str("connection cut"),
            Self::Stranger => f.write_str("something else answers there"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::NoTls => f.write_str("no TLS"),
            Self::Here(kind) => write!(f, "this host could not call: {kind}"),
        }
    }
}
