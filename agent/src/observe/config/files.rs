//! Files below /etc/pve that a join would take away and that nobody else looks at: by their names, so that nothing is lost unnamed.

use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::observation::config::PveFile;
use quorate_model::spec::digest_of;
use quorate_tools::pve_config::user;

use crate::host::{Host, HostRoot, ReadError, unreadable};

const PVE: &str = "/etc/pve";

/// More files than any server has that is not a cluster yet.
const MOST: usize = 2000;

/// Deeper than PVE goes.
const DEEPEST: usize = 6;

/// What PVE or a join makes anew, and what other parts of the observation tell in full. A folder's name ends in `/`.
const NOT_MISSED: [&str; 22] = [
    "authkey.pub",
    "authkey.pub.old",
    "corosync.conf",
    "corosync.conf.new",
    "ha/crm_commands",
    "ha/manager_status",
    "local/",
    "lxc/",
    "openvz/",
    "priv/authkey.key",
    "priv/authorized_keys",
    "priv/known_hosts",
    "priv/lock/",
    "priv/pve-root-ca.key",
    "priv/pve-root-ca.srl",
    "pve-root-ca.pem",
    "pve-www.key",
    "qemu-server/",
    "quorate/",
    "replication.cfg",
    "storage.cfg",
    "virtual-guest/",
];

/// The same in the server's own folder. Other servers' folders are not its own.
const NOT_MISSED_OF_NODE: [&str; 12] = [
    "config.tmp",
    "lrm_status",
    "lxc/",
    "openvz/",
    "priv/",
    "pve-ssl.key",
    "pve-ssl.pem",
    "pveproxy-ssl.key",
    "pveproxy-ssl.pem",
    "qemu-server/",
    "ssh_known_hosts",
    "ceph-crash/",
];

/// The files, by path.
///
/// # Errors
/// A folder or a file can't be read, or there are too many.
pub(super) async fn observe(host: &Host, node: &str) -> Result<Vec<PveFile>, Unknown> {
    let own = format!("nodes/{node}/");
    let read = move |root: &HostRoot| {
        let mut found = Vec::new();
        walk(root, "", 0, &own, &mut found)?;
        Ok(found)
    };
    let files = host.patiently(PVE, read).await.map_err(unreadable)?;
    if files.len() > MOST {
        return Err(Unknown::new(
            UnknownKind::Failed,
            format!("there are more than {MOST} files below {PVE}"),
        ));
    }
    Ok(files)
}

fn walk(root: &HostRoot, below: &str, depth: usize, own: &str, found: &mut Vec<PveFile>) -> Result<(), ReadError> {
    let names = match root.read_dir(&format!("{PVE}/{below}")) {
        // It may go while it is looked at.
        Err(ReadError::NotFound { .. }) => return Ok(()),
        names => names?,
    };
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        let path = format!("{below}{name}");
        let folder = format!("{path}/");
        if !wanted(&path, own) && !own.starts_with(&folder) || found.len() > MOST {
            continue;
        }
        match root.read_dir(&format!("{PVE}/{path}")) {
            Ok(_) if depth < DEEPEST => walk(root, &folder, depth + 1, own, found)?,
            Ok(_) => {}
            Err(_) => found.extend(file(root, &path)?),
        }
    }
    Ok(())
}

fn wanted(path: &str, own: &str) -> bool {
    let is_in = |list: &[&str], path: &str| {
        list.iter()
            .any(|entry| *entry == path || entry.strip_suffix('/').is_some_and(|folder| folder == path))
    };
    match (path.strip_prefix(own), path.starts_with("nodes")) {
        (Some(rest), _) => !is_in(&NOT_MISSED_OF_NODE, rest),
        (None, true) => false,
        (None, false) => !is_in(&NOT_MISSED, path),
    }
}

/// `None`: it is empty, or has gone. Of what lies below `priv`, nothing but the name is told: a digest of a short password is as good as
/// the password.
fn file(root: &HostRoot, path: &str) -> Result<Option<PveFile>, ReadError> {
    let private = path.starts_with("priv/");
    let text = match root.read_text(&format!("{PVE}/{path}")) {
        Ok(text) => text,
        Err(ReadError::NotFound { .. }) => return Ok(None),
        // Keys and lists in other forms than text are there all the same.
        Err(ReadError::NotText { .. } | ReadError::TooLarge { .. }) => {
            return Ok(Some(PveFile {
                path: path.to_owned(),
                digest: None,
            }));
        }
        Err(error) => return Err(error),
    };
    // Users and tokens are told by name.
    let text = match path {
        "user.cfg" => user::others(&text).unwrap_or_default(),
        _ => text,
    };
    Ok((!text.trim().is_empty()).then(|| PveFile {
        digest: (!private).then(|| digest_of(&text)),
        path: path.to_owned(),
    }))
}
