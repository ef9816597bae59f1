//! sshd's authorized_keys: our own lines in it, by their mark, and the comments of all others. Every other line stays as it is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use quorate_model::Timestamp;
use quorate_model::ids::{ClusterName, SshPublicKey};
use quorate_model::observation::config::RootKey;
use quorate_model::observation::readiness::AdmittedKey;

use crate::ParseError;

const NAME: &str = "authorized_keys";

/// What our comments begin with; the cluster's name follows.
const MARK: &str = "quorate:";

/// The text with a line that lets a cluster's key in from these addresses until then. sshd itself stops honouring it
/// (`expiry-time`, in UTC by its `Z`; sshd(8)).
#[must_use]
pub fn with_admitted(
    text: &str,
    cluster: &ClusterName,
    key: &SshPublicKey,
    from: &BTreeSet<IpAddr>,
    until: Timestamp,
) -> String {
    let from: Vec<String> = from.iter().map(ToString::to_string).collect();
    let gap = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!(
        "{text}{gap}from=\"{}\",expiry-time=\"{}\",no-agent-forwarding,no-port-forwarding,no-X11-forwarding {key} {MARK}{cluster}\n",
        from.join(","),
        expiry(until)
    )
}

/// The text without our lines for a cluster.
#[must_use]
pub fn without_cluster(text: &str, cluster: &ClusterName) -> String {
    without_comment(text, &format!("{MARK}{cluster}"))
}

/// The text without lines whose comment is exactly this.
#[must_use]
pub fn without_comment(text: &str, unwanted: &str) -> String {
    let kept = text
        .split_inclusive('\n')
        .filter(|line| comment(line) != Some(unwanted));
    kept.collect()
}

/// Our lines.
///
/// # Errors
/// A line with our mark is not as we write it: nobody can tell what it lets in.
pub fn admitted(text: &str) -> Result<Vec<AdmittedKey>, ParseError> {
    let ours = text
        .lines()
        .filter(|line| comment(line).is_some_and(|comment| comment.starts_with(MARK)));
    ours.map(|line| {
        let bad = |what: &'static str| ParseError::at(NAME, line, what);
        let cluster = comment(line).and_then(|comment| comment.strip_prefix(MARK));
        let cluster = cluster
            .and_then(|name| name.parse().ok())
            .ok_or_else(|| bad("a mark without a cluster"))?;
        let key = key(line).ok_or_else(|| bad("a mark without a key"))?;
        let until = line
            .split_once("expiry-time=\"")
            .and_then(|(_, rest)| rest.split_once('"'));
        let until = until.and_then(|(text, _)| read_expiry(text));
        Ok(AdmittedKey {
            cluster,
            key,
            until: until.ok_or_else(|| bad("a mark without an expiry time"))?,
        })
    })
    .collect()
}

/// The keys, by what people know them by: their comments, or the ends of those that have none. Empty lines and comments of the file
/// itself are none. Options do not count as part of a key.
#[must_use]
pub fn keys(text: &str) -> Vec<RootKey> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let name = match comment(line) {
                Some(comment) => comment.to_owned(),
                None => {
                    let end = line.char_indices().rev().nth(11).map_or(0, |(at, _)| at);
                    format!("…{}", line.get(end..).unwrap_or(line))
                }
            };
            // What is no key that is known here is compared as a whole.
            let blob = from_key(line).and_then(|key| key.split_whitespace().nth(1));
            RootKey {
                name,
                digest: quorate_model::spec::digest_of(blob.unwrap_or(line)),
            }
        })
        .collect()
}

/// Types of keys. A line begins with one of them, or with options in which blanks stand within quotes only.
const TYPES: [&str; 5] = ["ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp", "sk-ssh-", "sk-ecdsa-"];

/// The words of a line from the key's type on.
fn from_key(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let mut quoted = false;
    let mut start = 0;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => start = at + 1,
            _ => continue,
        }
        if c != '"'
            && TYPES
                .iter()
                .any(|kind| line.get(start..).is_some_and(|rest| rest.starts_with(kind)))
        {
            return line.get(start..);
        }
    }
    TYPES.iter().any(|kind| line.starts_with(kind)).then_some(line)
}

fn key(line: &str) -> Option<SshPublicKey> {
    let mut words = from_key(line)?.split_whitespace();
    let (kind, blob) = (words.next()?, words.next()?);
    SshPublicKey::new(format!("{kind} {blob}")).ok()
}

fn comment(line: &str) -> Option<&str> {
    let rest = from_key(line)?;
    let after = rest.split_whitespace().nth(2)?;
    let at = after.as_ptr() as usize - rest.as_ptr() as usize;
    rest.get(at..).map(str::trim_end)
}

/// `YYYYMMDDHHMMSSZ`.
fn expiry(until: Timestamp) -> String {
    let digits: String = until
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .take(14)
        .collect();
    format!("{digits}Z")
}

fn read_expiry(text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z')?;
    if digits.len() != 14 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14)
    );
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn set_up() -> (String, ClusterName, SshPublicKey) {
        let others = format!("# root's keys\n{KEY} admin@office\ncommand=\"echo ssh-rsa x\" {KEY} backup job\n");
        (others, "hk1".parse().unwrap(), KEY.parse().unwrap())
    }

    #[test]
    fn what_is_let_in_is_read_back_and_taken_out_again() {
        let (others, cluster, key) = set_up();
        let from = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()].into();
        let until = Timestamp::from_seconds(1_795_345_772);
        let text = with_admitted(&others, &cluster, &key, &from, until);
        assert!(
            text.contains("from=\"192.0.2.1,2001:db8::1\",expiry-time=\"20261122110932Z\""),
            "{text}"
        );
        let read = admitted(&text).unwrap();
        assert_eq!(
            read,
            [AdmittedKey {
                cluster: cluster.clone(),
                key,
                until
            }]
        );
        assert_eq!(without_cluster(&text, &cluster), others);
        assert_eq!(without_cluster(&text, &"hk2".parse().unwrap()), text);
    }

    #[test]
    fn others_are_known_by_their_comments() {
        let (others, ..) = set_up();
        let names = |text: &str| keys(text).into_iter().map(|key| key.name).collect::<Vec<_>>();
        assert_eq!(names(&others), ["admin@office", "backup job"]);
        assert_eq!(names(&format!("{KEY}\n")), ["…AAAAAAAAAAAA"]);
        let both = keys(&others);
        assert_eq!(
            both[0].digest, both[1].digest,
            "one key, with options and another comment"
        );
        assert!(both[0].is(&KEY.parse().unwrap()), "as a server tells of its own");
        let other = keys(&others.replace("AAAAAAAA admin", "AAAAAAAB admin"));
        assert_ne!(both[0].digest, other[0].digest, "another key of the same comment");
        assert_eq!(without_comment(&others, "backup job").lines().count(), 2);
    }

    #[test]
    fn a_line_with_our_mark_that_is_not_ours_is_an_error() {
        for line in [
            format!("{KEY} quorate:hk1"),
            format!("expiry-time=\"tomorrow\" {KEY} quorate:hk1"),
            format!("expiry-time=\"20261122110932Z\" {KEY} quorate:HK 1"),
        ] {
            assert!(admitted(&line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_missing_line_feed_at_the_end_is_no_harm() {
        let (_, cluster, key) = set_up();
        let text = with_admitted(&format!("{KEY} a"), &cluster, &key, &BTreeSet::new(), Timestamp(0));
        assert_eq!(text.lines().count(), 2);
    }
}
