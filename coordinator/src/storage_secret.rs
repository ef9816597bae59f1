//! Passwords of storages, and of databases that drills write into: each lies in a file in one folder of this host and is read for every attempt, or is given with the word to apply
//! and kept in memory until the rollout ends. Nothing else keeps one.
//!
//! Whoever writes a cluster file names the file: so nothing outside of that folder is looked at, and nothing is said of what is in it to
//! those who may only look.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::StorageName;
use quorate_model::operation::{Action, GIVEN_AT_APPLY};
use quorate_model::plan::Plan;
use quorate_model::{ClusterName, Code, Finding};
use quorate_proto::{field, v1};
use zeroize::Zeroizing;

/// A password that is longer is none that PVE takes.
const LONGEST: u64 = 2048;

/// Others may do nothing with it.
const OTHERS: u32 = 0o077;

/// The folder in which passwords lie, and those that were given.
#[derive(Debug)]
pub(crate) struct Secrets {
    dir: PathBuf,
    /// For the rollout that holds the cluster.
    given: Mutex<BTreeMap<ClusterName, Given>>,
}

/// Passwords that were given with the word to apply. They are shown by no means.
#[derive(Default)]
pub(crate) struct Given(BTreeMap<StorageName, Zeroizing<String>>);

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Given {
    /// As they came, for the storages of a plan that want one.
    ///
    /// # Errors
    /// One is missing, is for no storage that wants one, or is no password; nothing of what it is.
    pub(crate) fn of(wire: Vec<v1::StoragePassword>, plan: &Plan) -> Result<Self, Failure> {
        let usage = |message: String| Failure::new(ExitCode::Usage, message);
        let mut given = BTreeMap::new();
        for one in wire {
            let password = Zeroizing::new(one.secret.map(|secret| secret.password).unwrap_or_default());
            let name: StorageName = field("passwords", one.storage).map_err(|error| usage(error.to_string()))?;
            if !is_password(&password) {
                let longest = format!("one line of at most {LONGEST} bytes");
                return Err(usage(format!(
                    "what was given for storage {name} is no password: {longest}"
                )));
            }
            given.insert(name, password);
        }
        let wanted = plan.steps.iter().filter_map(|step| step.action.password_given_for());
        let wanted: BTreeSet<&StorageName> = wanted.collect();
        if let Some(missing) = wanted.iter().find(|name| !given.contains_key(**name)) {
            let failure = usage(format!(
                "the password of storage {missing} was not given; nothing was changed"
            ));
            return Err(failure.hint(again(missing.as_str())));
        }
        // What nobody asks for is not kept.
        given.retain(|name, _| wanted.contains(name));
        Ok(Self(given))
    }
}

fn again(storage: &str) -> String {
    format!("give it when you apply: quorate apply FILE --password {storage}")
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
        let given = Mutex::default();
        Self { dir, given }
    }

    /// Keeps what was given for a rollout until [`Secrets::forget`].
    pub(crate) fn keep(&self, cluster: &ClusterName, given: Given) {
        self.given().insert(cluster.clone(), given);
    }

    /// No rollout holds the cluster any more.
    pub(crate) fn forget(&self, cluster: &ClusterName) {
        self.given().remove(cluster);
    }

    /// The password of a storage, for an attempt to add it.
    ///
    /// # Errors
    /// Why there is none; nothing of what it is.
    pub(crate) fn password(
        &self,
        cluster: &ClusterName,
        path: &str,
        storage: &str,
    ) -> Result<v1::StorageSecret, Finding> {
        if path != GIVEN_AT_APPLY {
            return self.read(path, storage);
        }
        let given = self.given();
        let of_storage = |given: &Given| {
            let mut all = given.0.iter();
            all.find(|(name, _)| name.as_str() == storage)
                .map(|(_, password)| password.to_string())
        };
        let password = given.get(cluster).and_then(of_storage);
        password.map(|password| v1::StorageSecret { password }).ok_or_else(|| {
            let message = format!(
                "the password of storage {storage} was given when the rollout began, and is kept nowhere: the coordinator was started \
                 anew since"
            );
            Finding::new(Code::StorageNoSecret, storage, message, again(storage))
        })
    }

    fn given(&self) -> MutexGuard<'_, BTreeMap<ClusterName, Given>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file that a storage's password lies in.
    ///
    /// # Errors
    /// Why it can't be used; nothing of what is in it.
    pub(crate) fn read(&self, path: &str, storage: &str) -> Result<v1::StorageSecret, Finding> {
        let line = self.inside(path).and_then(|()| line_of(Path::new(path)));
        let line = line.map_err(|unusable| refused(path, storage, unusable))?;
        Ok(v1::StorageSecret {
            password: line.to_string(),
        })
    }

    /// Reads the file that the password of a database lies in, which a drill writes rows into.
    ///
    /// # Errors
    /// Why it can't be used; nothing of what is in it.
    pub(crate) fn of_database(&self, path: &str) -> Result<Zeroizing<String>, Unusable> {
        self.inside(path)?;
        line_of(Path::new(path))
    }

    /// What stands against the plan in this host's files: better said before than when half of it is done.
    pub(crate) fn missing(&self, plan: &Plan, asks: Asks) -> Vec<Finding> {
        let of = |action: &Action| match action {
            Action::AddStorage {
                storage,
                password_file: Some(path),
                ..
            } if path != GIVEN_AT_APPLY => {
                let name = storage.name.as_str();
                match asks {
                    Asks::Changes => self.read(path, name).err(),
                    Asks::Looks => self
                        .inside(path)
                        .map_err(|unusable| refused(path, name, unusable))
                        .err(),
                }
            }
            _ => None,
        };
        plan.steps.iter().filter_map(|step| of(&step.action)).collect()
    }

    /// A file of the folder itself: what folders in it lead to could be changed under our hands.
    ///
    /// # Errors
    /// It lies elsewhere, whatever is there.
    pub(crate) fn inside(&self, path: &str) -> Result<(), Unusable> {
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
            "it does not lie in {dir}, where alone such files are looked for (`secrets_dir` of the coordinator)"
        );
        Err(Unusable {
            why,
            next: format!("put it there: {dir}/{name}"),
        })
    }
}

/// Why a password's file can't be used; nothing of what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Unusable {
    pub(crate) why: String,
    pub(crate) next: String,
}

/// The password that is a file's only line, of a file that nobody but its owner may use.
///
/// # Errors
/// It can't be used.
pub(crate) fn line_of(path: &Path) -> Result<Zeroizing<String>, Unusable> {
    let unusable = |why: String, next: String| Unusable { why, next };
    let shown = path.display();
    let failed = |error: std::io::Error| {
        let link = error.raw_os_error() == Some(Errno::ELOOP as i32);
        let why = if link {
            "it is a symbolic link".to_owned()
        } else {
            error.to_string()
        };
        let next = format!(
            "write it there as one line, of the user who runs quorate serve and for them alone: chown, chmod 600 {shown}"
        );
        unusable(why, next)
    };
    // A pipe or a device would keep us waiting.
    let flags = OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        let next = "name a file".to_owned();
        return Err(unusable("it is no ordinary file".to_owned(), next));
    }
    if about.mode() & OTHERS != 0 {
        let why = format!("others may use the file (mode {:04o})", about.mode() & 0o7777);
        return Err(unusable(why, format!("chmod 600 {shown}")));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LONGEST + 2).read_to_string(&mut text).map_err(|_| {
        let why = "it is no text, or can't be read".to_owned();
        unusable(why, "write the password as one line of text".to_owned())
    })?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if !is_password(line) {
        let next = "write the password as its only line".to_owned();
        return Err(unusable("it is not one line".to_owned(), next));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// Something that PVE takes for a password.
fn is_password(line: &str) -> bool {
    let fits = u64::try_from(line.len()).is_ok_and(|length| length <= LONGEST);
    !line.is_empty() && !line.chars().any(char::is_control) && fits
}

fn refused(path: &str, storage: &str, Unusable { why, next }: Unusable) -> Finding {
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

    #[test]
    fn what_is_given_is_shown_by_no_means_and_lasts_as_long_as_its_rollout() {
        let (_home, secrets) = secrets();
        let (cluster, other): (ClusterName, ClusterName) = ("hk1".parse().unwrap(), "hk2".parse().unwrap());
        let mut plan = plan(&secrets.dir.join("pbs.password"));
        for step in &mut plan.steps {
            if let Action::AddStorage { password_file, .. } = &mut step.action {
                *password_file = Some(GIVEN_AT_APPLY.to_owned());
            }
        }
        let wire = |storage: &str, password: &str| v1::StoragePassword {
            storage: storage.to_owned(),
            secret: Some(v1::StorageSecret {
                password: password.to_owned(),
            }),
        };
        assert_eq!(secrets.missing(&plan, Asks::Changes), []);
        let refused = |wire: Vec<v1::StoragePassword>| Given::of(wire, &plan).unwrap_err().message;
        assert!(refused(vec![]).contains("storage backup was not given"));
        assert!(refused(vec![wire("other", "hush")]).contains("storage backup was not given"));
        let two = refused(vec![wire("backup", "hush\nhush")]);
        assert!(two.contains("is no password") && !two.contains("hush"), "{two}");

        let both = vec![wire("backup", "hush"), wire("other", "hush")];
        let given = Given::of(both, &plan).unwrap();
        assert_eq!(format!("{given:?}"), "{StorageName(\"backup\")}");
        secrets.keep(&cluster, given);
        assert!(!format!("{secrets:?}").contains("hush"));
        let password = |cluster| secrets.password(cluster, GIVEN_AT_APPLY, "backup");
        assert_eq!(password(&cluster).unwrap().password, "hush");
        assert!(password(&other).is_err());
        secrets.forget(&cluster);
        let finding = password(&cluster).unwrap_err();
        assert_eq!(finding.code, Code::StorageNoSecret);
        assert!(
            finding.next.contains("quorate apply FILE --password backup"),
            "{finding:?}"
        );
    }
}
