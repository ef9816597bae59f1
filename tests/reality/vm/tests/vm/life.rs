//! The life of the installed agent: what it sees from its sandbox, and what goes on while it is restarted, killed, upgraded and removed.

use std::collections::BTreeMap;

use quorate_model::observation::FacetName;
use quorate_model::operation::{Action, Outcome, Package};
use quorate_model::pool_layout::PoolLayout;
use quorate_reality::disk::Disk;
use quorate_reality::guest::Guest;
use quorate_reality::{note, until};
use serde_json::Value;

use crate::create::STORAGE;
use crate::driving::Driving;
use crate::fleet::{CLUSTER, Fleet, NODE};
use crate::observe::path;
use crate::packages::{NEXT, VERSION, leftovers, there};
use crate::planning::{only_step, plan, wanted};

const WWN: u64 = 0x5000_c500_5000_0000;

/// PVE's lock on disks; whoever holds it lets our own tasks wait, as long as a test wants them to.
const DISK_LOCK: &str = "/run/lock/pve-diskmanage.lck";

fn ssd(n: u64) -> Disk {
    Disk::ssd(&format!("ssd{n}"), 512, &format!("S45NNA0N10417{n}"), WWN + n)
}

fn hdd(n: u64) -> Disk {
    Disk::hdd(&format!("hdd{n}"), 1024, &format!("Z1Z00HD{n}"), WWN + 16 + n)
}

/// What each disk is held by, and what it may be used for.
fn in_use(disks: &Value) -> BTreeMap<String, [Value; 3]> {
    let disks = disks["value"]["disks"]
        .as_array()
        .unwrap_or_else(|| panic!("{disks:#}"));
    let of = |disk: &Value| {
        let path = disk["path"].as_str().unwrap().to_owned();
        (
            path,
            ["holders", "partitions", "verdicts"].map(|name| disk[name].clone()),
        )
    };
    disks.iter().map(of).collect()
}

/// The agent's process.
pub(crate) async fn main_pid(guest: &Guest) -> String {
    let pid = guest
        .does("systemctl show --property=MainPID --value quorate-agent.service")
        .await;
    pid.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and minutes: .ci/reality runs it"]
async fn from_its_sandbox_the_agent_sees_what_one_sees_outside_and_what_it_makes_is_the_hosts() {
    let fleet = Fleet::enrolled(vec![ssd(1), ssd(2), hdd(1), hdd(2)], async |guest: &Guest| {
        // Where systemd hides or protects something, and where it does not.
        for (serial, point) in [("Z1Z00HD1", "/home"), ("Z1Z00HD2", "/srv/data")] {
            let disk = path(guest, serial).await;
            guest.ok(&["mkfs.ext4", "-q", &disk]).await;
            guest.ok(&["mkdir", "-p", point]).await;
            guest.ok(&["mount", &disk, point]).await;
        }
        guest.does("udevadm settle --timeout=60").await;
    })
    .await;
    let guest = fleet.guest();
    let sandbox = guest
        .does("systemctl show --property=ProtectSystem --value quorate-agent.service")
        .await;
    assert_eq!(sandbox, "strict\n");
    let mut inside = Value::Null;
    until("the disks are known", async || {
        inside = fleet.json(&["disks", NODE, "--all"]).await[format!("{CLUSTER}/{NODE}")].take();
        inside["state"] == "known"
    })
    .await;
    let outside = guest.does("quorate-agent observe disks --json").await;
    let outside: Value = serde_json::from_str(&outside).unwrap();
    let (inside, outside) = (in_use(&inside), in_use(&outside["disks"]));
    assert_eq!(inside, outside);
    let mounted = |point: &str| {
        inside
            .values()
            .filter(|disk| disk[0].to_string().contains(&format!("\"{point}\"")))
            .count()
    };
    assert_eq!(
        (mounted("/"), mounted("/home"), mounted("/srv/data")),
        (1, 1, 1),
        "{inside:#?}"
    );
    assert_eq!(
        mounted("/usr") + mounted("/etc") + mounted("/var/lib/quorate-agent"),
        0,
        "{inside:#?}"
    );
    note("inside and outside agree");
    beside_the_sandbox(&fleet.driving()).await;

    let driving = fleet.driving();
    let (create, _) = planned(&driving, "data_zfs", "ssd").await;
    driving.done("op-mirror", &create).await;
    let points = guest.does("cat /proc/1/mountinfo").await;
    assert!(
        points.contains(" /data_zfs "),
        "the pool is not mounted for the host: {points}"
    );
    let own = format!("/proc/{}/mountinfo", main_pid(guest).await);
    assert!(guest.ok(&["cat", &own]).await.contains(" /data_zfs "));
    // A file that the host writes is in the pool, and not in a folder of the root below it.
    guest
        .does("dd if=/dev/zero of=/data_zfs/file bs=1M count=1 status=none")
        .await;
    assert_eq!(
        guest.does("stat --file-system --format=%T /data_zfs/file").await,
        "zfs\n"
    );
    note("the pool is the host's");
}

/// apt locks dpkg and writes its cache, both of which are read-only in the sandbox: it says what it says outside.
async fn beside_the_sandbox(driving: &Driving) {
    let seen = driving
        .look_and_fetch(&[FacetName::Readiness], &[Package::CorosyncQdevice])
        .await;
    let fetch = seen.readiness.get().unwrap().fetch.get().unwrap().clone();
    let told = fetch
        .iter()
        .any(|line| line.contains("Unable to locate package corosync-qdevice"));
    assert!(told, "{fetch:?}");
}

async fn planned(driving: &Driving, name: &str, kind: &str) -> (Action, PoolLayout) {
    let pool = wanted(name, "mirror", &format!("{{ count = 2, kind = \"{kind}\" }}"));
    only_step(&plan(&driving.known(&STORAGE).await, &pool))
}

/// Lets our tasks wait for their lock.
pub(crate) async fn hold(guest: &Guest) {
    guest
        .begin(&["flock", "--no-fork", DISK_LOCK, "sleep", "1000"], "")
        .await;
    until("the lock is held", async || {
        guest.run(&["flock", "--nonblock", DISK_LOCK, "true"]).await.code != Some(0)
    })
    .await;
}

/// And no longer.
pub(crate) async fn let_go(guest: &Guest) {
    guest.ok(&["pkill", "--full", "^sleep 1000$"]).await;
}

/// The process of the task of an operation, once it waits.
pub(crate) async fn task(guest: &Guest, id: &str) -> String {
    let mut pid = String::new();
    until("the task runs", async || {
        let found = guest.run(&["pgrep", "--full", &format!("task -- {id}$")]).await;
        found.stdout.trim().clone_into(&mut pid);
        let log = format!("/var/lib/quorate-agent/operations/{id}/stdout");
        let waits = guest.run(&["grep", "-r", "waits for PVE's lock", &log]).await;
        !pid.is_empty() && waits.code == Some(0)
    })
    .await;
    pid
}

/// It is this process that runs the task.
pub(crate) async fn still(guest: &Guest, id: &str, pid: &str) {
    let found = guest.ok(&["pgrep", "--full", &format!("task -- {id}$")]).await;
    assert_eq!(found.trim(), pid, "the task of {id} was started again");
}

/// The agent answers under this version.
async fn answers(fleet: &Fleet, version: &str) {
    until("the agent answers", async || {
        let list = fleet.json(&["node", "list"]).await;
        list[0]["connection"] == "connected" && list[0]["agent_version"] == version
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and minutes: .ci/reality runs it"]
async fn what_runs_goes_on_whatever_becomes_of_the_agent_and_purged_it_leaves_nothing() {
    let mut fleet = Fleet::enrolled(vec![ssd(1), ssd(2), hdd(1), hdd(2)], async |_: &Guest| {}).await;
    let driving = fleet.driving();
    let guest = fleet.guest();

    // Restarted and killed meanwhile.
    let (mirror, data) = planned(&driving, "data_zfs", "ssd").await;
    hold(guest).await;
    driving.begin("op-mirror", &mirror).await;
    let pid = task(guest, "op-mirror").await;
    guest.does("systemctl restart quorate-agent.service").await;
    still(guest, "op-mirror", &pid).await;
    let agent = main_pid(guest).await;
    guest.ok(&["kill", "-KILL", &agent]).await;
    until("systemd starts it again", async || {
        let now = main_pid(guest).await;
        now != agent && now != "0"
    })
    .await;
    still(guest, "op-mirror", &pid).await;
    let_go(guest).await;
    let ended = driving.ended("op-mirror", &mirror).await;
    assert!(matches!(ended, Outcome::Done { .. }), "{ended:#?}");
    let status = guest.ok(&["zpool", "status", data.name.as_str()]).await;
    assert!(status.contains("state: ONLINE"), "{status}");
    note("made while the agent was restarted and killed");

    // The power goes meanwhile.
    let (create, _) = planned(&driving, "bulk", "hdd").await;
    hold(guest).await;
    driving.begin("op-bulk", &create).await;
    task(guest, "op-bulk").await;
    fleet.machine.cut();
    fleet.machine.start().await;
    fleet.connected().await;
    let guest = fleet.guest();
    let ended = driving.ended("op-bulk", &create).await;
    assert!(matches!(ended, Outcome::Failed { unchanged: true, .. }), "{ended:#?}");
    let ended = driving.ended("op-mirror", &mirror).await;
    assert!(
        matches!(ended, Outcome::Done { .. }),
        "the ledger has forgotten it: {ended:#?}"
    );
    guest.ok(&["mountpoint", "/data_zfs"]).await;
    note("the power went, and nothing is in the dark");

    // Upgraded meanwhile.
    let (create, _) = planned(&driving, "bulk", "hdd").await;
    hold(guest).await;
    driving.begin("op-bulk-again", &create).await;
    let pid = task(guest, "op-bulk-again").await;
    answers(&fleet, VERSION).await;
    guest.ok(&["dpkg", "--install", &there("quorate-agent", NEXT)]).await;
    answers(&fleet, NEXT).await;
    still(guest, "op-bulk-again", &pid).await;
    // Removed it is not, as long as something runs.
    let refused = guest.run(&["dpkg", "--remove", "quorate-agent"]).await;
    assert!(
        refused.code != Some(0) && refused.stderr.contains("at work"),
        "{refused:#?}"
    );
    still(guest, "op-bulk-again", &pid).await;
    let_go(guest).await;
    let ended = driving.ended("op-bulk-again", &create).await;
    assert!(matches!(ended, Outcome::Done { .. }), "{ended:#?}");
    note("made while the agent was upgraded");

    removed(&fleet).await;
}

async fn removed(fleet: &Fleet) {
    let guest = fleet.guest();
    until("no unit of an operation is left", async || {
        guest
            .does("systemctl list-units --plain --no-legend quorate-op-*")
            .await
            .is_empty()
    })
    .await;
    guest.ok(&["dpkg", "--remove", "quorate-agent"]).await;
    guest.ok(&["test", "-d", "/var/lib/quorate-agent/identity"]).await;
    assert!(guest.run(&["test", "-e", "/usr/bin/quorate-agent"]).await.code != Some(0));
    guest.ok(&["dpkg", "--purge", "quorate-agent"]).await;
    for mount in ["/data_zfs", "/bulk"] {
        guest.ok(&["mountpoint", mount]).await;
    }
    let units = guest
        .does("systemctl list-units --all --plain --no-legend quorate*")
        .await;
    assert_eq!(units, "");
    assert_eq!(leftovers(guest).await, [""; 0]);
    note("removed and purged, without leftovers");
}
