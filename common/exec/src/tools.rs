//! From a tool's name to its absolute path.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::{Invocation, InvocationBuilder};

/// Where host tools lie, in the order in which they are looked for. Our own `PATH` plays no part.
const SYSTEM_DIRECTORIES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Finds host tools by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools {
    directories: Vec<PathBuf>,
    /// Whether every tool counts as installed in the first directory. Only tests can say so.
    imagined: bool,
}

/// A tool is not installed, or its name is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} was not found in {}", list(looked_in))]
pub struct ToolMissing {
    /// The tool's name.
    pub name: String,
    /// The directories that were searched.
    pub looked_in: Vec<PathBuf>,
}

/// A tool directory must not depend on the working directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tool directory {} is not an absolute path", .0.display())]
pub struct InvalidToolDirectory(pub PathBuf);

impl Tools {
    /// The tools of this host.
    #[must_use]
    pub fn system() -> Self {
        Self::over(SYSTEM_DIRECTORIES.map(PathBuf::from).to_vec())
    }

    /// The tools in one directory and nowhere else, so that a lab's server can never reach a real tool.
    ///
    /// # Errors
    /// When the path is not absolute.
    pub fn only_in(directory: impl Into<PathBuf>) -> Result<Self, InvalidToolDirectory> {
        let directory = directory.into();
        if directory.is_absolute() {
            Ok(Self::over(vec![directory]))
        } else {
            Err(InvalidToolDirectory(directory))
        }
    }

    /// Every tool exists, as `/usr/bin/NAME`. For tests with a scripted runner, which starts nothing.
    #[cfg(any(test, feature = "scripted"))]
    #[must_use]
    pub fn imagined() -> Self {
        Self {
            directories: vec![PathBuf::from("/usr/bin")],
            imagined: true,
        }
    }

    fn over(directories: Vec<PathBuf>) -> Self {
        Self {
            directories,
            imagined: false,
        }
    }

    /// The absolute path of a tool: the first executable file of that name. Looks anew each time, so that a tool
    /// installed a moment ago is found.
    ///
    /// # Errors
    /// When there is none, with the places that were searched.
    pub fn find(&self, name: &str) -> Result<PathBuf, ToolMissing> {
        let is_a_name = !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != "..";
        let mut candidates = self.directories.iter().map(|directory| directory.join(name));
        let found = candidates.find(|path| is_a_name && (self.imagined || is_executable_file(path)));
        found.ok_or_else(|| ToolMissing {
            name: name.to_owned(),
            looked_in: self.directories.clone(),
        })
    }

    /// Begins a call of a tool.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn call(&self, name: &str) -> Result<InvocationBuilder, ToolMissing> {
        self.find(name).map(Invocation::of)
    }
}

fn is_executable_file(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn list(directories: &[PathBuf]) -> String {
    directories
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};

    use super::*;

    fn executable(path: &Path) {
        File::create(path).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_shell_is_found_on_the_system() {
        let path = Tools::system().find("sh").unwrap();
        assert!(path.is_absolute() && path.ends_with("sh"), "{}", path.display());
    }

    #[test]
    fn a_tool_directory_hides_the_system() {
        let dir = tempfile::tempdir().unwrap();
        executable(&dir.path().join("lsblk"));
        let tools = Tools::only_in(dir.path()).unwrap();
        assert_eq!(tools.find("lsblk").unwrap(), dir.path().join("lsblk"));
        let missing = tools.find("sh").unwrap_err();
        assert_eq!(
            missing.to_string(),
            format!("sh was not found in {}", dir.path().display())
        );
    }

    #[test]
    fn directories_and_plain_files_are_no_tools() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("zpool")).unwrap();
        File::create(dir.path().join("pvecm")).unwrap();
        let tools = Tools::only_in(dir.path()).unwrap();
        assert!(tools.find("zpool").is_err());
        assert!(tools.find("pvecm").is_err());
    }

    #[test]
    fn names_that_are_paths_are_refused() {
        let tools = Tools::system();
        for name in ["", ".", "..", "../bin/sh", "/bin/sh", "sh\0"] {
            assert!(tools.find(name).is_err(), "{name:?}");
        }
        assert!(Tools::only_in("tools").is_err());
    }
}
