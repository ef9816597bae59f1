//! A node's membership in words.

use quorate_model::observation::cluster::{Cluster, Member, Membership, Pmxcfs};

use super::State;

/// What makes every membership usable, whoever else is in it.
pub(super) fn missing(cluster: &Cluster, member: &Member) -> Option<String> {
    if !member.quorate {
        return Some("the cluster is quorate".to_owned());
    }
    match cluster.pmxcfs {
        Pmxcfs::Writable => None,
        Pmxcfs::ReadOnly => Some("/etc/pve can be written".to_owned()),
        Pmxcfs::NotMounted => Some("/etc/pve is mounted".to_owned()),
    }
}

/// What was seen of a usable membership.
pub(super) fn evidence(member: &Member) -> String {
    let mut names: Vec<&str> = member.online().collect();
    names.sort_unstable();
    let votes = match member.votes.get() {
        Ok(votes) => format!("{} of {} votes, ", votes.total, votes.expected),
        Err(_) => String::new(),
    };
    format!(
        "cluster {} with {} online, {votes}quorate, /etc/pve writable, configuration version {}",
        member.cluster,
        names.join(", "),
        member.running_version
    )
}

/// A node that is in no cluster: untouched, or with the traces of a try.
pub(super) fn alone(cluster: &Cluster) -> State {
    debug_assert!(matches!(cluster.membership, Membership::Standalone));
    match (leftovers(cluster), cluster.pmxcfs) {
        (None, Pmxcfs::Writable) => State::Untouched,
        (None, _) => State::Between("/etc/pve is mounted and can be written".to_owned()),
        (Some(files), _) => State::Between(format!("the server is in a cluster; so far it only has {files}")),
    }
}

/// Files of a cluster on a node that is in none.
pub(super) fn leftovers(cluster: &Cluster) -> Option<&'static str> {
    match (cluster.authkey_present, cluster.local_config_present) {
        (false, false) => None,
        (true, false) => Some("/etc/corosync/authkey"),
        (false, true) => Some("/etc/corosync/corosync.conf"),
        (true, true) => Some("/etc/corosync/authkey and /etc/corosync/corosync.conf"),
    }
}
