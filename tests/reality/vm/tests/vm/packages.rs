//! The packages, as `cargo xtask dist` makes them of these sources: this version, and the same under the next one's number.

use std::path::{Path, PathBuf};

use quorate_lab::process::Program;
use quorate_reality::guest::Guest;
use quorate_reality::note;
use tokio::sync::OnceCell;

/// What is installed, and what it is upgraded to.
pub(crate) const VERSION: &str = "0.1.0";
pub(crate) const NEXT: &str = "0.1.1";

/// Where the machine finds them. Source: `machine/files/etc/fstab`.
const THERE: &str = "/opt/quorate";

/// A folder with the packages of both versions.
#[derive(Debug, Clone)]
pub(crate) struct Packages {
    folder: PathBuf,
}

impl Packages {
    /// Builds them, once for all tests; or takes those in the folder that `QUORATE_PACKAGES` names.
    pub(crate) async fn built() -> Self {
        static BUILT: OnceCell<Packages> = OnceCell::const_new();
        let build = || async { tokio::task::spawn_blocking(build).await.unwrap() };
        BUILT.get_or_init(build).await.clone()
    }

    /// Their files.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let versions = [VERSION, NEXT];
        let of = |version: &str| ["quorate-agent", "quorate"].map(|name| self.folder.join(file(name, version)));
        versions.into_iter().flat_map(of).collect()
    }
}

fn build() -> Packages {
    let given = std::env::var_os("QUORATE_PACKAGES").map(PathBuf::from);
    let packages = Packages {
        folder: given.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages")),
    };
    let there = packages.files().iter().all(|file| file.is_file());
    if there && std::env::var_os("QUORATE_PACKAGES").is_some() {
        return packages;
    }
    for version in [NEXT, VERSION] {
        note(&format!("the packages of version {version} are built"));
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let folder = packages.folder.display().to_string();
        let args = ["xtask", "dist", "--version", version, "--out", &folder];
        Program::new(PathBuf::from(cargo)).args(args).build().unwrap();
    }
    packages
}

fn file(name: &str, version: &str) -> String {
    format!("{name}_{version}_amd64.deb")
}

/// What bears the product's name after it was purged. The machine's own way to the packages does, and is not meant.
pub(crate) async fn leftovers(guest: &Guest) -> Vec<String> {
    let found = guest
        .does("find /etc /usr /var /run /root /tmp -xdev -iname *quorate*")
        .await;
    let own = |path: &str| {
        path == "/etc/modules-load.d/quorate.conf"
            || path.contains("opt-quorate.mount")
            || path.ends_with("by-label\\x2fquorate")
    };
    found.lines().filter(|path| !own(path)).map(str::to_owned).collect()
}

/// Where the machine finds a package.
pub(crate) fn there(name: &str, version: &str) -> String {
    format!("{THERE}/{}", file(name, version))
}
