//! Packages that agents are to be upgraded with: kept here by their digests, and brought to each server before its step. Whether one is to be
//! believed is for the servers to say.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use data_encoding::HEXLOWER;
use quorate_identity::{create_private_dir, write_private_file};
use quorate_model::canary::MAX_PROGRAM;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{Driver, PackageDigest};
use quorate_model::{Code, Finding};
use quorate_proto::v1::package_part::Part;
use quorate_proto::{Wire, field, limits, v1};
use sha2::{Digest, Sha256};
use tonic::{Status, Streaming};

/// So many are kept; the ones that were brought first go. A rollout that needs one of them says so.
const KEPT: usize = 4;

/// Where packages lie.
#[derive(Debug, Clone)]
pub(crate) struct Packages {
    dir: PathBuf,
    /// The program that is put into guests.
    guest_program: PathBuf,
}

impl Packages {
    pub(crate) fn new(dir: PathBuf, guest_program: PathBuf) -> Self {
        Self { dir, guest_program }
    }

    /// The program that is put into guests, and its digest. It lies on this host, and came with our own package.
    pub(crate) fn guest_program(&self) -> io::Result<(PackageDigest, Vec<u8>)> {
        let size = fs::metadata(&self.guest_program)?.len();
        if size > MAX_PROGRAM as u64 {
            return Err(io::Error::other(format!(
                "{size} bytes are more than a guest can be given"
            )));
        }
        let bytes = fs::read(&self.guest_program)?;
        let digest = PackageDigest::new(HEXLOWER.encode(&Sha256::digest(&bytes))).map_err(io::Error::other)?;
        Ok((digest, bytes))
    }

    /// The same for an operation that was planned with one.
    pub(crate) fn planned_program(&self, planned: &PackageDigest) -> Result<Vec<u8>, Finding> {
        let why = match self.guest_program() {
            Ok((found, bytes)) if found == *planned => return Ok(bytes),
            Ok((found, _)) => format!("it has the SHA-256 {found} by now, not {planned}"),
            Err(error) => error.to_string(),
        };
        let message = format!(
            "the program for guests, {}, can't be used: {why}",
            self.guest_program.display()
        );
        Err(Finding::new(Code::StepFailed, "", message, "plan again"))
    }

    fn path(&self, package: &PackageDigest, extension: &str) -> PathBuf {
        self.dir.join(format!("{package}.{extension}"))
    }

    /// Keeps a package, durably.
    pub(crate) fn keep(&self, head: &v1::PackageHead, bytes: &[u8]) -> Result<(), Failure> {
        let package: PackageDigest =
            field("package", head.package.clone()).map_err(|error| usage(&error.to_string()))?;
        if HEXLOWER.encode(&Sha256::digest(bytes)) != package.as_str() {
            return Err(usage("it is not what was announced: its SHA-256 is another"));
        }
        self.write(&package, head, bytes).map_err(|error| {
            Failure::new(ExitCode::Failed, "the package can't be kept")
                .because(&error)
                .hint("look at the disk that holds the coordinator's state")
        })
    }

    fn write(&self, package: &PackageDigest, head: &v1::PackageHead, bytes: &[u8]) -> io::Result<()> {
        create_private_dir(&self.dir).map_err(io::Error::other)?;
        self.make_room(package)?;
        let kept = write_private_file(&self.path(package, "minisig"), head.signature.as_bytes())
            .and_then(|()| write_private_file(&self.path(package, "deb"), bytes));
        kept.map_err(io::Error::other)
    }

    fn make_room(&self, package: &PackageDigest) -> io::Result<()> {
        let mut there: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") && path != self.path(package, "deb") {
                there.push((fs::metadata(&path)?.modified()?, path));
            }
        }
        there.sort();
        let gone = there.len().saturating_sub(KEPT - 1);
        for (_, path) in there.into_iter().take(gone) {
            remove(&path)?;
            remove(&path.with_extension("minisig"))?;
        }
        Ok(())
    }

    /// A package on its way to a node.
    pub(crate) fn parts(&self, driver: &Driver, package: &PackageDigest) -> Result<Vec<v1::PackagePart>, Finding> {
        let read = |extension| fs::read(self.path(package, extension));
        let (bytes, signature) = match (read("deb"), read("minisig")) {
            (Ok(bytes), Ok(signature)) => (bytes, String::from_utf8_lossy(&signature).into_owned()),
            (Err(error), _) | (_, Err(error)) => {
                return Err(Finding::new(
                    Code::StepFailed,
                    "",
                    format!("the coordinator has no package {package} (any more): {error}"),
                    "bring it again: quorate node upgrade --package FILE.deb",
                ));
            }
        };
        let head = v1::PackageHead {
            driver: Some(driver.clone().into_wire()),
            package: package.to_string(),
            size: bytes.len() as u64,
            signature,
        };
        Ok(parts(head, &bytes))
    }
}

/// Somebody else may have been quicker.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A package as it travels: what it is, then its bytes.
pub(crate) fn parts(head: v1::PackageHead, bytes: &[u8]) -> Vec<v1::PackagePart> {
    let chunks = bytes
        .chunks(limits::PACKAGE_PART)
        .map(|chunk| Part::Bytes(chunk.to_vec()));
    let parts = std::iter::once(Part::Head(head)).chain(chunks);
    parts.map(|part| v1::PackagePart { part: Some(part) }).collect()
}

/// Takes a package from whoever brings it.
pub(crate) async fn take(mut stream: Streaming<v1::PackagePart>) -> Result<(v1::PackageHead, Vec<u8>), Failure> {
    let Some(Part::Head(head)) = next(&mut stream).await? else {
        return Err(usage("it does not begin with what it is"));
    };
    if head.size > limits::MAX_PACKAGE {
        return Err(usage(&format!("{} bytes are more than any of ours has", head.size)));
    }
    let size = usize::try_from(head.size).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    while let Some(part) = next(&mut stream).await? {
        match part {
            Part::Bytes(more) if bytes.len().saturating_add(more.len()) <= size => bytes.extend(more),
            _ => return Err(usage("it is not what was announced: there is more of it")),
        }
    }
    if bytes.len() == size {
        Ok((head, bytes))
    } else {
        Err(usage("it is not what was announced: it ends early"))
    }
}

async fn next(stream: &mut Streaming<v1::PackagePart>) -> Result<Option<Part>, Failure> {
    let message = tokio::time::timeout(limits::PACKAGE_SILENCE, stream.message()).await;
    let message = message.map_err(|_| usage("it does not go on"))?;
    let message = message.map_err(|status: Status| usage(status.message()))?;
    match message {
        None => Ok(None),
        Some(v1::PackagePart { part: Some(part) }) => Ok(Some(part)),
        Some(_) => Err(usage("a part of it is nothing that is known here")),
    }
}

fn usage(why: &str) -> Failure {
    Failure::new(ExitCode::Usage, format!("the package is not taken: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: &[u8]) -> v1::PackageHead {
        v1::PackageHead {
            driver: None,
            package: HEXLOWER.encode(&Sha256::digest(bytes)),
            size: bytes.len() as u64,
            signature: "signed".to_owned(),
        }
    }

    #[test]
    fn what_is_kept_comes_out_in_parts_and_older_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let packages = Packages::new(dir.path().join("packages"), dir.path().join("program"));
        let bytes = vec![7; limits::PACKAGE_PART + 1];
        packages.keep(&head(&bytes), &bytes).unwrap();
        let driver = Driver {
            generation: quorate_model::Generation(1),
            instance: "a".parse().unwrap(),
        };
        let package = head(&bytes).package.parse().unwrap();
        assert_eq!(packages.parts(&driver, &package).unwrap().len(), 3);
        for number in 0..5_u8 {
            packages.keep(&head(&[number]), &[number]).unwrap();
        }
        assert_eq!(fs::read_dir(&packages.dir).unwrap().count(), 2 * KEPT);
        // What a kill between two deletions leaves stops nobody.
        for entry in fs::read_dir(&packages.dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "minisig") {
                fs::remove_file(path).unwrap();
            }
        }
        packages.keep(&head(b"more"), b"more").unwrap();
        let other = packages.keep(&head(b"a"), b"b").unwrap_err();
        assert!(other.message.contains("SHA-256"), "{other}");
    }

    #[test]
    fn the_program_for_guests_is_the_one_that_was_planned_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("quorate-tally");
        let packages = Packages::new(dir.path().join("packages"), file.clone());
        let planned: PackageDigest = head(b"one").package.parse().unwrap();
        let missing = packages.planned_program(&planned).unwrap_err();
        assert!(missing.message.contains("quorate-tally"), "{missing:?}");
        fs::write(&file, "one").unwrap();
        assert_eq!(packages.guest_program().unwrap().0, planned);
        assert_eq!(packages.planned_program(&planned).unwrap(), b"one");
        fs::write(&file, "two").unwrap();
        assert!(
            packages
                .planned_program(&planned)
                .unwrap_err()
                .message
                .contains("by now")
        );
        fs::write(&file, vec![0; MAX_PROGRAM + 1]).unwrap();
        assert!(packages.guest_program().is_err(), "no guest takes so much");
    }
}
