//! Names and identifiers as validated newtypes: a node's name can't be passed where a cluster's is meant,
//! and what reached a type has passed the rules of the tool that will read it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is no valid name: fit for "invalid node name `x`: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} `{text}`: {reason}")]
pub struct InvalidName {
    /// What it was meant to be, such as "node name".
    pub what: &'static str,
    /// The offending text.
    pub text: String,
    /// The rule it breaks.
    pub reason: &'static str,
}

/// PVE's rule for node names (pve-common JSONSchema `pve-node`, a DNS label): letters, digits, inner hyphens.
/// Quorate also wants lower case, because corosync compares names as they are and DNS does not.
fn dns_label(text: &str, longest: usize) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > longest {
        return Err(if longest == 15 {
            "it is longer than 15 characters"
        } else {
            "it is longer than 63 characters"
        });
    }
    if text.chars().any(|c| c.is_ascii_uppercase()) {
        return Err("it has upper-case letters; use lower case");
    }
    if !text
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    {
        return Err("only letters, digits and hyphens are allowed");
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err("it begins or ends with a hyphen");
    }
    Ok(())
}

/// Letters, digits and some punctuation, safe in paths and log lines.
fn token(text: &str, punctuation: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > 128 {
        return Err("it is longer than 128 characters");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || punctuation.contains(c);
    if !text.chars().all(allowed) || text.contains("..") || text.starts_with('.') {
        return Err("it has characters that are not allowed");
    }
    Ok(())
}

/// A text that has passed a check, which gives the rule that was broken.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        /// As people count: `prox2` before `prox10`.
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                natord::compare(&self.0, &other.0).then_with(|| self.0.cmp(&other.0))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// Checks the rules and takes the text.
            ///
            /// # Errors
            /// [`InvalidName`] says which rule it breaks.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let check: fn(&str) -> Result<(), &'static str> = $check;
                match check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(reason) => Err(InvalidName { what: $what, text, reason }),
                }
            }

            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(checked: $name) -> String {
                checked.0
            }
        }
    };
}

checked_text!(
    /// A PVE server's short host name (uname's nodename cut at the first dot), also its name in corosync.
    NodeName, "node name", |text| dns_label(text, 63)
);
checked_text!(
    /// What a drill of the cluster file is called.
    DrillName, "drill name", |text| dns_label(text, 63)
);
/// What a ZFS pool, and the storage of the same name, may be called: PVE's rule for storages and OpenZFS's reserved beginnings.
/// Source: PVE's `pve-storage-id`; zpool(8) and what `zpool create` refused.
fn storage_name(text: &str) -> Result<(), &'static str> {
    if text.len() < 2 {
        return Err("it has less than two characters");
    }
    if text.len() > 100 {
        return Err("it is longer than 100 characters");
    }
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err("it does not begin with a letter");
    }
    if !text.chars().all(inner) {
        return Err("only letters, digits, hyphens, underscores and dots are allowed");
    }
    if !text.ends_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err("it does not end with a letter or digit");
    }
    Ok(())
}

/// ZFS is stricter than PVE.
fn pool_name(text: &str) -> Result<(), &'static str> {
    storage_name(text)?;
    let reserved = ["mirror", "raidz", "draid", "spare"];
    if text == "log" || reserved.into_iter().any(|word| text.starts_with(word)) {
        return Err("ZFS reserves names that begin with mirror, raidz, draid or spare, and `log`");
    }
    Ok(())
}

checked_text!(
    /// A storage's id. Source: PVE::JSONSchema `pve-storage-id`.
    StorageName, "storage name", storage_name
);
checked_text!(
    /// A ZFS pool's name, also the name of the storage over it.
    PoolName, "pool name", pool_name
);
checked_text!(
    /// A cluster's name as corosync knows it: `pvecm create` allows 15 characters and it can't be changed later.
    ClusterName, "cluster name", |text| dns_label(text, 15)
);
checked_text!(
    /// The name of a fleet: all clusters under one CA. It stands in every certificate.
    FleetName, "fleet name", |text| dns_label(text, 63)
);
checked_text!(
    /// An operator's or viewer's name, as in their certificate.
    OperatorName, "operator name", |text| dns_label(text, 63)
);
checked_text!(
    /// One execution of a plan.
    RolloutId, "rollout id", |text| token(text, "._-")
);
checked_text!(
    /// A step of a plan: stable across re-plans, such as `cluster.join/prox2`.
    StepId, "step id", |text| token(text, "._-/:")
);
checked_text!(
    /// What an agent executes, once: the same id again attaches to the running or finished one.
    /// It has no `/`: agents name a folder by it.
    OperationId, "operation id", |text| token(text, "._-")
);
checked_text!(
    /// One run of a coordinator process.
    InstanceId, "instance id", |text| token(text, "._-")
);

checked_text!(
    /// One rollout journal of a coordinator: a journal that is begun after another was lost has another name.
    JournalId, "journal id", |text| token(text, "._-")
);
checked_text!(
    /// The SHA-256 of a journal's frame, in 64 lower-case hexadecimal digits.
    FrameDigest, "frame digest", |text| {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if text.len() == 64 && text.chars().all(hex) { Ok(()) } else { Err("it is not 64 hexadecimal digits") }
    }
);

checked_text!(
    /// The SHA-256 of a package's file, in 64 lower-case hexadecimal digits.
    PackageDigest, "package digest", |text| {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if text.len() == 64 && text.chars().all(hex) { Ok(()) } else { Err("it is not 64 hexadecimal digits") }
    }
);

/// `TYPE BASE64`, two words, without options and comment: what may stand in authorized_keys and known_hosts.
fn ssh_public_key(text: &str) -> Result<(), &'static str> {
    let Some((kind, blob)) = text.split_once(' ') else {
        return Err("it is not a key type, a blank and the key in base64");
    };
    let known = [
        "ssh-rsa",
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
    ];
    if !known.contains(&kind) {
        return Err("its type is none of ssh-rsa, ssh-ed25519, ecdsa-sha2-nistp256, -384, -521");
    }
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    if blob.len() < 32 || blob.len() > 4096 || !blob.chars().all(base64) {
        return Err("its key is not in base64");
    }
    Ok(())
}

checked_text!(
    /// A public key of ssh: type and key, without options and comment. Source: the .pub files of root and of sshd.
    SshPublicKey, "ssh public key", ssh_public_key
);

/// A node in the fleet: `CLUSTER/NODE`. A node belongs to its cluster's entry from its invitation on,
/// before any corosync cluster exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeRef {
    /// The cluster it belongs to, or is meant for.
    pub cluster: ClusterName,
    /// The node itself.
    pub node: NodeName,
}

impl NodeRef {
    /// Puts the two names together.
    #[must_use]
    pub fn new(cluster: ClusterName, node: NodeName) -> Self {
        Self { cluster, node }
    }
}

impl fmt::Display for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.cluster, self.node))
    }
}

impl FromStr for NodeRef {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let Some((cluster, node)) = text.split_once('/') else {
            return Err(InvalidName {
                what: "node",
                text: text.to_owned(),
                reason: "write it as CLUSTER/NODE, for example hk1/prox1",
            });
        };
        Ok(Self {
            cluster: cluster.parse()?,
            node: node.parse()?,
        })
    }
}

impl TryFrom<String> for NodeRef {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<NodeRef> for String {
    fn from(node: NodeRef) -> String {
        node.to_string()
    }
}

checked_text!(
    /// A disk's name that stays with the disk wherever it is plugged in: what stands in /dev/disk/by-id, such as `wwn-0x5000c500a1b2c3d4`.
    DiskName, "stable name of a disk", |text| {
        let allowed = |c: char| c.is_ascii_graphic() && c != '/';
        match text {
            "" => Err("it is empty"),
            _ if text.len() > 255 => Err("it is longer than 255 characters"),
            _ if !text.chars().all(allowed) => Err("it is not a name as in /dev/disk/by-id"),
            _ => Ok(()),
        }
    }
);

/// A disk of a server, for consent to its destruction: `NODE:STABLE-NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DiskRef {
    /// The server that it is in.
    pub node: NodeName,
    /// Its stable name.
    pub disk: DiskName,
}

impl fmt::Display for DiskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}:{}", self.node, self.disk))
    }
}

impl FromStr for DiskRef {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let Some((node, disk)) = text.split_once(':') else {
            return Err(InvalidName {
                what: "disk",
                text: text.to_owned(),
                reason: "write it as NODE:STABLE-NAME, for example prox1:wwn-0x5000c500a1b2c3d4",
            });
        };
        Ok(Self {
            node: node.parse()?,
            disk: disk.parse()?,
        })
    }
}

impl TryFrom<String> for DiskRef {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<DiskRef> for String {
    fn from(disk: DiskRef) -> String {
        disk.to_string()
    }
}

/// Who drives: each start of a coordinator takes a higher one, agents refuse a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The driver that a request comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// Which start of a coordinator.
    pub generation: Generation,
    /// Which process: two coordinators restored from one backup may hold equal generations.
    pub instance: InstanceId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_pve_rules() {
        assert!(NodeName::new("prox1").is_ok());
        assert!(NodeName::new("a-b-1").is_ok());
        for bad in ["", "-a", "a-", "a_b", "a.b", "Prox1", "a b", &"x".repeat(64)] {
            assert!(NodeName::new(bad).is_err(), "{bad}");
        }
        assert!(ClusterName::new("x".repeat(15)).is_ok());
        assert_eq!(
            ClusterName::new("x".repeat(16)).unwrap_err().to_string(),
            format!(
                "invalid cluster name `{}`: it is longer than 15 characters",
                "x".repeat(16)
            )
        );
    }

    #[test]
    fn a_node_is_written_with_its_cluster() {
        let node: NodeRef = "hk1/prox1".parse().unwrap();
        assert_eq!(node.to_string(), "hk1/prox1");
        assert!(
            "prox1"
                .parse::<NodeRef>()
                .unwrap_err()
                .to_string()
                .contains("CLUSTER/NODE")
        );
    }

    #[test]
    fn an_ssh_key_is_two_words_and_nothing_that_could_be_an_option() {
        let blob = "AAAAC3NzaC1lZDI1NTE5AAAAIJ".repeat(3);
        assert!(SshPublicKey::new(format!("ssh-ed25519 {blob}")).is_ok());
        for bad in [
            format!("ssh-ed25519 {blob} root@prox1"),
            format!("command=\"x\" ssh-ed25519 {blob}"),
            format!("ssh-ed25519 {blob}\nssh-rsa {blob}"),
            format!("ssh-dss {blob}"),
            "ssh-ed25519".to_owned(),
        ] {
            assert!(SshPublicKey::new(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn serde_checks_names_too() {
        assert!(serde_json::from_str::<NodeName>("\"a b\"").is_err());
        assert!(serde_json::from_str::<OperationId>("\"../../etc\"").is_err());
        assert!(OperationId::new("a/b").is_err(), "agents name a folder by it");
        assert!(StepId::new("cluster.join/prox2").is_ok());
    }

    #[test]
    fn names_are_ordered_as_people_count() {
        let mut names: Vec<NodeName> = ["prox10", "prox2", "prox1", "prox01", "a-10-b", "a-9-c", "prox"]
            .iter()
            .map(|name| name.parse().unwrap())
            .collect();
        names.sort();
        let shown: Vec<&str> = names.iter().map(NodeName::as_str).collect();
        assert_eq!(shown, ["a-9-c", "a-10-b", "prox", "prox01", "prox1", "prox2", "prox10"]);
    }
}
