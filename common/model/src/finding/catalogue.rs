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
    NodeNotEnrolled "QRT-NODE-NOT-ENROLLED" Refusal false "A server that the cluster file names, or a member whose word is needed for a change, is not enrolled in this cluster.";
    NodeNotInFile "QRT-NODE-NOT-IN-FILE" Warning false "An enrolled node is not named by the cluster file. It is left alone.";
    NodeUnmanaged "QRT-NODE-UNMANAGED" Warning false "The cluster has a member that the cluster file does not name. It is left alone: absence never deletes.";
    CoordinatorInGuest "QRT-COORDINATOR-IN-GUEST" Warning false "The coordinator runs in a guest of the cluster that it looks after. When its server fails, or the cluster as a whole, nobody watches, and nothing of ours goes on until that guest runs again.";
    CoordinatorOnNode "QRT-COORDINATOR-ON-NODE" Warning false "The coordinator runs on one of the servers that it looks after. When that server fails, so does the view on the others; it is handled last, and can not be taken out from there.";
    HostNameDiffers "QRT-HOST-NAME-DIFFERS" Refusal false "The server calls itself by another name than the one it is enrolled under. PVE takes the server's own name into the cluster, and it can't be changed later.";

    // Before a cluster is made or joined
    NodeHasGuests "QRT-NODE-HAS-GUESTS" Refusal false "A server that is to join has guests. Joining replaces its /etc/pve, and pvecm refuses: guest ids could clash.";
    NodeInOtherCluster "QRT-NODE-IN-OTHER-CLUSTER" Refusal false "A server that is to join belongs to another cluster already.";
    NodeHasLeftovers "QRT-NODE-HAS-LEFTOVERS" Refusal false "A server that is to join has files of an earlier cluster (authkey, corosync.conf), or a join that was not finished. pvecm refuses, or goes on with the wrong key.";
    JoinUnfinished "QRT-JOIN-UNFINISHED" Warning false "A join was begun and did not come to its end: the cluster counts a server that is not in. The plan finishes it, or undoes it where that was asked for.";
    NameDoesNotResolve "QRT-NAME-DOES-NOT-RESOLVE" Refusal false "A server's own name does not resolve, on the server itself, to an address that is not a loopback one. pmxcfs does not start then, and pvecm refuses.";
    NameResolvesElsewhere "QRT-NAME-RESOLVES-ELSEWHERE" Warning false "On one server, the name of another does not resolve to the address that the cluster file has for it. PVE finds members by its own files, but storages, scripts and people use names.";
    AddressNotOnNode "QRT-ADDRESS-NOT-ON-NODE" Refusal false "An address of the cluster file is not on an interface of its node that is up. pvecm create would accept it without a word.";
    NoAddressInNetwork "QRT-NO-ADDRESS-IN-NETWORK" Refusal false "A node has no address in the network of a link.";
    AmbiguousAddress "QRT-AMBIGUOUS-ADDRESS" Refusal false "A node has several addresses in the network of a link, and which one is meant can't be told.";
    NameNotKnown "QRT-NAME-NOT-KNOWN" Note false "Servers do not resolve each other's names. A join does not put them into /etc/hosts, and PVE does without.";
    AddressTaken "QRT-ADDRESS-TAKEN" Refusal false "An address that one server is to have is on another one as well, or another member has it in corosync.conf. PVE accepts this and the cluster breaks later.";
    FirewallKeepsOut "QRT-FIREWALL-KEEPS-OUT" Refusal true "A server that joins gets the firewall of the cluster, and that is not known to let the coordinator and the other agents in. Accepted, the plan adds rules for the agents before the joins.";
    ServiceDown "QRT-SERVICE-DOWN" Refusal false "A service of PVE that a change leans on does not run: pve-cluster, pvedaemon, pveproxy or sshd, or corosync-qnetd on the host of the third vote.";
    LittleSpace "QRT-LITTLE-SPACE" Refusal false "There is too little room for the copy of its configuration that a server makes when it joins. Older versions of PVE die there, when the cluster counts the server already.";
    PackageNotAvailable "QRT-PACKAGE-NOT-AVAILABLE" Refusal false "A package that is needed is not installed, and no repository that apt knows has it, or apt can not fetch it from there.";
    RepositoriesNote "QRT-REPOSITORIES" Note false "The enterprise repository is the only one of PVE that is enabled, which gives nothing without a subscription, or none is enabled.";
    UpdatesPending "QRT-UPDATES-PENDING" Note false "apt would upgrade packages on this server. Equal versions on all servers make for fewer surprises.";
    JoinOverwrites "QRT-JOIN-OVERWRITES" Warning false "Joining replaces the /etc/pve of a server: what is named here is gone from it afterwards. A copy of the old database stays in /var/lib/pve-cluster/backup.";
    JoinDropsStorage "QRT-JOIN-DROPS-STORAGE" Warning false "A storage is defined on the joining server only. Its definition goes with the join, its data stays; it can be added again, limited to that server.";
    RootTfa "QRT-ROOT-TFA" Warning false "root@pam has a second factor. Joins by ticket, as Quorate makes them, are not asked for it; a join by password can not be made without a terminal.";
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
    LinkHalfDuplex "QRT-LINK-HALF-DUPLEX" Warning false "A port of the cluster network runs at half duplex: cable, switch or autonegotiation are faulty, and corosync will lose packets.";
    MtuDiffers "QRT-MTU-DIFFERS" Warning false "The servers have different MTUs on one link. Small packets pass and large ones vanish: the cluster looks well until it has something to say.";
    LinkDown "QRT-LINK-DOWN" Warning false "A corosync link between two members is not connected. The cluster lives on its other links, if it has any.";
    LinkLatencyHigh "QRT-LINK-LATENCY-HIGH" Warning false "Round trips between two servers on a corosync link typically take 5 ms or more, or one of a hundred takes more than 10 ms. corosync needs less than 5 ms to run stably; under load such a link loses members.";
    LinkLatencyTooHigh "QRT-LINK-LATENCY-TOO-HIGH" Refusal true "The typical round trip between two servers on a corosync link takes more than 10 ms. With more than three servers corosync is unlikely to work then, and with three every hiccup costs the quorum. Two places that are this far apart are better two clusters, each with a Proxmox Backup Server, which sync. It can be accepted, since nothing is destroyed and two or three servers may bear it: accept it only if another link is fast enough, or the cluster is a small one without HA.";
    LinkLossy "QRT-LINK-LOSSY" Warning true "Packets between two servers get lost on a corosync link: a warning, and from 5 % on a refusal. corosync repeats what is lost, and the whole cluster waits for it. The refusal can be accepted, since loss may be of the moment: measure again first.";
    MtuMismatch "QRT-MTU-MISMATCH" Warning false "Between two servers a corosync link lets only smaller packets through than their interfaces send, or the two interfaces have different MTUs. corosync finds what passes by itself; migration and storages on that network do not, and hang with large packets.";
    LinkNoAnswer "QRT-LINK-NO-ANSWER" Refusal true "Nothing at all passes between two servers on a corosync link: packets were sent, and none came back. A server that joins over such a link waits for quorum for ever. The refusal can be accepted, since a firewall may shut out the measuring alone: accept it only if that is sure, or if another link connects the two.";
    LinkWorse "QRT-LINK-WORSE" Warning false "A link is worse than it was when it was measured before: three times the typical round trip or more, packets that are lost, or a smaller packet that passes uncut. It may still be good enough for corosync; something has changed.";
    LinkNotMeasured "QRT-LINK-NOT-MEASURED" Warning false "Nothing, or not all, is known about the way between two servers on a corosync link. Not measured does not mean good.";
    LinksShare "QRT-LINKS-SHARE" Warning false "Two corosync links of one server run over the same port or in the same network. They fail together: the second one saves nothing.";
    NodeIdTwice "QRT-NODE-ID-TWICE" Refusal false "corosync.conf gives one id to two servers. corosync takes them for one, and pvecm delnode of one of them would kill the other. It is mended by hand, before anything else is changed.";
    OneLink "QRT-ONE-LINK" Warning false "The cluster has a single corosync link: one switch or cable can cost the quorum.";
    EvenVotes "QRT-EVEN-VOTES" Warning false "The cluster has an even number of votes. Two servers do not survive the loss of one: a third vote (QDevice or witness) is needed for that.";
    TwoServersHa "QRT-TWO-SERVERS-HA" Refusal false "Guests are under HA in a cluster of two votes. When one server fails, the other has no quorum, and its watchdog resets it too: HA makes two servers fail where one did.";
    ConfigNotRunning "QRT-CONFIG-NOT-RUNNING" Warning false "corosync.conf says something else than what corosync runs with: an edit was not taken over, or its version was lowered. The next change would be lost, or kill another server than it names.";
    HaPaused "QRT-HA-PAUSED" Warning false "Guests are under HA, and the change touches the membership: HA is disarmed before and armed after it. In between, nobody restarts guests of a server that fails.";
    HaAlreadyDisarmed "QRT-HA-DISARMED" Warning false "HA is disarmed, or its daemons are stopped: guests of a server that fails are not restarted. What no rollout of Quorate put to rest is left as it is.";
    HaBusy "QRT-HA-BUSY" Refusal false "HA is fencing, recovering or moving guests, or is about to be disarmed. The membership is not touched before that is over.";
    HaCannotDisarm "QRT-HA-CANNOT-DISARM" Refusal false "HA may hold an armed watchdog, and can not be disarmed now. Changing the membership could make servers reset themselves.";
    NodeFolderLeft "QRT-NODE-FOLDER-LEFT" Warning false "/etc/pve/nodes has a folder for a server that is no member. PVE shows it as a node that is offline for ever.";

    LinksDiffer "QRT-LINKS-DIFFER" Refusal false "The links that a joining server was given are not the links that the cluster has. Every member needs an address on each of them, and on no other.";
    LinkNotInFile "QRT-LINK-NOT-IN-FILE" Refusal false "The cluster has a corosync link that the cluster file does not name. Absence never deletes: links are taken out by hand.";
    LinkMoved "QRT-LINK-MOVED" Refusal false "A member has another address on a link than the cluster file says. corosync does not take over a changed address: the link has to be taken out and made anew, by hand.";
    LinkPriorityDiffers "QRT-LINK-PRIORITY-DIFFERS" Refusal false "A link of the running cluster has another priority than the cluster file says. Priorities of links that exist are changed by hand.";

    // Taking servers out
    RemoveStillNamed "QRT-REMOVE-STILL-NAMED" Refusal false "A server that is to be taken out is still named by the cluster file.";
    RemoveStillMember "QRT-REMOVE-STILL-A-MEMBER" Refusal false "A server that is to leave the fleet is still counted by its cluster: it would go on in there, and nobody would look after it.";
    RemoveNotMember "QRT-REMOVE-NOT-A-MEMBER" Note false "A server that is to be taken out is no member: there is nothing to take out.";
    RemoveHasGuests "QRT-REMOVE-HAS-GUESTS" Refusal false "A server that is to be taken out still has guests. Their configuration would go with it.";
    RemoveHasReplication "QRT-REMOVE-HAS-REPLICATION" Refusal false "A replication job copies from or to a server that is to be taken out. Such a job can not be removed cleanly afterwards.";
    RemoveHasHa "QRT-REMOVE-HAS-HA" Refusal false "HA has services on a server that is to be taken out, or names it in a group or rule.";
    RemoveHasCeph "QRT-REMOVE-HAS-CEPH" Refusal false "A server that is to be taken out has daemons or disks of Ceph, or may have had some. Ceph has its own order of leaving.";
    RemoveHasStorage "QRT-REMOVE-HAS-STORAGE" Warning false "A storage is limited to servers of which one is to be taken out. pvecm leaves its name in storage.cfg.";
    RemoveIdTwice "QRT-REMOVE-ID-TWICE" Refusal false "The corosync id of a server that is to be taken out is given twice. pvecm delnode kills by id: it would kill a healthy server.";
    RemoveNotOff "QRT-REMOVE-NOT-OFF" Refusal false "A server that is to be taken out is not known to be off for good. One that comes back with its old configuration can disturb the cluster.";
    RemoveLosesQuorum "QRT-REMOVE-LOSES-QUORUM" Refusal false "Taking the server out by the order of things would take the quorum from the others. Quorate never does that.";
    RemoveOneAtATime "QRT-REMOVE-ONE-AT-A-TIME" Refusal false "This version of PVE can not disarm HA as a whole; only one running server is taken out in one go.";
    RemoveCoordinator "QRT-REMOVE-COORDINATOR" Refusal false "The coordinator itself runs on the server that is to be switched off and taken out.";
    ReplaceNotNamed "QRT-REPLACE-NOT-NAMED" Refusal false "The server that is to take the place of another is not named by the cluster file.";
    QuorumGone "QRT-QUORUM-GONE" Refusal false "The servers that are left are too few to be given quorum safely by one change. This is a recovery, not a removal.";

    // Disks
    DestroyNotConsented "QRT-DESTROY-NOT-CONSENTED" Refusal false "A step overwrites a disk, and nobody consented to that by name. A yes to the plan is no consent to the loss of what is on a disk.";
    DestroyNotPlanned "QRT-DESTROY-NOT-PLANNED" Refusal false "A disk that may be overwritten by the operator's word is not one that the plan overwrites. A name that is mistyped must not be found out afterwards.";

    DiskNotThere "QRT-DISK-NOT-THERE" Refusal false "A disk that is named or was planned is not there, or another one bears its name: it was pulled, or swapped.";
    DiskNotFree "QRT-DISK-NOT-FREE" Refusal false "A disk that is named or was planned is in use, or carries something. Nothing is ever overwritten without a word of its own.";
    DisksTooFew "QRT-DISKS-TOO-FEW" Refusal false "A server has fewer free disks than the cluster file asks for.";
    DiskMaybeRaid "QRT-DISK-MAYBE-RAID" Refusal true "Whether a disk is one disk or a volume of a RAID controller can't be told. ZFS on a RAID volume can't mend what the controller spoils, and does not see which disk fails.";
    DiskVirtual "QRT-DISK-VIRTUAL" Refusal true "A disk is a hypervisor's. Whether two of them lie on two disks, and whether what is written is on disk when it says so, can't be told from inside.";
    DiskMaybeShared "QRT-DISK-MAYBE-SHARED" Refusal true "Whether a disk is a LUN that another server sees as well can't be told, since that server's disks could not be seen. Two pools on one LUN destroy each other.";
    DisksUnfit "QRT-DISKS-UNFIT" Refusal false "The disks that a pool would get are not alike in size, or not so many as its layout takes: zpool would refuse them.";
    PoolNameTaken "QRT-POOL-NAME-TAKEN" Refusal false "Disks of a server carry a pool of the wanted name that is not imported. With two pools of one name, chance decides which one a boot imports.";
    PoolsUnequal "QRT-POOLS-UNEQUAL" Warning false "Pools of one name have different room on different servers: replication and migration are bound by the smallest.";
    PoolDiffers "QRT-POOL-DIFFERS" Warning false "A pool is there already and is not as the cluster file has it. It is left alone: what is on it matters more than how it is laid out.";
    DiskFailing "QRT-DISK-FAILING" Critical false "A disk says of itself by SMART that it fails. Replace it before it does.";
    DiskWorn "QRT-DISK-WORN" Warning false "A disk has used up nine tenths of the writes that it is made for, by its own count.";

    DiskDecays "QRT-DISK-DECAYS" Warning false "A disk has more bad sectors than before. Those that were replaced do no harm; that they become more is how most disks begin to fail. Told for a week after the last.";
    DiskGone "QRT-DISK-GONE" Critical false "A disk that was in use is not there any more. Told until it is back or its pool is whole without it; where no pool used it, or the pool is gone as well, for a week.";
    DiskPulled "QRT-DISK-PULLED" Note false "A disk that nobody used is not there any more. Told for a day.";
    DiskNew "QRT-DISK-NEW" Note false "A disk is there that was not there before. Told for a day.";

    // Pools
    PoolNotOnline "QRT-POOL-NOT-ONLINE" Critical false "A ZFS pool works without a part of it, or does not work: the next loss may be one of data.";
    PoolDataLost "QRT-POOL-DATA-LOST" Critical false "A ZFS pool has data that can't be read any more, and that no copy could repair. zpool still calls such a pool ONLINE.";
    PoolErrors "QRT-POOL-ERRORS" Warning false "A disk of a ZFS pool has given or taken wrong data since its errors were cleared last. What could be repaired was; zpool calls such a pool ONLINE.";
    PoolFull "QRT-POOL-FULL" Critical false "Nine tenths of a ZFS pool are taken. Writes become slow, and soon fail.";
    PoolFilling "QRT-POOL-FILLING" Warning false "Eight tenths of a ZFS pool are taken. Copy-on-write needs room: from here on it becomes slower.";
    PoolFragmented "QRT-POOL-FRAGMENTED" Warning false "The free room of a ZFS pool is in small pieces: writes are slow, and large ones may not find room.";
    PoolScrubOld "QRT-POOL-SCRUB-OLD" Warning false "A ZFS pool was not scrubbed for more than 38 days, or its last scrub was stopped or paused before its end. Debian scrubs every month; what rots meanwhile is found when the last good copy is needed.";
    PoolNeverScrubbed "QRT-POOL-NEVER-SCRUBBED" Note false "A ZFS pool was never scrubbed since it was made. Debian scrubs on the second Sunday of each month.";
    PoolNotAtBoot "QRT-POOL-NOT-AT-BOOT" Warning false "Nothing but ZFS's cache file brings a pool back at boot. PVE enables a unit of its own, zfs-import@, for each pool that it makes.";
    PoolNotScrubbed "QRT-POOL-NOT-SCRUBBED" Warning false "Nothing scrubs a ZFS pool from time to time: neither Debian's cron job nor a timer. What rots is found when the last good copy is needed.";
    PoolResilvers "QRT-POOL-RESILVERS" Note false "A ZFS pool fills a disk that is new or was away. Until that is done it does not survive what it is laid out for.";

    // Storages
    StorageTaken "QRT-STORAGE-TAKEN" Refusal false "A storage id that the cluster file names is that of another storage: of another type, or somewhere else. PVE never changes that, and guests may have disks there.";
    StorageDiffers "QRT-STORAGE-DIFFERS" Warning false "A storage is there and is not as the cluster file has it. Only what adds to it is planned; the rest is for people to decide, since guests may depend on it.";
    StoragePoolTwice "QRT-STORAGE-POOL-TWICE" Refusal true "A ZFS pool would be registered under a second storage id. Both would show the same disks, and deleting in one of them deletes them in the other.";
    StorageNoPool "QRT-STORAGE-NO-POOL" Refusal false "A storage lies on a ZFS pool that a server does not have.";
    StorageNoSecret "QRT-STORAGE-NO-SECRET" Refusal false "A storage's password is not at hand: none is named or given, or the file with it can't be used: it lies outside of the coordinator's folder for them, is not there, can be read by others, or is not one line.";
    StorageInactive "QRT-STORAGE-INACTIVE" Critical false "A storage that should be there on a server can't be used on it. Guests whose disks are on it don't start there, and backups to it fail.";
    StorageUnseen "QRT-STORAGE-UNSEEN" Warning false "Whether storages can be used on a server could not be seen: mostly one of them does not answer, and holds up the others.";
    StorageFull "QRT-STORAGE-FULL" Critical false "Nine tenths of a storage are taken. Guests whose disks find no room stop, and backups fail.";
    StorageFilling "QRT-STORAGE-FILLING" Warning false "Eight tenths of a storage are taken.";

    // The third vote
    QnetdOnMember "QRT-QNETD-ON-MEMBER" Refusal false "The host of the third vote is a Proxmox VE server or a member: it must be outside of the cluster, and corosync-qnetd and PVE get in the way of each other.";
    QnetdInGuest "QRT-QNETD-IN-GUEST" Refusal false "The host of the third vote seems to be a guest of the cluster: it would be gone just when its vote is needed.";
    QnetdWithCa "QRT-QNETD-WITH-CA" Refusal false "The host of the third vote is the one that holds the CA of the fleet. The key of a cluster is let in there while it is set up, and with it anybody who is root on a member.";
    QdeviceOddVotes "QRT-QDEVICE-ODD-VOTES" Refusal false "A third vote is asked for in a cluster with an odd number of servers. It would make every further failure worse; PVE refuses it.";
    QdeviceNotVoting "QRT-QDEVICE-NOT-VOTING" Warning false "The QDevice is configured, but does not give its vote to every member.";
    QdeviceUnmanaged "QRT-QDEVICE-UNMANAGED" Warning false "The cluster has a QDevice that the cluster file does not name. It is left alone: absence never deletes.";
    QdeviceInTheWay "QRT-QDEVICE-IN-THE-WAY" Refusal false "The membership can not change while a QDevice is configured, and Quorate could not set up this one again.";
    QdeviceMoves "QRT-QDEVICE-MOVES" Warning false "The cluster file names another host for the third vote than the cluster has: the QDevice is taken off, and set up with the other one.";
    QdeviceKeyLeft "QRT-QDEVICE-KEY-LEFT" Warning false "A set-up of the QDevice that broke off left its certificate, with the private key, in /etc/pve, where every member can read it.";
    SshTooOld "QRT-SSH-TOO-OLD" Refusal false "sshd on the host of the third vote does not understand times in UTC: it would not let the cluster's key in for the set-up.";
    RootKeyMissing "QRT-ROOT-KEY-MISSING" Refusal false "A key that setting up the QDevice needs is missing: the root key of a member, or the host keys of the other host.";

    JoinLoginRefused "QRT-JOIN-LOGIN-REFUSED" Refusal false "The member did not accept the ticket or password of the server that wanted to join. Most often the clocks differ: a ticket is good from five minutes ahead to two hours back.";
    JoinOtherFingerprint "QRT-JOIN-OTHER-FINGERPRINT" Refusal false "The member showed the joining server another certificate than the one it was to trust. It was renewed in the meantime, or another machine answers at that address.";
    JoinPeerUnreachable "QRT-JOIN-PEER-UNREACHABLE" Refusal false "The joining server could not call the member's API (port 8006), or got no answer. The cluster's own links may still be well.";
    ClusterLocked "QRT-CLUSTER-LOCKED" Refusal false "Another change holds the cluster's lock on corosync.conf, or an old lock is left from a loss of quorum. PVE lets an old one expire after two minutes.";

    // Rollouts
    PlanUntold "QRT-PLAN-UNTOLD" Refusal false "The cluster is not as the file wants it, and what is to be done can't be told from what was seen. Nothing is done, and the file does not count as applied.";
    PlanChanged "QRT-PLAN-CHANGED" Refusal false "A fresh plan has other steps than the one that was shown. Nothing was started.";
    PartDone "QRT-PART-DONE" Note false "Nothing is left to do of the part of the plan that was asked for; something else is.";
    RolloutRunning "QRT-ROLLOUT-RUNNING" Refusal false "Another rollout holds this cluster. One at a time.";
    NodeBusy "QRT-NODE-BUSY" Refusal false "Another operation still runs on this server. One change at a time on each server, whoever asks.";
    StepFailed "QRT-STEP-FAILED" Critical false "A step of a rollout failed. Its branch was stopped; what is independent of it went on.";
    StepStuck "QRT-STEP-STUCK" Critical false "The outcome of a step can't be told: neither what was wanted nor what was there before is what is seen now.";
    StepOverdue "QRT-STEP-OVERDUE" Warning false "A step takes longer than it should. Stopping it half-way would leave a half-state, so it is followed and diagnosed instead.";
    SpecAppliedElsewhere "QRT-SPEC-APPLIED-ELSEWHERE" Warning false "The cluster keeps a cluster file in /etc/pve that was not the last one applied from this coordinator. Somebody drove from elsewhere, or this coordinator was restored from a backup.";
    RolloutNotDriven "QRT-ROLLOUT-NOT-DRIVEN" Critical false "A rollout is not finished and nobody drives it: its journal could not be written, or makes no sense. What it did for its own time, such as disarming HA, is still so.";
    NotRestored "QRT-NOT-RESTORED" Critical false "What a rollout did for its own time only (HA disarmed, a key let in, the QDevice taken off) could not be taken back. HA is woken by the next plan; the rest stays so until somebody does it by hand.";
    ClusterFrozen "QRT-CLUSTER-FROZEN" Refusal false "The cluster is frozen: by an operator's word nothing that disturbs it begins. What has begun goes on, and what was done for the time of a rollout is still taken back.";
    OutsideWindow "QRT-OUTSIDE-WINDOW" Refusal false "No maintenance window of the cluster is open. Steps that disturb it wait for the next one.";
    JournalDamaged "QRT-JOURNAL-DAMAGED" Critical false "The rollout journal is shorter than it was, or altered. What was done is found out by observing the servers.";
    OperationUnknown "QRT-OPERATION-UNKNOWN" Refusal false "A server still runs an operation that this coordinator's journal does not know: the journal was lost, or another coordinator began it. Nothing else is begun in that cluster until it is seen to end.";
    RecoveryPending "QRT-RECOVERY-PENDING" Refusal false "The rollout journal was lost, and a server that would be touched has not yet told what it was asked to do before.";
    GenerationLost "QRT-GENERATION-LOST" Refusal false "The coordinator does not know under which generation it drove before. It asks the agents, and changes nothing until they have told.";
    StateDamaged "QRT-STATE-DAMAGED" Warning false "A file of the coordinator's state was damaged or gone, and was written again from its copy. The disk may be failing.";

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
    AgentVersionApart "QRT-AGENT-VERSION-APART" Refusal false "A node's agent is more than one minor version apart from the coordinator. They may not mean the same by what they say, and nothing is asked of it. Upgrades go one minor version at a time.";
    AgentVersionUnknown "QRT-AGENT-VERSION-UNKNOWN" Refusal false "Which version a node's agent is of can't be told, so that it can't be told whether another one is newer.";
    DowngradeRefused "QRT-DOWNGRADE-REFUSED" Refusal false "A package is older than the agent that runs. What a newer agent has written, an older one may not be able to read, and would not know what it has done.";
    PackageNotTrusted "QRT-PACKAGE-NOT-TRUSTED" Refusal false "A package bears no signature by a release key that is pinned on the node (/etc/quorate/release.pub), or is not what it is said to be. It is not installed, whoever asks.";
    PolicyForbids "QRT-POLICY-FORBIDS" Refusal false "The node's own policy file forbids this, whoever asks.";
    BackupMissing "QRT-BACKUP-MISSING" Warning false "No backup of the fleet's CA has been made. Without it, losing this host means enrolling every node again.";
    BackupOutdated "QRT-BACKUP-OUTDATED" Warning false "Fleet or CA have changed since the last backup. What came later would be missing after a restore.";
    CertificateExpires "QRT-CERTIFICATE-EXPIRES" Warning false "The coordinator's own certificate is in the last third of its life. When it has expired, no agent obeys this coordinator any more; renewing it needs the root key.";
    AuditBroken "QRT-AUDIT-BROKEN" Critical false "The audit log is not as it was written: lines are missing or were changed. What is said before that place can't be relied on.";

    // Copies of guests, and HA
    GuestUntold "QRT-GUEST-UNTOLD" Warning false "What the cluster file asks for a guest can't be told from what was seen of it. Nothing is planned for it; other guests are not held up.";
    GuestNotThere "QRT-GUEST-NOT-THERE" Warning false "The cluster file names a guest by its id, and there is none of that id.";
    CopyUnsupported "QRT-COPY-UNSUPPORTED" Warning false "A guest can't be copied by PVE's storage replication as it is: a disk lies on no ZFS pool, is left out of replication, is a device or folder of its server, or its storage is not on the server that is to have the copy. It is skipped.";
    CopyNotAtOnce "QRT-COPY-NOT-AT-ONCE" Note false "A guest has several disks that are copied. PVE makes their snapshots one after the other: programs that write to two of them may find them a moment apart after a recovery.";
    CopyUnmanaged "QRT-COPY-UNMANAGED" Note false "A guest has a replication job that the cluster file does not ask for. It is left alone: absence never deletes.";
    CopyOff "QRT-COPY-OFF" Warning false "A replication job that the cluster file asks for is switched off. The copy grows older, and nothing switches it on but a word.";
    CopyLeaving "QRT-COPY-LEAVING" Warning false "A copy that the cluster file asks for is just being taken away. A new one can be asked for when that is over.";
    CopyWantedTwice "QRT-COPY-WANTED-TWICE" Refusal false "Two tables of replication mean the same guest equally closely, and want other things of it.";
    GuestUnprotected "QRT-GUEST-UNPROTECTED" Warning false "A guest has disks on its server alone, and no copy of it is asked for or made: if the server is lost, so is all that it wrote since its last backup.";
    HaWithoutCopies "QRT-HA-WITHOUT-COPIES" Warning false "A guest is to be under HA, or is, and its disks are on its own server alone. Recovered elsewhere it would not start.";
    HaWaits "QRT-HA-WAITS" Warning false "A guest is not put under HA yet: its copies are not there, its server or version does not allow it now, or what it takes can't be told.";
    HaBoundByOthers "QRT-HA-BOUND-BY-OTHERS" Warning false "A rule or group of HA that is none of ours binds a guest of the cluster file. It is never changed.";
    HaNodeWithoutCopy "QRT-HA-NODE-WITHOUT-COPY" Warning false "HA may recover a guest on a server that has no copy of it: PVE looks neither at storages nor at copies when it chooses.";
    HaPassthrough "QRT-HA-PASSTHROUGH" Warning false "A guest that is to be under HA is bound to a device of its server. Elsewhere it would not start, so it is not put under HA.";
    // Moving guests
    GuestAway "QRT-GUEST-AWAY" Refusal false "There is no guest of this id in the cluster, or it belongs to another server by now.";
    GuestLocked "QRT-GUEST-LOCKED" Refusal false "Something holds a guest: a backup, a snapshot, another migration, or a lock that one of them left behind. It can't be moved meanwhile. Replication holds it as well while it runs, without a word in its configuration.";
    GuestCantMove "QRT-GUEST-CANT-MOVE" Refusal false "A guest can't be moved: it is bound to devices or folders of its server, or nowhere else is what it needs. To empty the server all the same, say that it may be shut down: --stop ID. What is under HA has to be taken out of HA first.";
    GuestMustStop "QRT-GUEST-MUST-STOP" Warning false "A guest that can't be moved is shut down, as was said by --stop.";
    GuestRestarts "QRT-GUEST-RESTARTS" Warning false "A container can't be moved while it runs: it is shut down, moved and started again, and nobody reaches it meanwhile.";
    GuestStays "QRT-GUEST-STAYS" Note false "A guest that does not run stays where it is: a template, or one that is stopped.";
    GuestDisksCopied "QRT-GUEST-DISKS-COPIED" Warning false "Disks of a guest are on this server only: they are copied in full while it is moved, which takes its time, and are removed here afterwards.";
    GuestCpuHost "QRT-GUEST-CPU-HOST" Warning false "A machine sees the very processor of its server (cpu: host). On a server with another one it may stop or misbehave after a live migration.";
    MigrationTarget "QRT-MIGRATION-TARGET" Refusal false "A server can't take a guest: it is no member that is online, it is in maintenance, it lacks a storage, it has too little memory, or HA's rules would send the guest back.";
    MigrationFailed "QRT-MIGRATION-FAILED" Critical false "A migration failed. The guest is where it was.";
    MigrationHalfway "QRT-MIGRATION-HALFWAY" Critical false "A migration ended with problems, or nobody saw its end: the guest may be on either server, may be locked, and disks may lie on both.";
    HaCommandLost "QRT-HA-COMMAND-LOST" Critical false "HA's master did not do what it was told. ha-manager only leaves the command and ends well in any case; why it was refused stands in the master's log alone.";
    MaintenanceNotNeeded "QRT-MAINTENANCE-NOT-NEEDED" Note false "Nothing is under HA in this cluster: there is no maintenance mode to set, and guests that are started here later stay here.";
    NodeNotSpare "QRT-NODE-NOT-SPARE" Refusal false "The cluster can't do without this server now: quorum, copies, HA or memory of the others do not suffice, or there is Ceph, which can't be judged yet.";

    // A server that is lost
    GuestRunsElsewhere "QRT-GUEST-RUNS-ELSEWHERE" Critical false "A guest's process runs on a server that the guest does not belong to. If it also runs where it belongs, there are two of it, with one name and one address, and each writes to disks of its own: what one of them writes is lost. Quorate never ends such a process by itself.";
    LostNodeAlive "QRT-LOST-NODE-ALIVE" Refusal false "The server that was said to be lost shows a sign of life. Its guests may run there: started a second time elsewhere, they would write to two sets of disks. This can't be overridden; switch the server off, or take its guests over while it runs.";
    LostNodeUnproven "QRT-LOST-NODE-UNPROVEN" Refusal false "Nothing is heard of the server that was said to be lost, and nothing proves that it is off: on no network does anybody else answer, so this server may be the one that is cut off, or what would tell could not be asked.";
    RecoveryOthersAway "QRT-RECOVERY-OTHERS-AWAY" Refusal false "The cluster has no quorum, and more servers are away than the one that was said to be lost. Together they may have quorum and run the cluster; with votes forced here there would be two of it.";
    RecoveryForeignVote "QRT-RECOVERY-FOREIGN-VOTE" Refusal false "The cluster has a QDevice, which does not give its vote to this server: it may have given it to the other side, which then runs the cluster. Votes are not forced against it.";
    RecoveryNeedsVotes "QRT-RECOVERY-NEEDS-VOTES" Refusal false "The cluster has no quorum, so that /etc/pve can't be written, and no guest can be taken over. What is left gets by with fewer votes only by the operator's explicit word (--expected-votes).";
    RecoveryWatchdog "QRT-RECOVERY-WATCHDOG" Refusal false "HA's watchdog is armed on a server without quorum: the server resets itself about a minute after it lost quorum, whatever else is begun. Nothing is begun before that is over.";
    GuestNotRecoverable "QRT-GUEST-NOT-RECOVERABLE" Warning false "A guest of a lost server can't be started on this one: there is no copy of a disk here, it is bound to its server, it is locked, or what it takes can't be told. It is left alone.";
    LostNodeBack "QRT-LOST-NODE-BACK" Warning false "A server whose guests were taken over is back. Its disks hold what was written there after the last copy; the jobs that would overwrite it are switched off until somebody decides.";

    // Drills
    DrillLosesQuorum "QRT-DRILL-LOSES-QUORUM" Refusal false "Without the victim the other servers would have no quorum, counted with the members and links as they are now. Nothing would be started anywhere, and every server with an armed watchdog would reset itself.";
    DrillTwoServers "QRT-DRILL-TWO-SERVERS" Refusal false "A cluster of two servers without a third vote does not survive the loss of one: a drill would show just that, with the guests of customers. With a QDevice it is told as a warning, since everything hangs on that one vote then.";
    DrillHaMaster "QRT-DRILL-HA-MASTER" Warning false "The victim is HA's master. Another server has to become master first, and counts its minute only then: all takes about a minute longer.";
    DrillHaAtRest "QRT-DRILL-HA-AT-REST" Refusal false "HA is disarmed, or the victim is in maintenance, or its local manager does not run: nobody would start its guests elsewhere.";
    DrillHaSilent "QRT-DRILL-HA-SILENT" Refusal false "HA's master or a local manager has not spoken for more than 30 s. What should take the guests over may not work.";
    DrillWatchdogOff "QRT-DRILL-WATCHDOG-OFF" Refusal false "The watchdog of the victim is not armed: cut off, it would not reset itself, and its guests would run on beside those that are started elsewhere.";
    DrillGuestElsewhere "QRT-DRILL-GUEST-ELSEWHERE" Refusal false "The guest that the drill watches is not on the victim, or does not run.";
    DrillGuestNotInHa "QRT-DRILL-GUEST-NOT-IN-HA" Refusal false "The guest that the drill watches would not be started elsewhere: it is not under HA, or HA does not start it as it is now.";
    DrillNotCanary "QRT-DRILL-NOT-CANARY" Refusal false "The guest that the drill watches is no canary of ours. A customer's guest fails only if it is named by --risk-guest, and is synced in that moment; never in a drill that runs by itself.";
    DrillGuestsAtRisk "QRT-DRILL-GUESTS-AT-RISK" Refusal false "A guest on the victim, other than the one that the drill watches, can't be moved off first. It would fail with the server.";
    DrillNoCopy "QRT-DRILL-NO-COPY" Refusal false "None of the servers that may get the guest has what it needs to start: a copy of its disks, the storages, a bridge.";
    DrillCopyMissing "QRT-DRILL-COPY-MISSING" Refusal true "One of the servers that may get the guest lacks what it needs to start. HA looks at neither copies nor storages when it chooses; another one is tried only after a start has failed.";
    DrillCopyStale "QRT-DRILL-COPY-STALE" Refusal true "The copies of the guest are older than their schedule promises, or their job fails: more would be lost than has to be.";
    DrillNoStrictRule "QRT-DRILL-NO-STRICT-RULE" Refusal true "No strict rule or group binds the guest to the servers that have a copy of it: HA may choose any server.";
    DrillCephWarns "QRT-DRILL-CEPH-WARNS" Refusal true "Ceph is not HEALTH_OK, or a storage lies on a Ceph of others, which can't be asked from here. What it warns of may be harmless for the drill, which only somebody who reads it can tell.";
    DrillCephUnhealthy "QRT-DRILL-CEPH-UNHEALTHY" Refusal false "Ceph is in HEALTH_ERR, or would lose the majority of its monitors: without another server all guests on it may stand still.";
    DrillNoRoom "QRT-DRILL-NO-ROOM" Refusal false "The other servers do not have the memory for what they would have to carry.";
    DrillLittleRoom "QRT-DRILL-LITTLE-ROOM" Refusal true "One of the other servers would have more than three quarters of its memory given to guests.";
    DrillRecent "QRT-DRILL-RECENT" Refusal true "A drill was run on this cluster a short time ago. Copies, HA and people may not be back to normal yet.";
    DrillRunning "QRT-DRILL-RUNNING" Refusal false "Another drill runs in this cluster, or its fault has not been seen to be gone.";
    DrillBusy "QRT-DRILL-BUSY" Refusal false "A backup, a migration, a snapshot or the like runs on a server of the cluster, or holds a guest. It would be torn.";
    DrillCoordinatorOnNode "QRT-DRILL-COORDINATOR-ON-NODE" Refusal false "The coordinator itself runs on the victim, or in a guest on it: it would measure nothing and could heal nothing.";
    DrillNotConfirmed "QRT-DRILL-NOT-CONFIRMED" Refusal false "The name of the server that is to fail was not typed, or another one was.";
    DrillHalfLong "QRT-DRILL-HALF-LONG" Refusal false "The fault would be healed when a watchdog can't be called back any more and guests are being started elsewhere: the worst of a blip and a failover.";
    DrillNeedsPerson "QRT-DRILL-NEEDS-PERSON" Refusal true "Only a person or a BMC ends this fault: somebody has to be there who switches the server on again.";
    DrillVersion "QRT-DRILL-VERSION" Refusal false "A server runs a version of PVE of which Quorate knows nothing. It is observed; no fault is made in it.";
    DrillMemberOff "QRT-DRILL-MEMBER-OFF" Refusal false "A member of the cluster is not in the membership, or its agent does not answer. A server that is missing already is no time to take another one away.";
    DrillLinkDown "QRT-DRILL-LINK-DOWN" Refusal true "A corosync link is down already. The drill would show less than it seems to, and one more cable costs the quorum.";
    DrillLastLink "QRT-DRILL-LAST-LINK" Refusal false "The link that is to be cut does not exist, or is the last one that connects the victim with another member: it would be isolated, which is another drill.";
    DrillUnseen "QRT-DRILL-UNSEEN" Refusal false "Something that decides whether the drill is safe could not be seen. Unknown is not well: nothing is broken on a guess.";
    DrillNotScheduled "QRT-DRILL-NOT-SCHEDULED" Refusal false "A drill that runs by itself needs more than one that somebody watches: a canary, nothing that was accepted, and a fault that ends by itself.";
    DrillSupport "QRT-DRILL-SUPPORT" Refusal false "What the fault needs is not there: a guest's process, a pool's disk with others beside it, a daemon of Ceph on that server.";
    DrillWorse "QRT-DRILL-WORSE" Warning false "A drill came out worse than those like it before: by more than a fifth, by more than HA's own rounds explain, and beyond all earlier ones.";
    DrillDiffers "QRT-DRILL-DIFFERS" Warning false "A phase of a drill took more than a fifth longer or shorter than predicted, and nothing that is known explains it.";
    CopyHeld "QRT-COPY-HELD" Critical false "A guest was recovered elsewhere, and its former server still has what it wrote after its last copy. Copying back would overwrite that, so the agent of the new owner switched the job off: the guest has no copy on that server until you decide. Ordinary migrations switch nothing off.";
    CopyNotHeld "QRT-COPY-NOT-HELD" Refusal false "There is no copy of this guest that is held, or not only one: there is nothing to decide, or it has to be said on which server.";
    CopyNotBack "QRT-COPY-NOT-BACK" Refusal false "What is to become of a copy that is held can't be decided now: its server is not back as a member that answers, or something there is not as it must be.";
    // Rehearsed failures
    FaultRefused "QRT-FAULT-REFUSED" Refusal false "A failure can't be rehearsed so: it would last too long or too short, nobody would end it, what is to fail can't be told, or more would be lost than is meant.";
    FaultHolds "QRT-FAULT-HOLDS" Refusal false "A rehearsed failure holds on this server. It ends by itself; before that, no other one is begun here.";
    // How old copies get
    CopyAgeing "QRT-COPY-AGEING" Warning false "A guest's copy is going to be older than is wanted before PVE makes it anew: the last runs failed, and PVE tries again only after 5, 10, 15 and then 30 minutes, and only while the copy's server is online; or its job runs less often than is wanted.";
    CopyTooOld "QRT-COPY-TOO-OLD" Critical false "A guest's copy is older than is wanted. If its server is lost now, so is all that it wrote since.";
    CopyNotMade "QRT-COPY-NOT-MADE" Warning false "No run of a replication job has succeeded on the server that has the guest now: nothing is known of a copy.";
    CanaryIdTaken "QRT-CANARY-ID-TAKEN" Refusal false "A guest that is no canary of ours has the id that a canary is to have.";
    CanaryUnfit "QRT-CANARY-UNFIT" Refusal false "A canary can't be made so: the server, the storage or the bridge is not there or not fit for it, or the coordinator does not have the program that is put into it.";
    CanaryNotOurs "QRT-CANARY-NOT-OURS" Refusal false "A guest that is to be removed as a canary does not bear our tag and description. Nothing of it is touched.";
    GuestStartsAtBoot "QRT-GUEST-STARTS-AT-BOOT" Warning false "A guest that is stopped is started by PVE when its server has restarted (onboot), whoever stopped it and why.";
    GuestNoBackup "QRT-GUEST-NO-BACKUP" Warning false "A guest has no backup of the last eight days by the logs of PVE's own vzdump on the servers, or the last one failed, or it can't be told. Backups that other programs make are not seen. One finding tells of all guests of a cluster; templates, canaries, and guests that are younger count as well off.";
    // A lost server's guests, from the coordinator
    LostNodeUnknown "QRT-LOST-NODE-UNKNOWN" Refusal false "The server that was said to be lost is no member of the cluster, or none of those that are left answers to say so.";
    LostNodeSilent "QRT-LOST-NODE-SILENT" Note false "What a server that is left sees and hears of the one that was said to be lost: corosync's membership, votes and links, and each network on which it has an address.";
    RecoveryQuorum "QRT-RECOVERY-QUORUM" Note false "How the votes of what is left stand, and what forcing them would do.";
    RecoveryCopy "QRT-RECOVERY-COPY" Note false "Where there are copies of a lost server's guest, how old each is, and which of them it is started from.";
    RecoveryNewerCopy "QRT-RECOVERY-NEWER-COPY" Refusal true "A server that the guest can't be started on has a newer copy than the one that it would be started from. PVE overwrites that newer copy with the next run of its job.";
    RecoveryByHa "QRT-RECOVERY-BY-HA" Warning false "HA looks after a guest of the lost server. It is left to HA, which knows by its locks when it may start it; PVE hands every start of such a guest to HA.";
    RecoveryNotConfirmed "QRT-RECOVERY-NOT-CONFIRMED" Refusal false "The name of the server that is said to be off was not typed, or another one was.";
    DrillRecord "QRT-DRILL-RECORD" Critical false "The record of a drill is not as the coordinator wrote it: it was altered, taken out or put in, or its signature is not one of a coordinator of this fleet. Somebody could write to the coordinator's state, or its disk is damaged.";
    DrillOverdue "QRT-DRILL-OVERDUE" Warning false "A drill that the cluster file wants to be run by itself is due and was not begun: something speaks against it, or no window is named in which it may begin. Nothing is broken on a guess; it is tried again.";
    CanaryDiscLeft "QRT-CANARY-DISC-LEFT" Warning false "A server that was lost has still the disc for cloud-init that PVE had made there for a canary of ours. PVE makes such a disc anew wherever the canary starts; but when it comes back there, PVE gives its disc another name, takes it for an ordinary one in a CD drive from then on, and the canary can't fail over any more.";
    CanaryDiscRenamed "QRT-CANARY-DISC-RENAMED" Warning false "The disc for cloud-init of a canary of ours has the name of an ordinary one, since it came back to a server on which an older one lay. It lies on that server alone and no copy has it: the canary could not start elsewhere.";
    DrillLeft "QRT-DRILL-LEFT" Warning false "A drill is over, or nobody carries it on, and something of it is left: a guest is not back where it was, its fault was not seen to be gone, or what it was to show has not returned to normal.";
    DrillClockUnsure "QRT-DRILL-CLOCK-UNSURE" Refusal true "How a server's clock stands is known only with an error of more than a second: the phases that the server tells of would be no better known. That clocks differ is no reason: it is reckoned with.";
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
