//! All files of the host, below one root.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// No file that the agent reads is larger: pmxcfs allows one MiB, the longest text of /proc on the largest machine is
/// its cpuinfo with a few.
const LARGEST: u64 = 8 << 20;

/// Where the host's files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRoot {
    /// The lab's folder, free of links; `None`: the real root.
    lab: Option<PathBuf>,
}

/// A file of the host could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such file.
    #[error("{path} does not exist")]
    NotFound {
        /// The path on the host.
        path: String,
    },
    /// The path leads out of the lab's folder, or is none that could be allowed.
    #[error("{path} is outside of this host's root")]
    Outside {
        /// The path on the host.
        path: String,
    },
    /// It is not UTF-8.
    #[error("{path} is no text")]
    NotText {
        /// The path on the host.
        path: String,
    },
    /// It is longer than anything that belongs there.
    #[error("{path} is larger than {LARGEST} bytes")]
    TooLarge {
        /// The path on the host.
        path: String,
    },
    /// pmxcfs does not answer.
    #[error("{path} could not be read: /etc/pve has been blocked for {since:?}")]
    Blocked {
        /// The path on the host.
        path: String,
        /// Since when.
        since: Duration,
    },
    /// The kernel refused.
    #[error("{path} could not be read")]
    Failed {
        /// The path on the host.
        path: String,
        /// Its answer.
        source: io::Error,
    },
}

impl HostRoot {
    /// The real root.
    #[must_use]
    pub fn real() -> Self {
        Self { lab: None }
    }

    /// A folder that stands for the root of a simulated server.
    ///
    /// # Errors
    /// When it is no absolute path of a folder.
    pub fn lab(folder: &Path) -> io::Result<Self> {
        if !folder.is_absolute() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a lab's root must be an absolute path",
            ));
        }
        let folder = fs::canonicalize(folder)?;
        if !folder.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                "a lab's root must be a folder",
            ));
        }
        Ok(Self { lab: Some(folder) })
    }

    /// Is this a lab's?
    #[must_use]
    pub fn is_lab(&self) -> bool {
        self.lab.is_some()
    }

    /// Where a file of the host lies on this machine, all links followed.
    ///
    /// # Errors
    /// When it does not exist, or the path is not absolute, holds `..`, or leads out of the root.
    pub fn resolve(&self, path: &str) -> Result<PathBuf, ReadError> {
        let place = self.place(path)?;
        let resolved = fs::canonicalize(&place).map_err(|error| failed(path, error))?;
        match &self.lab {
            Some(lab) if !resolved.starts_with(lab) => Err(ReadError::Outside { path: path.to_owned() }),
            _ => Ok(resolved),
        }
    }

    /// Where pmxcfs is mounted.
    pub(super) fn pmxcfs(&self) -> PathBuf {
        self.lab.as_deref().unwrap_or(Path::new("/")).join("etc/pve")
    }

    /// The path on this machine, links not followed.
    fn place(&self, path: &str) -> Result<PathBuf, ReadError> {
        let inside = Path::new(path).strip_prefix("/").ok();
        let inside = inside.filter(|rest| rest.components().all(|part| matches!(part, Component::Normal(_))));
        let Some(inside) = inside else {
            return Err(ReadError::Outside { path: path.to_owned() });
        };
        Ok(self.lab.as_deref().unwrap_or(Path::new("/")).join(inside))
    }

    /// The path of the file itself on this machine, links in its folder's path followed, its own not.
    pub(crate) fn unfollowed(&self, path: &str) -> Result<PathBuf, ReadError> {
        match path.rsplit_once('/') {
            Some((folder, name)) if !folder.is_empty() && !name.is_empty() && name != ".." => {
                Ok(self.resolve(folder)?.join(name))
            }
            _ => self.resolve(path),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), and when it is too large, no text, or can't be read.
    pub fn read_text(&self, path: &str) -> Result<String, ReadError> {
        String::from_utf8(self.read_bytes(path)?).map_err(|_| ReadError::NotText { path: path.to_owned() })
    }

    fn read_bytes(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let file = fs::File::open(self.resolve(path)?).map_err(|error| failed(path, error))?;
        let mut bytes = Vec::new();
        file.take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| failed(path, error))?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
            return Err(ReadError::TooLarge { path: path.to_owned() });
        }
        Ok(bytes)
    }

    /// Reads a file that people write into: bytes that are no UTF-8 are replaced.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), and when it is too large, or can't be read.
    pub fn read_text_lossily(&self, path: &str) -> Result<String, ReadError> {
        let bytes = self.read_bytes(path)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// Reads the end of a file that may be long, at most so many bytes: the first line may be cut. Bytes that are no UTF-8 are replaced.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), and when it can't be read.
    pub fn read_end(&self, path: &str, most: u64) -> Result<String, ReadError> {
        let resolved = self.resolve(path)?;
        let end = || -> io::Result<Vec<u8>> {
            let mut file = fs::File::open(&resolved)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
            let mut bytes = Vec::new();
            file.take(most).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = end().map_err(|error| failed(path, error))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Names in a folder, sorted. Names that are no UTF-8 have their damaged parts replaced.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), and when it can't be read.
    pub fn read_dir(&self, path: &str) -> Result<Vec<String>, ReadError> {
        let entries = fs::read_dir(self.resolve(path)?).map_err(|error| failed(path, error))?;
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
        let mut names = names
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| failed(path, error))?;
        names.sort();
        Ok(names)
    }

    /// The text of a symbolic link.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), and when it is no link.
    pub fn read_link(&self, path: &str) -> Result<PathBuf, ReadError> {
        fs::read_link(self.unfollowed(path)?).map_err(|error| failed(path, error))
    }

    /// Where a path leads on the host, all links followed, as an absolute path of the host.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn follow(&self, path: &str) -> Result<PathBuf, ReadError> {
        let resolved = self.resolve(path)?;
        match &self.lab {
            Some(lab) => {
                let inside = resolved
                    .strip_prefix(lab)
                    .map_err(|_| ReadError::Outside { path: path.to_owned() })?;
                Ok(Path::new("/").join(inside))
            }
            None => Ok(resolved),
        }
    }

    /// Is there such a file?
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), but for a missing file.
    pub fn exists(&self, path: &str) -> Result<bool, ReadError> {
        match self.resolve(path) {
            Ok(_) => Ok(true),
            Err(ReadError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The permission bits of a file itself, a link not followed.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn mode(&self, path: &str) -> Result<u32, ReadError> {
        let meta = fs::symlink_metadata(self.unfollowed(path)?).map_err(|error| failed(path, error))?;
        Ok(meta.mode() & 0o7777)
    }

    /// When a file was last written, in seconds since 1970.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), and when it can't be told.
    pub fn modified(&self, path: &str) -> Result<i64, ReadError> {
        let meta = fs::metadata(self.resolve(path)?).map_err(|error| failed(path, error))?;
        Ok(meta.mtime())
    }
}

fn failed(path: &str, source: io::Error) -> ReadError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::NotFound { path },
        _ => ReadError::Failed { path, source },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// A lab root with a secret beside it.
    fn lab() -> (tempfile::TempDir, HostRoot) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/etc/pve")).unwrap();
        fs::write(dir.path().join("secret"), "outside").unwrap();
        fs::write(dir.path().join("root/etc/hostname"), "prox1\n").unwrap();
        let root = HostRoot::lab(&dir.path().join("root")).unwrap();
        (dir, root)
    }

    #[test]
    fn what_lies_inside_is_read() {
        let (dir, root) = lab();
        symlink("../etc/hostname", dir.path().join("root/etc/link")).unwrap();
        assert_eq!(root.read_text("/etc/hostname").unwrap(), "prox1\n");
        assert_eq!(root.read_text("/etc/link").unwrap(), "prox1\n");
        assert_eq!(root.follow("/etc/link").unwrap(), Path::new("/etc/hostname"));
        assert_eq!(root.read_link("/etc/link").unwrap(), Path::new("../etc/hostname"));
        assert_eq!(root.read_dir("/etc").unwrap(), ["hostname", "link", "pve"]);
        assert!(root.exists("/etc/pve").unwrap() && !root.exists("/etc/shadow").unwrap());
        assert!(matches!(
            root.read_text("/etc/nothing"),
            Err(ReadError::NotFound { .. })
        ));
    }

    #[test]
    fn nothing_leads_out_of_a_lab_also_for_root() {
        let (dir, root) = lab();
        symlink("../../secret", dir.path().join("root/etc/up")).unwrap();
        symlink("/etc/passwd", dir.path().join("root/etc/absolute")).unwrap();
        symlink("/etc", dir.path().join("root/folder")).unwrap();
        for path in [
            "/../secret",
            "/etc/../../secret",
            "etc/hostname",
            "",
            "/etc/up",
            "/etc/absolute",
            "/folder/passwd",
        ] {
            assert!(matches!(root.read_text(path), Err(ReadError::Outside { .. })), "{path}");
            assert!(root.exists(path).is_err(), "{path}");
        }
        assert!(matches!(root.read_dir("/folder"), Err(ReadError::Outside { .. })));
        assert!(matches!(root.mode("/folder/passwd"), Err(ReadError::Outside { .. })));
        assert!(matches!(
            root.read_link("/folder/passwd"),
            Err(ReadError::Outside { .. })
        ));
    }

    #[test]
    fn modes_are_of_the_file_itself() {
        let (dir, root) = lab();
        fs::set_permissions(dir.path().join("root/etc/pve"), fs::Permissions::from_mode(0o555)).unwrap();
        assert_eq!(root.mode("/etc/pve").unwrap(), 0o555);
        symlink("pve", dir.path().join("root/etc/link")).unwrap();
        assert_eq!(root.mode("/etc/link").unwrap(), 0o777);
    }

    #[test]
    fn too_much_and_no_text_are_errors() {
        let (dir, root) = lab();
        fs::File::create(dir.path().join("root/huge"))
            .unwrap()
            .set_len(LARGEST + 1)
            .unwrap();
        fs::write(dir.path().join("root/bytes"), [0xff, 0xfe]).unwrap();
        assert!(matches!(root.read_text("/huge"), Err(ReadError::TooLarge { .. })));
        assert!(matches!(root.read_text("/bytes"), Err(ReadError::NotText { .. })));
    }

    #[test]
    fn of_a_long_file_only_the_end_is_read() {
        let (dir, root) = lab();
        fs::write(dir.path().join("root/log"), b"first\n\xffsecond\n").unwrap();
        assert_eq!(root.read_end("/log", 100).unwrap(), "first\n\u{fffd}second\n");
        assert_eq!(root.read_end("/log", 7).unwrap(), "second\n");
        assert!(matches!(root.read_end("/nothing", 7), Err(ReadError::NotFound { .. })));
    }

    #[test]
    fn a_lab_needs_an_absolute_folder() {
        assert!(HostRoot::lab(Path::new("relative")).is_err());
        assert!(HostRoot::lab(Path::new("/nonexistent-folder")).is_err());
        assert!(!HostRoot::real().is_lab());
    }
}
