//! The coordinator's package, and `quorate node add` over the machine's own sshd: both on one machine, as in a home.

use quorate_reality::guest::Guest;
use quorate_reality::machine::Machine;
use quorate_reality::{note, until};
use serde_json::Value;

use crate::packages::{NEXT, Packages, VERSION, leftovers, there};

async fn list(guest: &Guest) -> Value {
    serde_json::from_str(&guest.does("quorate node list -o json").await).unwrap()
}

async fn owners(guest: &Guest) {
    let strangers = guest.does("find /var/lib/quorate ! -user quorate").await;
    assert_eq!(strangers, "");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and minutes: .ci/reality runs it"]
async fn a_coordinator_is_installed_adds_a_server_by_ssh_is_upgraded_and_purged() {
    let packages = Packages::built().await;
    let files = packages.files();
    let files: Vec<_> = files.iter().map(std::path::PathBuf::as_path).collect();
    let mut machine = Machine::with(vec![], &files).await;
    machine.start().await;
    let guest = machine.guest();
    guest.ok(&["dpkg", "--install", &there("quorate", VERSION)]).await;
    guest
        .run_with(&["tee", "/root/passphrase"], "a passphrase for tests\n")
        .await;
    guest
        .does("quorate init --fleet home --advertise 127.0.0.1 --passphrase-file /root/passphrase")
        .await;
    owners(guest).await;
    guest.does("systemctl start quorate.service").await;
    assert_eq!(list(guest).await, Value::Array(vec![]));
    let pid = guest
        .does("systemctl show --property=MainPID --value quorate.service")
        .await;
    let user = guest.ok(&["ps", "-o", "user=", "-p", pid.trim()]).await;
    assert_eq!(user.trim(), "quorate");
    guest
        .does("quorate backup /root/fleet.age --passphrase-file /root/passphrase")
        .await;
    owners(guest).await;
    note("the coordinator runs as its own user");

    guest.does("mkdir -p /root/.ssh").await;
    guest
        .ok(&[
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-f",
            "/root/.ssh/id_ed25519",
        ])
        .await;
    guest
        .does("cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys")
        .await;
    guest.does("ssh-keygen -A").await;
    guest.does("systemctl start ssh.service").await;
    let shown = guest.does("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").await;
    let fingerprint = shown.split(' ').nth(1).unwrap();
    let package = there("quorate-agent", VERSION);
    let add = [
        "quorate",
        "node",
        "add",
        "root@127.0.0.1",
        "--cluster",
        "hk1",
        "--package",
        &package,
    ];
    let unknown = guest.run(&add).await;
    assert!(
        unknown.code == Some(3) && unknown.stderr.contains(fingerprint),
        "{unknown:#?}"
    );
    let known: Vec<&str> = add.iter().copied().chain(["--host-key", fingerprint]).collect();
    let added = guest.ok(&known).await;
    assert!(added.contains("hk1/prox1 answers"), "{added}");
    let again = guest.ok(&add).await;
    assert!(again.contains("was installed before"), "{again}");
    note("the server was added by ssh");

    guest
        .ok(&[
            "dpkg",
            "--install",
            &there("quorate", NEXT),
            &there("quorate-agent", NEXT),
        ])
        .await;
    until("all are upgraded", async || {
        let nodes = list(guest).await;
        nodes[0]["connection"] == "connected" && nodes[0]["agent_version"] == NEXT
    })
    .await;
    owners(guest).await;
    guest.ok(&["dpkg", "--purge", "quorate-agent", "quorate"]).await;
    assert!(guest.run(&["getent", "passwd", "quorate"]).await.code != Some(0));
    assert_eq!(leftovers(guest).await, [""; 0]);
    note("purged, without leftovers");
}
