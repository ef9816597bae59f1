//! ssh's known_hosts, as PVE keeps it for the members: a line with the name and one with the address of each.

use std::net::IpAddr;

/// The text without the lines of a host: those that name it, and those of an address with the same key. Every other line stays.
#[must_use]
pub fn without_host(text: &str, host: &str) -> String {
    let named = |line: &str| hosts(line).any(|name| name == host);
    let keys: Vec<&str> = text.lines().filter(|line| named(line)).filter_map(key).collect();
    let of_it = |line: &str| {
        let only_addresses = hosts(line).all(|name| name.parse::<IpAddr>().is_ok());
        named(line) || (only_addresses && key(line).is_some_and(|key| keys.contains(&key)))
    };
    text.split_inclusive('\n')
        .filter(|line| !of_it(line.trim_end()))
        .collect()
}

/// The hosts of a line; none of a comment, of one that is hashed, or of an authority's.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    let first = line.split_whitespace().next().unwrap_or_default();
    let plain = !first.starts_with(['#', '|', '@']);
    first.split(',').filter(move |name| plain && !name.is_empty())
}

/// Type and key.
fn key(line: &str) -> Option<&str> {
    let rest = line.trim().split_once(char::is_whitespace)?.1;
    (hosts(line).next().is_some()).then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_goes_with_its_address_and_nobody_else() {
        let text = "prox1 ssh-rsa AAAA1\n192.168.1.11 ssh-rsa AAAA1\nprox2 ssh-rsa AAAA2\n192.168.1.12 ssh-rsa AAAA2\n# prox2 \
                    x\nprox20 ssh-rsa AAAA20\n|1|hash ssh-rsa AAAA2\n";
        assert_eq!(
            without_host(text, "prox2"),
            "prox1 ssh-rsa AAAA1\n192.168.1.11 ssh-rsa AAAA1\n# prox2 x\nprox20 ssh-rsa AAAA20\n|1|hash ssh-rsa AAAA2\n"
        );
        assert_eq!(without_host(text, "prox9"), text);
    }
}
