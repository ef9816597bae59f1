//! Where a guest is called: `tcp:ADDRESS:PORT`.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// A port of the guest that accepts connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target(pub(crate) SocketAddr);

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text
            .strip_prefix("tcp:")
            .ok_or_else(|| format!("`{text}` is not of the form tcp:ADDRESS:PORT"))?;
        let address: SocketAddr = address.parse().map_err(|_| {
            format!("`{address}` is no ADDRESS:PORT; an IPv6 address stands in brackets, and names are not looked up")
        })?;
        if address.port() == 0 {
            return Err("port 0 answers nobody".to_owned());
        }
        Ok(Self(address))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp:{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_port_and_nothing_else() {
        for good in ["tcp:192.0.2.7:22", "tcp:[2001:db8::7]:443"] {
            assert_eq!(good.parse::<Target>().unwrap().to_string(), good);
        }
        for bad in [
            "192.0.2.7:22",
            "tcp:mail.example:22",
            "tcp:192.0.2.7",
            "tcp:2001:db8::7",
            "tcp:192.0.2.7:0",
            "icmp:192.0.2.7",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
