//! Why a call counts as not answered.

use std::fmt;
use std::io::ErrorKind;
use std::str::FromStr;

/// Why a call counts as not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Miss {
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
    /// A database answered that it can't, or won't.
    Denied,
    /// Something was sent to a database, and whether it was done is not known.
    Unsure,
    /// This host could not even call.
    Here(ErrorKind),
}

impl Miss {
    /// What an error of a socket says about the other end.
    #[must_use]
    pub fn of(error: &std::io::Error) -> Self {
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

    /// As it is told from host to host: a word, and `status:503`. Which error kept a host from calling stays there.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::Silent => "silent".to_owned(),
            Self::Refused => "refused".to_owned(),
            Self::NoWay => "no-way".to_owned(),
            Self::Cut => "cut".to_owned(),
            Self::Stranger => "stranger".to_owned(),
            Self::Status(status) => format!("status:{status}"),
            Self::NoTls => "no-tls".to_owned(),
            Self::Denied => "denied".to_owned(),
            Self::Unsure => "unsure".to_owned(),
            Self::Here(_) => "here".to_owned(),
        }
    }
}

/// A word that says of no call why it was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` says of no call why it was not answered")]
pub struct BadMiss(String);

impl FromStr for Miss {
    type Err = BadMiss;

    /// Reads what [`Miss::word`] writes.
    fn from_str(text: &str) -> Result<Self, BadMiss> {
        let bad = || BadMiss(text.chars().take(40).collect());
        Ok(match text {
            "silent" => Self::Silent,
            "refused" => Self::Refused,
            "no-way" => Self::NoWay,
            "cut" => Self::Cut,
            "stranger" => Self::Stranger,
            "no-tls" => Self::NoTls,
            "denied" => Self::Denied,
            "unsure" => Self::Unsure,
            "here" => Self::Here(ErrorKind::Other),
            other => {
                let status = other.strip_prefix("status:").and_then(|status| status.parse().ok());
                Self::Status(status.ok_or_else(bad)?)
            }
        })
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
            Self::Denied => f.write_str("the database refuses"),
            Self::Unsure => f.write_str("sent, and not acknowledged"),
            Self::Here(kind) => write!(f, "the calling host could not: {kind}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_host_tells_another_understands() {
        for miss in [
            Miss::Silent,
            Miss::Refused,
            Miss::NoWay,
            Miss::Cut,
            Miss::Stranger,
            Miss::Status(503),
            Miss::NoTls,
            Miss::Denied,
            Miss::Unsure,
            Miss::Here(ErrorKind::Other),
        ] {
            assert_eq!(miss.word().parse(), Ok(miss));
        }
        for bad in ["", "status:", "status:70000", "SILENT"] {
            assert!(bad.parse::<Miss>().is_err(), "{bad}");
        }
    }
}
