//! Whom a drill asks whether it is there: the target of a probe, as it is written.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where `quorate-tally` listens unless told otherwise.
pub const TALLY_PORT: u16 = 7460;

/// A target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ProbeTarget {
    /// A port that accepts connections: `tcp:ADDRESS:PORT`.
    Tcp(SocketAddr),
    /// The numbered writer in the guest: `tally:ADDRESS[:PORT]`.
    Tally(SocketAddr),
    /// An address that answers pings: `icmp:ADDRESS`.
    Icmp(IpAddr),
    /// A page, by `http://` or `https://`.
    Http(String),
    /// A database that rows are written to: `postgres:…`, as PostgreSQL's own programs take it.
    Postgres(String),
}

impl ProbeTarget {
    /// Does it number what is written, so that what is lost can be counted?
    #[must_use]
    pub fn counts_writes(&self) -> bool {
        matches!(self, Self::Tally(_) | Self::Postgres(_))
    }
}

/// Why a text is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// Its beginning says nothing.
    #[error("`{0}` does not begin with tcp:, tally:, icmp:, http://, https:// or postgres:")]
    Kind(String),
    /// No address, or a name.
    #[error("`{0}` is no ADDRESS{1}; an IPv6 address before a port stands in brackets, and names are not looked up")]
    Address(String, &'static str),
    /// Nobody answers there.
    #[error("port 0 answers nobody")]
    PortZero,
    /// A password would be kept in /etc/pve and shown.
    #[error("a password in a probe would be kept in /etc/pve and shown")]
    Secret,
    /// Not of this form.
    #[error("`{0}` has no host, or characters that do not belong there")]
    Url(String),
}

impl FromStr for ProbeTarget {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        if let Some(rest) = text.strip_prefix("tcp:") {
            return socket(rest, None).map(Self::Tcp);
        }
        if let Some(rest) = text.strip_prefix("tally:") {
            return socket(rest, Some(TALLY_PORT)).map(Self::Tally);
        }
        if let Some(rest) = text.strip_prefix("icmp:") {
            let address = rest.parse().map_err(|_| InvalidTarget::Address(rest.to_owned(), ""))?;
            return Ok(Self::Icmp(address));
        }
        if let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) {
            return url(text, rest).map(Self::Http);
        }
        if let Some(rest) = text.strip_prefix("postgres:") {
            return url(text, rest.trim_start_matches('/')).map(|_| Self::Postgres(rest.to_owned()));
        }
        Err(InvalidTarget::Kind(text.to_owned()))
    }
}

fn socket(text: &str, usual: Option<u16>) -> Result<SocketAddr, InvalidTarget> {
    let socket = match (text.parse::<SocketAddr>(), usual) {
        (Ok(socket), _) => socket,
        (Err(_), Some(port)) => {
            let bare = text
                .strip_prefix('[')
                .and_then(|inner| inner.strip_suffix(']'))
                .unwrap_or(text);
            let address: IpAddr = bare
                .parse()
                .map_err(|_| InvalidTarget::Address(text.to_owned(), "[:PORT]"))?;
            SocketAddr::new(address, port)
        }
        (Err(_), None) => return Err(InvalidTarget::Address(text.to_owned(), ":PORT")),
    };
    if socket.port() == 0 {
        return Err(InvalidTarget::PortZero);
    }
    Ok(socket)
}

/// Only what must not stand there is looked for; whether somebody answers is the prober's business.
fn url(whole: &str, rest: &str) -> Result<String, InvalidTarget> {
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>\"\\^`{|}".contains(c);
    if host.is_empty() || whole.len() > 512 || whole.contains(odd) {
        return Err(InvalidTarget::Url(whole.to_owned()));
    }
    let user = host.rsplit_once('@').map(|(user, _)| user);
    if user.is_some_and(|user| user.contains(':')) || whole.contains("password=") {
        return Err(InvalidTarget::Secret);
    }
    Ok(whole.to_owned())
}

impl fmt::Display for ProbeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(socket) => f.pad(&format!("tcp:{socket}")),
            Self::Tally(socket) => f.pad(&format!("tally:{socket}")),
            Self::Icmp(address) => f.pad(&format!("icmp:{address}")),
            Self::Http(url) => f.pad(url),
            Self::Postgres(rest) => f.pad(&format!("postgres:{rest}")),
        }
    }
}

impl TryFrom<String> for ProbeTarget {
    type Error = InvalidTarget;
    fn try_from(text: String) -> Result<Self, InvalidTarget> {
        text.parse()
    }
}

impl From<ProbeTarget> for String {
    fn from(target: ProbeTarget) -> String {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_back_as_they_are_shown() {
        for text in [
            "tcp:192.0.2.7:22",
            "tcp:[2001:db8::7]:443",
            "tally:192.0.2.7:7460",
            "icmp:2001:db8::7",
            "https://shop.example/health?x=1",
            "postgres://drill@192.0.2.7/drill",
            "postgres://drill@[2001:db8::7]/drill?sslmode=verify-full&sslrootcert=/etc/quorate/secrets/db.pem",
        ] {
            assert_eq!(text.parse::<ProbeTarget>().unwrap().to_string(), text);
        }
        let bare: ProbeTarget = "tally:2001:db8::7".parse().unwrap();
        assert_eq!(bare.to_string(), "tally:[2001:db8::7]:7460");
        assert!(bare.counts_writes());
    }

    #[test]
    fn what_is_no_target_says_why() {
        let why = |text: &str| text.parse::<ProbeTarget>().unwrap_err().to_string();
        assert!(why("192.0.2.7:22").contains("does not begin with"));
        assert!(why("tcp:mail.example:22").contains("names are not looked up"));
        assert!(why("tcp:192.0.2.7").contains("ADDRESS:PORT"));
        assert!(why("tally:192.0.2.7:0").contains("port 0"));
        assert!(why("http://").contains("no host"));
        assert!(why("https://a b/").contains("do not belong"));
        assert!(why("postgres://drill:secret@db/x").contains("a password"));
    }
}
