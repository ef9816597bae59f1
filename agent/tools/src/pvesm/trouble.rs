//! The errors of `pvesm add` and `pvesm set` as types. Source: pve-storage API2/Storage/Config.pm and the plugins; messages are prefixes
//! at best.

use quorate_model::{Code, Finding};

/// Something that pvesm said went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What.
    pub kind: TroubleKind,
    /// pvesm's own words.
    pub text: String,
}

/// The kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TroubleKind {
    /// The id is taken.
    AlreadyDefined,
    /// The lock on storage.cfg was not to be had: another change runs, or there is no quorum.
    Locked,
    /// /etc/pve can't be written: no quorum.
    NoQuorum,
    /// A server does not answer.
    NotOnline,
    /// The backup server refuses user or password.
    LoginRefused,
    /// The backup server shows another certificate.
    OtherFingerprint,
    /// The backup server can't be reached, or answers with an error.
    BackupServer,
    /// The backup server has no such datastore, or does not show it to this user.
    NoDatastore,
    /// The storage can't be used on this node.
    NotActivated,
    /// What the storage does not keep was dropped from its content. Only a warning.
    ContentDropped,
    /// The command line was refused.
    BadArguments,
    /// pmxcfs does not run.
    PmxcfsDown,
    /// Anything else.
    Other,
}

/// Reads stderr, line by line; what belongs to one error is one trouble.
#[must_use]
pub fn read_troubles(stderr: &str) -> Vec<Trouble> {
    let lines = stderr.lines().map(str::trim_end).filter(|line| !line.trim().is_empty());
    let mut found: Vec<Trouble> = Vec::new();
    for line in lines {
        let kind = kind_of(line);
        match found.last_mut() {
            // Parameters are told one a line below it, and then how the command is used.
            Some(last) if last.kind == TroubleKind::BadArguments => {
                last.text.push_str("; ");
                last.text.push_str(line.trim());
            }
            _ => found.push(Trouble {
                kind,
                text: line.trim().to_owned(),
            }),
        }
    }
    found
}

fn kind_of(line: &str) -> TroubleKind {
    use TroubleKind as K;
    const WORDS: [(&str, K); 14] = [
        ("already defined", K::AlreadyDefined),
        ("got lock request timeout", K::Locked),
        ("no quorum", K::NoQuorum),
        ("is not online", K::NotOnline),
        ("401 ", K::LoginRefused),
        ("authentication failure", K::LoginRefused),
        ("fingerprint", K::OtherFingerprint),
        ("certificate verify failed", K::OtherFingerprint),
        ("error fetching datastores", K::BackupServer),
        ("Cannot find datastore", K::NoDatastore),
        ("could not activate storage", K::NotActivated),
        ("storage does not support content type", K::ContentDropped),
        ("400 ", K::BadArguments),
        ("Connection refused", K::PmxcfsDown),
    ];
    // pmxcfs refuses to write without a quorum in these words; a mount, a key or a server's export may do so as well.
    if line.contains("Permission denied") && ["/etc/pve", "cfs-lock"].iter().any(|of| line.contains(of)) {
        return K::NoQuorum;
    }
    let known = WORDS.into_iter().find(|(words, _)| line.contains(words));
    known.map_or(K::Other, |(_, kind)| kind)
}

impl Trouble {
    /// Was nothing changed, as far as this tells? PVE writes the definition first and takes it back when the trial fails.
    #[must_use]
    pub fn took_nothing(&self) -> bool {
        !matches!(self.kind, TroubleKind::ContentDropped | TroubleKind::Other)
    }

    /// What to tell of it, about the storage of this id on this node.
    #[must_use]
    pub fn finding(&self, node: &str, id: &str) -> Finding {
        use TroubleKind as K;
        let (code, next) = match self.kind {
            K::AlreadyDefined => (
                Code::StorageTaken,
                format!("compare it with the cluster file; on {node}: grep -A9 ': {id}$' /etc/pve/storage.cfg"),
            ),
            K::Locked => (
                Code::StepFailed,
                format!("another change of storages runs, or there is no quorum: on {node}: pvecm status; then apply again"),
            ),
            K::NoQuorum => (Code::ClusterNotQuorate, format!("on {node}: pvecm status; then apply again")),
            K::NotOnline => (
                Code::StepFailed,
                format!("the server does not answer: on {node}: showmount -e SERVER; then apply again"),
            ),
            K::LoginRefused => (
                Code::StepFailed,
                "the backup server refuses user or password: look at `username` and the file that `password_file` names".to_owned(),
            ),
            K::OtherFingerprint => (
                Code::StepFailed,
                "the backup server shows another certificate: compare `fingerprint` with what its dashboard shows".to_owned(),
            ),
            K::BackupServer => (
                Code::StepFailed,
                format!("look whether {node} reaches the backup server's port (8007); then apply again"),
            ),
            K::NoDatastore => (
                Code::StepFailed,
                "create the datastore on the backup server, or give the user the role DatastoreBackup on it".to_owned(),
            ),
            K::NotActivated => (
                Code::StepFailed,
                format!("on {node}: zpool list; zpool import; then apply again"),
            ),
            K::ContentDropped => (Code::StepFailed, "take what it does not keep out of `content`".to_owned()),
            K::PmxcfsDown => (Code::StepFailed, format!("on {node}: systemctl status pve-cluster")),
            K::BadArguments | K::Other => (
                Code::StepFailed,
                "look at its output above; when the reason is gone, apply again".to_owned(),
            ),
        };
        Finding::new(code, node, format!("pvesm said of storage {id}: {}", self.text), next)
    }
}
