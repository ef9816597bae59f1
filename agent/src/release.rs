//! Packages that bring another version of the agent: taken into keeping, and believed only with the signature of a release key that is
//! pinned here.
//!
//! The coordinator brings them, and is not believed about them: whoever has taken it over could otherwise have the servers run anything.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use minisign_verify::{PublicKey, Signature};
use nix::unistd::geteuid;
use quorate_identity::{FileError, create_private_dir, write_private_file};
use quorate_model::ids::PackageDigest;
use sha2::{Digest as _, Sha256};

use crate::host::{Host, ReadError};

/// Root's own file with the release keys: one or, while they are being changed, several. Lines that are no keys are comments.
pub const KEYS: &str = "/etc/quorate/release.pub";

/// Below the agent's state directory.
const FOLDER: &str = "packages";

/// The largest package that is taken, in bytes.
pub const LARGEST: u64 = quorate_proto::limits::MAX_PACKAGE;

/// Why a package is not believed, or can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// No key is pinned.
    #[error("no release key is pinned here: {KEYS} is missing")]
    NoKeys,
    /// The file with the keys can't be read.
    #[error("the release keys can't be read")]
    Keys(#[from] ReadError),
    /// Somebody else than root may have put a key there.
    #[error("{KEYS} can be changed by others than root; type: chown root: {KEYS}; chmod go-w {KEYS}")]
    KeysExposed,
    /// There is no key in it.
    #[error("{KEYS} holds no key in minisign's format")]
    NoKeyInFile,
    /// The signature is no signature.
    #[error("the signature is not in minisign's format")]
    NoSignature,
    /// No pinned key has made it.
    #[error(
        "the signature is by none of the {0} release keys that are pinned here, or the package is not what was signed"
    )]
    NotSigned(usize),
    /// It is not what it is said to be.
    #[error("the package has the SHA-256 {found}, not {wanted}")]
    OtherFile {
        /// As said.
        wanted: PackageDigest,
        /// As found.
        found: String,
    },
    /// It is too large.
    #[error("a package of {0} bytes is larger than any of ours")]
    TooLarge(u64),
    /// It was not brought, or was taken away since.
    #[error("the package was not brought here: {}", .0.display())]
    Missing(PathBuf),
    /// A folder can't be made.
    #[error(transparent)]
    Folder(#[from] FileError),
    /// A file can't be read or written.
    #[error("the package can't be kept")]
    Io(#[from] io::Error),
}

/// The release keys that are pinned on this host.
///
/// # Errors
/// There are none, or others than root could have put them there.
fn pinned(host: &Host) -> Result<Vec<PublicKey>, ReleaseError> {
    let path = match host.root().resolve(KEYS) {
        Err(ReadError::NotFound { .. }) => return Err(ReleaseError::NoKeys),
        other => other?,
    };
    let meta = fs::metadata(path)?;
    let ours = meta.uid() == 0 || meta.uid() == geteuid().as_raw();
    if !ours || meta.mode() & 0o022 != 0 {
        return Err(ReleaseError::KeysExposed);
    }
    let text = host.root().read_text(KEYS)?;
    let keys: Vec<PublicKey> = text
        .lines()
        .filter_map(|line| PublicKey::from_base64(line.trim()).ok())
        .collect();
    if keys.is_empty() {
        return Err(ReleaseError::NoKeyInFile);
    }
    Ok(keys)
}

/// Is this what it is said to be, and signed by a pinned key?
///
/// # Errors
/// It is not.
fn believe(host: &Host, package: &PackageDigest, bytes: &[u8], signature: &str) -> Result<(), ReleaseError> {
    let found = digest(bytes);
    if found != package.as_str() {
        return Err(ReleaseError::OtherFile {
            wanted: package.clone(),
            found,
        });
    }
    let keys = pinned(host)?;
    let signature = Signature::decode(signature).map_err(|_| ReleaseError::NoSignature)?;
    // Of minisign's two ways only that over a digest is taken; the other one is of old.
    let signed = keys.iter().any(|key| key.verify(bytes, &signature, false).is_ok());
    if signed {
        Ok(())
    } else {
        Err(ReleaseError::NotSigned(keys.len()))
    }
}

fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

fn places(state_dir: &Path, package: &PackageDigest) -> [PathBuf; 2] {
    ["deb", "minisig"].map(|extension| state_dir.join(FOLDER).join(format!("{package}.{extension}")))
}

/// Takes a package into keeping, if it is to be believed. Those that were kept before go: an operation brings its own.
///
/// # Errors
/// It is not believed, or can't be written.
pub fn keep(
    host: &Host,
    state_dir: &Path,
    package: &PackageDigest,
    bytes: &[u8],
    signature: &str,
) -> Result<(), ReleaseError> {
    believe(host, package, bytes, signature)?;
    let folder = state_dir.join(FOLDER);
    create_private_dir(&folder)?;
    let [deb, minisig] = places(state_dir, package);
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path != deb && path != minisig {
            fs::remove_file(path)?;
        }
    }
    write_private_file(&minisig, signature.as_bytes())?;
    Ok(write_private_file(&deb, bytes)?)
}

/// Where a package lies that was kept, after one more look at it.
///
/// # Errors
/// It is not there, or not believed any more.
pub fn kept(host: &Host, state_dir: &Path, package: &PackageDigest) -> Result<PathBuf, ReleaseError> {
    let [deb, minisig] = places(state_dir, package);
    let read = |path: &Path| match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ReleaseError::Missing(deb.clone())),
        other => Ok(other?),
    };
    let signature = String::from_utf8(read(&minisig)?).map_err(|_| ReleaseError::NoSignature)?;
    believe(host, package, &read(&deb)?, &signature)?;
    Ok(deb)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use quorate_clock::Clock;
    use quorate_exec::Tools;
    use quorate_exec::scripted::Scripted;

    use super::*;
    use crate::host::HostRoot;

    /// As minisign's own documentation has them; whose secret half it is, is not known here.
    const SIGNED: &[u8] = b"test";
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const OTHER: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO4";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\nRUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\ntrusted comment: timestamp:1633700835\tfile:test\tprehashed\nwLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==\n";

    struct Place {
        dir: tempfile::TempDir,
        host: Host,
    }

    impl Place {
        fn new(keys: Option<&str>) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("root");
            fs::create_dir_all(root.join("etc/quorate")).unwrap();
            if let Some(keys) = keys {
                fs::write(root.join("etc/quorate/release.pub"), keys).unwrap();
            }
            let host = Host::new(
                HostRoot::lab(&root).unwrap(),
                Tools::imagined(),
                Arc::new(Scripted::new([])),
                Clock::system(),
            );
            Self { dir, host }
        }

        fn state(&self) -> PathBuf {
            self.dir.path().join("state")
        }

        fn keep(&self, bytes: &[u8], signature: &str) -> Result<(), ReleaseError> {
            create_private_dir(&self.state()).unwrap();
            let package = digest(bytes).parse().unwrap();
            keep(&self.host, &self.state(), &package, bytes, signature)
        }
    }

    fn package() -> PackageDigest {
        digest(SIGNED).parse().unwrap()
    }

    #[test]
    fn a_signed_package_is_kept_and_looked_at_again() {
        let place = Place::new(Some(&format!("untrusted comment: ours\n{OTHER}\n{KEY}\n")));
        place.keep(SIGNED, SIGNATURE).unwrap();
        let deb = kept(&place.host, &place.state(), &package()).unwrap();
        assert_eq!(fs::read(&deb).unwrap(), SIGNED);
        assert_eq!(fs::metadata(&deb).unwrap().mode() & 0o777, 0o600);
        fs::write(&deb, "other").unwrap();
        let changed = kept(&place.host, &place.state(), &package()).unwrap_err();
        assert!(matches!(changed, ReleaseError::OtherFile { .. }), "{changed}");
        fs::remove_file(&deb).unwrap();
        let gone = kept(&place.host, &place.state(), &package()).unwrap_err();
        assert!(matches!(gone, ReleaseError::Missing(_)), "{gone}");
    }

    #[test]
    fn nothing_else_is_believed() {
        let refused = |keys: Option<&str>, bytes: &[u8], signature: &str| {
            let place = Place::new(keys);
            let error = place.keep(bytes, signature).unwrap_err();
            assert!(!place.state().join(FOLDER).exists(), "nothing is left of it");
            error
        };
        assert!(matches!(refused(None, SIGNED, SIGNATURE), ReleaseError::NoKeys));
        assert!(matches!(
            refused(Some("\n"), SIGNED, SIGNATURE),
            ReleaseError::NoKeyInFile
        ));
        assert!(matches!(
            refused(Some(OTHER), SIGNED, SIGNATURE),
            ReleaseError::NotSigned(1)
        ));
        assert!(matches!(
            refused(Some(KEY), b"tesu", SIGNATURE),
            ReleaseError::NotSigned(1)
        ));
        assert!(matches!(refused(Some(KEY), SIGNED, "none"), ReleaseError::NoSignature));
        let place = Place::new(Some(KEY));
        let wanted = digest(b"other").parse().unwrap();
        let other = keep(&place.host, &place.state(), &wanted, SIGNED, SIGNATURE).unwrap_err();
        assert!(matches!(other, ReleaseError::OtherFile { .. }));
    }

    #[test]
    fn keys_that_others_may_have_put_there_are_none() {
        let place = Place::new(Some(KEY));
        let file = place.dir.path().join("root/etc/quorate/release.pub");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(
            place.keep(SIGNED, SIGNATURE).unwrap_err(),
            ReleaseError::KeysExposed
        ));
    }
}
