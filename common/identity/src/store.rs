//! Where the coordinator and the agents keep their identities.

use std::path::{Path, PathBuf};

use crate::ca::{CaError, IssuingCa, RootCa};
use crate::certificate::{Certificate, CertificateError};
use crate::chain::{Identity, IdentityError, Roots, RootsError};
use crate::files::{
    FileError, create_private_dir, read_file, read_secret_file, remove_dir, remove_file, rename, write_file,
    write_secret_file,
};
use crate::key::{KeyError, PrivateKey};
use crate::passphrase::Passphrase;

/// Why an identity could not be loaded or kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The root key was taken away, as it may be, and is needed now.
    #[error(
        "the root key is not at {}; put it back for this command (owner and mode 0600 as before), then take it away again",
        path.display()
    )]
    RootKeyOffline {
        /// Where it is looked for.
        path: PathBuf,
    },
    /// There is a CA already.
    #[error("there is a fleet already: {} exists and is never overwritten", path.display())]
    Exists {
        /// Its root certificate.
        path: PathBuf,
    },
    /// The root certificates are damaged.
    #[error("{} holds no usable root certificates", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        source: RootsError,
    },
    /// A certificate is damaged.
    #[error("{} holds no usable certificate", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CertificateError,
    },
    /// A key is damaged, or its passphrase is wrong.
    #[error("the key {} cannot be used", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A CA's files don't belong together.
    #[error("the CA at {} cannot be used", path.display())]
    Ca {
        /// Its certificate.
        path: PathBuf,
        /// What is wrong with it.
        source: CaError,
    },
    /// A certificate and its key don't belong together.
    #[error("the identity at {} cannot be used", path.display())]
    Identity {
        /// Its certificate.
        path: PathBuf,
        /// What is wrong with it.
        source: IdentityError,
    },
}

/// The coordinator's: `ca/{root.pem,root.key,issuing.pem,issuing.key}` and `coordinator.{pem,key}`. While the CA is exchanged, the
/// next one lies in `ca/next` and the previous one in `ca/old`; roots of earlier CAs are in `ca/former.pem`.
#[derive(Debug, Clone)]
pub struct CoordinatorStore {
    state: PathBuf,
}

impl CoordinatorStore {
    /// In the coordinator's state directory.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
        }
    }

    /// Is there a fleet?
    #[must_use]
    pub fn exists(&self) -> bool {
        self.ca("root.pem").exists()
    }

    /// Keeps a new fleet. The root certificate is written last: without it there is no fleet, and an interrupted
    /// attempt can be repeated. Takes a noticeable fraction of a second, for the passphrase.
    ///
    /// # Errors
    /// There is a fleet already, or a file could not be written.
    pub fn create(
        &self,
        root: &RootCa,
        passphrase: &Passphrase,
        issuing: &IssuingCa,
        coordinator: &Identity,
    ) -> Result<(), StoreError> {
        let path = self.ca("root.pem");
        if self.exists() {
            return Err(StoreError::Exists { path });
        }
        create_private_dir(&self.state)?;
        keep_ca(&self.state.join("ca"), root, passphrase, issuing, || {
            self.save_coordinator(coordinator)
        })
    }

    /// The fleet's root certificates; the first is the one that signs.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn roots(&self) -> Result<Roots, StoreError> {
        load_roots(&self.ca("root.pem"))
    }

    /// The root CA, for the few commands that need it. Takes a noticeable fraction of a second, for the passphrase.
    ///
    /// # Errors
    /// The key is offline, the passphrase wrong, or a file damaged.
    pub fn root_ca(&self, passphrase: &Passphrase) -> Result<RootCa, StoreError> {
        let (path, key_path) = (self.ca("root.pem"), self.ca("root.key"));
        let text = match read_secret_file(&key_path) {
            Err(FileError::Missing { path }) => return Err(StoreError::RootKeyOffline { path }),
            other => other?,
        };
        let key = PrivateKey::from_encrypted_pem(&text, passphrase)
            .map_err(|source| StoreError::Key { path: key_path, source })?;
        RootCa::from_parts(first_certificate(&path)?, key).map_err(|source| StoreError::Ca { path, source })
    }

    /// The issuing CA.
    ///
    /// # Errors
    /// A file is missing, exposed or damaged.
    pub fn issuing_ca(&self) -> Result<IssuingCa, StoreError> {
        let (path, key_path) = (self.ca("issuing.pem"), self.ca("issuing.key"));
        let key = PrivateKey::from_pem(&read_secret_file(&key_path)?)
            .map_err(|source| StoreError::Key { path: key_path, source })?;
        IssuingCa::from_parts(first_certificate(&path)?, key).map_err(|source| StoreError::Ca { path, source })
    }

    /// The coordinator's own identity.
    ///
    /// # Errors
    /// A file is missing, exposed or damaged.
    pub fn coordinator(&self) -> Result<Identity, StoreError> {
        self.pair().load()
    }

    /// Keeps the coordinator's identity, new or renewed.
    ///
    /// # Errors
    /// A file could not be written.
    pub fn save_coordinator(&self, identity: &Identity) -> Result<(), StoreError> {
        self.pair().save(identity)
    }

    /// Keeps a CA that is to take the place of the present one, in `ca/next`. The root certificate is written last: without it there
    /// is no next CA, and an interrupted attempt can be repeated.
    ///
    /// # Errors
    /// A file could not be written.
    pub fn create_next(
        &self,
        root: &RootCa,
        passphrase: &Passphrase,
        issuing: &IssuingCa,
        coordinator: &Identity,
    ) -> Result<(), StoreError> {
        let next = self.ca("next");
        remove_file(&next.join("root.pem"))?;
        keep_ca(&next, root, passphrase, issuing, || {
            self.next_pair(&next).save(coordinator)
        })
    }

    /// The root of the CA that is to take the present one's place.
    ///
    /// # Errors
    /// There is none, or the file is damaged.
    pub fn next_roots(&self) -> Result<Roots, StoreError> {
        load_roots(&self.ca("next").join("root.pem"))
    }

    /// Keeps other root certificates; the first is the one that signs.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn save_roots(&self, roots: &Roots) -> Result<(), StoreError> {
        self.keep_former(roots)?;
        Ok(write_file(&self.ca("root.pem"), &roots.to_pem())?)
    }

    /// Roots that were the fleet's once: nobody is let in by them any more, and what was signed under them stays signed.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn former_roots(&self) -> Result<Vec<Roots>, StoreError> {
        let path = self.ca("former.pem");
        let text = match read_file(&path) {
            Err(FileError::Missing { .. }) => return Ok(Vec::new()),
            other => other?,
        };
        let each = Certificate::all_from_pem(&text).map_err(|source| StoreError::Certificate {
            path: path.clone(),
            source,
        })?;
        let roots = each.into_iter().map(|root| Roots::new(vec![root]));
        roots
            .collect::<Result<_, _>>()
            .map_err(|source| StoreError::Roots { path, source })
    }

    /// Keeps what is no longer among the roots. Before they change: so none is ever in neither file.
    fn keep_former(&self, next: &Roots) -> Result<(), StoreError> {
        if !self.exists() {
            return Ok(());
        }
        let known = self.former_roots()?;
        let mut former: Vec<Certificate> = known.iter().flat_map(|roots| roots.certificates().to_vec()).collect();
        let goes = |root: &Certificate| !next.certificates().contains(root) && !former.contains(root);
        let going: Vec<Certificate> = self
            .roots()?
            .certificates()
            .iter()
            .filter(|root| goes(root))
            .cloned()
            .collect();
        if going.is_empty() {
            return Ok(());
        }
        former.extend(going);
        let text: String = former.iter().map(Certificate::to_pem).collect();
        Ok(write_file(&self.ca("former.pem"), &text)?)
    }

    /// Puts the next CA into the place of the present one, which is kept in `ca/old`. Can be repeated wherever it broke off; once it is
    /// through, nothing is left to do.
    ///
    /// # Errors
    /// A file could not be moved.
    pub fn switch(&self) -> Result<(), StoreError> {
        let (next, old) = (self.ca("next"), self.ca("old"));
        if !next.join("root.pem").exists() {
            return Ok(());
        }
        let files = ["root.key", "issuing.key", "issuing.pem"];
        // Everything old goes before anything new comes, and a mark stands between: a key does not tell whose it is.
        let mark = next.join("old-is-away");
        if !mark.exists() {
            create_private_dir(&old)?;
            for name in files.into_iter().filter(|name| self.ca(name).exists()) {
                rename(&self.ca(name), &old.join(name))?;
            }
            write_file(&mark, "")?;
        }
        for name in files.into_iter().filter(|name| next.join(name).exists()) {
            rename(&next.join(name), &self.ca(name))?;
        }
        self.save_coordinator(&self.next_pair(&next).load()?)?;
        let new = self.next_roots()?.certificates().to_vec();
        let before = self.roots()?.certificates().to_vec();
        let others = before.into_iter().filter(|root| !new.contains(root));
        let both = Roots::new(new.iter().cloned().chain(others).collect());
        let path = self.ca("root.pem");
        self.save_roots(&both.map_err(|source| StoreError::Roots { path, source })?)?;
        Ok(remove_dir(&next)?)
    }

    /// Removes the CA that was replaced, with its keys.
    ///
    /// # Errors
    /// A file could not be removed.
    pub fn forget_old(&self) -> Result<(), StoreError> {
        Ok(remove_dir(&self.ca("old"))?)
    }

    fn next_pair<'a>(&self, next: &'a Path) -> Pair<'a> {
        Pair {
            dir: next,
            name: "coordinator",
        }
    }

    fn ca(&self, name: &str) -> PathBuf {
        self.state.join("ca").join(name)
    }

    fn pair(&self) -> Pair<'_> {
        Pair {
            dir: &self.state,
            name: "coordinator",
        }
    }
}

/// Keeps a CA in a folder, and the coordinator's identity in its place. The root certificate comes last: it says that all is there.
fn keep_ca(
    folder: &Path,
    root: &RootCa,
    passphrase: &Passphrase,
    issuing: &IssuingCa,
    save_coordinator: impl FnOnce() -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    create_private_dir(folder)?;
    let key_path = folder.join("root.key");
    let key = root.key().to_encrypted_pem(passphrase);
    let key = key.map_err(|source| StoreError::Key {
        path: key_path.clone(),
        source,
    })?;
    write_secret_file(&key_path, &key)?;
    write_secret_file(&folder.join("issuing.key"), &issuing.key().to_pem())?;
    write_file(&folder.join("issuing.pem"), &issuing.certificate().to_pem())?;
    save_coordinator()?;
    write_file(&folder.join("root.pem"), &root.certificate().to_pem())?;
    Ok(())
}

/// An agent's: `identity/{root.pem,node.pem,node.key}`.
#[derive(Debug, Clone)]
pub struct NodeStore {
    dir: PathBuf,
}

impl NodeStore {
    /// In the agent's state directory.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self {
            dir: state.join("identity"),
        }
    }

    /// What was kept; `None` if this node has never enrolled.
    ///
    /// # Errors
    /// A file is missing, exposed or damaged.
    pub fn load(&self) -> Result<Option<(Roots, Identity)>, StoreError> {
        if !self.root().exists() {
            return Ok(None);
        }
        Ok(Some((load_roots(&self.root())?, self.pair().load()?)))
    }

    /// Keeps the outcome of an enrolment. The root certificates are written last: without them the node has not enrolled.
    ///
    /// # Errors
    /// A file could not be written.
    pub fn save(&self, roots: &Roots, identity: &Identity) -> Result<(), StoreError> {
        create_private_dir(&self.dir)?;
        self.pair().save(identity)?;
        self.save_roots(roots)
    }

    /// Keeps a renewed identity.
    ///
    /// # Errors
    /// A file could not be written.
    pub fn save_identity(&self, identity: &Identity) -> Result<(), StoreError> {
        self.pair().save(identity)
    }

    /// Keeps other root certificates, while the CA is being replaced.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn save_roots(&self, roots: &Roots) -> Result<(), StoreError> {
        Ok(write_file(&self.root(), &roots.to_pem())?)
    }

    fn root(&self) -> PathBuf {
        self.dir.join("root.pem")
    }

    fn pair(&self) -> Pair<'_> {
        Pair {
            dir: &self.dir,
            name: "node",
        }
    }
}

/// A certificate and its key, in two files that must change together.
///
/// The new ones are written beside the old (`NAME.next.key`, then `NAME.next.pem`) and renamed in the same order. A new
/// certificate file beside the old one therefore means: both new files were complete, finish the renaming.
struct Pair<'a> {
    dir: &'a Path,
    name: &'a str,
}

impl Pair<'_> {
    fn path(&self, end: &str) -> PathBuf {
        self.dir.join(format!("{}.{end}", self.name))
    }

    fn save(&self, identity: &Identity) -> Result<(), StoreError> {
        self.finish()?;
        write_secret_file(&self.path("next.key"), &identity.key().to_pem())?;
        write_file(&self.path("next.pem"), &identity.chain_pem())?;
        self.finish()
    }

    fn finish(&self) -> Result<(), StoreError> {
        if !self.path("next.pem").exists() {
            return Ok(());
        }
        if self.path("next.key").exists() {
            rename(&self.path("next.key"), &self.path("key"))?;
        }
        rename(&self.path("next.pem"), &self.path("pem"))?;
        Ok(())
    }

    fn load(&self) -> Result<Identity, StoreError> {
        self.finish()?;
        let path = self.path("pem");
        let key = read_secret_file(&self.path("key"))?;
        Identity::from_pem(&read_file(&path)?, &key).map_err(|source| StoreError::Identity { path, source })
    }
}

fn load_roots(path: &Path) -> Result<Roots, StoreError> {
    Roots::from_pem(&read_file(path)?).map_err(|source| StoreError::Roots {
        path: path.to_owned(),
        source,
    })
}

fn first_certificate(path: &Path) -> Result<Certificate, StoreError> {
    let bad = |source| StoreError::Certificate {
        path: path.to_owned(),
        source,
    };
    let all = Certificate::all_from_pem(&read_file(path)?).map_err(bad)?;
    all.into_iter().next().ok_or(CertificateError::NoPem).map_err(bad)
}
