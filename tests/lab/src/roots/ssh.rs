//! ssh of a server: keys, who may log in as root, and which hosts it knows.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use data_encoding::BASE64;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use sha2::{Digest, Sha256};

use super::put;
use crate::description::{Role, ServerSpec};
use crate::world::server::Server;
use crate::world::units;

pub(crate) fn write(server: &Server) -> io::Result<()> {
    let (root, name) = (&server.root, server.name());
    put(
        &root.join("root/.ssh/id_rsa"),
        "(a private key, which nobody here needs)\n",
    )?;
    put(&root.join("root/.ssh/id_rsa.pub"), &format!("{}\n", root_key(name)))?;
    for (kind, key) in host_keys(name) {
        put(
            &root.join(format!("etc/ssh/ssh_host_{kind}_key.pub")),
            &format!("{key}\n"),
        )?;
    }
    put(&root.join(SSHD), SSHD_CONFIG)?;
    let keys = root.join("root/.ssh/authorized_keys");
    match server.spec.role {
        Role::Qnetd => put(&keys, ""),
        // PVE keeps them in its file system. Relative, as a lab's root is nobody's real one.
        Role::Pve if keys.symlink_metadata().is_err() => symlink("../../etc/pve/priv/authorized_keys", &keys),
        Role::Pve => Ok(()),
    }
}

const SSHD: &str = "etc/ssh/sshd_config";

/// As Debian ships it, without its comments.
const SSHD_CONFIG: &str = "Include /etc/ssh/sshd_config.d/*.conf\n\n#PermitRootLogin prohibit-password\n\
                           KbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding yes\nPrintMotd no\n\
                           AcceptEnv LANG LC_*\nSubsystem\tsftp\t/usr/lib/openssh/sftp-server\n";

/// What `pvecm create` and every join do first, whatever becomes of them: root may log in, and sshd hears of it. Where that
/// holds already, nothing is done.
pub(crate) fn permit_root_login(server: &mut Server) -> io::Result<()> {
    const WANTED: &str = "PermitRootLogin yes";
    let path = server.root.join(SSHD);
    let text = fs::read_to_string(&path)?;
    if text.lines().any(|line| line.trim_end() == WANTED) {
        return Ok(());
    }
    let replaced = |line: &str| line.trim_start_matches('#').starts_with("PermitRootLogin");
    let lines: Vec<&str> = text
        .lines()
        .map(|line| if replaced(line) { WANTED } else { line })
        .collect();
    put(&path, &format!("{}\n", lines.join("\n")))?;
    if units::runs(server, "ssh") {
        server.log("ssh", 650, "Received SIGHUP; restarting.");
    }
    Ok(())
}

/// Root's own public key.
pub(crate) fn root_key(name: &str) -> String {
    format!("{} root@{name}", rsa(&format!("root of {name}")))
}

fn host_keys(name: &str) -> [(&'static str, String); 2] {
    [
        ("rsa", format!("{} root@{name}", rsa(&format!("host {name}")))),
        ("ed25519", format!("{} root@{name}", ed25519(&format!("host {name}")))),
    ]
}

/// A key that belongs to nobody here.
pub(crate) fn foreign_key(comment: &str) -> String {
    format!("{} {comment}", ed25519(&format!("foreign {comment}")))
}

/// Bytes that depend on a text only.
fn bytes(seed: &str, count: usize) -> Vec<u8> {
    (0..)
        .flat_map(|block: u32| Sha256::digest(format!("{seed} {block}")))
        .take(count)
        .collect()
}

fn field(blob: &mut Vec<u8>, content: &[u8]) {
    blob.extend(u32::try_from(content.len()).unwrap_or(0).to_be_bytes());
    blob.extend(content);
}

fn rsa(seed: &str) -> String {
    // 3072 bits, the first of them set; a leading zero keeps the number positive.
    let mut modulus = vec![0, 0xc5];
    modulus.extend(bytes(seed, 383));
    let mut blob = Vec::new();
    field(&mut blob, b"ssh-rsa");
    field(&mut blob, &[1, 0, 1]);
    field(&mut blob, &modulus);
    format!("ssh-rsa {}", BASE64.encode(&blob))
}

fn ed25519(seed: &str) -> String {
    let mut blob = Vec::new();
    field(&mut blob, b"ssh-ed25519");
    field(&mut blob, &bytes(seed, 32));
    format!("ssh-ed25519 {}", BASE64.encode(&blob))
}

/// Does `client` know the key of the host at this address? Names that are hashed are not understood.
pub(crate) fn knows(client: &Server, host: &Server, address: Ipv4Addr) -> bool {
    let keys: Vec<String> = host_keys(host.name())
        .iter()
        .filter_map(|(_, key)| key.rsplit_once(' ').map(|(key, _)| key.to_owned()))
        .collect();
    let address = address.to_string();
    [
        "root/.ssh/known_hosts",
        "root/.ssh/known_hosts2",
        "etc/ssh/ssh_known_hosts",
    ]
    .iter()
    .filter_map(|path| fs::read_to_string(client.root.join(path)).ok())
    .any(|text| {
        text.lines().any(|line| {
            let mut words = line.split_whitespace();
            let names = words.next().unwrap_or_default();
            let key = words.take(2).collect::<Vec<_>>().join(" ");
            names
                .split(',')
                .any(|name| name == address || name == format!("[{address}]:22"))
                && keys.contains(&key)
        })
    })
}

/// May root of `client` log in as root of `host` with its key, coming from this address?
pub(crate) fn lets_in(host: &Server, client: &Server, from: Ipv4Addr) -> bool {
    let own = root_key(client.name());
    let Some((own, _)) = own.rsplit_once(' ') else {
        return false;
    };
    let path: PathBuf = host.root.join("root/.ssh/authorized_keys");
    fs::read_to_string(path).unwrap_or_default().lines().any(|line| {
        let line = line.trim();
        let Some(at) = line.find(own).filter(|_| !line.starts_with('#')) else {
            return false;
        };
        let options = line.get(..at).unwrap_or_default().trim();
        options.is_empty() || allows(options, from, host.now())
    })
}

/// sshd's options before a key, as far as they decide about a login that runs any command.
fn allows(options: &str, from: Ipv4Addr, now: Timestamp) -> bool {
    split(options).iter().all(|option| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = value.trim_matches('"');
        match name.to_ascii_lowercase().as_str() {
            "from" => matches_address(value, from),
            "expiry-time" => moment(value).is_some_and(|end| now < end),
            // Another command would run instead.
            "command" | "cert-authority" => false,
            _ => true,
        }
    })
}

/// At commas outside of quotes.
fn split(options: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in options.chars() {
        quoted ^= c == '"';
        match (c, parts.last_mut()) {
            (',', _) if !quoted => parts.push(String::new()),
            (c, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    parts
}

/// A list of addresses, networks and patterns; one that is negated and fits excludes.
fn matches_address(list: &str, from: Ipv4Addr) -> bool {
    let fits = |pattern: &str| match pattern.split_once('/') {
        Some((network, bits)) => match (network.parse::<Ipv4Addr>(), bits.parse::<u32>()) {
            (Ok(network), Ok(bits)) if bits <= 32 => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                network.to_bits() & mask == from.to_bits() & mask
            }
            _ => false,
        },
        None => match pattern.split_once('*') {
            Some((before, after)) => {
                let text = from.to_string();
                text.starts_with(before) && text.ends_with(after)
            }
            None => pattern.parse() == Ok(from),
        },
    };
    let mut found = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if fits(pattern) => return false,
            Some(_) => {}
            None => found |= fits(pattern),
        }
    }
    found
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with a `Z` or in the server's own zone, which is UTC.
fn moment(text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z').unwrap_or(text);
    if !digits.chars().all(|c| c.is_ascii_digit()) || ![8, 12, 14].contains(&digits.len()) {
        return None;
    }
    let part = |from: usize, to: usize| match digits.get(from..to) {
        Some(text) => text.parse::<i16>().ok(),
        None => Some(0),
    };
    let small = |from, to| part(from, to).and_then(|number| i8::try_from(number).ok());
    let date = civil::DateTime::new(
        part(0, 4)?,
        small(4, 6)?,
        small(6, 8)?,
        small(8, 10)?,
        small(10, 12)?,
        small(12, 14)?,
        0,
    )
    .ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The address from which a server reaches another in its network.
pub(crate) fn source(client: usize, target: Ipv4Addr) -> Ipv4Addr {
    if target.octets().first() == Some(&10) {
        ServerSpec::cluster_address(client)
    } else {
        ServerSpec::public_address(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_before_a_key_are_honoured() {
        let from = Ipv4Addr::new(192, 168, 1, 11);
        let now = moment("202611241200Z").unwrap_or(Timestamp::UNIX_EPOCH);
        let allows = |options| allows(options, from, now);
        assert!(
            allows("restrict") && allows("from=\"192.168.1.11\"") && allows("from=\"10.0.0.1,192.168.1.0/24\",no-pty")
        );
        assert!(!allows("from=\"192.168.1.12\"") && !allows("from=\"192.168.1.*,!192.168.1.11\""));
        assert!(allows("expiry-time=\"202611241201\"") && allows("expiry-time=\"20261124120001Z\",restrict"));
        assert!(!allows("expiry-time=\"202611241200Z\"") && !allows("expiry-time=\"soon\""));
        assert!(!allows("from=\"192.168.1.11\",command=\"/bin/true\""));
    }
}
