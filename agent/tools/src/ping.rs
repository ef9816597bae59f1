//! `ping` of iputils: does anything at all answer at an address?

use std::net::IpAddr;

use quorate_exec::{Invocation, Tools};

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "ping";

/// Three packets, half a second apart, each waited for a second. No name is looked up (`-n`).
///
/// # Errors
/// When it is not installed.
pub fn ask(tools: &Tools, address: IpAddr) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?.args(["-n", "-c", "3", "-i", "0.5", "-W", "1"]);
    Ok(call.arg(address.to_string()).build()?)
}

/// How many of the packets were answered. What a router answers in place of the address is no answer: ping counts it as an error.
///
/// # Errors
/// When it printed no such count.
pub fn read(stdout: &str) -> Result<u32, ParseError> {
    let line = stdout.lines().find(|line| line.contains(" packets transmitted, "));
    let line = line.ok_or_else(|| ParseError::missing(NAME, "`packets transmitted` is missing"))?;
    let count = line.split(", ").find_map(|part| part.strip_suffix(" received"));
    let count = count.and_then(|count| count.trim().parse().ok());
    count.ok_or_else(|| ParseError::at(NAME, line, "expected how many were received"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted() {
        let call = ask(&Tools::imagined(), "10.10.10.1".parse().unwrap()).unwrap();
        assert_eq!(call.to_string(), "/usr/bin/ping -n -c 3 -i 0.5 -W 1 10.10.10.1");
        assert_eq!(read(fixture!("ping/20221126/answers.out")), Ok(3));
        assert_eq!(read(fixture!("ping/20221126/nobody.out")), Ok(0));
        assert_eq!(
            read(fixture!("ping/20221126/unreachable.out")),
            Ok(0),
            "a router's word is no answer"
        );
        assert!(read("").is_err());
        assert!(read("3 packets transmitted, many received\n").is_err());
    }
}
