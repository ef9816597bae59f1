//! Where a guest is called, as an operator writes it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::Uri;

/// How it is written, for help and messages.
pub const FORMS: &str = "tcp:ADDRESS:PORT, tcp+banner:ADDRESS:PORT, tally:ADDRESS[:PORT], icmp:ADDRESS, http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH";

/// Somebody who may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `tcp:ADDRESS:PORT`: takes a connection.
    Tcp(SocketAddr),
    /// `tcp+banner:ADDRESS:PORT`: takes a connection, and says something unasked, as SSH, SMTP and databases do.
    Banner(SocketAddr),
    /// `tally:ADDRESS[:PORT]`: a numbered writer, which tells its last record.
    Tally(SocketAddr),
    /// `icmp:ADDRESS`: answers a ping.
    Icmp(IpAddr),
    /// `http://…`, `https://…`: answers with a status below 500.
    Http(Page),
}

/// A page of a web server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Over TLS; whose certificate it is, is not looked at.
    pub tls: bool,
    /// The name or address, without brackets. A name is looked up once, before the first call.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What the server is told of whom is meant: name and port as they were written.
    pub authority: String,
    /// What is asked for.
    pub path: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (form, rest) = text.split_once(':').unwrap_or((text, ""));
        match form {
            "tcp" => with_port(rest).map(Self::Tcp),
            "tcp+banner" => with_port(rest).map(Self::Banner),
            "tally" => tally(rest).map(Self::Tally),
            "icmp" => address(rest).map(Self::Icmp),
            "http" | "https" => page(text).map(Self::Http),
            _ => Err(format!("`{text}` is not of one of the forms {FORMS}")),
        }
    }
}

fn with_port(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| {
        format!("`{text}` is no ADDRESS:PORT; an IPv6 address stands in brackets, and names are not looked up")
    })?;
    if address.port() == 0 {
        return Err("port 0 answers nobody".to_owned());
    }
    Ok(address)
}

fn tally(text: &str) -> Result<SocketAddr, String> {
    match address(text) {
        Ok(address) => Ok(SocketAddr::new(address, quorate_tally::PORT)),
        Err(_) => with_port(text),
    }
}

/// With brackets or without: without a port nothing can be mistaken.
fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(text)
        .parse()
        .map_err(|_| format!("`{text}` is no address; names are not looked up"))
}

fn page(text: &str) -> Result<Page, String> {
    let wrong = |why: &str| format!("`{text}` is no page of a web server: {why}");
    let uri: Uri = text
        .parse()
        .map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => {
            return Err(wrong(
                "it is written http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH",
            ));
        }
    };
    let authority = uri.authority().ok_or_else(|| wrong("the host is missing"))?;
    if authority.as_str().contains('@') {
        return Err(wrong("a probe has no user and no password"));
    }
    let written = authority.host();
    let bare = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = bare.unwrap_or(written).to_owned();
    if host.is_empty() {
        return Err(wrong("the host is missing"));
    }
    let port = match authority.port() {
        Some(port) => port.as_u16(),
        None if authority.as_str() != written => return Err(wrong("the port is none")),
        None if tls => 443,
        None => 80,
    };
    if port == 0 {
        return Err("port 0 answers nobody".to_owned());
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok(Page {
        tls,
        host,
        port,
        authority: authority.as_str().to_owned(),
        path: path.to_owned(),
    })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Banner(address) => write!(f, "tcp+banner:{address}"),
            Self::Tally(address) => write!(f, "tally:{address}"),
            Self::Icmp(address) => write!(f, "icmp:{address}"),
            Self::Http(page) => {
                let scheme = if page.tls { "https" } else { "http" };
                write!(f, "{scheme}://{}{}", page.authority, page.path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_written() {
        for good in [
            "tcp:192.0.2.7:22",
            "tcp:[2001:db8::7]:443",
            "tcp+banner:192.0.2.7:22",
            "tally:192.0.2.7:7461",
            "tally:[2001:db8::7]:7460",
            "icmp:192.0.2.7",
            "icmp:2001:db8::7",
            "http://192.0.2.7/",
            "https://shop.example:8443/health?deep=1",
            "http://[2001:db8::7]:8080/",
        ] {
            assert_eq!(good.parse::<Target>().unwrap().to_string(), good);
        }
    }

    #[test]
    fn what_may_be_left_out() {
        for (short, long) in [
            ("tally:192.0.2.7", "tally:192.0.2.7:7460"),
            ("tally:2001:db8::7", "tally:[2001:db8::7]:7460"),
            ("tally:[2001:db8::7]", "tally:[2001:db8::7]:7460"),
            ("icmp:[2001:db8::7]", "icmp:2001:db8::7"),
            ("http://192.0.2.7", "http://192.0.2.7/"),
        ] {
            assert_eq!(short.parse::<Target>().unwrap().to_string(), long);
        }
        let Target::Http(page) = "https://[2001:db8::7]".parse().unwrap() else {
            panic!()
        };
        assert_eq!((page.host.as_str(), page.port, page.tls), ("2001:db8::7", 443, true));
    }

    #[test]
    fn nothing_else() {
        for bad in [
            "192.0.2.7:22",
            "tcp:mail.example:22",
            "tcp:192.0.2.7",
            "tcp:2001:db8::7",
            "tcp:192.0.2.7:0",
            "tally:canary",
            "tally:192.0.2.7:0",
            "icmp:192.0.2.7:22",
            "icmp:",
            "http:192.0.2.7",
            "http://",
            "http:///health",
            "https://anna:secret@192.0.2.7/",
            "http://192.0.2.7:70000/",
            "http://192.0.2.7:0/",
            "http://192.0.2.7/with space",
            "ftp://192.0.2.7/",
            "",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
