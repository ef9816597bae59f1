//! The coordinator's state belongs to the daemon's own user, and root works on it as that user.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_lab::binaries;
use quorate_lab::process::{Output, Program};

/// Debian's `nobody`; any user that is not root will do.
const DAEMON: u32 = 65534;

/// A folder whose state is the daemon's, and what is root's beside it.
struct Host {
    dir: tempfile::TempDir,
    quorate: PathBuf,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let own = |name: &str, owner: u32| {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
            chown(&path, Some(owner), Some(owner)).unwrap();
        };
        own("state", DAEMON);
        own("run", DAEMON);
        own("root", 0);
        let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let at = |name: &str| dir.path().join(name);
        let config = format!(
            "state_dir = {:?}\nsocket = {:?}\napi_listen = \"{}\"\nenrol_listen = \"{}\"\n",
            at("state"),
            at("run/quorate.sock"),
            port(),
            port()
        );
        fs::write(at("coordinator.toml"), config).unwrap();
        fs::write(at("root/passphrase"), "a passphrase for tests\n").unwrap();
        let quorate = binaries::ensure_built().unwrap().quorate;
        Self { dir, quorate }
    }

    fn at(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn program(&self, args: &[&str]) -> Program {
        let program = Program::new(&self.quorate).env("QUORATE_CONFIG", self.at("coordinator.toml"));
        program.args(args)
    }

    async fn does(&self, args: &[&str]) -> Output {
        let passphrase = self.at("root/passphrase");
        let needs = ["init", "operator", "renew", "backup"].contains(&args[0]);
        let more: &[&str] = if needs {
            &["--passphrase-file", &passphrase]
        } else {
            &[]
        };
        let output = self.program(&[args, more].concat()).run().await.unwrap();
        assert!(output.success(), "{args:?}: {output:#?}");
        output
    }

    fn owners(&self, name: &str) -> Vec<(PathBuf, u32)> {
        let mut found = Vec::new();
        owners(&self.dir.path().join(name), &mut found);
        found
    }

    fn all_are_the_daemons(&self) {
        let strangers: Vec<_> = self
            .owners("state")
            .into_iter()
            .filter(|(_, uid)| *uid != DAEMON)
            .collect();
        assert!(strangers.is_empty(), "{strangers:?}");
    }
}

fn owners(path: &Path, found: &mut Vec<(PathBuf, u32)>) {
    found.push((path.to_owned(), fs::symlink_metadata(path).unwrap().uid()));
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            owners(&entry.unwrap().path(), found);
        }
    }
}

/// Whoever is not root can have no files of another user, and there is nothing to be tried.
#[tokio::test(flavor = "multi_thread")]
async fn what_root_writes_into_the_state_is_the_daemons_and_what_root_names_is_roots() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return;
    }
    let host = Host::new();
    host.does(&["init", "--fleet", "home", "--advertise", "127.0.0.1"])
        .await;
    host.all_are_the_daemons();
    let (bundle, first, second) = (host.at("root/ops.bundle"), host.at("root/1.age"), host.at("root/2.age"));
    host.does(&["operator", "add", "alice", "--out", &bundle]).await;
    host.does(&["renew"]).await;
    host.does(&["backup", &first]).await;
    host.does(&["audit", "--verify"]).await;
    host.all_are_the_daemons();

    // Root starts it by hand: it runs as the daemon's user all the same.
    let log = host.dir.path().join("serve.log");
    let mut daemon = host.program(&["serve"]).spawn(&log, false).unwrap();
    let began = std::time::Instant::now();
    while !host.program(&["node", "list"]).run().await.unwrap().success() {
        let told = fs::read_to_string(&log).unwrap_or_default();
        assert!(
            began.elapsed() < Duration::from_secs(60) && daemon.ended().is_none(),
            "{told}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let ids = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert_eq!(ids, format!("Uid:\t{DAEMON}\t{DAEMON}\t{DAEMON}\t{DAEMON}"));
    host.does(&["backup", &second]).await;
    daemon.kill();
    host.all_are_the_daemons();
    for path in [&bundle, &first, &second] {
        let meta = fs::metadata(path).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o777), (0, 0o600), "{path}");
    }

    // And what was saved comes back as the daemon's.
    let state = host.dir.path().join("state");
    fs::rename(&state, host.dir.path().join("old")).unwrap();
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, Permissions::from_mode(0o700)).unwrap();
    chown(&state, Some(DAEMON), Some(DAEMON)).unwrap();
    host.does(&["init", "--restore", &second]).await;
    assert!(host.owners("state").len() > 5);
    host.all_are_the_daemons();
    let said = host.does(&["audit"]).await.stdout;
    let by = |who: &str| {
        said.lines()
            .filter(|line| line.contains(&format!("  {who}  ")))
            .collect::<Vec<_>>()
    };
    let daemon: Vec<_> = by("nobody")
        .into_iter()
        .filter(|line| !line.contains("  start, "))
        .collect();
    assert!(by("root").len() >= 5 && daemon.is_empty(), "{said}");
}
