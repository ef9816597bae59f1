//! Whether what a daemon kept can have been changed, or its secrets read, by somebody else. Looked at once, before anything of it is
//! believed: a file that another user could write is that user's word, not ours.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// Deeper than any state directory goes: a loop of mounts ends here.
const DEEPEST: usize = 8;

/// So many are told; the rest is counted.
const TOLD: usize = 20;

/// What keeps a state directory from being believed.
#[derive(Debug)]
pub struct CustodyError {
    dir: PathBuf,
    faults: Vec<Fault>,
}

#[derive(Debug)]
struct Fault {
    path: PathBuf,
    what: &'static str,
    found: String,
    wanted: String,
    remedy: String,
}

impl fmt::Display for CustodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dir, count) = (self.dir.display(), self.faults.len());
        write!(f, "others could have read or changed {count} of the files below {dir}")?;
        for fault in self.faults.iter().take(TOLD) {
            let Fault {
                path,
                what,
                found,
                wanted,
                remedy,
            } = fault;
            write!(f, "; {} ({what}) {found}, and must {wanted}: {remedy}", path.display())?;
        }
        if count > TOLD {
            write!(f, "; and {} more", count - TOLD)?;
        }
        Ok(())
    }
}

impl std::error::Error for CustodyError {}

/// Looks at everything below a state directory.
///
/// # Errors
/// Which files belong to somebody else or let others at them, what each is, and what to type once it is known that nobody has
/// changed them.
pub fn check_custody(dir: &Path) -> Result<(), CustodyError> {
    let ours = geteuid().as_raw();
    let mut faults = Vec::new();
    let mut left = vec![(dir.to_owned(), 0)];
    while let Some((path, depth)) = left.pop() {
        match look(&path, ours, &mut faults) {
            Ok(true) if depth < DEEPEST => match fs::read_dir(&path) {
                Ok(entries) => left.extend(entries.flatten().map(|entry| (entry.path(), depth + 1))),
                Err(error) => faults.push(unseen(&path, &error)),
            },
            Ok(_) => {}
            // It went away meanwhile, as temporary files do.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => faults.push(unseen(&path, &error)),
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    faults.sort_by(|a, b| a.path.cmp(&b.path));
    Err(CustodyError {
        dir: dir.to_owned(),
        faults,
    })
}

/// Returns whether it is a directory.
fn look(path: &Path, ours: u32, faults: &mut Vec<Fault>) -> io::Result<bool> {
    let meta = fs::symlink_metadata(path)?;
    let what = what_it_is(path, &meta);
    if meta.uid() != ours {
        faults.push(Fault {
            path: path.to_owned(),
            what,
            found: format!("belongs to user id {}", meta.uid()),
            wanted: format!("belong to user id {ours}"),
            remedy: format!("chown -h {ours} {}", path.display()),
        });
    }
    // A link has no mode of its own.
    let (mode, open) = (meta.mode() & 0o7777, if is_secret(path) { 0o077 } else { 0o022 });
    if !meta.is_symlink() && mode & open != 0 {
        let wanted = mode & !open & 0o777;
        faults.push(Fault {
            path: path.to_owned(),
            what,
            found: format!("has mode {mode:04o}"),
            wanted: format!("have {wanted:04o}"),
            remedy: format!("chmod {wanted:04o} {}", path.display()),
        });
    }
    Ok(meta.is_dir())
}

fn unseen(path: &Path, error: &io::Error) -> Fault {
    Fault {
        path: path.to_owned(),
        what: "part of the state",
        found: format!("can't be looked at ({error})"),
        wanted: "be readable".to_owned(),
        remedy: format!("ls -ld {}", path.display()),
    }
}

fn is_secret(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "key")
}

fn what_it_is(path: &Path, meta: &Metadata) -> &'static str {
    if meta.is_dir() {
        return "a folder of the state";
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match name {
        "root.key" => "the root CA's key",
        "issuing.key" => "the issuing CA's key",
        "coordinator.key" => "the coordinator's key",
        "node.key" => "this node's key",
        "root.pem" => "the root certificates, which decide who is believed",
        "nodes.json" => "the fleet's books",
        "operators.json" => "the list of operators",
        "revocations.json" => "the list of revoked certificates",
        "driver.json" => "the record of who drives",
        "audit.jsonl" | "audit.head.json" => "the audit log",
        _ if is_secret(path) => "a private key",
        _ if path.extension().is_some_and(|end| end == "pem") => "a certificate",
        _ => "part of the state",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn state() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("ca")).unwrap();
        for (name, mode) in [("ca/root.pem", 0o644), ("ca/root.key", 0o600), ("nodes.json", 0o600)] {
            let path = dir.path().join(name);
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        dir
    }

    fn set(dir: &Path, name: &str, mode: u32) -> String {
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
        check_custody(dir).map_or_else(|error| error.to_string(), |()| "in order".to_owned())
    }

    #[test]
    fn what_others_may_read_or_change_is_named_with_the_remedy() {
        let dir = state();
        check_custody(dir.path()).unwrap();
        for (name, mode, what, right) in [
            ("ca/root.key", 0o640, "the root CA's key", "0600"),
            ("ca/root.pem", 0o664, "the root certificates", "0644"),
            ("nodes.json", 0o602, "the fleet's books", "0600"),
            ("ca", 0o777, "a folder of the state", "0755"),
        ] {
            let right_mode = u32::from_str_radix(right, 8).unwrap();
            let text = set(dir.path(), name, mode);
            let path = dir.path().join(name);
            for said in [
                what,
                &format!("has mode {mode:04o}"),
                &format!("chmod {right} {}", path.display()),
            ] {
                assert!(text.contains(said), "{said}: {text}");
            }
            assert_eq!(set(dir.path(), name, right_mode), "in order");
        }
    }

    #[test]
    fn a_file_of_somebody_else_is_not_believed() {
        let dir = state();
        let path = dir.path().join("ca/root.pem");
        // Only root can give a file away.
        if std::os::unix::fs::chown(&path, Some(12345), None).is_err() {
            return;
        }
        let text = check_custody(dir.path()).unwrap_err().to_string();
        assert!(
            text.contains("belongs to user id 12345") && text.contains("chown -h"),
            "{text}"
        );
    }
}
