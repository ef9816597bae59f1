use std::path::PathBuf;
use std::sync::Mutex;

use quorate_clock::Clock;
use quorate_exec::scripted::Call;
use quorate_exec::{Exit, Tools};

use super::super::plan::tests::scene;
use super::super::record::{self, tests::record};
use super::*;
use crate::observe::testing::{Fake, fixture};
use crate::operations::Place;
use crate::pace::Pace;

#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) said: Mutex<String>,
    pub(crate) answer: Option<String>,
}

impl Console for Heard {
    fn say(&self, text: &str) {
        self.said.lock().unwrap().push_str(text);
    }

    fn ask(&self, question: &str) -> Result<String, Failure> {
        self.say(question);
        self.answer
            .clone()
            .ok_or_else(|| Failure::new(ExitCode::Usage, "nobody is there"))
    }
}

const CONF: &str = "boot: order=scsi0\nmemory: 512\nname: web1\nonboot: 1\nscsi0: data_zfs:vm-100-disk-0,size=4G\n";

/// prox2 of two, alone, with quorum by fiat or without.
pub(crate) fn two(quorate: bool) -> Fake {
    let fake = Fake::new();
    fake.put("/proc/sys/kernel/hostname", "prox2\n");
    fake.put("/etc/pve/.members", &members(quorate, false));
    let owner = |node: &str| {
        format!("{{\"version\":1,\"ids\":{{\"100\":{{\"node\":\"{node}\",\"type\":\"qemu\",\"version\":1}}}}}}")
    };
    fake.put("/etc/pve/.vmlist", &owner("prox1"));
    fake.put(
        "/etc/pve/corosync.conf",
        fixture!("corosync.conf/pve-8.4/three-nodes.conf"),
    );
    fake.put("/etc/pve/nodes/prox1/qemu-server/100.conf", CONF);
    fake.put("/etc/pve/nodes/prox2/qemu-server/.keep", "");
    fake.put(
        "/etc/pve/replication.cfg",
        "local: 100-0\n\ttarget prox2\n\tsource prox1\n",
    );
    fake.put("/var/lib/pve-cluster/config.db", "");
    fake
}

pub(crate) fn members(quorate: bool, back: bool) -> String {
    let (quorate, back) = (i32::from(quorate), i32::from(back));
    format!(
        "{{\"nodename\":\"prox2\",\"version\":5,\"cluster\":{{\"name\":\"hk1\",\"version\":2,\"nodes\":2,\"quorate\":{quorate}}},\
         \"nodelist\":{{\"prox1\":{{\"id\":1,\"online\":{back},\"ip\":\"192.168.1.11\"}},\"prox2\":{{\"id\":2,\"online\":1,\"ip\":\
         \"192.168.1.12\"}}}}}}"
    )
}

struct Steps {
    fake: Fake,
    host: Host,
    helper: Supervisor,
    console: Heard,
    state: tempfile::TempDir,
}

impl Steps {
    /// corosync's tools are not there; what else is called is expected.
    fn new(fake: Fake, calls: impl IntoIterator<Item = Call>) -> Self {
        let host = fake
            .host_with(Tools::imagined(), calls, Clock::system())
            .at_pace(Pace::try_from(10_000.0).unwrap());
        Self {
            fake,
            host,
            helper: Supervisor::new(
                PathBuf::from("/usr/bin/quorate-agent"),
                PathBuf::from("/a.toml"),
                Place::Session,
            ),
            console: Heard::default(),
            state: tempfile::tempdir().unwrap(),
        }
    }

    fn hands(&self) -> Hands<'_> {
        Hands {
            host: &self.host,
            helper: &self.helper,
            console: &self.console,
            state_dir: self.state.path(),
        }
    }

    fn said(&self) -> String {
        self.console.said.lock().unwrap().clone()
    }
}

fn disable() -> Call {
    Call::of(["/usr/bin/pvesr", "disable", "100-0"])
}

#[tokio::test]
async fn a_job_counts_as_switched_off_when_the_file_says_so() {
    let off = "local: 100-0\n\ttarget prox2\n\tsource prox1\n\tdisable 1\n";
    let fake = two(true);
    fake.put("/etc/pve/replication.cfg", off);
    let steps = Steps::new(fake, [disable()]);
    let job = "100-0".parse().unwrap();
    assert!(steps.hands().switch_off(&job).await.is_ok(), "{}", steps.said());
    assert!(steps.said().contains("seen: it is switched off"));
}

#[tokio::test]
async fn a_step_whose_tool_fails_says_so_in_its_words() {
    let failing = Call::of(["/usr/bin/qm", "start", "100"])
        .complains("zfs error: cannot open 'data_zfs/vm-100-disk-0': dataset does not exist\n")
        .exits(Exit::Code(255));
    let steps = Steps::new(two(true), [failing]);
    let hands = steps.hands();
    let said = hands
        .within(
            tool::start(steps.host.tools(), GuestKind::Vm, 100).map_err(|error| chain(&error)),
            STARTED_WITHIN,
        )
        .await
        .unwrap_err();
    let Failed(why) = told("qm start", "it is stopped", Err(said));
    assert!(
        why.contains("dataset does not exist") && why.ends_with("; it is stopped"),
        "{why}"
    );
    let Failed(why) = told("qm start", "it is stopped", Ok(()));
    assert_eq!(why, "qm start ended well, and yet it is stopped");
}

/// corosync's tools don't answer: that the lost server is away, and that there is quorum, stands in .members.
fn corosync() -> [Call; 5] {
    let gone = |argv: &[&str]| Call::of(argv.iter().copied()).complains("no\n").exits(Exit::Code(1));
    [
        gone(&["/usr/bin/corosync-quorumtool", "-siH"]),
        gone(&["/usr/bin/corosync-cfgtool", "-n"]),
        gone(&["/usr/bin/corosync-cmapctl", "-b", "runtime.members."]),
        gone(&["/usr/bin/corosync-cmapctl", "-m", "stats", "stats.knet.node"]),
        gone(&["/usr/bin/corosync-cmapctl", "-b", "runtime.config.totem."]),
    ]
}

#[tokio::test]
async fn nothing_is_taken_from_a_server_that_came_back_meanwhile() {
    let fake = two(true);
    fake.put("/etc/pve/.members", &members(true, true));
    let steps = Steps::new(fake, corosync());
    let mut record = record(Step::Begun);
    record.guests.clear();
    let failure = steps
        .hands()
        .apply(&scene(Quorum::There), &mut record)
        .await
        .unwrap_err();
    assert_eq!(failure.findings[0].code, Code::LostNodeAlive);
    assert_eq!(
        record::open(steps.state.path()).unwrap().len(),
        1,
        "what was begun is kept"
    );
    assert!(steps.fake.place("/etc/pve/nodes/prox1/qemu-server/100.conf").exists());
}

#[tokio::test]
async fn nothing_is_taken_without_quorum() {
    let steps = Steps::new(two(false), corosync());
    let mut record = record(Step::Begun);
    let failure = steps
        .hands()
        .apply(&scene(Quorum::There), &mut record)
        .await
        .unwrap_err();
    assert_eq!(failure.findings[0].code, Code::ClusterNotQuorate);
}

/// What the helper and PVE are asked for one guest, each step after a look at corosync.
fn taking(vmid: u32) -> Call {
    let id = vmid.to_string();
    Call::of([
        "/usr/bin/quorate-agent",
        "--config",
        "/a.toml",
        "take-config",
        "--lost",
        "prox1",
        "--folder",
        "qemu-server",
        "--guest",
        &id,
    ])
}

#[tokio::test]
async fn each_guest_is_freed_of_its_job_moved_and_started_and_what_was_done_is_kept() {
    let fake = two(true);
    // As it is when all of it has come about; each step is judged by that alone.
    fake.put(
        "/etc/pve/replication.cfg",
        "local: 100-0\n\ttarget prox2\n\tsource prox1\n\tdisable 1\n",
    );
    let entry = |id: u32| format!("\"{id}\":{{\"node\":\"prox2\",\"type\":\"qemu\",\"version\":1}}");
    fake.put(
        "/etc/pve/.vmlist",
        &format!("{{\"version\":1,\"ids\":{{{},{}}}}}", entry(100), entry(102)),
    );
    let list = |kind: &str, prints: &str| {
        let path = format!("/nodes/prox2/{kind}");
        Call::of(["/usr/bin/pvesh", "get", &path, "--output-format", "json"]).prints(prints)
    };
    let running = "[{\"vmid\":100,\"status\":\"running\",\"maxmem\":536870912}]";
    let mut calls: Vec<Call> = corosync().into();
    calls.push(disable());
    calls.extend(corosync());
    calls.push(taking(100));
    calls.push(Call::of(["/usr/bin/qm", "start", "100"]));
    calls.extend([list("qemu", running), list("lxc", "[]")]);
    calls.extend(corosync());
    calls.extend(corosync());
    calls.push(taking(102));
    let steps = Steps::new(fake, calls);
    let mut record = record(Step::Begun);
    record.guests.clear();
    let findings = steps.hands().apply(&scene(Quorum::There), &mut record).await.unwrap();
    assert_eq!(findings, [], "{}", steps.said());
    let said = [
        "pvesr disable 100-0",
        "  seen: it is switched off",
        "mv /etc/pve/nodes/prox1/qemu-server/100.conf /etc/pve/nodes/prox2/qemu-server/100.conf",
        "  seen: it belongs to prox2",
        "qm start 100",
        "  seen: it runs",
        "mv /etc/pve/nodes/prox1/qemu-server/102.conf /etc/pve/nodes/prox2/qemu-server/102.conf",
        "  seen: it belongs to prox2",
    ];
    assert_eq!(steps.said().lines().collect::<Vec<_>>(), said);
    let kept = record::open(steps.state.path()).unwrap().remove(0);
    let states: Vec<(u32, Step)> = kept.guests.iter().map(|taken| (taken.vmid, taken.state)).collect();
    assert_eq!(
        states,
        [(100, Step::Running), (102, Step::Here)],
        "one that does not start at boot is only moved"
    );
}
