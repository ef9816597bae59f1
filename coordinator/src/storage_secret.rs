//! Passwords of storages: each lies in a file in one folder of this host, is read for every attempt, and is kept nowhere.
//!
//! Whoever writes a cluster file names the file: so nothing outside of that folder is looked at, and nothing is said of what is in it to
//! those who may only look.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::{Code, Finding};
use quorate_proto::v1;
use zeroize::Zeroizing;

/// A password that is longer is none that PVE takes.
const LONGEST: u64 = 2048;

/// Others may do nothing with it.
const OTHERS: u32 = 0o077;

/// The folder in which passwords lie.
#[derive(Debug)]
pub(crate) struct Secrets {
    dir: PathBuf,
}

/// Who wants to know what stands against a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Somebody who may apply it.
    Changes,
    /// Somebody who may only look, and is not told what files there are.
    Looks,
}

impl Secrets {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Reads the file that a storage's password lies in.
    ///
    /// # Errors
    /// Why it can't be used; nothing of what is in it.
    pub(crate) fn read(&self, path: &str, storage: &str) -> Result<v1::StorageSecret, Finding> {
        self.inside(path, storage)?;
        let failed = |error: std::io::Error| {
            let link = error.raw_os_error() == Some(Errno::ELOOP as i32);
            let why = if link {
                "it is a symbolic link".to_owned()
            } else {
                error.to_string()
            };
            let next =
                format!("write it there as one line, for the user who runs quorate serve alone: chmod 600 {path}");
            refused(path, storage, why, next)
        };
        // A pipe or a device would keep us waiting.
        let flags = OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(path)
            .map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        let refused = |why: String, next: String| refused(path, storage, why, next);
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
        if !is_password(line) {
            let next = "write the password as its only line".to_owned();
            return Err(refused("it is not one line".to_owned(), next));
        }
        Ok(v1::StorageSecret {
            password: line.to_owned(),
        })
    }

    /// What stands against the plan in this host's files: better said before than when half of it is done.
    pub(crate) fn missing(&self, plan: &Plan, asks: Asks) -> Vec<Finding> {
        let of = |action: &Action| match action {
            Action::AddStorage {
                storage,
                password_file: Some(path),
                ..
            } => {
                let name = storage.name.as_str();
                match asks {
                    Asks::Changes => self.read(path, name).err(),
                    Asks::Looks => self.inside(path, name).err(),
                }
            }
            _ => None,
        };
        plan.steps.iter().filter_map(|step| of(&step.action)).collect()
    }

    /// A file of the folder itself: what folders in it lead to could be changed under our hands.
    fn inside(&self, path: &str, storage: &str) -> Result<(), Finding> {
        let mut rest = Path::new(path)
            .strip_prefix(&self.dir)
            .map(|rest| rest.components().collect::<Vec<_>>())
            .unwrap_or_default()
            .into_iter();
        if let (Some(Component::Normal(_)), None) = (rest.next(), rest.next()) {
            return Ok(());
        }
        let dir = self.dir.display();
        let name = Path::new(path).file_name().and_then(OsStr::to_str).unwrap_or("NAME");
        let why = format!(
            "it does not lie in {dir}, where alone passwords are looked for (`secrets_dir` of the coordinator)"
        );
        Err(refused(path, storage, why, format!("put it there: {dir}/{name}")))
    }
}

/// Something that PVE takes for a password.
fn is_password(line: &str) -> bool {
    let fits = u64::try_from(line.len()).is_ok_and(|length| length <= LONGEST);
    !line.is_empty() && !line.chars().any(char::is_control) && fits
}

fn refused(path: &str, storage: &str, why: String, next: String) -> Finding {
    let message = format!("the password of storage {storage}, in {path} on the coordinator's host: {why}");
    Finding::new(Code::StorageNoSecret, storage, message, next)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn secrets() -> (tempfile::TempDir, Secrets) {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("secrets");
        fs::create_dir(&dir).unwrap();
        (home, Secrets::new(dir))
    }

    fn put(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn read(secrets: &Secrets, path: &Path) -> Result<String, String> {
        let read = secrets.read(path.to_str().unwrap(), "backup");
        read.map(|secret| secret.password.clone()).map_err(|finding| {
            assert_eq!(finding.code, Code::StorageNoSecret);
            finding.message
        })
    }

    fn said(text: &str, mode: u32) -> Result<String, String> {
        let (_home, secrets) = secrets();
        let path = secrets.dir.join("pbs.password");
        put(&path, text, mode);
        read(&secrets, &path)
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
        let (_home, secrets) = secrets();
        let missing = read(&secrets, &secrets.dir.join("such.file")).unwrap_err();
        assert!(missing.contains("No such file"), "{missing}");
        fs::create_dir(secrets.dir.join("folder")).unwrap();
        let folder = read(&secrets, &secrets.dir.join("folder")).unwrap_err();
        assert!(folder.contains("no ordinary file"), "{folder}");
    }

    #[test]
    fn nothing_outside_of_the_folder_is_looked_at() {
        let (home, secrets) = secrets();
        let outside = home.path().join("ca.key");
        put(&outside, "hush\n", 0o600);
        symlink(&outside, secrets.dir.join("link")).unwrap();
        fs::create_dir(secrets.dir.join("deep")).unwrap();
        put(&secrets.dir.join("deep/er"), "hush\n", 0o600);
        for name in ["../ca.key", "deep/er", "deep/../../ca.key", "."] {
            let said = read(&secrets, &secrets.dir.join(name)).unwrap_err();
            assert!(said.contains("does not lie in"), "{name}: {said}");
        }
        // The same is said of what is there and of what is not.
        let there = read(&secrets, &outside).unwrap_err();
        let absent = read(&secrets, &home.path().join("no.key")).unwrap_err();
        assert_eq!(there.replace("ca.key", "no.key"), absent);
        let link = read(&secrets, &secrets.dir.join("link")).unwrap_err();
        assert!(link.contains("it is a symbolic link"), "{link}");
    }

    /// A plan that adds a backup server, whose password is to lie there.
    fn plan(path: &Path) -> Plan {
        use quorate_model::observation::Storages;
        use quorate_model::{Facet, Timestamp, Wish};
        use quorate_planner::testkit::{Servers, parse};

        let file = parse(&format!(
            "[cluster]\nname = \"hk1\"\nlinks = [\"192.168.1.0/24\"]\n[nodes.prox1]\naddress = \"192.168.1.11\"\n\
             [storage.backup]\ntype = \"pbs\"\nserver = \"192.168.1.5\"\ndatastore = \"store1\"\npassword_file = {path:?}\n"
        ));
        let none = Storages {
            defined: vec![],
            status: Facet::known(vec![], Timestamp(1)),
        };
        let servers = Servers::bare(1)
            .members("hk1", &["prox1"], &["192.168.1.0/24"])
            .with("prox1", |seen| seen.storages = Facet::known(none, Timestamp(1)));
        let plan = quorate_planner::plan(&file, &Wish::default(), &servers.view);
        assert!(
            plan.steps.iter().any(|step| step.id.as_str() == "storage.add/backup"),
            "{plan:?}"
        );
        plan
    }

    #[test]
    fn who_may_only_look_is_not_told_what_files_there_are() {
        let (home, secrets) = secrets();
        let missing = |path: &Path, asks| secrets.missing(&plan(path), asks).len();
        let absent = secrets.dir.join("pbs.password");
        assert_eq!(missing(&absent, Asks::Changes), 1);
        assert_eq!(missing(&absent, Asks::Looks), 0);
        put(&absent, "hush\n", 0o600);
        assert_eq!(missing(&absent, Asks::Changes), 0);
        for asks in [Asks::Changes, Asks::Looks] {
            assert_eq!(missing(&home.path().join("ca.key"), asks), 1);
        }
    }
}
