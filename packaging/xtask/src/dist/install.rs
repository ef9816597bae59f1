//! Installs the packages in a bare Debian, again, in a newer version, removes and purges them, and looks at what each leaves.
//!
//! There is no systemd that runs in there: what services do is seen in the virtual machine of tests/reality.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::place::Place;
use super::remove::{empty, remove};
use super::tool::{Tool, say};
use super::{PACKAGES, Package};
use crate::report::{Report, Stop};

/// Debian 12 is below Proxmox VE 8, Debian 13 below 9.
const RELEASES: [&str; 2] = ["bookworm", "trixie"];

const MIRROR: &str = "http://deb.debian.org/debian";

/// What dpkg, apt, systemd and the tools that change users write down for themselves.
const BOOKS: [&str; 9] = [
    "/var/lib/dpkg/",
    "/var/lib/apt/",
    "/var/log/",
    "/var/cache/",
    "/run/",
    "/proc/",
    "/etc/.pwd.lock",
    "/etc/passwd-",
    "/etc/group-",
];
const SHADOWS: [&str; 2] = ["/etc/shadow-", "/etc/gshadow-"];

/// A version that is newer than any.
const NEWER: &str = "99.0.0";

pub(crate) fn all(packages: &[Package], place: &Place) -> Result<Vec<Report>, Stop> {
    let work = place.target.join("dist").join("install");
    empty(&work)?;
    let newer = repacked(packages, &work)?;
    RELEASES
        .iter()
        .map(|release| {
            say(&format!("installing, upgrading and purging in {release}"));
            let system = System::make(release, &work)?;
            let wrong = life(&system, packages, &newer)?;
            remove(&system.root)?;
            Ok(Report {
                name: "install",
                checked: format!("{release}: installed twice, upgraded, removed, installed again, purged"),
                violations: wrong,
                ..Report::default()
            })
        })
        .collect()
}

/// The same packages under a higher version: what is looked at here is what their scripts do.
fn repacked(packages: &[Package], work: &Path) -> Result<Vec<Package>, Stop> {
    let again = packages.iter().map(|package| {
        let folder = work.join(package.name);
        Tool::new("dpkg-deb")
            .args([Path::new("--raw-extract"), &package.path, &folder])
            .run_quietly()?;
        let control = folder.join("DEBIAN/control");
        let text = fs::read_to_string(&control).map_err(Stop::file(&control))?;
        let lines = text.lines().map(|line| match line.starts_with("Version: ") {
            true => format!("Version: {NEWER}\n"),
            false => format!("{line}\n"),
        });
        fs::write(&control, lines.collect::<String>()).map_err(Stop::file(&control))?;
        let path = work.join(format!("{}_{NEWER}_amd64.deb", package.name));
        Tool::new("dpkg-deb")
            .args(["--root-owner-group", "-Znone", "--build"])
            .args([&folder, &path])
            .run_quietly()?;
        Ok(Package {
            name: package.name,
            path,
        })
    });
    again.collect()
}

/// A bare Debian in a folder.
#[derive(Debug)]
struct System {
    root: PathBuf,
}

/// What a file is: kind, mode, owner, and the content of small ones.
type Files = BTreeMap<String, (u32, u32, u32, Vec<u8>)>;

impl System {
    fn make(release: &str, work: &Path) -> Result<Self, Stop> {
        let root = work.join(release);
        // It mounts this machine's /proc, /sys and devices in there. In a mount name space of its own nobody else ever meets them.
        Tool::new("unshare")
            .args(["--mount", "--propagation", "private", "mmdebstrap"])
            .args(["--variant=minbase", "--include=systemd,iproute2,passwd"])
            .args(["--aptopt=APT::Sandbox::User \"root\"", "--dpkgopt=force-unsafe-io"])
            .args([release])
            .args([&root])
            .args([MIRROR])
            .run_quietly()?;
        Ok(Self { root })
    }

    fn call(&self, args: &[&str]) -> Tool {
        // With a /proc of its own, which systemd-tmpfiles wants, and which is gone with the call.
        Tool::new("unshare")
            .args(["--mount", "--pid", "--fork"])
            .args([format!("--mount-proc={}", self.root.join("proc").display())])
            .args(["chroot"])
            .args([&self.root])
            .args(args)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive")
    }

    fn install(&self, packages: &[Package]) -> Result<(), Stop> {
        let mut args = vec!["dpkg".to_owned(), "--install".to_owned(), "--force-confold".to_owned()];
        for package in packages {
            let name = package.path.file_name().unwrap_or_default().to_string_lossy();
            let inside = self.root.join("tmp").join(&*name);
            fs::copy(&package.path, &inside).map_err(Stop::file(&inside))?;
            args.push(format!("/tmp/{name}"));
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.call(&args).run_quietly()?;
        for package in packages {
            let inside = self.root.join("tmp").join(package.path.file_name().unwrap_or_default());
            fs::remove_file(&inside).map_err(Stop::file(&inside))?;
        }
        Ok(())
    }

    fn take_away(&self, how: &str) -> Result<(), Stop> {
        let args: Vec<&str> = ["dpkg", how].into_iter().chain(PACKAGES).collect();
        self.call(&args).run_quietly()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: &str) -> Result<(), Stop> {
        let path = self.path(path);
        fs::write(&path, text).map_err(Stop::file(&path))
    }

    fn has(&self, path: &str, text: &str) -> bool {
        fs::read_to_string(self.path(path)).is_ok_and(|found| found.contains(text))
    }

    /// Everything that is there, but what the package manager writes down for itself.
    fn files(&self) -> Result<Files, Stop> {
        let mut files = Files::new();
        let mut ahead = vec![self.root.clone()];
        while let Some(folder) = ahead.pop() {
            for entry in fs::read_dir(&folder).map_err(Stop::file(&folder))? {
                let path = entry.map_err(Stop::file(&folder))?.path();
                let name = format!("/{}", path.strip_prefix(&self.root).unwrap_or(&path).display());
                let meta = fs::symlink_metadata(&path).map_err(Stop::file(&path))?;
                if BOOKS.iter().chain(&SHADOWS).any(|book| name.starts_with(book)) {
                    continue;
                }
                if meta.is_dir() {
                    ahead.push(path.clone());
                }
                let small = meta.is_file() && name.starts_with("/etc/");
                let content = if small {
                    fs::read(&path).map_err(Stop::file(&path))?
                } else {
                    Vec::new()
                };
                files.insert(name, (meta.mode(), meta.uid(), meta.gid(), content));
            }
        }
        Ok(files)
    }
}

/// The whole life of both packages. Returns what was not as it should be.
fn life(system: &System, packages: &[Package], newer: &[Package]) -> Result<Vec<String>, Stop> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    let before = system.files()?;

    system.install(packages)?;
    let installed = system.files()?;
    for name in PACKAGES {
        let said = system.call(&[name, "--version"]).output()?;
        must(said.starts_with(name), &format!("{name} --version says {said:?}"));
        let wanted = format!("/etc/systemd/system/multi-user.target.wants/{name}.service");
        must(
            installed.contains_key(&wanted),
            &format!("{name}.service is not enabled"),
        );
    }
    let user = system.call(&["getent", "passwd", "quorate"]).output()?;
    let uid = user.split(':').nth(2).and_then(|uid| uid.parse::<u32>().ok());
    must(
        user.trim_end().ends_with("/nologin"),
        &format!("the user quorate may log in: {user}"),
    );
    for (path, owner) in [
        ("/var/lib/quorate-agent", Some(0)),
        ("/var/lib/quorate", uid),
        ("/etc/quorate/secrets", uid),
    ] {
        let meta = fs::metadata(system.path(path)).ok();
        let mode = meta.as_ref().map(|meta| meta.permissions().mode() & 0o777);
        must(mode == Some(0o700), &format!("{path} has mode {mode:?}"));
        must(
            meta.map(|meta| meta.uid()) == owner,
            &format!("{path} has another owner"),
        );
    }

    system.install(packages)?;
    must(
        system.files()? == installed,
        "installing the same again changes something",
    );

    let (state, setting) = ("/var/lib/quorate-agent/kept", "/etc/quorate/agent.toml");
    system.write(state, "state")?;
    system.write(setting, "listen = \"127.0.0.1:7443\"\n")?;
    system.install(newer)?;
    must(system.has(state, "state"), "an upgrade loses state");
    must(system.has(setting, "127.0.0.1"), "an upgrade loses what was configured");

    system.take_away("--remove")?;
    must(
        !system.path("/usr/bin/quorate-agent").exists(),
        "the agent's program is there after its removal",
    );
    must(system.has(state, "state"), "removing loses state");
    must(system.has(setting, "127.0.0.1"), "removing loses what was configured");
    system.install(newer)?;
    must(system.has(state, "state"), "installing again loses state");

    system.take_away("--purge")?;
    let after = system.files()?;
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        must(false, &format!("purging leaves {name}"));
    }
    for (name, file) in &before {
        // A folder's own entry says nothing of what is in it.
        must(
            after.get(name) == Some(file),
            &format!("{name} is another after installing and purging"),
        );
    }
    Ok(wrong)
}
