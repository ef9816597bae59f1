//! `getent`, from the server's `/etc/hosts`.

use std::net::IpAddr;

use super::Reply;
use crate::world::server::Server;

const COST: u64 = 3;

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let (database, name) = match args {
        [database @ ("hosts" | "ahosts" | "ahostsv4"), name] => (*database, *name),
        _ => return None,
    };
    let found: Vec<(IpAddr, Vec<String>)> = match name.parse::<IpAddr>() {
        Ok(ip) => server
            .hosts()
            .into_iter()
            .filter(|(address, _)| *address == ip)
            .collect(),
        Err(_) => server
            .hosts()
            .into_iter()
            .filter(|(_, names)| names.iter().any(|n| n == name))
            .collect(),
    };
    if found.is_empty() {
        return Some((COST, Reply::fail(2, "")));
    }
    let lines: String = found
        .iter()
        .filter(|(ip, _)| database != "ahostsv4" || ip.is_ipv4())
        .map(|(ip, names)| {
            let ip = ip.to_string();
            if database == "hosts" {
                return format!("{ip:15} {}\n", names.join(" "));
            }
            let canonical = names.first().map(String::as_str).unwrap_or_default();
            format!("{ip:15} STREAM {canonical}\n{ip:15} DGRAM  \n{ip:15} RAW    \n")
        })
        .collect();
    Some((COST, Reply::ok(lines)))
}
