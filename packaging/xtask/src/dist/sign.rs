//! The release signature, in the format of minisign: `PACKAGE.deb.minisig` beside each package.
//!
//! The public key lies in the agent's package, as /etc/quorate/release.pub: a server that has one takes no package that is not signed
//! with it. A signature holds random bytes; what can be made again byte for byte are the packages.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use minisign::{KeyPair, PError, PublicKey, SecretKey, SecretKeyBox};

use super::Package;
use super::tool::say;
use crate::report::{Report, Stop};

/// Whoever has it can make packages that every server of ours takes.
pub(crate) struct Key {
    secret: SecretKey,
    public: PublicKey,
    path: PathBuf,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Key {
    /// The key at `asked`, made if there is none; without `asked`, the usual one if there is one.
    pub(crate) fn find(asked: Option<&Path>) -> Result<Option<Self>, Stop> {
        if let Some(path) = asked {
            return if path.exists() {
                Self::read(path)
            } else {
                Self::make(path)
            }
            .map(Some);
        }
        let usual = std::env::home_dir().map(|home| home.join(".config/quorate/release.key"));
        match usual.filter(|path| path.exists()) {
            Some(path) => Self::read(&path).map(Some),
            None => {
                say("there is no release key, so the packages are not signed; --key FILE signs them");
                Ok(None)
            }
        }
    }

    fn read(path: &Path) -> Result<Self, Stop> {
        let unusable = |error: PError| Stop::Failed(format!("{} can't be used as a key: {error}", path.display()));
        let text = fs::read_to_string(path).map_err(Stop::file(path))?;
        let sealed = || SecretKeyBox::from_string(&text).map_err(unusable);
        let secret = match sealed()?.into_unencrypted_secret_key() {
            Ok(secret) => secret,
            // It asks for the passphrase.
            Err(_) => sealed()?.into_secret_key(None).map_err(unusable)?,
        };
        let public = PublicKey::from_secret_key(&secret).map_err(unusable)?;
        let path = path.to_owned();
        Ok(Self { secret, public, path })
    }

    fn make(path: &Path) -> Result<Self, Stop> {
        let impossible = |error: PError| Stop::Failed(format!("no key can be made: {error}"));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Stop::file(folder))?;
        }
        let KeyPair { pk: public, sk: secret } = KeyPair::generate_unencrypted_keypair().map_err(impossible)?;
        let text = secret
            .to_box(Some("Quorate release key"))
            .map_err(impossible)?
            .into_string();
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let written = written.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(Stop::file(path))?;
        let key = Self {
            secret,
            public,
            path: path.to_owned(),
        };
        let beside = path.with_extension("pub");
        fs::write(&beside, key.public_text()?).map_err(Stop::file(&beside))?;
        say(&format!(
            "{} is a new release key, without a passphrase: keep it as safe as root's access to every server",
            path.display()
        ));
        Ok(key)
    }

    /// The public key's file.
    pub(crate) fn public_text(&self) -> Result<String, Stop> {
        let boxed = self.public.to_box();
        let boxed = boxed.map_err(|error| Stop::Failed(format!("the public key can't be written: {error}")))?;
        Ok(format!("{}\n", boxed.into_string().trim_end()))
    }

    /// The signature's file. Name and version are under the signature, so that no package passes for another one.
    fn sign(&self, content: impl io::Read, comment: &str) -> Result<String, Stop> {
        let signed = minisign::sign(
            Some(&self.public),
            &self.secret,
            content,
            Some(comment),
            Some("signature of Quorate"),
        );
        let signed = signed.map_err(|error| Stop::Failed(format!("{comment} can't be signed: {error}")))?;
        Ok(signed.into_string())
    }
}

pub(crate) fn sign(key: &Key, packages: &[Package], version: &str) -> Result<Report, Stop> {
    let mut notes = Vec::new();
    for package in packages {
        let file = File::open(&package.path).map_err(Stop::file(&package.path))?;
        let name = package.path.file_name().unwrap_or_default().to_string_lossy();
        let comment = format!("file:{name} package:{} version:{version}", package.name);
        let mut path = package.path.clone().into_os_string();
        path.push(".minisig");
        fs::write(&path, key.sign(file, &comment)?).map_err(Stop::file(&path))?;
        notes.push(format!("{} ({comment})", Path::new(&path).display()));
    }
    Ok(Report {
        name: "signature",
        checked: format!("signed with {}", key.path.display()),
        notes,
        ..Report::default()
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_kept_from_others_and_signs_what_its_public_key_verifies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/release.key");
        let first = Key::find(Some(&path)).unwrap().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Key::find(Some(&path)).unwrap().unwrap();
        let public = again.public_text().unwrap();
        assert_eq!(public, first.public_text().unwrap());
        assert_eq!(public, fs::read_to_string(path.with_extension("pub")).unwrap());

        let signature = again.sign(&b"a package"[..], "file:a.deb version:1.0.0").unwrap();
        let key = minisign_verify::PublicKey::decode(&public).unwrap();
        let signature = minisign_verify::Signature::decode(&signature).unwrap();
        assert_eq!(signature.trusted_comment(), "file:a.deb version:1.0.0");
        key.verify(b"a package", &signature, false).unwrap();
        key.verify(b"b package", &signature, false).unwrap_err();
    }

    #[test]
    fn what_is_no_key_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.key");
        fs::write(&path, "no key\n").unwrap();
        let stop = Key::find(Some(&path)).unwrap_err().to_string();
        assert!(stop.contains("can't be used as a key"), "{stop}");
    }
}
