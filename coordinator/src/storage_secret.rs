//! Passwords of storages: each lies in a file on this host, is read for every attempt, and is kept nowhere.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::{Code, Finding};
use quorate_proto::v1;
use zeroize::Zeroizing;

/// A password that is longer is none that PVE takes.
const LONGEST: u64 = 2048;

/// Others may do nothing with it.
const OTHERS: u32 = 0o077;

/// Reads the file that a storage's password lies in.
///
/// # Errors
/// Why it can't be used; nothing of what is in it.
pub(crate) fn read(path: &str, storage: &str) -> Result<v1::StorageSecret, Finding> {
    let refused = |why: String, next: String| {
        let message = format!("the password of storage {storage}, in {path} on the coordinator's host: {why}");
        Finding::new(Code::StorageNoSecret, storage, message, next)
    };
    let failed = |error: std::io::Error| {
        let next = format!("write it there as one line, for the user who runs quorate serve alone: chmod 600 {path}");
        refused(error.to_string(), next)
    };
    // A pipe or a device would keep us waiting.
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits() | nix::fcntl::OFlag::O_CLOEXEC.bits();
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        let next = "name a file".to_owned();
        return Err(refused("it is no ordinary file".to_owned(), next));
    }
    if about.mode() & OTHERS != 0 {
        let why = format!("others may use the file (mode {:04o})", about.mode() & 0o7777);
        return Err(refused(why, format!("chmod 600 {path}")));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LONGEST + 2).read_to_string(&mut text).map_err(|_| {
        let why = "it is no text, or can't be read".to_owned();
        refused(why, "write the password as one line of text".to_owned())
    })?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let fits = u64::try_from(line.len()).is_ok_and(|length| length <= LONGEST);
    if line.is_empty() || line.chars().any(char::is_control) || !fits {
        let next = "write the password as its only line".to_owned();
        return Err(refused("it is not one line".to_owned(), next));
    }
    Ok(v1::StorageSecret {
        password: line.to_owned(),
    })
}

/// What stands against the plan in this host's files: better said before than when half of it is done.
pub(crate) fn missing(plan: &Plan) -> Vec<Finding> {
    let of = |action: &Action| match action {
        Action::AddStorage {
            storage,
            password_file: Some(path),
            ..
        } => read(path, storage.name.as_str()).err(),
        _ => None,
    };
    plan.steps.iter().filter_map(|step| of(&step.action)).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn said(text: &str, mode: u32) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pbs.password");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let read = read(path.to_str().unwrap(), "backup");
        read.map(|secret| secret.password.clone())
            .map_err(|finding| finding.message)
    }

    #[test]
    fn one_line_that_only_its_owner_may_read() {
        assert_eq!(said("hush hush\n", 0o600).unwrap(), "hush hush");
        assert_eq!(said("hush", 0o400).unwrap(), "hush");
        for (text, mode, why) in [
            ("hush\n", 0o644, "others may use the file (mode 0644)"),
            ("", 0o600, "it is not one line"),
            ("one\ntwo\n", 0o600, "it is not one line"),
        ] {
            let said = said(text, mode).unwrap_err();
            assert!(said.contains(why) && !said.contains("hush"), "{said}");
        }
        let there = read("/no/such/file", "backup").unwrap_err();
        assert_eq!(there.code, Code::StorageNoSecret);
        assert!(there.message.contains("/no/such/file"), "{}", there.message);
        let folder = read("/", "backup").unwrap_err();
        assert!(folder.message.contains("no ordinary file"), "{}", folder.message);
    }
}
