//! That every fault ends, wherever everything died.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate_clock::{Clock, Hands};
use quorate_exec::{Exit, Finished, Invocation, RunFuture, Runner, Stdin, Tools};
use quorate_model::fault::{Fault, HealPhase, PowerCut};
use quorate_model::ids::OperationId;

use super::keeper::{at_start, round};
use super::{Step, heal, prepare, records};
use crate::host::{Host, HostRoot};

macro_rules! fixture {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/", $path))
    };
}

const OTHERS: &str = "inet filter";

/// What the kernel and systemd have, on a server that is none.
#[derive(Debug, Default)]
struct Machine {
    /// Family and name → set → elements.
    tables: BTreeMap<String, BTreeMap<String, usize>>,
    stopped: BTreeSet<String>,
    /// Unit → command.
    timers: BTreeMap<String, Vec<String>>,
    /// nft refuses to load anything.
    no_load: bool,
    /// Folder that stands for `/`.
    root: std::path::PathBuf,
    ran: Vec<String>,
}

impl Machine {
    fn answer(&mut self, argv: &[&str], stdin: &str) -> (i32, String, String) {
        let ok = |stdout: &str| (0, stdout.to_owned(), String::new());
        let missing = || (1, String::new(), "Error: No such file or directory\n".to_owned());
        match argv {
            ["nft", "-f", "-"] if self.no_load => (1, String::new(), "Error: Operation not permitted\n".to_owned()),
            ["nft", "-f", "-"] => {
                let words: Vec<&str> = stdin.split_whitespace().collect();
                let mut sets = BTreeMap::new();
                for line in stdin.lines().filter(|line| line.starts_with("\tset ")) {
                    let name = line.split_whitespace().nth(1).unwrap();
                    sets.insert(name.to_owned(), line.matches("ms").count());
                }
                self.tables.insert(format!("{} {}", words[2], words[3]), sets);
                ok("")
            }
            ["nft", "-j", "list", "tables"] => {
                let tables: Vec<_> = self.tables.keys().map(|key| key.split_once(' ').unwrap()).collect();
                let tables = tables.iter().map(
                    |(family, name)| serde_json::json!({ "table": { "family": family, "name": name, "handle": 1 } }),
                );
                ok(&serde_json::json!({ "nftables": tables.collect::<Vec<_>>() }).to_string())
            }
            ["nft", "-j", "list", "table", family, name] => match self.tables.get(&format!("{family} {name}")) {
                None => missing(),
                Some(sets) => {
                    let sets = sets
                        .iter()
                        .map(|(set, count)| serde_json::json!({ "set": { "name": set, "elem": vec![0; *count] } }));
                    ok(&serde_json::json!({ "nftables": sets.collect::<Vec<_>>() }).to_string())
                }
            },
            ["nft", "delete", "table", family, name] => match self.tables.remove(&format!("{family} {name}")) {
                None => missing(),
                Some(_) => ok(""),
            },
            ["nft", "flush", "set", family, name, set] => {
                let table = self.tables.get_mut(&format!("{family} {name}"));
                table
                    .and_then(|sets| sets.insert((*set).to_owned(), 0))
                    .map_or_else(missing, |_| ok(""))
            }
            ["systemd-run", options @ .., "--", _, _, _, _, _] | ["systemd-run", options @ .., "--", _, _, _] => {
                let unit = options
                    .iter()
                    .find_map(|option| option.strip_prefix("--unit="))
                    .unwrap();
                let command = argv.iter().skip_while(|word| **word != "--").skip(1);
                self.timers.insert(
                    format!("{unit}.timer"),
                    command.map(|word| (*word).to_owned()).collect(),
                );
                ok("")
            }
            ["systemctl", "show", "-p", _, unit] => {
                let active = if unit.ends_with(".timer") {
                    self.timers.contains_key(*unit)
                } else {
                    !self.stopped.contains(*unit)
                };
                let state = if active { "active" } else { "inactive" };
                ok(&format!(
                    "LoadState=loaded\nActiveState={state}\nSubState=x\nResult=success\n"
                ))
            }
            ["systemctl", "stop", unit] => {
                if self.timers.remove(*unit).is_none() {
                    self.stopped.insert((*unit).to_owned());
                }
                ok("")
            }
            ["systemctl", "start", unit] => {
                self.stopped.remove(*unit);
                ok("")
            }
            ["kill", "-KILL", pid] => {
                fs::remove_dir_all(self.root.join("proc").join(pid)).unwrap();
                ok("")
            }
            ["ip", ..] => ok(fixture!("ip/6.1.0/server.json")),
            ["getent", ..] => (2, String::new(), String::new()),
            ["corosync-quorumtool", ..] => ok(fixture!("corosync-quorumtool/3.1.7/three-nodes.out")),
            ["corosync-cfgtool", ..] => ok(fixture!("corosync-cfgtool/3.1.7/three-nodes.out")),
            ["corosync-cmapctl", "-b", "runtime.config.totem."] => ok(fixture!("corosync-cmapctl/3.1.7/timers.out")),
            ["corosync-cmapctl", "-b", ..] => ok(fixture!("corosync-cmapctl/3.1.7/members.out")),
            ["corosync-cmapctl", ..] => ok(fixture!("corosync-cmapctl/3.1.7/knet-two-links.out")),
            other => panic!("unexpected: {other:?}"),
        }
    }

    fn run(&mut self, argv: &[String], stdin: &str) -> (i32, String, String) {
        let words: Vec<&str> = argv
            .iter()
            .map(|word| word.rsplit("usr/bin/").next().unwrap())
            .collect();
        self.ran.push(words.join(" "));
        self.answer(&words, stdin)
    }
}

#[derive(Debug, Clone)]
struct Fake(Arc<Mutex<Machine>>);

impl Runner for Fake {
    fn run<'a>(&'a self, invocation: &'a Invocation) -> RunFuture<'a> {
        let command = invocation.command();
        let mut argv = vec![command.program().display().to_string()];
        argv.extend(command.args().map(|arg| arg.to_str().unwrap().to_owned()));
        let stdin = match invocation.stdin() {
            Stdin::Bytes(bytes) => String::from_utf8(bytes.expose().to_vec()).unwrap(),
            _ => String::new(),
        };
        let (code, stdout, stderr) = self.0.lock().unwrap().run(&argv, &stdin);
        let finished = Finished {
            exit: Exit::Code(code),
            stdout: stdout.into_bytes(),
            stderr: stderr.into_bytes(),
            stderr_truncated: false,
            left_behind: false,
            started_at: 0,
            duration: Duration::ZERO,
        };
        Box::pin(async move { Ok(finished) })
    }
}

struct Server {
    folder: tempfile::TempDir,
    machine: Fake,
    host: Host,
    hands: Hands,
}

impl Server {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(&root).unwrap();
        let machine = Fake(Arc::new(Mutex::new(Machine {
            tables: [(OTHERS.to_owned(), BTreeMap::new())].into(),
            root: root.clone(),
            ..Machine::default()
        })));
        let (clock, hands) = Clock::manual(1_790_000_000_000_000);
        let runner = Arc::new(machine.clone());
        let host = Host::new(HostRoot::lab(&root).unwrap(), Tools::imagined(), runner, clock);
        let server = Self {
            folder,
            machine,
            host,
            hands,
        };
        server.put("/proc/sys/kernel/hostname", "prox1\n");
        server.put("/proc/sys/kernel/random/boot_id", "b1\n");
        server.put("/proc/sysrq-trigger", "");
        let conf = fixture!("corosync.conf/pve-8.4/three-nodes.conf");
        server.put("/etc/corosync/corosync.conf", conf);
        server.put("/etc/corosync/authkey", "key");
        server.put("/etc/pve/corosync.conf", conf);
        server.put("/etc/pve/.members", fixture!("pmxcfs/pve-8.4/members-three-nodes.json"));
        server.put("/etc/pve/.vmlist", fixture!("pmxcfs/pve-8.4/vmlist-both-kinds.json"));
        server.put("/etc/pve/nodes/prox1/qemu-server/100.conf", "");
        server.put("/var/lib/pve-cluster/config.db", "");
        std::os::unix::fs::symlink("nodes/prox1", server.place("/etc/pve/local")).unwrap();
        server
    }

    fn place(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join("root").join(path.trim_start_matches('/'))
    }

    fn put(&self, path: &str, text: &str) {
        let place = self.place(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    }

    fn state_dir(&self) -> &Path {
        self.folder.path()
    }

    fn machine(&self) -> std::sync::MutexGuard<'_, Machine> {
        self.machine.0.lock().unwrap()
    }

    /// Everything dies after so many steps.
    async fn until(&self, fault: &Fault, seconds: u32, steps: usize) {
        let injection = prepare(&self.host, self.state_dir(), &id(), fault, seconds)
            .await
            .unwrap();
        for step in Step::ALL.into_iter().take(steps) {
            injection.step(&self.host, self.state_dir(), step).await.unwrap();
        }
    }

    fn runs_guest(&self, guest: u32, pid: u32) {
        self.put(&format!("/run/qemu-server/{guest}.pid"), &format!("{pid}\n"));
        self.put(
            &format!("/proc/{pid}/cmdline"),
            &format!("/usr/bin/kvm\0-id\0{guest}\0-pidfile\0/var/run/qemu-server/{guest}.pid\0"),
        );
    }

    /// The kernel's part, whoever lives.
    fn time_is_over(&self, time: u64) {
        self.hands.advance(Duration::from_secs(time));
        for sets in self.machine().tables.values_mut() {
            sets.values_mut().for_each(|elements| *elements = 0);
        }
    }

    /// systemd's part.
    fn timers_fire(&self) {
        let timers = std::mem::take(&mut self.machine().timers);
        for command in timers.into_values() {
            // What undoes what is not there fails, and nobody minds.
            self.machine().run(&command, "");
        }
    }

    fn starts_anew(&self) {
        let mut machine = self.machine();
        machine.tables = [(OTHERS.to_owned(), BTreeMap::new())].into();
        machine.timers.clear();
        machine.stopped.clear();
        drop(machine);
        self.put("/proc/sys/kernel/random/boot_id", "b2\n");
    }

    /// Nothing of it is left but the note that it ended.
    fn is_as_before(&self) -> bool {
        let machine = self.machine();
        let tables: Vec<_> = machine.tables.keys().collect();
        tables == [OTHERS] && machine.timers.is_empty() && machine.stopped.is_empty() && self.open() == 0
    }

    fn open(&self) -> usize {
        records::open(self.state_dir()).0.len()
    }

    fn holds(&self) -> bool {
        let machine = self.machine();
        let cut = machine
            .tables
            .values()
            .any(|sets| sets.values().any(|elements| *elements > 0));
        cut || machine.stopped.contains("corosync")
    }
}

fn id() -> OperationId {
    "hk1-9.1-cut.1".parse().unwrap()
}

#[tokio::test]
async fn wherever_everything_dies_it_ends_in_time() {
    for fault in [
        Fault::Network,
        Fault::ClusterNetwork,
        Fault::Link { link: 0 },
        Fault::Corosync,
    ] {
        for steps in 0..=Step::ALL.len() {
            // The agent comes back before its time, and leaves it alone.
            let server = Server::new();
            server.until(&fault, 20, steps).await;
            let held = server.holds();
            assert_eq!(held, steps >= 3, "{fault} {steps}");
            at_start(&server.host, server.state_dir()).await;
            assert_eq!(server.holds(), held, "{fault} {steps}: before its time");
            // Only the agent is left.
            server.time_is_over(20);
            round(&server.host, server.state_dir()).await;
            assert!(
                server.is_as_before(),
                "{fault} {steps}: by the agent: {:?}",
                server.machine()
            );

            // Only the kernel and systemd are left.
            let server = Server::new();
            server.until(&fault, 20, steps).await;
            server.time_is_over(20);
            server.timers_fire();
            assert!(!server.holds(), "{fault} {steps}: without us");
            at_start(&server.host, server.state_dir()).await;
            assert!(server.is_as_before(), "{fault} {steps}: closed afterwards");

            // The server starts anew in the middle.
            let server = Server::new();
            server.until(&fault, 20, steps).await;
            server.starts_anew();
            at_start(&server.host, server.state_dir()).await;
            assert!(server.is_as_before(), "{fault} {steps}: by a reboot");
        }
    }
}

#[tokio::test]
async fn what_fails_half_way_is_taken_back() {
    let server = Server::new();
    server.machine().no_load = true;
    let injection = prepare(&server.host, server.state_dir(), &id(), &Fault::Network, 20)
        .await
        .unwrap();
    let why = injection
        .run(&server.host, server.state_dir(), |_| {})
        .await
        .unwrap_err();
    assert!(
        why.contains("Operation not permitted") && why.ends_with("was taken back"),
        "{why}"
    );
    assert!(server.is_as_before(), "{:?}", server.machine());
}

#[tokio::test]
async fn a_port_that_can_t_be_told_is_no_cut() {
    let server = Server::new();
    server.put("/sys/class/net/tap100i0/device/vendor", "");
    let why = prepare(&server.host, server.state_dir(), &id(), &Fault::Network, 20)
        .await
        .unwrap_err();
    assert!(
        why.contains("whether tap100i0 leads out of the server can't be told"),
        "{why}"
    );
    let server = Server::new();
    server.put(
        "/etc/corosync/corosync.conf",
        &fixture!("corosync.conf/pve-8.4/three-nodes.conf").replace("10.77.0.1", "prox1.example"),
    );
    let why = prepare(&server.host, server.state_dir(), &id(), &Fault::ClusterNetwork, 20)
        .await
        .unwrap_err();
    assert!(why.contains("`prox1.example` for link 0, which is no address"), "{why}");
}

#[tokio::test]
async fn all_ports_are_cut_and_no_tap() {
    let server = Server::new();
    server.until(&Fault::Network, 20, 4).await;
    let machine = server.machine();
    let sets = &machine.tables["netdev quorate_fault_hk1_9.1_cut.1"];
    assert_eq!(sets["everything"], 4, "eno1 to eno4, and neither bond, bridge nor tap");
    let timer = &machine.timers["quorate-heal-hk1-9.1-cut.1.timer"];
    assert_eq!(
        timer.join(" "),
        "/usr/bin/nft delete table netdev quorate_fault_hk1_9.1_cut.1".replace("/usr/bin/", "")
    );
}

#[tokio::test]
async fn one_at_a_time_and_none_beside_leftovers() {
    let server = Server::new();
    server.until(&Fault::Corosync, 20, 4).await;
    let why = prepare(&server.host, server.state_dir(), &id(), &Fault::Network, 20)
        .await
        .unwrap_err();
    assert!(why.contains("a fault of corosync (hk1-9.1-cut.1) holds here"), "{why}");

    let server = Server::new();
    server
        .machine()
        .tables
        .insert("netdev quorate_fault_old".into(), BTreeMap::new());
    let why = prepare(&server.host, server.state_dir(), &id(), &Fault::Network, 20)
        .await
        .unwrap_err();
    assert!(why.contains("quorate_fault_old"), "{why}");
    // An agent that starts finds it by its name, and leaves others' alone.
    let met = at_start(&server.host, server.state_dir()).await;
    assert_eq!(met.iter().map(|met| met.phase).collect::<Vec<_>>(), [HealPhase::Undone]);
    assert!(server.is_as_before());
}

#[tokio::test]
async fn whoever_heals_is_told_the_phase() {
    for (fault, after, watched, phase) in [
        (Fault::ClusterNetwork, 10, true, HealPhase::Undone),
        (Fault::ClusterNetwork, 30, true, HealPhase::MayReset),
        (Fault::ClusterNetwork, 55, true, HealPhase::ResetComing),
        (Fault::ClusterNetwork, 55, false, HealPhase::Undone),
        (Fault::Link { link: 0 }, 55, true, HealPhase::Undone),
    ] {
        let server = Server::new();
        if watched {
            fs::create_dir_all(server.place("/run/watchdog-mux.active")).unwrap();
        }
        server.until(&fault, 300, 4).await;
        server.hands.advance(Duration::from_secs(after));
        let looked = heal(&server.host, server.state_dir(), None, true).await;
        assert_eq!(looked[0].phase, HealPhase::Holds);
        assert!(server.holds());
        let met = heal(&server.host, server.state_dir(), Some(&id()), false).await;
        assert_eq!(met[0].phase, phase, "{fault} after {after} s: {met:?}");
        assert!(server.is_as_before());
        let again = heal(&server.host, server.state_dir(), Some(&id()), false).await;
        assert_eq!(again[0].phase, HealPhase::NothingThere);
        assert!(heal(&server.host, server.state_dir(), None, false).await.is_empty());
    }
    let server = Server::new();
    let met = heal(&server.host, server.state_dir(), Some(&id()), false).await;
    assert_eq!(met[0].phase, HealPhase::NothingThere);
    assert!(met[0].said[0].contains("was ever noted here"), "{met:?}");
}

#[tokio::test]
async fn a_note_that_can_t_be_read_is_told_and_its_table_goes() {
    let server = Server::new();
    server.until(&Fault::Network, 20, 4).await;
    fs::write(server.state_dir().join("faults/hk1-9.1-cut.1.json"), "{").unwrap();
    let named = heal(&server.host, server.state_dir(), Some(&id()), true).await;
    assert_eq!(named[0].phase, HealPhase::Failed, "it may be this one: {named:?}");
    let met = heal(&server.host, server.state_dir(), None, false).await;
    let phases: Vec<_> = met.iter().map(|met| met.phase).collect();
    assert_eq!(phases, [HealPhase::Failed, HealPhase::Undone], "{met:?}");
    assert!(!server.holds());
    let why = prepare(&server.host, server.state_dir(), &id(), &Fault::Network, 20)
        .await
        .unwrap_err();
    assert!(why.contains("can't be told"), "{why}");
}

#[tokio::test]
async fn a_server_that_was_not_reset_stops_what_runs_elsewhere_before_its_ports_open() {
    let server = Server::new();
    server.until(&Fault::Network, 180, 4).await;
    server.runs_guest(100, 4711);
    server.runs_guest(102, 4712);
    // It was recovered meanwhile; 102 is still our own, and 103 is just being moved here.
    server.runs_guest(103, 4713);
    server.put("/etc/pve/nodes/prox2/qemu-server/100.conf", "");
    server.put("/etc/pve/nodes/prox2/qemu-server/103.conf", "lock: migrate\n");
    server.put(
        "/etc/pve/.vmlist",
        "{\n\"version\": 12,\n\"ids\": {\n\"100\": { \"node\": \"prox2\", \"type\": \"qemu\", \"version\": 7 },\n\"103\": { \"node\": \"prox2\", \"type\": \"qemu\", \"version\": 7 },\n\"102\": { \"node\": \"prox1\", \"type\": \"qemu\", \"version\": 7 }}\n\n}\n",
    );
    server.hands.advance(Duration::from_secs(149));
    assert!(round(&server.host, server.state_dir()).await.is_empty(), "not yet");
    server.hands.advance(Duration::from_secs(1));
    server.machine().ran.clear();
    let met = round(&server.host, server.state_dir()).await;
    assert_eq!(met[0].phase, HealPhase::Undone);
    assert_eq!(met[0].said[0], "guest 100 ran here and belongs to prox2: stopped");
    let ran = server.machine().ran.clone();
    let place = |words: &str| ran.iter().position(|call| call.starts_with(words)).unwrap();
    assert!(place("nft flush set netdev") < place("kill -KILL 4711"));
    assert!(place("kill -KILL 4711") < place("nft delete table netdev"));
    assert!(server.place("/proc/4712/cmdline").exists() && !server.place("/proc/4711").exists());
    assert!(
        met[0].said[1].contains("guest 103 of prox2 is just being moved")
            && server.place("/proc/4713/cmdline").exists(),
        "{met:?}"
    );
    assert!(server.is_as_before());
}

#[tokio::test]
async fn without_quorum_no_guest_is_stopped_and_it_ends_all_the_same() {
    let server = Server::new();
    server.until(&Fault::Network, 180, 4).await;
    server.runs_guest(100, 4711);
    let members = fixture!("pmxcfs/pve-8.4/members-three-nodes.json").replace("\"quorate\": 1", "\"quorate\": 0");
    server.put("/etc/pve/.members", &members);
    server.put(
        "/etc/pve/.vmlist",
        "{\n\"version\": 12,\n\"ids\": {\n\"100\": { \"node\": \"prox2\", \"type\": \"qemu\", \"version\": 7 }}\n\n}\n",
    );
    server.time_is_over(180);
    let met = round(&server.host, server.state_dir()).await;
    assert!(met[0].said[0].contains("could not be told"), "{met:?}");
    assert!(
        server.place("/proc/4711/cmdline").exists(),
        "what can't be told kills nothing"
    );
    assert!(server.is_as_before());
}

#[tokio::test]
async fn a_guest_is_killed_and_started_again_only_where_it_is_ours() {
    let server = Server::new();
    let why = prepare(
        &server.host,
        server.state_dir(),
        &id(),
        &Fault::Guest { guest: 100 },
        60,
    )
    .await
    .unwrap_err();
    assert_eq!(why, "no machine 100 runs here");
    server.runs_guest(100, 4711);
    server.until(&Fault::Guest { guest: 100 }, 60, 4).await;
    assert!(!server.place("/proc/4711").exists());
    // HA has given it to another server.
    fs::remove_file(server.place("/etc/pve/nodes/prox1/qemu-server/100.conf")).unwrap();
    server.machine().timers.clear();
    server.hands.advance(Duration::from_secs(60));
    let met = round(&server.host, server.state_dir()).await;
    assert_eq!(met[0].phase, HealPhase::NothingThere);
    assert!(server.machine().ran.iter().all(|call| !call.starts_with("qm")));
    // A process of another program under that id is never killed.
    server.put("/run/qemu-server/100.pid", "4712\n");
    server.put("/proc/4712/cmdline", "/usr/bin/less\0-id\x00100\0");
    let why = prepare(
        &server.host,
        server.state_dir(),
        &id(),
        &Fault::Guest { guest: 100 },
        60,
    )
    .await
    .unwrap_err();
    assert_eq!(why, "no machine 100 runs here");
}

#[tokio::test]
async fn a_guest_that_runs_again_is_nobody_s_to_start_any_more() {
    let server = Server::new();
    server.runs_guest(100, 4711);
    let fault = Fault::Guest { guest: 100 };
    let injection = prepare(&server.host, server.state_dir(), &id(), &fault, 600)
        .await
        .unwrap();
    for step in Step::ALL {
        injection.step(&server.host, server.state_dir(), step).await.unwrap();
        assert!(round(&server.host, server.state_dir()).await.is_empty(), "{step:?}");
    }
    // HA has started it; whoever shuts it down from now on means it.
    server.runs_guest(100, 4800);
    let met = round(&server.host, server.state_dir()).await;
    assert_eq!(met[0].phase, HealPhase::NothingThere);
    assert!(server.is_as_before(), "and no timer starts it");
}

#[tokio::test]
async fn the_power_goes_by_the_kernels_switch_below_the_servers_root() {
    let server = Server::new();
    let reset = Fault::Power {
        how: PowerCut::Reset,
        attended: false,
    };
    server.until(&reset, 0, 3).await;
    assert_eq!(fs::read_to_string(server.place("/proc/sysrq-trigger")).unwrap(), "b");
    let met = heal(&server.host, server.state_dir(), None, false).await;
    assert_eq!(met[0].phase, HealPhase::Person, "nothing here ends it: {met:?}");
    server.starts_anew();
    at_start(&server.host, server.state_dir()).await;
    assert!(server.is_as_before(), "it is not begun again, and it is over");
}
