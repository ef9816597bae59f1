//! The files that a change of the cluster touches, as they are before it.

use quorate_proto::v1;

use crate::host::Host;

/// What is kept. None of them holds a secret: passwords of storages lie in /etc/pve/priv.
const FILES: [&str; 4] = [
    "/etc/pve/corosync.conf",
    "/etc/corosync/corosync.conf",
    "/etc/pve/storage.cfg",
    "/etc/network/interfaces",
];

/// Reads them, one by one: what can't be read says why.
pub async fn snapshot(host: &Host) -> Vec<v1::SnapshotFile> {
    let mut files = Vec::new();
    for path in FILES {
        let content = match host.read_if_there(path).await {
            Ok(Some(text)) => v1::snapshot_file::Content::Text(text),
            Ok(None) => v1::snapshot_file::Content::Absent(v1::snapshot_file::Absent {}),
            Err(error) => v1::snapshot_file::Content::Unknown(crate::errors::chain(&error)),
        };
        files.push(v1::SnapshotFile {
            path: path.to_owned(),
            content: Some(content),
        });
    }
    files
}
