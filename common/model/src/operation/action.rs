//! The things an agent can change. There is no "run this command": whoever wants more adds a variant here, a row to the
//! table of rules, a message to the protocol and a file to the agent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::canary::{BridgeName, CanarySource, GuestAddress};
use crate::disk_marks::Mark;
use crate::fault::Fault;
use crate::guest_ids::{HaName, JobId, Sid};
use crate::held::GuestVolume;
use crate::ids::{ClusterName, NodeName, PackageDigest, PoolName, SshPublicKey, StorageName};
use crate::lost::LostCopy;
use crate::moves::MoveKind;
use crate::observation::GuestKind;
use crate::observation::eligibility::ReasonKind;
use crate::passage::Passage;
use crate::pool_layout::{DiskIdentity, PoolLayout};
use crate::release::Release;
use crate::schedule::Schedule;
use crate::spec::ReturningNode;
use crate::storage::StorageDefinition;
use crate::time::Timestamp;

use super::ha_service::HaService;
use super::package::Package;

/// In place of a file's name: the password of a storage was given with the word to apply, and the coordinator keeps it in memory until the
/// rollout ends.
pub const GIVEN_AT_APPLY: &str = "-";

/// The things an agent can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Action {
    /// `pvecm create`: a new cluster with this node as its only member.
    CreateCluster {
        /// The cluster's name, for ever.
        cluster: ClusterName,
        /// Link number → this node's address on it.
        #[serde(deserialize_with = "crate::keys::numbers")]
        links: BTreeMap<u8, IpAddr>,
        /// Link number → `knet_link_priority`: the higher is preferred; a link without one has corosync's 1.
        #[serde(default, deserialize_with = "crate::keys::numbers")]
        priorities: BTreeMap<u8, u8>,
    },
    /// `pvecm add`: this node joins the cluster through one of its members.
    JoinCluster {
        /// The cluster that it must turn out to be.
        cluster: ClusterName,
        /// The member's name.
        member: NodeName,
        /// The member's address for the API call (port 8006).
        member_address: IpAddr,
        /// Link number → this node's address on it.
        #[serde(deserialize_with = "crate::keys::numbers")]
        links: BTreeMap<u8, IpAddr>,
    },
    /// Finishes a join that the cluster has accepted and this node has begun: the cluster's present corosync.conf (handed over
    /// beside the operation, freshly read from `member`) replaces the node's own copy, corosync and pve-cluster start, then
    /// `pvecm updatecerts`.
    FinishJoin {
        /// The cluster.
        cluster: ClusterName,
        /// The member whose corosync.conf it is.
        member: NodeName,
    },
    /// Takes this node, which began to join and never came in, back to standing alone: corosync's files are moved aside and
    /// pve-cluster starts in local mode. Refused where the node is a quorate member of anything, or has guests.
    AbandonJoin {
        /// The cluster that it did not come into.
        cluster: ClusterName,
    },
    /// Adds a link to a running cluster: one edit of /etc/pve/corosync.conf under PVE's own lock, put in place by a rename.
    AddLink {
        /// The cluster.
        cluster: ClusterName,
        /// The new link's number, unused so far.
        link: u8,
        /// Every configured node's address on it, no more and no fewer.
        addresses: BTreeMap<NodeName, IpAddr>,
        /// Its `knet_link_priority`; the higher is preferred.
        priority: Option<u8>,
    },
    /// `pvecm expected N`: quorum by fiat for what is left of a cluster, until the next change of corosync.conf.
    ExpectVotes {
        /// The cluster.
        cluster: ClusterName,
        /// Votes to expect; only as many as are present.
        votes: u32,
    },
    /// `pvecm delnode`: this member takes another one out of the cluster, which is off for good or was never in.
    RemoveMember {
        /// The cluster.
        cluster: ClusterName,
        /// Who is taken out.
        removed: NodeName,
        /// Its corosync id, which no other node may have: `delnode` kills by id.
        id: u32,
    },
    /// Clears up what `delnode` leaves behind: the folder /etc/pve/nodes/NAME (kept as a copy in the agent's state; refused while a
    /// guest is configured in it), the node's key in the cluster's authorized_keys, and its host key in known_hosts.
    CleanUpAfter {
        /// The cluster.
        cluster: ClusterName,
        /// Who was taken out.
        removed: NodeName,
        /// Leaves the folder: the server was installed anew and is to join afresh, with new keys.
        #[serde(default)]
        keep_folder: bool,
    },
    /// `systemctl poweroff` of this node, which is about to be taken out of the cluster.
    PowerOff {
        /// The cluster.
        cluster: ClusterName,
    },
    /// `apt-get install` of packages that PVE does not bring along.
    InstallPackages {
        /// Which.
        packages: BTreeSet<Package>,
    },
    /// Lets a cluster's root key log in to this host (no PVE node), for as long as a QDevice is set up: a marked line in root's
    /// authorized_keys that sshd itself stops honouring after `minutes`.
    AdmitKeys {
        /// Whose keys.
        cluster: ClusterName,
        /// The keys.
        keys: BTreeSet<SshPublicKey>,
        /// Addresses from which they are good.
        from: BTreeSet<IpAddr>,
        /// How long, at most 60.
        minutes: u32,
    },
    /// Takes the cluster's keys out of this host's authorized_keys again.
    WithdrawKeys {
        /// Whose keys.
        cluster: ClusterName,
    },
    /// `pvecm qdevice setup`: a third vote from a host outside the cluster.
    SetUpQdevice {
        /// The cluster.
        cluster: ClusterName,
        /// The host's name.
        host: NodeName,
        /// The host's address, which goes into corosync.conf.
        address: IpAddr,
        /// The host's ssh keys as its own agent reported them: root's known_hosts gets them for the set-up.
        host_keys: BTreeSet<SshPublicKey>,
    },
    /// `pvecm qdevice remove`.
    RemoveQdevice {
        /// The cluster.
        cluster: ClusterName,
    },
    /// `ha-manager crm-command disarm-ha freeze` (pve-ha-manager 5.1.3 and later): no watchdog anywhere, services frozen.
    DisarmHa {
        /// The cluster.
        cluster: ClusterName,
    },
    /// `ha-manager crm-command arm-ha`.
    ArmHa {
        /// The cluster.
        cluster: ClusterName,
    },
    /// `systemctl stop` of an HA daemon on this node: how HA is disarmed before 5.1.3, LRMs everywhere first, then the CRMs.
    StopHa {
        /// The cluster.
        cluster: ClusterName,
        /// Which daemon.
        service: HaService,
    },
    /// `systemctl start` of an HA daemon on this node, in the reverse order.
    StartHa {
        /// The cluster.
        cluster: ClusterName,
        /// Which daemon.
        service: HaService,
    },
    /// Adds rules to the cluster's firewall (/etc/pve/firewall/cluster.fw) that let the coordinator reach the agents and the agents
    /// measure each other; marked as Quorate's. A node that joins brings no rules of its own.
    AllowAgents {
        /// The cluster.
        cluster: ClusterName,
        /// The agents' TCP ports, and the UDP ports on which they measure.
        #[serde(alias = "port", deserialize_with = "crate::passage::or_port")]
        passages: BTreeSet<Passage>,
        /// Who may come in, and be reached: the coordinator and the nodes.
        from: BTreeSet<IpAddr>,
    },
    /// `zpool create` under PVE's own lock on disks, and its import at boot. In the instant before, each disk must still be the one that was
    /// planned, and nothing may be on it.
    CreatePool {
        /// The pool.
        layout: PoolLayout,
    },
    /// Everything on a disk goes: its labels and signatures, its partitions, and the beginning and the end of each. Under PVE's own lock on disks; in
    /// the instant before, the disk must still be the one that was planned, carry nothing but what it carried then, and nobody may use it.
    WipeDisk {
        /// The disk.
        disk: DiskIdentity,
        /// What it carries.
        carries: BTreeSet<Mark>,
    },
    /// `zpool add` under PVE's own lock on disks: further vdevs for a pool that is there. They can't be taken out again.
    GrowPool {
        /// The pool, with the new disks alone.
        layout: PoolLayout,
    },
    /// `zpool replace` under PVE's own lock on disks: a disk takes the place of another one in a pool. What was on the old one is made anew from
    /// the others, which may take hours; the pool works on meanwhile.
    ReplaceDisk {
        /// The pool.
        pool: PoolName,
        /// The old one, as the pool calls it: a path, or a number where it is gone. Source: `zpool status -P`.
        old: String,
        /// The new one.
        with: DiskIdentity,
        /// What can't be decided about it, and the operator has said yes to.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        accepted: BTreeSet<ReasonKind>,
    },
    /// `pvesm add`: a storage for the whole cluster. PVE tries it on this node, if it is to be here, and takes it back if that fails.
    AddStorage {
        /// The cluster.
        cluster: ClusterName,
        /// The storage.
        storage: StorageDefinition,
        /// A file on the coordinator's host with the password, which is read for every attempt and passed beside the operation; or
        /// [`GIVEN_AT_APPLY`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password_file: Option<String>,
    },
    /// `pvesm set`: a storage that is there gets more nodes, or may keep more. Where it lies is said to be sure which one is meant.
    ExtendStorage {
        /// The cluster.
        cluster: ClusterName,
        /// The storage as it is to be: its kind and what can't be changed, its nodes and its content.
        storage: StorageDefinition,
    },
    /// `dpkg --install` of the agent's own package, which was brought beside the operation. In the instant before, the node checks the
    /// file's digest, its signature by a release key that is pinned there, and that it is not older than what runs.
    UpgradeAgent {
        /// The version that it must turn out to be.
        version: Release,
        /// The file.
        package: PackageDigest,
        /// Its size in bytes.
        size: u64,
    },
    /// `pvesr create-local-job` on the guest's owner: a copy of the guest on another member, kept up to date from then on. The first copy is made by
    /// PVE's scheduler within a minute, and may take hours: the operation is done when the job is written.
    CreateReplication {
        /// The cluster.
        cluster: ClusterName,
        /// The job, whose number nobody has.
        job: JobId,
        /// Who gets the copy.
        target: NodeName,
        /// When it runs.
        schedule: Schedule,
        /// The most that it sends, in MB/s; `None`: as much as it can.
        rate: Option<u32>,
        /// What becomes of a server that returns: it stands in the job's comment.
        returning_node: ReturningNode,
    },
    /// `pvesr update`: another schedule, rate or comment for a job that is there.
    ChangeReplication {
        /// The cluster.
        cluster: ClusterName,
        /// The job.
        job: JobId,
        /// Whom it connects the guest's owner with, to be sure which one is meant.
        other: NodeName,
        /// When it runs.
        schedule: Schedule,
        /// The most that it sends, in MB/s; `None`: that is left as it is.
        rate: Option<u32>,
        /// What becomes of a server that returns.
        returning_node: ReturningNode,
        /// Switches it on as well.
        enable: bool,
    },
    /// `pvesr delete`: the guest's owner takes the copy on the other member away, with the next pass of its scheduler.
    RemoveReplication {
        /// The cluster.
        cluster: ClusterName,
        /// The job.
        job: JobId,
        /// Who has the copy.
        target: NodeName,
    },
    /// `pvesh set /cluster/options --migration`: over which network guests are moved and copied.
    SetMigrationNetwork {
        /// The cluster.
        cluster: ClusterName,
        /// The property as it is to be, with what else stands in it: `type=secure,network=10.10.10.0/24`.
        migration: String,
        /// As it stood when this was planned; `None`: it was not there.
        before: Option<String>,
    },
    /// `ha-manager add`: a guest is looked after by HA, in the state that it is in now: adding one that is stopped must not start it.
    AddHaResource {
        /// The cluster.
        cluster: ClusterName,
        /// The guest.
        service: Sid,
        /// It runs.
        started: bool,
        /// How often a start is tried again on one node; `None`: PVE's default.
        max_restart: Option<u32>,
        /// On how many other nodes it is tried then; `None`: PVE's default.
        max_relocate: Option<u32>,
        /// The group that binds it to nodes (PVE 8).
        group: Option<HaName>,
        /// Says that it stays where it is when a node is back (`--failback 0`, PVE 9).
        no_failback: bool,
    },
    /// `ha-manager set`: what is said differs from what is there. Its state is never touched.
    ChangeHaResource {
        /// The cluster.
        cluster: ClusterName,
        /// The guest.
        service: Sid,
        /// As for [`Action::AddHaResource`]; `None`: that is left as it is.
        max_restart: Option<u32>,
        /// As above.
        max_relocate: Option<u32>,
        /// As above.
        group: Option<HaName>,
        /// As above.
        no_failback: bool,
    },
    /// `ha-manager rules add|set node-affinity` (PVE 9): a rule of ours binds a guest strictly to these nodes, none of them preferred.
    SetHaRule {
        /// The cluster.
        cluster: ClusterName,
        /// The rule.
        rule: HaName,
        /// The guest, which is under HA.
        service: Sid,
        /// The nodes.
        nodes: BTreeSet<NodeName>,
        /// The rule is there already.
        exists: bool,
    },
    /// `ha-manager groupadd|groupset` (PVE 8): a group of ours is restricted to these nodes, none of them preferred, without failback.
    SetHaGroup {
        /// The cluster.
        cluster: ClusterName,
        /// The group.
        group: HaName,
        /// The nodes.
        nodes: BTreeSet<NodeName>,
        /// The group is there already.
        exists: bool,
    },
    /// `qm migrate`, `pct migrate`: a guest of this node goes to another one. Of a guest under HA `ha-manager migrate` or `relocate`, which only
    /// leaves the command with the master: how it ended is read from the task's log and seen in what HA and the servers say.
    MigrateGuest {
        /// The cluster.
        cluster: ClusterName,
        /// The guest's id.
        guest: u32,
        /// What it is.
        kind: GuestKind,
        /// Where it goes.
        target: NodeName,
        /// How.
        how: MoveKind,
        /// It is under HA, which moves it.
        managed: bool,
    },
    /// `qm shutdown` or `start`, `pct shutdown` or `start`: a guest of this node, not under HA, that can't be moved and makes room for a while.
    RunGuest {
        /// The cluster.
        cluster: ClusterName,
        /// The guest's id.
        guest: u32,
        /// What it is.
        kind: GuestKind,
        /// Is started, or shut down. It is never switched off.
        run: bool,
    },
    /// `ha-manager crm-command node-maintenance enable|disable NODE`: HA moves all that it looks after away from a node, and back. It only
    /// leaves the command with the master, whose refusal stands in its own log alone.
    SetMaintenance {
        /// The cluster.
        cluster: ClusterName,
        /// The node.
        node: NodeName,
        /// Begins, or ends.
        on: bool,
    },
    /// `systemctl reboot` of this node, on which no guest runs.
    RebootNode {
        /// The cluster.
        cluster: ClusterName,
        /// The boot that it ends: a node that has started anew since is not restarted again. Source: /proc/sys/kernel/random/boot_id.
        boot: String,
    },
    /// `zfs rename` of what this node has of a guest that another one owns, to names that PVE takes for none of its volumes: what was written here
    /// and never copied stays, and the next run copies the whole guest.
    KeepVolumes {
        /// The cluster.
        cluster: ClusterName,
        /// The guest.
        guest: u32,
        /// Its volumes here.
        volumes: BTreeSet<GuestVolume>,
        /// Since when the copy is held, which their new names tell.
        since: Timestamp,
    },
    /// A failure is rehearsed on this server. When it ends is noted before it begins, and timers of the kernel and of systemd end it, whatever becomes of
    /// the agent. See [`crate::fault`].
    InjectFault {
        /// The cluster.
        cluster: ClusterName,
        /// What fails.
        fault: Fault,
        /// For how long; 0 where no timer ends it.
        seconds: u32,
        /// The boot in which it may begin: after another start of the server it is not begun again.
        boot: String,
    },
    /// `qm create`, `pct create`: a canary on this node, tagged and described as ours. It is started, and the program that writes numbers is put
    /// into it: into a container by `pct push`, into a machine by its guest agent, if one answers. What is there already is gone on with.
    CreateCanary {
        /// The cluster.
        cluster: ClusterName,
        /// Its id, which nobody has.
        guest: u32,
        /// What it is made from.
        source: CanarySource,
        /// Where its disk is to lie.
        storage: StorageName,
        /// What its network card is plugged into.
        bridge: BridgeName,
        /// The card's VLAN.
        vlan: Option<u16>,
        /// Its address; `None`: nothing is set.
        address: Option<GuestAddress>,
        /// Its memory, in MiB.
        memory: u32,
        /// The program, which is passed beside the operation.
        program: PackageDigest,
    },
    /// `qm destroy --purge 1`, `pct destroy --purge 1`: a canary of ours on this node goes, with its disks and with the copies of them on other
    /// nodes. It is taken out of HA and of replication first, and switched off.
    DestroyCanary {
        /// The cluster.
        cluster: ClusterName,
        /// The guest's id.
        guest: u32,
        /// What it is.
        kind: GuestKind,
    },
    /// `pvesr schedule-now` on the guest's owner: its scheduler runs the job with its next pass, within a minute, whatever the schedule says. The
    /// operation is done when the job is due, or has run since; that the copy is made is PVE's.
    SyncReplication {
        /// The cluster.
        cluster: ClusterName,
        /// The job.
        job: JobId,
        /// Whom it connects the guest's owner with, to be sure which one is meant.
        other: NodeName,
        /// A run that began since then is enough; by the owner's clock, to the second.
        since: Timestamp,
    },
    /// A guest of a server that is off becomes this one's: the jobs that would overwrite what the lost server wrote last are switched off and say so
    /// (`pvesr update ID --disable 1 --comment …`), and its configuration is moved, as PVE's own manual has it. It is not started.
    TakeGuest {
        /// The cluster.
        cluster: ClusterName,
        /// Its id.
        guest: u32,
        /// What it is.
        kind: GuestKind,
        /// The server that was lost.
        lost: NodeName,
        /// The jobs between the two.
        jobs: BTreeSet<JobId>,
        /// What its disks hold here.
        copy: LostCopy,
        /// It is started by another operation, afterwards.
        starts: bool,
        /// Somebody has seen that the lost server has no power: for a network on which nobody else could tell.
        seen_off: bool,
    },
    /// `pvesm free STORAGE:vm-ID-cloudinit`: what this node has of the disc for cloud-init of a canary of ours that was started elsewhere after this
    /// node was lost. PVE makes such a disc anew at every start, and would give the canary's own one another name when it came back here.
    FreeCanaryDisc {
        /// The cluster.
        cluster: ClusterName,
        /// The canary's id.
        guest: u32,
        /// Where it is, and runs.
        owner: NodeName,
        /// The storage by which PVE knows the disc: one on ZFS, of this node alone.
        storage: StorageName,
        /// The disc: `POOL/vm-ID-cloudinit`.
        volume: GuestVolume,
    },
}

impl Action {
    /// The storage whose password was given with the word to apply, if the action adds one.
    #[must_use]
    pub fn password_given_for(&self) -> Option<&StorageName> {
        match self {
            Self::AddStorage {
                storage,
                password_file: Some(file),
                ..
            } if file == GIVEN_AT_APPLY => Some(&storage.name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_back_from_json() {
        let action = Action::JoinCluster {
            cluster: "hk1".parse().unwrap(),
            member: "prox1".parse().unwrap(),
            member_address: "192.168.1.11".parse().unwrap(),
            links: BTreeMap::from([(0, "10.10.10.2".parse().unwrap()), (7, "fd00::2".parse().unwrap())]),
        };
        let json = serde_json::to_string(&action).unwrap();
        assert_eq!(serde_json::from_str::<Action>(&json).unwrap(), action);
        assert!(serde_json::from_str::<Action>(&json.replace("\"7\"", "\"seven\"")).is_err());
    }
}
