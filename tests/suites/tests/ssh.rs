//! `quorate node add` through a real sshd, which leads to a simulated server: its host key is made for this test, what it runs are the
//! lab's agent and stand-ins for the tools of Debian that would change this machine.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quorate_lab::process::{Daemon, Output, Program};
use quorate_lab::{Lab, binaries};
use quorate_suites::{Fleet, told};

const BOOKWORM: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
const AMPLE: Duration = Duration::from_secs(120);

/// What stands in for a tool, in a folder where `$here` keeps what it is to say and what it was told.
const TOOLS: [(&str, &str); 8] = [
    ("id", "exec cat \"$here/uid\""),
    ("hostname", "echo prox1"),
    ("dpkg", "exec cat \"$here/architecture\""),
    (
        "dpkg-query",
        "if [ -e \"$here/dpkg-says\" ]; then cat \"$here/dpkg-says\" >&2; exit 2; fi\n\
         if [ -e \"$here/installed\" ]; then printf 'installed 0.1.0'; else echo 'no packages found' >&2; exit 1; fi",
    ),
    (
        "apt-get",
        "echo \"$@\" >>\"$here/apt.log\"\n\
         if [ -e \"$here/apt-says\" ]; then cat \"$here/apt-says\" >&2; exit 100; fi\n\
         for last; do :; done; cp \"$last\" \"$here/installed\"",
    ),
    ("systemctl", "echo \"$@\" >>\"$here/systemctl.log\""),
    (
        "cat",
        "if [ \"$*\" = /etc/os-release ]; then exec /usr/bin/cat \"$here/os-release\"; fi; exec /usr/bin/cat \"$@\"",
    ),
    (
        "quorate-agent",
        "if [ -e \"$here/blocked\" ]; then echo 'error: no connection to the coordinator' >&2; exit 5; fi\n\
         if [ \"$1\" = enroll ]; then set -- enroll \"$(cat \"$here/enrolment\")\"; fi\n\
         exec \"$here/agent\" \"$@\" --config \"$here/agent.toml\"",
    ),
];

/// A simulated server behind an sshd.
struct Server {
    dir: tempfile::TempDir,
    port: u16,
    user: String,
    sshd: Option<Daemon>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(sshd) = &mut self.sshd {
            sshd.kill();
        }
    }
}

impl Server {
    async fn new(fleet: &Fleet) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let user = Program::new("/usr/bin/id").args(["-un"]).run().await.unwrap();
        let server = Self {
            dir,
            port,
            user: user.stdout.trim().to_owned(),
            sshd: None,
        };
        server.put("uid", "0\n");
        server.put("architecture", "amd64\n");
        server.put("os-release", BOOKWORM);
        server.put("authorized_keys", "");
        // A simulated server comes from its own address only by this way.
        server.put("enrolment", &fleet.lab.enrolment("prox1").unwrap().to_string());
        server.put("package.deb", "not really a package\n");
        server.link(&binaries::ensure_built().unwrap().agent, "agent");
        server.link(&fleet.lab.layout().agent_config("prox1"), "agent.toml");
        fs::create_dir(server.at("bin")).unwrap();
        for (name, script) in TOOLS {
            let path = server.at("bin").join(name);
            let text = format!("#!/bin/sh\nhere={}\n{script}\n", server.dir.path().display());
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        for key in ["host", "other-host", "client"] {
            let file = server.text("", key);
            let args = ["-q", "-t", "ed25519", "-N", "", "-C", key, "-f", &file];
            let made = Program::new("/usr/bin/ssh-keygen").args(args).run().await.unwrap();
            assert!(made.success(), "{}", told(&made));
        }
        let settings = format!(
            "Host *\nHostName 127.0.0.1\nPort {port}\nUserKnownHostsFile {}\nGlobalKnownHostsFile /dev/null\n\
             IdentityFile {}\nIdentitiesOnly yes\nIdentityAgent none\n",
            server.text("", "known_hosts"),
            server.text("", "client")
        );
        server.put("ssh_config", &settings);
        server
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, before: &str, name: &str) -> String {
        format!("{before}{}", self.at(name).display())
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    fn get(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_default()
    }

    fn link(&self, target: &Path, name: &str) {
        std::os::unix::fs::symlink(target, self.at(name)).unwrap();
    }

    /// Starts its sshd with this host key.
    async fn listen(&mut self, host_key: &str) {
        // As Debian's unit does for the one of this machine; only root's sshd wants it.
        drop(fs::create_dir_all("/run/sshd"));
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {}\nHostKey {}\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nAuthorizedKeysFile {}\nSetEnv PATH={}:/usr/bin:/bin\n",
            self.port,
            self.text("", host_key),
            self.text("", "authorized_keys"),
            self.text("", "bin"),
        );
        self.put("sshd_config", &config);
        let log = self.at("sshd.log");
        let config = self.text("", "sshd_config");
        let program = Program::new("/usr/sbin/sshd").args(["-D", "-e", "-f", &config]);
        let mut sshd = program.spawn(&log, false).unwrap();
        let began = Instant::now();
        while !fs::read_to_string(&log)
            .unwrap_or_default()
            .contains("Server listening")
        {
            assert!(
                sshd.ended().is_none() && began.elapsed() < AMPLE,
                "{}",
                self.get("sshd.log")
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.sshd = Some(sshd);
    }

    fn close(&mut self) {
        self.sshd.take().unwrap().kill();
        fs::remove_file(self.at("sshd.log")).unwrap();
    }

    async fn add(&self, fleet: &Fleet, more: &[&str]) -> Output {
        let address = fleet.lab.node("prox1").unwrap().address.to_string();
        self.add_at(&address, fleet, more).await
    }

    async fn add_at(&self, address: &str, fleet: &Fleet, more: &[&str]) -> Output {
        let destination = format!("{}@prox1.example", self.user);
        let (config, package) = (self.text("", "ssh_config"), self.text("", "package.deb"));
        let args = [
            "node",
            "add",
            &destination,
            "--cluster",
            "hk1",
            "--address",
            address,
            "--package",
            &package,
            "--ssh-config",
            &config,
            "-o",
            "json",
        ];
        fleet.run(&[&args, more].concat()).await
    }

    /// It is refused, or fails, with this code and these words.
    async fn fails(&self, fleet: &Fleet, more: &[&str], code: i32, words: &str) -> String {
        let output = self.add(fleet, more).await;
        let said = format!("{}\n{}", told(&output), self.get("sshd.log"));
        assert_eq!(output.code(), Some(code), "{said}");
        assert!(output.stdout.contains(words), "{words}: {said}");
        output.stdout
    }
}

fn fingerprint(said: &str) -> String {
    let from = said.find("SHA256:").unwrap();
    let rest = &said[from..];
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && !"+/:".contains(c))
        .unwrap();
    rest[..end].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs sshd: .ci/reality runs it"]
async fn a_server_is_brought_into_the_fleet_by_ssh_and_each_obstacle_is_named() {
    let fleet = Fleet::bare(Lab::builder().nodes(1)).await;
    let mut server = Server::new(&fleet).await;
    server.fails(&fleet, &[], 5, "can't be reached by ssh").await;
    server.listen("host").await;

    // Who it is.
    let said = server
        .fails(
            &fleet,
            &[],
            3,
            "is not known: ssh has no host key of it. It shows ssh-ed25519",
        )
        .await;
    let right = fingerprint(&said);
    assert_eq!(server.get("known_hosts"), "", "it was believed without a word");
    let wrong = format!("SHA256:{}", "A".repeat(43));
    server
        .fails(&fleet, &["--host-key", &wrong], 3, "is another host")
        .await;
    assert_eq!(server.get("known_hosts"), "");
    // And who we are.
    server
        .fails(&fleet, &["--host-key", &right], 6, "takes none of your keys")
        .await;
    assert!(server.get("known_hosts").contains("ssh-ed25519"));
    server.put("authorized_keys", &server.get("client.pub"));
    server.put("uid", "1000\n");
    server.fails(&fleet, &[], 3, "user id 1000, who is not root").await;
    server.put("uid", "0\n");

    // What it is.
    server.put(
        "os-release",
        "PRETTY_NAME=\"Debian GNU/Linux 11 (bullseye)\"\nVERSION_ID=\"11\"\nID=debian\n",
    );
    server.fails(&fleet, &[], 3, "it runs Debian GNU/Linux 11").await;
    server.put("os-release", BOOKWORM);
    server.put("architecture", "arm64\n");
    server.fails(&fleet, &[], 3, "its architecture is arm64").await;
    server.put("architecture", "amd64\n");
    assert_eq!(server.get("apt.log"), "", "something was installed");

    // What stands in the way there.
    server.put(
        "dpkg-says",
        "dpkg-query: error: parsing file '/var/lib/dpkg/status' near line 7\n",
    );
    server
        .fails(&fleet, &[], 4, "can't be told whether the agent is installed")
        .await;
    assert_eq!(server.get("apt.log"), "", "nothing is installed over what is not known");
    fs::remove_file(server.at("dpkg-says")).unwrap();
    server.put(
        "apt-says",
        "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (apt)\nE: Unable to acquire the dpkg frontend lock\n",
    );
    server.fails(&fleet, &[], 4, "holds the lock there").await;
    fs::remove_file(server.at("apt-says")).unwrap();
    server.put("blocked", "");
    server
        .fails(&fleet, &[], 5, "finds no way back to this coordinator")
        .await;
    fs::remove_file(server.at("blocked")).unwrap();
    assert_eq!(server.get("installed"), server.get("package.deb"));

    // In the end it belongs to the fleet, and the same once more changes nothing.
    let started = async {
        let began = Instant::now();
        while !server.get("systemctl.log").contains("restart") {
            assert!(began.elapsed() < AMPLE, "nobody has started the agent");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        fleet.lab.start_agent("prox1").unwrap();
    };
    let added = {
        let mut adding = std::pin::pin!(server.add(&fleet, &[]));
        let early = tokio::select! {
            output = &mut adding => Some(output),
            () = started => None,
        };
        match early {
            Some(output) => output,
            None => adding.await,
        }
    };
    assert!(added.success(), "{}", told(&added));
    let added: serde_json::Value = serde_json::from_str(&added.stdout).unwrap();
    assert_eq!(
        (&added["node"], &added["enrolled"]),
        (&"hk1/prox1".into(), &true.into())
    );
    assert_eq!((&added["installed"], &added["agent"]), (&false.into(), &"0.1.0".into()));
    let again = server.add(&fleet, &[]).await;
    assert!(again.success(), "{}", told(&again));
    let again: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(
        (&again["installed"], &again["enrolled"]),
        (&false.into(), &false.into())
    );
    // Another one of the same name is not taken for it.
    let other = server.add_at("192.0.2.77", &fleet, &[]).await;
    assert_eq!(other.code(), Some(3), "{}", told(&other));
    assert!(
        other.stdout.contains("is enrolled with the address"),
        "{}",
        told(&other)
    );
    for package in server
        .get("apt.log")
        .lines()
        .filter_map(|line| line.split(" -- ").nth(1))
    {
        assert!(!Path::new(package).exists(), "{package} stays behind");
    }

    // Another host in its place, and none.
    server.close();
    server.listen("other-host").await;
    server
        .fails(
            &fleet,
            &["--host-key", &right],
            3,
            "shows another host key than the one that ssh knows",
        )
        .await;
    server.close();
    server.fails(&fleet, &[], 5, "can't be reached by ssh").await;
}
