//! `getent` of the C library: what a name resolves to, by the host's own rules (hosts file, DNS …).

use std::net::IpAddr;
use std::time::Duration;

use quorate_exec::{Exit, Invocation, Tools};

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "getent";

/// Asks for all addresses of a name.
///
/// # Errors
/// When getent is not installed, or the name cannot be an argument.
pub fn ahosts(tools: &Tools, name: &str) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["ahosts", name]).build()?)
}

/// How long one of many names may take. A resolver that is not reachable takes five seconds for each try.
const ONE_OF_MANY_WITHIN: Duration = Duration::from_secs(3);

/// Asks for all addresses of a name that is one of many: with less patience.
///
/// # Errors
/// As [`ahosts`].
pub fn ahosts_of_many(tools: &Tools, name: &str) -> Result<Invocation, CallError> {
    Ok(tools
        .call(NAME)?
        .args(["ahosts", name])
        .deadline(ONE_OF_MANY_WITHIN)
        .build()?)
}

/// Asks for the names that an address leads to; with as little patience.
///
/// # Errors
/// When getent is not installed.
pub fn hosts(tools: &Tools, address: IpAddr) -> Result<Invocation, CallError> {
    Ok(tools
        .call(NAME)?
        .args(["hosts", &address.to_string()])
        .deadline(ONE_OF_MANY_WITHIN)
        .build()?)
}

/// Reads the names behind the address of each line, each once.
///
/// # Errors
/// When a line does not begin with an address, or has no name.
pub fn read_names(stdout: &str) -> Result<Vec<String>, ParseError> {
    let mut names: Vec<String> = Vec::new();
    for line in stdout.lines() {
        let mut words = line.split_whitespace();
        let address = words
            .next()
            .and_then(|word| word.split('%').next()?.parse::<IpAddr>().ok());
        let found: Vec<&str> = words.collect();
        if address.is_none() || found.is_empty() {
            return Err(ParseError::at(NAME, line, "expected an address and names"));
        }
        for name in found {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    Ok(names)
}

/// Whether this exit means that the name does not resolve, rather than that asking failed.
#[must_use]
pub fn says_not_found(exit: Exit) -> bool {
    exit == Exit::Code(2)
}

/// Reads the addresses in the resolver's order, each once; each is printed for three kinds of socket. A scope
/// (`fe80::1%eth0`) is cut off.
///
/// # Errors
/// When a line does not begin with an address.
pub fn read(stdout: &str) -> Result<Vec<IpAddr>, ParseError> {
    let mut addresses = Vec::new();
    for line in stdout.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        let bare = first.split('%').next().unwrap_or(first);
        let address = bare
            .parse()
            .map_err(|_| ParseError::at(NAME, line, "expected an address"))?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_an_address() {
        assert_eq!(
            hosts(&Tools::imagined(), "192.168.1.12".parse().unwrap())
                .unwrap()
                .to_string(),
            "/usr/bin/getent hosts 192.168.1.12"
        );
        let text = "192.168.1.12    prox2.example.com prox2\n";
        assert_eq!(read_names(text).unwrap(), ["prox2.example.com", "prox2"]);
        assert!(read_names("").unwrap().is_empty());
        assert!(read_names("prox2\n").is_err() && read_names("192.168.1.12\n").is_err());
    }

    #[test]
    fn addresses_once_each_in_the_resolvers_order() {
        assert_eq!(
            ahosts(&Tools::imagined(), "prox1").unwrap().to_string(),
            "/usr/bin/getent ahosts prox1"
        );
        let text = |addresses: Vec<IpAddr>| addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(
            text(read(fixture!("getent/2.36/loopback-and-right.out")).unwrap()),
            ["127.0.1.1", "10.77.0.8"]
        );
        assert!(!read(fixture!("getent/2.36/localhost.out")).unwrap().is_empty());
        assert_eq!(text(read("fe80::1%eth0 STREAM x\n").unwrap()), ["fe80::1"]);
        assert_eq!(
            read("hm\n").unwrap_err().to_string(),
            "getent: expected an address: `hm`"
        );
        assert!(says_not_found(Exit::Code(2)) && !says_not_found(Exit::Code(1)));
    }
}
