//! A PostgreSQL of the test's own: made, started, killed, copied and put back. What the product says of it is asked in `tests/`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't be set up has failed"
)]

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quorate_lab::process::{Output, Program};
use tempfile::TempDir;

/// Long enough for a recovery on a busy machine; nobody waits for it when all goes well.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Whom Debian's package makes. PostgreSQL does not run as root.
const USER: &str = "postgres";

/// The password of the role that writes.
pub const PASSWORD: &str = "hush-quite-hush";

/// Waits for something, by asking again and again.
///
/// # Panics
/// It does not come true in time.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A server. It dies with the test.
#[derive(Debug)]
pub struct Server {
    home: TempDir,
    tools: PathBuf,
    port: u16,
}

impl Server {
    /// Made, and started: a database `drill`, and in it the table and the role of the documented recipe.
    pub async fn started() -> Self {
        let home = tempfile::Builder::new()
            .prefix("quorate-pg-")
            .tempdir_in("/tmp")
            .expect("a folder");
        // Nobody else listens there now, and the test is alone.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let server = Self {
            home,
            tools: tools(),
            port: port.expect("a port").port(),
        };
        if is_root() {
            server.must("/bin/chown", &[USER, &server.dir()], false).await;
        }
        let data = server.data();
        let made = [
            "-D",
            &data,
            "-U",
            "boss",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
        ];
        server.tool("initdb", &made).await;
        server.start().await;
        for sql in [
            "CREATE DATABASE drill".to_owned(),
            format!("CREATE ROLE drill LOGIN PASSWORD '{PASSWORD}'"),
        ] {
            server.sql("postgres", &sql).await;
        }
        for sql in [
            "CREATE TABLE quorate_probe (run bigint NOT NULL, number bigint NOT NULL, written timestamptz NOT NULL DEFAULT clock_timestamp(), \
             PRIMARY KEY (run, number))",
            "GRANT INSERT, SELECT ON quorate_probe TO drill",
        ] {
            server.sql("drill", sql).await;
        }
        server
    }

    fn dir(&self) -> String {
        self.home.path().to_string_lossy().into_owned()
    }

    fn data(&self) -> String {
        format!("{}/data", self.dir())
    }

    /// Where the test may put files of its own.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The database at this host: an address, or the folder of the socket.
    #[must_use]
    pub fn target(&self, host: &str) -> String {
        format!("postgres://drill@{host}:{}/drill", self.port)
    }

    /// The folder of the socket, as it stands in a target.
    #[must_use]
    pub fn socket(&self) -> String {
        self.dir().replace('/', "%2F")
    }

    /// Starts it, and waits until it answers. What a killed one left may still be dying.
    pub async fn start(&self) {
        let options = format!(
            "-c port={} -c listen_addresses=127.0.0.1,::1 -c unix_socket_directories={} -c fsync=on -c synchronous_commit=on",
            self.port,
            self.dir()
        );
        let (data, log) = (self.data(), format!("{}/log", self.dir()));
        until("PostgreSQL to start", async || {
            let args = ["-D", &data, "-l", &log, "-w", "-o", &options, "start"];
            self.run(&self.tools.join("pg_ctl"), &args, true).await.success()
        })
        .await;
    }

    /// From its next start on it speaks TLS with this certificate, and lets nobody in over the network without.
    pub async fn encrypts(&self, certificate_pem: &str, key_pem: &str) {
        let data = PathBuf::from(self.data());
        let settings = "ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n";
        let before = std::fs::read_to_string(data.join("postgresql.conf")).expect("its settings");
        for (name, text) in [
            ("postgresql.conf", format!("{before}\n{settings}").as_str()),
            (
                "pg_hba.conf",
                "local all all trust\nhostssl all all all scram-sha-256\n",
            ),
            ("server.crt", certificate_pem),
            ("server.key", key_pem),
        ] {
            let file = data.join(name);
            std::fs::write(&file, text).expect("a file of its own");
            // It takes no key that others may read.
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode");
            if is_root() {
                self.must("/bin/chown", &[USER, &file.to_string_lossy()], false).await;
            }
        }
    }

    /// Ends it as PostgreSQL ends in good order.
    pub async fn stop(&self) {
        let data = self.data();
        self.tool("pg_ctl", &["-D", &data, "-m", "fast", "-w", "stop"]).await;
    }

    /// Kills the postmaster with SIGKILL: its children find that out and die.
    pub async fn kill(&self) {
        let file = format!("{}/postmaster.pid", self.data());
        let text = std::fs::read_to_string(file).expect("it runs");
        let pid = text.lines().next().expect("a pid").to_owned();
        let mut all = children(&pid);
        all.push(pid.clone());
        self.must("/bin/kill", &["-KILL", &pid], false).await;
        until("PostgreSQL to be gone", async || all.iter().all(|pid| is_gone(pid))).await;
        // Where nobody reaps orphans, as in some containers, the next one would take the dead one for a living one.
        if Path::new(&format!("/proc/{pid}")).exists() {
            std::fs::remove_file(format!("{}/postmaster.pid", self.data())).expect("its file");
        }
    }

    /// Copies the data directory, while it does not run.
    pub async fn copy(&self) {
        let older = format!("{}/older", self.dir());
        self.must("/bin/cp", &["-a", &self.data(), &older], false).await;
    }

    /// Puts the copy in the place of what there is, while it does not run.
    pub async fn put_back(&self) {
        let (data, older) = (self.data(), format!("{}/older", self.dir()));
        self.must("/bin/mv", &[&data, &format!("{}/newer", self.dir())], false)
            .await;
        self.must("/bin/mv", &[&older, &data], false).await;
    }

    /// The numbers of all rows, of the one run that there is.
    pub async fn numbers(&self) -> BTreeSet<u64> {
        let text = self.sql("drill", "SELECT number FROM quorate_probe").await;
        text.lines().map(|line| line.parse().expect("a number")).collect()
    }

    /// What a killed one had on its disk: it recovers where no probe finds it, tells its rows, and ends.
    pub async fn numbers_apart(&self) -> BTreeSet<u64> {
        let apart = Self::apart(self);
        until("the killed one to recover", async || {
            let (data, log) = (self.data(), format!("{}/log", self.dir()));
            let args = ["-D", &data, "-l", &log, "-w", "-o", &apart, "start"];
            self.run(&self.tools.join("pg_ctl"), &args, true).await.success()
        })
        .await;
        let folder = format!("{}/apart", self.dir());
        let args = self.psql(&folder, "drill", "SELECT number FROM quorate_probe");
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let text = self.must(&self.tools.join("psql").to_string_lossy(), &args, true).await;
        self.stop().await;
        text.lines().map(|line| line.parse().expect("a number")).collect()
    }

    fn apart(&self) -> String {
        let folder = format!("{}/apart", self.dir());
        std::fs::create_dir_all(&folder).expect("a folder");
        // The server makes its socket in it.
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("its mode");
        format!(
            "-c port={} -c listen_addresses= -c unix_socket_directories={folder}",
            self.port
        )
    }

    /// Asks as its administrator.
    pub async fn sql(&self, database: &str, sql: &str) -> String {
        let args = self.psql(&self.dir(), database, sql);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.must(&self.tools.join("psql").to_string_lossy(), &args, true).await
    }

    fn psql(&self, folder: &str, database: &str, sql: &str) -> Vec<String> {
        let port = self.port.to_string();
        [
            "-X", "-h", folder, "-p", &port, "-U", "boss", "-d", database, "-Atqc", sql,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    async fn tool(&self, name: &str, args: &[&str]) {
        self.must(&self.tools.join(name).to_string_lossy(), args, true).await;
    }

    async fn must(&self, path: &str, args: &[&str], as_user: bool) -> String {
        let output = self.run(Path::new(path), args, as_user).await;
        assert!(output.success(), "{path} {args:?}: {output:#?}");
        output.stdout
    }

    async fn run(&self, path: &Path, args: &[&str], as_user: bool) -> Output {
        let program = if as_user && is_root() {
            let path = path.to_string_lossy();
            let before = ["--reuid", USER, "--regid", USER, "--clear-groups", "--", &path];
            Program::new("/usr/bin/setpriv").args(before).args(args)
        } else {
            Program::new(path).args(args)
        };
        program.dir(self.home.path()).run().await.expect("it ends")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let file = self.home.path().join("data/postmaster.pid");
        let Some(pid) = std::fs::read_to_string(file)
            .ok()
            .and_then(|text| text.lines().next().map(str::to_owned))
        else {
            return;
        };
        // In a thread of its own: this one may be a runtime's.
        let killed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(Program::new("/bin/kill").args(["-QUIT", &pid]).run())
        });
        drop(killed.join());
    }
}

/// What the kernel says of a process, from its state on: `S 1234 …`.
fn stat(pid: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ").map(|(_, rest)| rest.to_owned())
}

fn is_gone(pid: &str) -> bool {
    stat(pid).is_none_or(|stat| stat.starts_with('Z'))
}

fn children(parent: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().into_string().ok());
    let of_it = |pid: &String| stat(pid).is_some_and(|stat| stat.split(' ').nth(1) == Some(parent));
    pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(of_it)
        .collect()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// The newest that Debian's packages put there.
fn tools() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let all = found
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/initdb").is_file());
    let newest = all.max_by_key(|path| version(path));
    newest
        .unwrap_or_else(|| panic!("PostgreSQL is missing; on Debian it is in: postgresql"))
        .join("bin")
}
