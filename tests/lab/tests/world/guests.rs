//! `qm` and `pct`: what they say, what they refuse, and what really became of the guest.

use quorate_lab::control::GuestStatus;
use quorate_lab::zfs::{PoolPlant, VdevPlant};
use quorate_lab::{Lab, Plant, Script, What};

use crate::{happened, lab, nothing_unknown, three, until};

/// Stdout, stderr and exit code.
pub(crate) async fn tool(lab: &Lab, node: &str, line: &str) -> (String, String, i32) {
    let argv: Vec<&str> = line.split(' ').collect();
    let output = lab.tool(node, &argv, None).await.expect("the tool runs");
    let code = output.code().expect("an exit code");
    (output.stdout, output.stderr, code)
}

pub(crate) fn said(stderr: &str) -> (String, String, i32) {
    (String::new(), format!("{stderr}\n"), 255)
}

pub(crate) fn pool() -> Plant {
    Plant::Pool(PoolPlant {
        name: "data_zfs".to_owned(),
        vdevs: vec![VdevPlant {
            raid: Some("mirror".to_owned()),
            class: None,
            disks: vec!["sda".to_owned(), "sdb".to_owned()],
        }],
        left: None,
    })
}

/// Three members with a pool each, and its storage.
pub(crate) async fn three_with_pools() -> Lab {
    let lab = lab(|builder| {
        let builder = builder.nodes(3);
        ["prox1", "prox2", "prox3"]
            .into_iter()
            .fold(builder, |builder, node| builder.plant(node, pool()))
    })
    .await;
    three(&lab).await;
    let added = tool(
        &lab,
        "prox1",
        "pvesm add zfspool data_zfs --pool data_zfs --content images,rootdir --sparse 1",
    )
    .await;
    assert_eq!(added.2, 0, "{added:?}");
    lab
}

/// A guest as it really is on a server.
pub(crate) async fn really(lab: &Lab, node: &str, vmid: u32) -> Option<GuestStatus> {
    lab.guest(node, vmid).await.expect("a status")
}

const CREATE: &str = "qm create 900 --name t900 --memory 512 --cores 1 --net0 virtio,bridge=vmbr0 --scsihw virtio-scsi-single --scsi0 \
                      data_zfs:4 --ostype l26 --agent 1";

#[tokio::test]
async fn a_machine_is_made_started_asked_stopped_and_destroyed() {
    let lab = three_with_pools().await;
    assert_eq!(
        tool(&lab, "prox1", "pvesh get /cluster/nextid --output-format json")
            .await
            .0,
        "\"100\"\n"
    );
    let made = tool(&lab, "prox1", CREATE).await;
    assert_eq!(
        made,
        (
            "scsi0: successfully created disk 'data_zfs:vm-900-disk-0,size=4G'\n".to_owned(),
            String::new(),
            0
        )
    );
    assert_eq!(
        tool(&lab, "prox2", CREATE).await,
        said("unable to create VM 900 - VM 900 already exists on node 'prox1'")
    );
    let config = tool(&lab, "prox1", "qm config 900").await.0;
    assert!(
        config.contains("scsi0: data_zfs:vm-900-disk-0,size=4G\n") && config.contains("net0: virtio=BC:24:11:"),
        "{config}"
    );
    assert_eq!(tool(&lab, "prox1", "qm status 900").await.0, "status: stopped\n");
    let volumes = tool(&lab, "prox1", "zfs list -Hp -o name,type -r data_zfs").await.0;
    assert!(volumes.contains("data_zfs/vm-900-disk-0\tvolume\n"), "{volumes}");
    assert_eq!(
        tool(&lab, "prox1", "qm guest cmd 900 ping").await,
        said("VM 900 is not running")
    );

    assert_eq!(tool(&lab, "prox1", "qm start 900").await.2, 0);
    assert_eq!(
        tool(&lab, "prox1", "qm start 900").await,
        said("VM 900 already running")
    );
    assert_eq!(
        tool(&lab, "prox1", "qm guest cmd 900 ping").await,
        (String::new(), String::new(), 0)
    );
    until(&lab, "some writes", async || {
        really(&lab, "prox1", 900).await.is_some_and(|guest| guest.number > 20)
    })
    .await;
    let read = tool(&lab, "prox1", "qm guest exec 900 -- cat /var/lib/canary/number")
        .await
        .0;
    let read: serde_json::Value = serde_json::from_str(&read).expect("JSON");
    let number: u64 = read["out-data"]
        .as_str()
        .expect("text")
        .trim()
        .parse()
        .expect("a number");
    assert!(number > 20);
    assert_eq!(
        tool(&lab, "prox1", "qm destroy 900").await,
        said("VM 900 is running - destroy failed")
    );
    let status = tool(&lab, "prox1", "qm status 900 --verbose").await.0;
    assert!(
        status.contains("qmpstatus: running\n") && status.contains("ha:\n\tmanaged: 0\n"),
        "{status}"
    );

    assert_eq!(tool(&lab, "prox1", "qm shutdown 900 --timeout 30").await.2, 0);
    let stopped = really(&lab, "prox1", 900).await.expect("it is there");
    assert!(!stopped.running && stopped.number >= number && stopped.volumes[0].number == stopped.number);
    let noted = happened(&lab, What::GuestStopped);
    assert_eq!(noted[0].detail, format!("vm:900 at {}", stopped.number));

    assert_eq!(
        tool(&lab, "prox1", "qm destroy 900 --purge 1 --destroy-unreferenced-disks 1")
            .await
            .2,
        0
    );
    assert_eq!(
        tool(&lab, "prox1", "qm config 900").await,
        said("Configuration file 'nodes/prox1/qemu-server/900.conf' does not exist")
    );
    assert!(
        !tool(&lab, "prox1", "zfs list -Hp -o name -r data_zfs")
            .await
            .0
            .contains("900")
    );
    nothing_unknown(&lab);
}

#[tokio::test]
async fn what_keeps_a_guest_from_starting_and_stopping() {
    let lab = three_with_pools().await;
    tool(&lab, "prox1", CREATE).await;
    assert_eq!(
        tool(&lab, "prox1", "qm set 900 --acpi 0 --lock backup").await.0,
        "update VM 900: -acpi 0 -lock backup\n"
    );
    assert_eq!(tool(&lab, "prox1", "qm start 900").await, said("VM is locked (backup)"));
    assert_eq!(tool(&lab, "prox1", "qm unlock 900").await.2, 0);
    assert_eq!(tool(&lab, "prox1", "qm start 900").await.2, 0);
    assert_eq!(
        tool(&lab, "prox1", "qm shutdown 900 --timeout 5").await,
        said("VM quit/powerdown failed - got timeout")
    );
    assert_eq!(
        tool(&lab, "prox1", "qm shutdown 900 --timeout 5 --forceStop 1").await.2,
        0
    );
    let template = Plant::File {
        path: "/var/lib/vz/template/cache/debian.tar.zst".to_owned(),
        text: Some(String::new()),
    };
    let create =
        "pct create 901 local:vztmpl/debian.tar.zst --hostname t901 --memory 256 --rootfs data_zfs:2 --unprivileged 1";
    assert_eq!(
        tool(&lab, "prox1", create).await,
        said("unable to create CT 901 - volume 'local:vztmpl/debian.tar.zst' does not exist")
    );
    lab.script("prox1", Script::Plant(template)).await.expect("planted");
    assert_eq!(tool(&lab, "prox1", create).await.2, 0);
    assert!(
        tool(&lab, "prox1", "pct config 901")
            .await
            .0
            .contains("rootfs: data_zfs:subvol-901-disk-0,size=2G\n")
    );
    assert_eq!(tool(&lab, "prox1", "pct stop 901").await, said("CT 901 not running"));
    assert_eq!(tool(&lab, "prox1", "pct start 901").await.2, 0);
    assert_eq!(tool(&lab, "prox1", "pct set 901 --acpi 0").await.2, 0);
    let (warned, error, code) = tool(&lab, "prox1", "pct shutdown 901 --timeout 5").await;
    assert_eq!(
        (warned.as_str(), error.as_str(), code),
        (
            "command 'lxc-stop -n 901 --nokill --timeout 5' failed: exit code 1\n",
            "container did not stop\n",
            255
        )
    );
    assert_eq!(
        tool(&lab, "prox1", "pct migrate 901 prox2").await,
        said("can't migrate running container without --online or --restart")
    );
    assert_eq!(
        tool(&lab, "prox1", "pct migrate 901 prox2 --online 1").await,
        said("lxc live migration is currently not implemented")
    );
    let moved = tool(&lab, "prox1", "pct migrate 901 prox2 --restart 1").await;
    assert_eq!(moved.2, 0, "{moved:?}");
    let there = really(&lab, "prox2", 901).await.expect("it is there");
    assert!(there.owned && there.running);
    // Its disk gone, it does not start.
    tool(&lab, "prox1", "qm stop 900").await;
    assert_eq!(tool(&lab, "prox1", "zfs destroy -r data_zfs/vm-900-disk-0").await.2, 0);
    assert_eq!(
        tool(&lab, "prox1", "qm start 900").await,
        said("timeout: no zvol device link for 'vm-900-disk-0' found after 300 sec.")
    );
    let import = "qm create 902 --name t902 --memory 512 --scsi0 data_zfs:0,import-from=/root/missing.qcow2";
    assert_eq!(
        tool(&lab, "prox1", import).await,
        said("unable to create VM 902 - can't find file '/root/missing.qcow2'")
    );
    nothing_unknown(&lab);
}

#[tokio::test]
async fn a_machine_goes_over_while_it_runs_or_is_refused() {
    let lab = three_with_pools().await;
    tool(&lab, "prox1", CREATE).await;
    tool(&lab, "prox1", "qm start 900").await;
    for (order, refusal) in [
        ("qm migrate 900 prox2", "can't migrate running VM without --online"),
        ("qm migrate 900 prox9 --online 1", "no such cluster node 'prox9'"),
        (
            "qm migrate 900 prox1 --online 1",
            "400 Parameter verification failed.\ntarget: target is local node.",
        ),
    ] {
        assert_eq!(tool(&lab, "prox1", order).await, said(refusal));
    }
    let aborted = tool(&lab, "prox1", "qm migrate 900 prox2 --online 1").await;
    assert_eq!((aborted.1.as_str(), aborted.2), ("migration aborted\n", 255));
    assert!(
        aborted
            .0
            .contains("can't live migrate attached local disks without with-local-disks option"),
        "{aborted:?}"
    );
    assert!(!tool(&lab, "prox1", "qm config 900").await.0.contains("lock:"));
    tool(&lab, "prox1", "qm set 900 --hostpci0 0000:01:00.0").await;
    let aborted = tool(&lab, "prox1", "qm migrate 900 prox2 --online 1 --with-local-disks 1").await;
    assert!(
        aborted.2 == 255
            && aborted
                .0
                .contains("can't migrate VM which uses local devices: hostpci0"),
        "{aborted:?}"
    );
    tool(&lab, "prox1", "qm set 900 --delete hostpci0").await;
    let options =
        "pvesh set /cluster/options --migration type=insecure,network=10.10.10.0/24 --bwlimit migration=500000";
    assert_eq!(tool(&lab, "prox1", options).await, (String::new(), String::new(), 0));
    let shown = tool(&lab, "prox2", "pvesh get /cluster/options --output-format json")
        .await
        .0;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(
        shown["migration"],
        serde_json::json!({"network": "10.10.10.0/24", "type": "insecure"})
    );

    let before = really(&lab, "prox1", 900).await.expect("it is there").number;
    let moved = tool(&lab, "prox1", "qm migrate 900 prox2 --online 1 --with-local-disks 1").await;
    assert_eq!(moved.2, 0, "{moved:?}");
    for line in [
        "starting migration of VM 900 to node 'prox2' (10.10.10.2)",
        "found local disk 'data_zfs:vm-900-disk-0' (attached)",
        "migration status: completed",
        "migration finished successfully (duration 00:0",
    ] {
        assert!(moved.0.contains(line), "{line}: {}", moved.0);
    }
    let there = really(&lab, "prox2", 900).await.expect("it is there");
    assert!(there.owned && there.running && there.number >= before);
    assert_eq!(really(&lab, "prox1", 900).await, None);
    assert!(!tool(&lab, "prox2", "qm config 900").await.0.contains("lock:"));

    // The source dies in the middle: the guest is there, and locked.
    let log = lab.layout().dir().join("migrate.out");
    let argv = [
        "qm",
        "migrate",
        "900",
        "prox1",
        "--online",
        "1",
        "--with-local-disks",
        "1",
    ];
    lab.tool_in_background("prox2", &argv, None, &log).expect("it starts");
    until(&lab, "the lock", async || locked(&lab, "prox1")).await;
    lab.power("prox2", quorate_lab::control::Press::Pull)
        .await
        .expect("pulled");
    let conf = conf(&lab, "prox1", "nodes/prox2/qemu-server/900.conf");
    assert!(conf.contains("lock: migrate\n"), "{conf}");
    until(&lab, "its task to be gone", async || {
        let ended = happened(&lab, What::TaskEnded);
        ended
            .iter()
            .any(|entry| entry.detail.contains("qmigrate") && entry.detail.ends_with("died"))
    })
    .await;
}

fn conf(lab: &Lab, node: &str, path: &str) -> String {
    let root = lab.node(node).expect("a server").root;
    std::fs::read_to_string(root.join("etc/pve").join(path)).unwrap_or_default()
}

fn locked(lab: &Lab, node: &str) -> bool {
    conf(lab, node, "nodes/prox2/qemu-server/900.conf").contains("lock: migrate\n")
}

#[tokio::test]
async fn what_ha_looks_after_is_left_to_ha() {
    let lab = three_with_pools().await;
    tool(&lab, "prox1", CREATE).await;
    assert_eq!(tool(&lab, "prox1", "ha-manager add vm:900 --state stopped").await.2, 0);
    let asked = tool(&lab, "prox1", "qm start 900").await;
    assert_eq!(asked, ("Requesting HA start for VM 900\n".to_owned(), String::new(), 0));
    // It was asked, and no more; the rest is HA's.
    let started = happened(&lab, What::TaskStarted);
    assert!(started.iter().any(|entry| entry.detail.contains(":hastart:900:")));
    assert_eq!(
        tool(&lab, "prox1", "qm destroy 900").await,
        said("unable to remove VM 900 - used in HA resources and purge parameter not set.")
    );
    let asked = tool(&lab, "prox1", "qm stop 900").await;
    assert_eq!(asked.0, "Requesting HA stop for VM 900\n");
    let seen = tool(
        &lab,
        "prox2",
        "pvesh get /cluster/resources --type vm --output-format json",
    )
    .await
    .0;
    let seen: serde_json::Value = serde_json::from_str(&seen).expect("JSON");
    assert_eq!(seen[0]["id"], "qemu/900");
    assert!(seen[0]["hastate"].is_string());
    let asked = tool(&lab, "prox1", "qm migrate 900 prox2").await;
    assert_eq!(
        asked,
        (
            "Requesting HA migration for VM 900 to node prox2\n".to_owned(),
            String::new(),
            0
        )
    );
    nothing_unknown(&lab);
}
