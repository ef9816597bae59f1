//! A machine that is none: a network, a host name, and folders of its own.
//!
//! A keeper process holds the mount and host name namespaces open; whatever runs in the machine enters them. corosync and its tools find
//! one another in `/run` and `/dev/shm`, so every machine has its own; and its configuration lies where it lies on a server.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use quorate_lab::process::{Daemon, Output, Program};

/// What daemons of different machines must not share. The packages make these folders, or the system has them.
const OWN: [&str; 4] = ["/run", "/dev/shm", "/etc/corosync", "/var/lib/corosync"];

/// How the names of our network namespaces begin; behind it the process that made them.
const PREFIX: &str = "quorate-cs-";

/// How long a command may take that only looks or sets something up.
const PROMPT: Duration = Duration::from_secs(30);

/// A machine.
#[derive(Debug)]
pub struct Space {
    netns: String,
    keeper: Daemon,
}

impl Space {
    /// A machine of this host name, without cables.
    pub async fn named(hostname: &str, log: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let netns = format!("{PREFIX}{}-{number}", std::process::id());
        ip(&["netns", "add", &netns]).await;
        // `unshare` itself becomes the keeper; it dies with the test, however that ends.
        let words = [
            "--pdeathsig=KILL",
            "ip",
            "netns",
            "exec",
            &netns,
            "unshare",
            "--mount",
            "--uts",
            "--propagation=private",
            "sleep",
            "infinity",
        ];
        let keeper = program("setpriv", &words).spawn(log, false).expect("a keeper starts");
        let space = Self { netns, keeper };
        space.kept().await;
        for folder in OWN {
            space.does(&["mount", "-t", "tmpfs", "none", folder]).await;
        }
        space.does(&["hostname", hostname]).await;
        space.does(&["ip", "link", "set", "lo", "up"]).await;
        space
    }

    /// Waits until the keeper is in namespaces of its own: it is another program then.
    async fn kept(&self) {
        let comm = format!("/proc/{}/comm", self.keeper.pid());
        crate::until("the keeper", async || {
            std::fs::read_to_string(&comm).is_ok_and(|name| name.trim() == "sleep")
        })
        .await;
    }

    /// The name of its network namespace.
    #[must_use]
    pub fn netns(&self) -> &str {
        &self.netns
    }

    /// Something that runs in the machine, and dies with the test.
    #[must_use]
    pub fn program(&self, argv: &[&str]) -> Program {
        let pid = self.keeper.pid().to_string();
        let mut words = vec![
            "--pdeathsig=KILL",
            "nsenter",
            "--target",
            &pid,
            "--mount",
            "--uts",
            "--net",
            "--",
        ];
        words.extend(argv);
        program("setpriv", &words)
    }

    /// Runs something in the machine to its end.
    pub async fn run(&self, argv: &[&str]) -> Output {
        let program = self.program(argv).deadline(PROMPT);
        program.run().await.unwrap_or_else(|error| panic!("{argv:?}: {error}"))
    }

    /// Runs something that must succeed, and returns what it printed.
    pub async fn does(&self, argv: &[&str]) -> String {
        let output = self.run(argv).await;
        assert!(output.success(), "{argv:?} in {}: {output:#?}", self.netns);
        output.stdout
    }

    /// Where a file of the machine lies for this process.
    #[must_use]
    pub fn path(&self, file: &str) -> std::path::PathBuf {
        Path::new("/proc")
            .join(self.keeper.pid().to_string())
            .join("root")
            .join(file.trim_start_matches('/'))
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.keeper.kill();
        remove(&self.netns);
    }
}

/// Takes away what tests left that were killed.
pub fn sweep() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(&name);
        }
    }
}

/// A thread of its own: where something is dropped, nothing can be awaited.
fn remove(netns: &str) {
    let netns = netns.to_owned();
    let removing = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(async { program("ip", &["netns", "del", &netns]).run().await.ok() });
        }
    });
    removing.join().ok();
}

/// Runs `ip` on the machine itself.
///
/// # Panics
/// It fails.
pub async fn ip(args: &[&str]) {
    let output = program("ip", args).deadline(PROMPT).run().await;
    let output = output.unwrap_or_else(|error| panic!("ip {args:?}: {error}"));
    assert!(
        output.success(),
        "ip {args:?} (these tests need root): {}",
        output.stderr
    );
}

/// A program of the system.
fn program(name: &str, args: &[&str]) -> Program {
    let places = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(|dir| Path::new(dir).join(name));
    let found = places.iter().find(|path| path.exists());
    let path = found.unwrap_or_else(|| panic!("{name} is not installed; .ci/corosync says what these tests need"));
    Program::new(path).args(args)
}
