//! All codes with their meaning: the findings page is made from this table.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Severity;
use crate::ids::InvalidName;

/// One row of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// Its text, such as `QRT-NODE-HAS-GUESTS`.
    pub text: &'static str,
    /// Its usual severity.
    pub severity: Severity,
    /// May an operator accept it by `--accept CODE`?
    pub overridable: bool,
    /// What it means and why it matters.
    pub meaning: &'static str,
}

macro_rules! catalogue {
    ($($variant:ident $text:literal $severity:ident $over:literal $meaning:literal;)*) => {
        /// The stable codes of findings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        /// Every code, in the order of the findings page.
        pub const CATALOGUE: &[Entry] = &[
            $(Entry { code: Code::$variant, text: $text, severity: Severity::$severity, overridable: $over, meaning: $meaning },)*
        ];

        impl Code {
            /// Its row in the catalogue.
            #[must_use]
            pub fn entry(self) -> Entry {
                match self {
                    $(Self::$variant => Entry {
                        code: Self::$variant, text: $text, severity: Severity::$severity, overridable: $over, meaning: $meaning,
                    },)*
                }
            }
        }
    };
}

catalogue! {
    // The cluster file
    SpecSyntax "QRT-SPEC-SYNTAX" Refusal false "The cluster file is not valid TOML.";
    SpecUnknownKey "QRT-SPEC-UNKNOWN-KEY" Refusal false "A key of the cluster file is not one that Quorate knows. Unknown keys are errors, since a misspelt one would silently not be obeyed.";
    SpecMissingKey "QRT-SPEC-MISSING-KEY" Refusal false "A key that is needed is missing from the cluster file.";
    SpecWrongType "QRT-SPEC-WRONG-TYPE" Refusal false "A value in the cluster file is of the wrong type.";
    SpecBadName "QRT-SPEC-BAD-NAME" Refusal false "A name breaks PVE's rules: a cluster's name has at most 15 characters, and every name is made of lower-case letters, digits and inner hyphens.";
    SpecBadAddress "QRT-SPEC-BAD-ADDRESS" Refusal false "An address or network in the cluster file can't be read. Write addresses, not names: corosync stores what it is given.";
    SpecBadValue "QRT-SPEC-BAD-VALUE" Refusal false "A value in the cluster file is outside of what is allowed.";
    SpecDuplicateAddress "QRT-SPEC-DUPLICATE-ADDRESS" Refusal false "Two nodes, or two links of one node, have the same address. PVE accepts this and the cluster breaks later.";
    SpecNotSupported "QRT-SPEC-NOT-SUPPORTED" Refusal false "The cluster file asks for something that this version of Quorate does not do. Nothing of it is applied half.";

    // Seeing
    NodeUnreachable "QRT-NODE-UNREACHABLE" Refusal false "A node's agent does not answer. What can't be seen is unknown, and nothing that depends on it is planned.";
    FacetUnknown "QRT-FACET-UNKNOWN" Refusal false "Part of what a node should report could not be read or understood. Unknown is not absent: the plan that needs it is refused.";
    DataStale "QRT-DATA-STALE" Warning false "What is shown was seen some time ago and has not been refreshed since.";
    NodeNotEnrolled "QRT-NODE-NOT-ENROLLED" Refusal false "The cluster file names a node that is not enrolled in this cluster.";
    NodeNotInFile "QRT-NODE-NOT-IN-FILE" Warning false "An enrolled node is not named by the cluster file. It is left alone.";
    NodeUnmanaged "QRT-NODE-UNMANAGED" Warning false "The cluster has a member that the cluster file does not name. It is left alone: absence never deletes.";
    HostNameDiffers "QRT-HOST-NAME-DIFFERS" Refusal false "The server calls itself by another name than the one it is enrolled under. PVE takes the server's own name into the cluster, and it can't be changed later.";

    // Before a cluster is made or joined
    NodeHasGuests "QRT-NODE-HAS-GUESTS" Refusal false "A server that is to join has guests. Joining replaces its /etc/pve, and pvecm refuses: guest ids could clash.";
    NodeInOtherCluster "QRT-NODE-IN-OTHER-CLUSTER" Refusal false "A server that is to join belongs to another cluster already.";
    NodeHasLeftovers "QRT-NODE-HAS-LEFTOVERS" Refusal false "A server that is to join has files of an earlier cluster (authkey, corosync.conf), or a join that was not finished. pvecm refuses, or goes on with the wrong key.";
    NameDoesNotResolve "QRT-NAME-DOES-NOT-RESOLVE" Refusal false "A server's own name does not resolve, on the server itself, to an address that is not a loopback one. pmxcfs does not start then, and pvecm refuses.";
    AddressNotOnNode "QRT-ADDRESS-NOT-ON-NODE" Refusal false "An address of the cluster file is not on an interface of its node that is up. pvecm create would accept it without a word.";
    NoAddressInNetwork "QRT-NO-ADDRESS-IN-NETWORK" Refusal false "A node has no address in the network of a link.";
    AmbiguousAddress "QRT-AMBIGUOUS-ADDRESS" Refusal false "A node has several addresses in the network of a link, and which one is meant can't be told.";
    NotPve "QRT-NOT-PVE" Refusal false "A server that is to be a member is no Proxmox VE server.";
    VersionsDiffer "QRT-VERSIONS-DIFFER" Refusal true "The servers run different major versions of PVE. PVE allows such joins only while a cluster is being upgraded.";
    VersionUntested "QRT-VERSION-UNTESTED" Refusal true "This PVE version has not been tested with Quorate. Observing is safe; changing needs your explicit word.";
    ClockSkew "QRT-CLOCK-SKEW" Refusal false "The clocks of the servers differ by more than what tickets and certificates bear. Making a ticket on a server whose clock is behind can rotate the cluster's key.";
    ClockNotSynchronised "QRT-CLOCK-NOT-SYNCHRONISED" Warning false "No time service says that this server's clock is synchronised.";
    PmxcfsNotReady "QRT-PMXCFS-NOT-READY" Refusal false "/etc/pve is not mounted on a server, so neither creating nor joining a cluster can work there.";
    ClusterNotQuorate "QRT-CLUSTER-NOT-QUORATE" Refusal false "The cluster has no quorum: /etc/pve is read-only, and nothing can be changed before quorum is back.";
    MemberOffline "QRT-MEMBER-OFFLINE" Refusal false "A member of the cluster is not in the membership now. Joining another would leave even less to lose.";
    SplitMembership "QRT-SPLIT-MEMBERSHIP" Refusal false "Servers that the cluster file puts into one cluster are in different clusters of that name, or disagree about who is in it.";
    LinkSlow "QRT-LINK-SLOW" Warning false "A link of the cluster network runs below 10 Gbit/s. Replication and migration will take long, and corosync suffers when they share it.";
    LinkDown "QRT-LINK-DOWN" Warning false "A corosync link between two members is not connected. The cluster lives on its other links, if it has any.";
    OneLink "QRT-ONE-LINK" Warning false "The cluster has a single corosync link: one switch or cable can cost the quorum.";
    EvenVotes "QRT-EVEN-VOTES" Warning false "The cluster has an even number of votes. Two servers do not survive the loss of one: a third vote (QDevice or witness) is needed for that.";
    ConfigNotRunning "QRT-CONFIG-NOT-RUNNING" Warning false "corosync.conf is newer than what corosync runs with: an edit was not taken over.";

    LinksDiffer "QRT-LINKS-DIFFER" Refusal false "The links that a joining server was given are not the links that the cluster has. Every member needs an address on each of them, and on no other.";
    JoinLoginRefused "QRT-JOIN-LOGIN-REFUSED" Refusal false "The member did not accept the ticket or password of the server that wanted to join. Most often the clocks differ: a ticket is good from five minutes ahead to two hours back.";
    JoinOtherFingerprint "QRT-JOIN-OTHER-FINGERPRINT" Refusal false "The member showed the joining server another certificate than the one it was to trust. It was renewed in the meantime, or another machine answers at that address.";
    JoinPeerUnreachable "QRT-JOIN-PEER-UNREACHABLE" Refusal false "The joining server could not call the member's API (port 8006), or got no answer. The cluster's own links may still be well.";
    ClusterLocked "QRT-CLUSTER-LOCKED" Refusal false "Another change holds the cluster's lock on corosync.conf, or an old lock is left from a loss of quorum. PVE lets an old one expire after two minutes.";

    // Rollouts
    PlanChanged "QRT-PLAN-CHANGED" Refusal false "A fresh plan has other steps than the one that was shown. Nothing was started.";
    RolloutRunning "QRT-ROLLOUT-RUNNING" Refusal false "Another rollout holds this cluster. One at a time.";
    NodeBusy "QRT-NODE-BUSY" Refusal false "Another operation still runs on this server. One change at a time on each server, whoever asks.";
    StepFailed "QRT-STEP-FAILED" Critical false "A step of a rollout failed. Its branch was stopped; what is independent of it went on.";
    StepStuck "QRT-STEP-STUCK" Critical false "The outcome of a step can't be told: neither what was wanted nor what was there before is what is seen now.";
    StepOverdue "QRT-STEP-OVERDUE" Warning false "A step takes longer than it should. Stopping it half-way would leave a half-state, so it is followed and diagnosed instead.";
    JournalDamaged "QRT-JOURNAL-DAMAGED" Critical false "The rollout journal is shorter than it was, or altered. What was done is found out by observing the servers.";

    // Trust
    TlsNoCertificate "QRT-TLS-NO-CERTIFICATE" Refusal false "The caller showed no certificate.";
    TlsOtherCa "QRT-TLS-OTHER-CA" Refusal false "The certificate was made by another CA than this fleet's.";
    TlsExpired "QRT-TLS-EXPIRED" Refusal false "The certificate is no longer valid. Check both clocks before renewing it.";
    TlsNotYetValid "QRT-TLS-NOT-YET-VALID" Refusal false "The certificate is not valid yet: most likely one of the two clocks is wrong.";
    TlsWrongName "QRT-TLS-WRONG-NAME" Refusal false "The server that answered is not the one that was called.";
    TlsRevoked "QRT-TLS-REVOKED" Refusal false "The certificate was revoked.";
    TlsFailed "QRT-TLS-FAILED" Refusal false "The TLS handshake failed.";
    RoleNotAllowed "QRT-ROLE-NOT-ALLOWED" Refusal false "The caller's role may not call this: nodes command nobody, viewers change nothing.";
    RoleWrongCa "QRT-ROLE-WRONG-CA" Refusal false "The certificate claims a role that its issuer may not give. The online issuing CA makes node certificates and nothing else.";
    TokenUnknown "QRT-TOKEN-UNKNOWN" Refusal false "The enrolment token is not one that this coordinator gave out, or its invitation was withdrawn.";
    TokenExpired "QRT-TOKEN-EXPIRED" Refusal false "The enrolment token has expired.";
    TokenUsed "QRT-TOKEN-USED" Critical false "An enrolment token was presented a second time. Somebody else may have it: both claims are frozen until an operator decides.";
    TokenWrongName "QRT-TOKEN-WRONG-NAME" Refusal false "The enrolment token was made for a node of another name.";
    TokenWrongAddress "QRT-TOKEN-WRONG-ADDRESS" Refusal false "The enrolment token was presented from another address than the one it was made for.";
    EnrolmentRateLimited "QRT-ENROLMENT-RATE-LIMITED" Refusal false "Too many enrolment attempts. Wait a moment.";
    DriverSuperseded "QRT-DRIVER-SUPERSEDED" Critical false "Another coordinator has taken over. Two coordinators with one CA must not both drive.";
    PolicyForbids "QRT-POLICY-FORBIDS" Refusal false "The node's own policy file forbids this, whoever asks.";
    BackupMissing "QRT-BACKUP-MISSING" Warning false "No backup of the fleet's CA has been made. Without it, losing this host means enrolling every node again.";
}

impl Code {
    /// Its text, such as `QRT-NODE-HAS-GUESTS`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.entry().text
    }
}

impl FromStr for Code {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        CATALOGUE
            .iter()
            .find(|e| e.text.eq_ignore_ascii_case(text))
            .map(|e| e.code)
            .ok_or_else(|| InvalidName {
                what: "finding code",
                text: text.to_owned(),
                reason: "there is no such code; the findings page lists all",
            })
    }
}

impl TryFrom<String> for Code {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Code> for String {
    fn from(code: Code) -> String {
        code.as_str().to_owned()
    }
}
