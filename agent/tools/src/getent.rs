//! `getent` of the C library: what a name resolves to, by the host's own rules (hosts file, DNS …).

use std::net::IpAddr;

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
        let address = bare.parse().map_err(|_| ParseError::at(NAME, line, "expected an address"))?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}
