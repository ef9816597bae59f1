//! What no file of a run may hold, whoever wrote it: tokens, tickets, and keys where no keys belong. Looked for after every test.

use std::fs;
use std::path::Path;

/// The first part of a token of ours, and the alphabet and length of the part behind it, which is the secret.
const TOKEN: &str = "qrt1.";
const TOKEN_SECRET: usize = 26;

/// What a ticket of PVE begins with.
const TICKET: &str = "PVE:root@pam:";

const KEY: &str = "PRIVATE KEY-----";

/// A simulated disk: no other file is as large, and hardly anything of it is written.
const DISK: u64 = 256 << 20;

/// Everything below a folder that holds such a thing: the file, and what it is.
#[must_use]
pub fn leaks(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    look(dir, &mut found);
    found
}

fn look(dir: &Path, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            look(&path, found);
        } else if kind.is_file() && entry.metadata().is_ok_and(|about| about.len() <= DISK) {
            let Ok(bytes) = fs::read(&path) else { continue };
            let text = String::from_utf8_lossy(&bytes);
            found.extend(within(&path, &text).map(|what| format!("{} holds {what}", path.display())));
        }
    }
}

fn within(path: &Path, text: &str) -> Option<&'static str> {
    if text.contains(TICKET) {
        return Some("a ticket");
    }
    if has_token(text) {
        return Some("a token");
    }
    (text.contains(KEY) && !may_hold_keys(path)).then_some("a private key")
}

fn has_token(text: &str) -> bool {
    text.split(TOKEN).skip(1).any(|rest| {
        let secret: Vec<char> = rest.chars().take(TOKEN_SECRET + 1).collect();
        let alphabet = |c: &char| matches!(c, 'a'..='z' | '2'..='7');
        secret.len() == TOKEN_SECRET + 1
            && secret.iter().take(TOKEN_SECRET).all(alphabet)
            && secret.last() == Some(&'.')
    })
}

/// Keys lie in files for keys, in operators' bundles, and where the simulated servers have theirs.
fn may_hold_keys(path: &Path) -> bool {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    let is_servers_own = path
        .components()
        .any(|part| matches!(part.as_os_str().to_str(), Some("priv" | "ssh" | ".ssh")));
    matches!(end, "key" | "pem") || is_servers_own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_there_is_found_and_what_may_is_not() {
        let at = |path: &str, text: &str| within(Path::new(path), text);
        let token = format!("qrt1.{}.{}", "a".repeat(26), "b".repeat(52));
        assert_eq!(at("agent.log", &format!("got {token}!")), Some("a token"));
        assert_eq!(at("agent.log", "qrt1.TOO-SHORT."), None);
        assert_eq!(at("x/stdout", "ticket PVE:root@pam:6A21::c2ln"), Some("a ticket"));
        let key = "-----BEGIN PRIVATE KEY-----\n";
        assert_eq!(at("coordinator.log", key), Some("a private key"));
        for fine in [
            "ca/issuing.key",
            "anna.pem",
            "root/etc/pve/priv/authkey",
            "root/.ssh/id_rsa",
        ] {
            assert_eq!(at(fine, key), None, "{fine}");
        }
    }
}
