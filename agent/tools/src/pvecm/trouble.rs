//! The errors of `pvecm create` and `pvecm add` as types. PVE's messages are prefixes at best: the numbers in front and
//! the places behind them vary.

use quorate_model::{Code, Finding};

/// Something that pvecm said went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What.
    pub kind: TroubleKind,
    /// pvecm's own words.
    pub text: String,
    /// The member said so, rather than this node: then it has not taken this node in.
    pub by_peer: bool,
}

/// The kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TroubleKind {
    /// /etc/corosync/authkey exists.
    AuthkeyExists,
    /// /etc/pve/corosync.conf exists.
    ConfigExists,
    /// Guests exist here.
    HasGuests,
    /// corosync runs already.
    CorosyncRuns,
    /// An address is on no interface that is up.
    AddressNotHere,
    /// A link's host name does not resolve.
    LinkNameUnresolved,
    /// This node's own name does not resolve to a usable address.
    OwnNameUnresolved,
    /// pmxcfs does not run here.
    PmxcfsDown,
    /// The member does not accept ticket or password (401).
    LoginRefused,
    /// The member shows another certificate than the join information said.
    OtherFingerprint,
    /// Nothing was on stdin.
    NoPassword,
    /// root@pam has a second factor.
    SecondFactor,
    /// The member's API does not answer.
    PeerUnreachable,
    /// The member has no quorum.
    PeerNotQuorate,
    /// A lock was not to be had: another change runs, or an old lock is left.
    Locked,
    /// The links given are not the cluster's.
    OtherLinks,
    /// An address belongs to another node already.
    AddressTaken,
    /// The node's name is in the cluster already.
    NameTaken,
    /// The cluster's corosync.conf breaks PVE's rules.
    InvalidConfig,
    /// The two PVE versions do not fit together.
    VersionsIncompatible,
    /// The command line was refused: a mistake of ours.
    BadArguments,
    /// A service could not be stopped or started half-way.
    ServiceFailed,
    /// The old database could not be saved.
    BackupFailed,
    /// The cluster's CA is about to expire.
    CaExpires,
    /// Anything else.
    Other,
}

/// Where the words of a kind stand in a message.
#[derive(Clone, Copy)]
enum Words {
    Begin(&'static str),
    Contain(&'static str),
}

use TroubleKind as Kind;
use Words::{Begin, Contain};

/// First match counts. From pve-cluster's pvecm, ClusterConfig and Setup, pve-apiclient, pve-common.
const SAYINGS: [(Words, TroubleKind); 41] = [
    (Begin("authentication key '"), Kind::AuthkeyExists),
    (Begin("cluster config '"), Kind::ConfigExists),
    (Begin("this host already contains virtual guests"), Kind::HasGuests),
    (Begin("corosync is already running"), Kind::CorosyncRuns),
    (Contain(", not found on local node!"), Kind::AddressNotHere),
    (Contain(": cannot use '"), Kind::LinkNameUnresolved),
    (Begin("hostname lookup '"), Kind::OwnNameUnresolved),
    (Begin("address lookup for '"), Kind::OwnNameUnresolved),
    (
        Begin("pve configuration filesystem (pmxcfs) not mounted"),
        Kind::PmxcfsDown,
    ),
    (Begin("ipcc_send_rec["), Kind::PmxcfsDown),
    (Begin("Unable to load access control list"), Kind::PmxcfsDown),
    (Begin("401 "), Kind::LoginRefused),
    (Begin("fingerprint '"), Kind::OtherFingerprint),
    (Begin("Fingerprint not verified"), Kind::OtherFingerprint),
    (Begin("EOF while reading password"), Kind::NoPassword),
    (Begin("TFA-enabled login"), Kind::SecondFactor),
    (Begin("500 Can't connect to "), Kind::PeerUnreachable),
    (Begin("500 read timeout"), Kind::PeerUnreachable),
    (Begin("595 "), Kind::PeerUnreachable),
    (Begin("596 "), Kind::PeerUnreachable),
    (Begin("cluster not ready - no quorum?"), Kind::PeerNotQuorate),
    (Begin("cfs-lock '"), Kind::Locked),
    (Begin("can't lock file '"), Kind::Locked),
    (Begin("corosync: link "), Kind::OtherLinks),
    (Begin("no links "), Kind::OtherLinks),
    (Begin("corosync: address '"), Kind::AddressTaken),
    (Begin("can't add existing node '"), Kind::NameTaken),
    (Begin("invalid corosync.conf"), Kind::InvalidConfig),
    (
        Begin("error: incompatible join API version"),
        Kind::VersionsIncompatible,
    ),
    (Begin("error: unsupported old API version"), Kind::VersionsIncompatible),
    (Begin("400 "), Kind::BadArguments),
    (Begin("Navigate out of /etc/pve"), Kind::BadArguments),
    (Begin("ERROR: unknown command"), Kind::BadArguments),
    (Begin("please run as root"), Kind::BadArguments),
    (Begin("starting pve-cluster failed"), Kind::ServiceFailed),
    (Begin("can't stop pve-cluster service"), Kind::ServiceFailed),
    (Contain("failed: Job for "), Kind::ServiceFailed),
    (Begin("command 'systemctl"), Kind::ServiceFailed),
    (
        Begin("failed to create backup of pre-join config database"),
        Kind::BackupFailed,
    ),
    (Contain("sqlite3"), Kind::BackupFailed),
    (Begin("CA expires in less than 2 weeks"), Kind::CaExpires),
];

/// Lines on stderr that tell of no trouble, or only sum up what stdout said before.
const SUMMARIES: [&str; 6] = [
    "Check if node may join a cluster failed!",
    "Cluster join aborted!",
    "trying to acquire ",
    "perl: warning:",
    "400 Parameter verification failed.",
    "pvecm ",
];

/// The member's refusal is told with this in front.
const BY_PEER: &str = "An error occurred on the cluster node: ";
/// Begins the list of what stands against joining.
const LIST: &str = "detected the following error(s):";

/// Collects all trouble from both streams.
pub(super) fn troubles(stdout: &str, stderr: &str) -> Vec<Trouble> {
    let mut found: Vec<Trouble> = Vec::new();
    let mut in_list = false;
    for line in stdout.lines() {
        if line == LIST {
            in_list = true;
        } else if let Some(text) = line.strip_prefix(BY_PEER) {
            in_list = false;
            found.push(Trouble::of(text, true));
        } else if let Some(text) = line.strip_prefix("! ") {
            found.push(Trouble::of(text, true));
        } else if let Some(text) = line.strip_prefix("* ").filter(|_| in_list) {
            found.push(Trouble::of(text, false));
        }
    }
    let mut arguments_refused = false;
    for line in stderr
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with([' ', '\t']))
    {
        arguments_refused |= line.starts_with("400 ");
        if SUMMARIES.iter().any(|summary| line.starts_with(summary)) {
            continue;
        }
        let mut trouble = Trouble::of(line, false);
        if arguments_refused && trouble.kind == Kind::Other {
            // `clustername: value may only be 15 characters long`
            trouble.kind = Kind::BadArguments;
        }
        // `ipcc_send_rec[1]`, `[2]`, `[3]` say one thing.
        let repeats = found
            .iter()
            .any(|known| known.kind == trouble.kind && trouble.kind == Kind::PmxcfsDown);
        if !repeats {
            found.push(trouble);
        }
    }
    // After a failed start pmxcfs is down as well: a consequence.
    if found.iter().any(|trouble| trouble.kind == Kind::ServiceFailed) {
        found.retain(|trouble| trouble.kind != Kind::PmxcfsDown);
    }
    found
}

impl Trouble {
    fn of(text: &str, by_peer: bool) -> Self {
        let text = text.trim();
        let says = |words: &Words| match words {
            Begin(beginning) => text.starts_with(beginning),
            Contain(part) => text.contains(part),
        };
        let kind = SAYINGS
            .iter()
            .find(|(words, _)| says(words))
            .map_or(Kind::Other, |(_, kind)| *kind);
        Self {
            kind,
            text: text.to_owned(),
            by_peer,
        }
    }

    /// Is it told before pvecm, here or on the member, has changed the cluster? The member checks version, quorum, lock,
    /// its configuration, addresses, links and name, in this order, and then writes.
    pub(super) fn precedes_change(&self) -> bool {
        match self.kind {
            // While it was waited for, rather than while it was held.
            Kind::Locked => ["got lock request timeout", "no quorum!", "can't lock file '"]
                .iter()
                .any(|words| self.text.contains(words)),
            Kind::AuthkeyExists
            | Kind::ConfigExists
            | Kind::HasGuests
            | Kind::CorosyncRuns
            | Kind::AddressNotHere
            | Kind::LinkNameUnresolved
            | Kind::OwnNameUnresolved
            | Kind::PmxcfsDown
            | Kind::LoginRefused
            | Kind::OtherFingerprint
            | Kind::NoPassword
            | Kind::SecondFactor
            | Kind::PeerUnreachable
            | Kind::PeerNotQuorate
            | Kind::OtherLinks
            | Kind::AddressTaken
            | Kind::NameTaken
            | Kind::InvalidConfig
            | Kind::VersionsIncompatible
            | Kind::BadArguments => true,
            Kind::ServiceFailed | Kind::BackupFailed | Kind::CaExpires | Kind::Other => false,
        }
    }

    /// As a finding on `node`.
    #[must_use]
    pub fn finding(&self, node: &str) -> Finding {
        let (code, next) = self.kind.advice();
        let who = if self.by_peer { "the member refused: " } else { "" };
        Finding::new(code, node, format!("{who}{}", self.text), next)
    }
}

impl TroubleKind {
    /// The code of its finding, and what to do about it.
    #[must_use]
    pub fn advice(self) -> (Code, &'static str) {
        match self {
            Self::AuthkeyExists => (
                Code::NodeHasLeftovers,
                "make sure that the server belongs to no cluster, then remove /etc/corosync/authkey on it",
            ),
            Self::ConfigExists => (
                Code::NodeInOtherCluster,
                "look at `pvecm status` on the server: it has a cluster already",
            ),
            Self::HasGuests => (
                Code::NodeHasGuests,
                "move the guests away (backup, or migrate), then apply again",
            ),
            Self::CorosyncRuns => (
                Code::NodeInOtherCluster,
                "look at `pvecm status` on the server: it is in a cluster already",
            ),
            Self::AddressNotHere => (
                Code::AddressNotOnNode,
                "bring the interface up, or correct the links of the cluster file",
            ),
            Self::LinkNameUnresolved => (
                Code::SpecBadAddress,
                "write addresses instead of names into the cluster file",
            ),
            Self::OwnNameUnresolved => (
                Code::NameDoesNotResolve,
                "give the server's name its address in /etc/hosts on the server, not 127.0.1.1",
            ),
            Self::PmxcfsDown => (
                Code::PmxcfsNotReady,
                "look at `systemctl status pve-cluster` on the server",
            ),
            Self::LoginRefused => (
                Code::JoinLoginRefused,
                "compare the clocks of both servers (a ticket is good for -2 h to +5 min), then apply again",
            ),
            Self::OtherFingerprint => (
                Code::JoinOtherFingerprint,
                "the member's certificate has changed since it was read: apply again to read it anew",
            ),
            Self::NoPassword => (Code::StepFailed, "apply again: the ticket did not reach the tool"),
            Self::SecondFactor => (
                Code::StepFailed,
                "root@pam has a second factor on the cluster: let it join by ticket",
            ),
            Self::PeerUnreachable => (
                Code::JoinPeerUnreachable,
                "look at pveproxy on the member, and whether port 8006 is open between the two servers",
            ),
            Self::PeerNotQuorate => (Code::ClusterNotQuorate, "bring the cluster's other members back first"),
            Self::Locked => (
                Code::ClusterLocked,
                "another change holds the lock, or an old lock is left: wait two minutes, then apply again",
            ),
            Self::OtherLinks => (
                Code::LinksDiffer,
                "the cluster file must name exactly the links that the cluster has",
            ),
            Self::AddressTaken => (Code::SpecDuplicateAddress, "give each server an address of its own"),
            Self::NameTaken => (
                Code::NodeHasLeftovers,
                "the cluster has a node of this name: rename the server, or remove the old entry with `pvecm delnode`",
            ),
            Self::InvalidConfig => (
                Code::StepFailed,
                "the cluster's corosync.conf breaks PVE's rules: mend it first",
            ),
            Self::VersionsIncompatible => (Code::VersionsDiffer, "bring both servers to the same PVE release"),
            Self::ServiceFailed => (
                Code::StepFailed,
                "look at `journalctl -u corosync -u pve-cluster` on the server",
            ),
            Self::BackupFailed => (
                Code::StepFailed,
                "look for free space below /var/lib/pve-cluster on the server",
            ),
            Self::CaExpires => (Code::StepFailed, "renew the cluster's CA first"),
            Self::BadArguments | Self::Other => (
                Code::StepFailed,
                "look at the task log on the server: `pvenode task list`",
            ),
        }
    }
}
