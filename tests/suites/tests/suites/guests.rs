//! `quorate guests`: whose each is, how it runs, what it lies on; what can't be seen is not taken for stopped.

use quorate_lab::description::GuestKind;
use quorate_lab::{GuestSpec, Lab, Script};
use quorate_suites::hand::ONE_LINK;
use quorate_suites::{Fleet, told};

const WEB: &str = "agent: 1\ncores: 2\nide2: local:iso/debian.iso,media=cdrom\nmemory: 4096\nname: web1\nnet0: virtio=BC:24:11:0A:0B:0C,bridge=vmbr0\n\
                   onboot: 1\nscsi0: data_zfs:vm-100-disk-0,size=32G\nsockets: 2\ntags: customer-a;web\n";
const DB: &str = "cores: 1\nhostname: db1\nlock: backup\nmemory: 1024\nrootfs: data_zfs:subvol-101-disk-0,size=8G\n";

async fn add(fleet: &Fleet, node: &str, vmid: u32, kind: GuestKind, conf: &str, running: bool) {
    let guest = GuestSpec {
        vmid,
        kind,
        conf: Some(conf.to_owned()),
        running,
        ..GuestSpec::default()
    };
    fleet.lab.script(node, Script::AddGuest(guest)).await.unwrap();
}

/// The table's lines, blanks as one.
fn lines(table: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    table.lines().map(words).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_guest_is_shown_with_its_owner_its_state_and_its_disks() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    assert_eq!(fleet.ok(&["guests"]).await.stdout, "there is no guest\n");
    fleet.made_by_hand(&["prox1", "prox2"], ONE_LINK).await;
    add(&fleet, "prox1", 100, GuestKind::Qemu, WEB, true).await;
    add(&fleet, "prox2", 101, GuestKind::Lxc, DB, false).await;
    let shown = fleet.ok(&["guests"]).await.stdout;
    let lines = lines(&shown);
    let web = "hk1 100 VM web1 prox1 running ";
    let (begin, end) = (web, " - 4 GiB 4 32 GiB on data_zfs customer-a, web");
    assert!(lines[1].starts_with(begin) && lines[1].ends_with(end), "{shown}");
    assert_eq!(
        lines[2], "hk1 101 container db1 prox2 stopped, backup - - 1 GiB 1 8 GiB on data_zfs -",
        "{shown}"
    );
    let json = fleet.json(&["guests", "100"]).await;
    assert_eq!(json["guests"].as_array().map(Vec::len), Some(1), "{json:#}");
    fleet.ends(&["guests", "999"], 7).await;

    // One odd configuration hides nobody else.
    add(&fleet, "prox1", 102, GuestKind::Qemu, "memory: lots\n", false).await;
    let shown = fleet.ends(&["guests"], 9).await.stdout;
    assert!(
        shown.contains("what guest 102 is configured to be") && shown.contains("lots"),
        "{shown}"
    );
    assert!(shown.contains("web1"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_on_a_server_that_is_away_is_not_known_and_not_stopped() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    fleet.made_by_hand(&["prox1", "prox2", "prox3"], ONE_LINK).await;
    add(&fleet, "prox3", 100, GuestKind::Qemu, WEB, true).await;
    fleet.lab.stop_agent("prox3").await.unwrap();
    let shown = fleet.ends(&["guests"], 9).await;
    let line = &lines(&shown.stdout)[1];
    assert!(line.starts_with("hk1 100 VM web1 prox3 ? - "), "{}", told(&shown));
    assert!(
        shown.stdout.contains("hk1/prox3: how its guests run: "),
        "{}",
        told(&shown)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_of_a_server_that_nobody_speaks_for_are_told_as_not_known() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2).qnetd("vote")).await;
    assert_eq!(
        fleet.ok(&["guests"]).await.stdout,
        "there is no guest\n",
        "a host without PVE has none"
    );
    add(&fleet, "prox1", 100, GuestKind::Qemu, WEB, true).await;
    fleet.lab.stop_agent("prox2").await.unwrap();
    let shown = fleet.ends(&["guests"], 9).await;
    assert!(shown.stdout.contains("web1"), "{}", told(&shown));
    assert!(
        shown.stdout.contains("hk1/prox2: which guests it has: "),
        "{}",
        told(&shown)
    );
}
