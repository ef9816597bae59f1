use quorate_exec::scripted::Call;
use quorate_exec::{Exit, Tools};
use quorate_model::facet::UnknownKind;
use quorate_model::observation::disks::HolderKind;
use quorate_model::observation::eligibility::ReasonKind;

use super::super::testing::{Fake, fixture};
use super::*;

mod odd;

const COLUMNS: &str = "NAME,KNAME,PATH,TYPE,SIZE,ROTA,MODEL,VENDOR,SERIAL,WWN,TRAN,FSTYPE,LABEL,PTTYPE,PARTTYPE,MOUNTPOINTS,HCTL,RO,RM,PKNAME,UUID,PTUUID";

fn lsblk(answer: &str) -> Call {
    Call::of(["/usr/bin/lsblk", "--json", "--bytes", "--output", COLUMNS]).prints(answer)
}

fn zpool(answer: &str) -> Call {
    Call::of(["/usr/bin/zpool", "list", "-HPLv"]).prints(answer)
}

fn smartctl(device: &str, answer: &str) -> Call {
    Call::of(["/usr/bin/smartctl", "-j", "-n", "standby", "-i", "-H", "-A", device]).prints(answer)
}

/// LVM's answers on the server of which `lsblk/2.38.1/server.json` was taken.
fn lvm_of_server() -> [Call; 2] {
    let [pvs, lvs] = lvm();
    [
        pvs.prints(fixture!("pvs/2.03.16/one.json")),
        lvs.prints(r#"{"report":[{"lv":[]}]}"#),
    ]
}

fn lvm() -> [Call; 2] {
    let pvs = Call::of([
        "/usr/bin/pvs",
        "--readonly",
        "--reportformat",
        "json",
        "-o",
        "pv_name,vg_name",
    ]);
    let lvs = Call::of([
        "/usr/bin/lvs",
        "--readonly",
        "--reportformat",
        "json",
        "-o",
        "lv_name,vg_name,lv_tags,devices",
    ]);
    [
        pvs.prints(fixture!("pvs/2.03.16/pve.json")),
        lvs.prints(fixture!("lvs/2.03.16/ceph.json")),
    ]
}

/// The disks, without SMART: no test here is about it.
async fn disks(fake: &Fake, calls: impl IntoIterator<Item = Call>) -> Vec<Disk> {
    let host = fake.host(calls);
    let (devices, _) = devices(&host).await.unwrap();
    let claims = claims(&host, &devices).await.unwrap();
    let by_id = sysfs::by_id_links(&host).unwrap();
    devices
        .iter()
        .filter(|device| device.kind == "disk")
        .map(|device| disk(&host, device, &claims, &by_id))
        .collect()
}

fn held(disks: &[Disk], path: &str) -> Vec<String> {
    let disk = disks.iter().find(|disk| disk.path == path).unwrap();
    disk.holders
        .iter()
        .map(|h| {
            format!("{} {} {}", h.device, h.kind.as_str(), h.name)
                .trim_end()
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn everything_that_is_stacked_on_a_disk_holds_it() {
    let calls = [lsblk(fixture!("lsblk/2.38.1/stacked.json")), zpool("")]
        .into_iter()
        .chain(lvm());
    let disks = disks(&Fake::new(), calls).await;
    let names: Vec<_> = disks.iter().map(|disk| disk.path.as_str()).collect();
    assert_eq!(
        names,
        [
            "/dev/sda",
            "/dev/sdb",
            "/dev/sdc",
            "/dev/sdd",
            "/dev/sde",
            "/dev/sdf",
            "/dev/sdg",
            "/dev/cciss/c0d0",
            "/dev/zd0",
            "/dev/nvme0n1"
        ]
    );
    let boot = [
        "/dev/sda partition table gpt",
        "/dev/sda1 boot BIOS boot partition",
        "/dev/sda2 file system vfat",
        "/dev/sda2 mounted /boot/efi",
        "/dev/sda2 boot EFI system partition",
        "/dev/sda3 mounted /",
        "/dev/sda3 mounted /var/snap",
        "/dev/sda3 LVM pve",
        "/dev/sda3 swap /dev/mapper/pve-swap",
    ];
    assert_eq!(held(&disks, "/dev/sda"), boot);
    assert_eq!(held(&disks, "/dev/sdb"), ["/dev/sdb mounted /srv", "/dev/sdb md md0"]);
    assert_eq!(held(&disks, "/dev/sdc"), ["/dev/sdc mounted /srv", "/dev/sdc md md0"]);
    assert_eq!(
        held(&disks, "/dev/sdd"),
        ["/dev/sdd multipath mpatha", "/dev/sdd device mapper mpatha-part1"]
    );
    let luks = [
        "/dev/sdf partition table dos",
        "/dev/sdf1 mounted /mnt/secret",
        "/dev/sdf1 LUKS secret",
    ];
    assert_eq!(held(&disks, "/dev/sdf"), luks);
    assert_eq!(held(&disks, "/dev/sdg"), ["/dev/sdg bcache bcache0"]);
    assert_eq!(
        held(&disks, "/dev/nvme0n1"),
        ["/dev/nvme0n1 LVM ceph-1f2e", "/dev/nvme0n1 Ceph OSD 3"]
    );
    assert_eq!(held(&disks, "/dev/zd0"), Vec::<String>::new());
    let zvol = disks.iter().find(|disk| disk.path == "/dev/zd0").unwrap();
    assert_eq!(
        judge(zvol, Role::Osd)
            .against
            .iter()
            .map(|reason| reason.kind)
            .collect::<Vec<_>>(),
        [ReasonKind::NoIdentity]
    );
}

#[tokio::test]
async fn without_lvms_tools_the_group_is_read_from_the_names_of_its_volumes() {
    let missing = ["pvs", "lvs"].map(|tool| {
        let columns = if tool == "pvs" {
            "pv_name,vg_name"
        } else {
            "lv_name,vg_name,lv_tags,devices"
        };
        Call::of([
            &format!("/usr/bin/{tool}"),
            "--readonly",
            "--reportformat",
            "json",
            "-o",
            columns,
        ])
        .exits(Exit::Code(5))
    });
    let calls = [lsblk(fixture!("lsblk/2.38.1/stacked.json")), zpool("")]
        .into_iter()
        .chain(missing);
    let disks = disks(&Fake::new(), calls).await;
    assert!(held(&disks, "/dev/sda").contains(&"/dev/sda3 LVM pve".to_owned()));
    assert_eq!(held(&disks, "/dev/nvme0n1"), ["/dev/nvme0n1 LVM ceph-1f2e"]);
}

#[tokio::test]
async fn members_of_pools_are_known_by_zpool_and_by_the_partitions_type() {
    let pools = "tank\t1T\t1\t1\t-\t-\t0\t0\t1.00\tONLINE\t-\n\t/dev/sdb1\t1\t-\t-\t-\t-\t-\t-\t-\tONLINE\n";
    let disks = disks(
        &Fake::new(),
        [lsblk(fixture!("lsblk/2.38.1/pool-udev-behind.json")), zpool(pools)]
            .into_iter()
            .chain(lvm()),
    )
    .await;
    assert_eq!(
        held(&disks, "/dev/sdb"),
        ["/dev/sdb partition table gpt", "/dev/sdb1 ZFS tank"]
    );
    // udev's database lags: no signature, but the partition's type tells.
    assert_eq!(
        held(&disks, "/dev/sda"),
        ["/dev/sda partition table gpt", "/dev/sda1 ZFS label"]
    );
    let stale = disks.iter().find(|disk| disk.path == "/dev/sda").unwrap();
    assert!(
        judge(stale, Role::Zfs)
            .against
            .iter()
            .all(|reason| reason.kind != ReasonKind::InUse)
    );
}

#[tokio::test]
async fn the_servers_disks_are_judged_with_all_reasons() {
    let fake = Fake::new();
    let calls = [lsblk(fixture!("lsblk/2.38.1/server.json")), zpool("")]
        .into_iter()
        .chain(lvm_of_server());
    let disks = disks(&fake, calls).await;
    let against = |path: &str| {
        let disk = disks.iter().find(|disk| disk.path == path).unwrap();
        judge(disk, Role::Zfs)
            .against
            .iter()
            .map(|reason| reason.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(against("/dev/sda"), []);
    assert_eq!(against("/dev/sdb"), [ReasonKind::RaidVolume]);
    // What QEMU shows under its own name is a hypervisor's, too.
    let virtual_too = |kinds: &[ReasonKind]| [kinds, &[ReasonKind::Virtual]].concat();
    assert_eq!(against("/dev/sdf"), virtual_too(&[ReasonKind::Leftover; 3]));
    assert_eq!(against("/dev/sdg"), virtual_too(&[ReasonKind::InUse]));
    assert_eq!(against("/dev/sdh"), virtual_too(&[ReasonKind::Leftover]));
    assert_eq!(against("/dev/sdi"), virtual_too(&[ReasonKind::Leftover]));
    assert_eq!(against("/dev/sdl"), virtual_too(&[ReasonKind::ReadOnly]));
    assert_eq!(
        against("/dev/nvme0n1"),
        virtual_too(&[ReasonKind::Leftover, ReasonKind::InUse])
    );
    assert_eq!(held(&disks, "/dev/sdg"), ["/dev/sdg LVM vgold"]);
}

#[tokio::test]
async fn sysfs_tells_controller_driver_raid_level_holders_and_stable_names() {
    let fake = Fake::new();
    let device = "/sys/devices/pci0000:00/0000:00:04.0/host0/target0:0:1/0:0:1:0";
    fake.put(&format!("{device}/block/sda/holders/drbd0"), "");
    fake.put(&format!("{device}/raid_level"), "RAID 1(1+0)\n");
    fake.link("../..", &format!("{device}/block/sda/device"));
    fake.put("/sys/devices/pci0000:00/0000:00:04.0/class", "0x010400\n");
    fake.link(
        "../../../bus/pci/drivers/smartpqi",
        "/sys/devices/pci0000:00/0000:00:04.0/driver",
    );
    fake.link(
        "../devices/pci0000:00/0000:00:04.0/host0/target0:0:1/0:0:1:0/block/sda",
        "/sys/block/sda",
    );
    fake.link("../../block/sda", "/sys/class/block/sda");
    for name in [
        "wwn-0x5000c500a1b2c301",
        "scsi-35000c500a1b2c301",
        "lvm-pv-uuid-tB1OOY",
        "ata-X-part1",
    ] {
        let target = if name.ends_with("part1") {
            "../../sda1"
        } else {
            "../../sda"
        };
        fake.link(target, &format!("/dev/disk/by-id/{name}"));
    }
    let disks = disks(
        &fake,
        [lsblk(fixture!("lsblk/2.38.1/server.json")), zpool("")]
            .into_iter()
            .chain(lvm_of_server()),
    )
    .await;
    let sda = &disks[0];
    let controller = sda.controller.as_ref().unwrap();
    assert_eq!(
        (
            controller.pci_address.as_str(),
            controller.driver.as_deref(),
            controller.class.as_deref()
        ),
        ("0000:00:04.0", Some("smartpqi"), Some("0x010400"))
    );
    assert_eq!(sda.raid_level.as_deref(), Some("RAID 1(1+0)"));
    assert_eq!(sda.by_id, ["scsi-35000c500a1b2c301", "wwn-0x5000c500a1b2c301"]);
    assert_eq!(sda.stable_name(), Some("scsi-35000c500a1b2c301"));
    assert_eq!(held(&disks, "/dev/sda"), ["/dev/sda DRBD drbd0"]);
}

#[tokio::test]
async fn an_nvme_disk_behind_native_multipath_has_a_controller() {
    let fake = Fake::new();
    fake.put("/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/size", "1\n");
    fake.put("/sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0/model", "X\n");
    fake.put("/sys/devices/pci0000:00/0000:01:00.0/class", "0x010802\n");
    fake.link(
        "../../../pci0000:00/0000:01:00.0/nvme/nvme0",
        "/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0",
    );
    fake.link(
        "../../nvme-subsys0",
        "/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/device",
    );
    fake.link(
        "../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1",
        "/sys/block/nvme0n1",
    );
    let controller = sysfs::controller(&fake.bare(), "nvme0n1").unwrap();
    assert_eq!(
        (controller.pci_address.as_str(), controller.driver),
        ("0000:01:00.0", None)
    );
}

#[tokio::test]
async fn an_old_lsblk_is_asked_again_for_one_mount_point() {
    let refused = lsblk("")
        .complains(fixture!("lsblk/2.36/unknown-column.err"))
        .exits(Exit::Code(1));
    let old = COLUMNS.replace("MOUNTPOINTS", "MOUNTPOINT");
    let again = Call::of(["/usr/bin/lsblk", "--json", "--bytes", "--output", &old])
        .prints(fixture!("lsblk/2.33/mountpoint.json"));
    let disks = disks(&Fake::new(), [refused, again, zpool("")]).await;
    assert_eq!(held(&disks, "/dev/sda").last().unwrap(), "/dev/sda1 mounted /");
    assert_eq!(disks[0].partitions[0].mountpoints, ["/"]);
}

#[tokio::test]
async fn a_zpool_that_fails_makes_the_facet_unknown_and_a_missing_module_does_not() {
    let fake = Fake::new();
    let broken = zpool("")
        .complains("internal error: out of memory\n")
        .exits(Exit::Code(1));
    let unknown = observe(
        &fake.host([lsblk(fixture!("lsblk/2.38.1/virtual-machine.json")), broken]),
        Depth::InPassing(&[]),
    )
    .await
    .unwrap_err();
    assert_eq!(
        unknown.reason,
        "zpool failed (exit code 1): internal error: out of memory"
    );
    let no_module = zpool("")
        .complains(fixture!("zpool/2.1.11/no-module.err"))
        .exits(Exit::Code(1));
    assert_eq!(
        disks(&fake, [lsblk(fixture!("lsblk/2.38.1/virtual-machine.json")), no_module])
            .await
            .len(),
        2
    );
}

const TWO_DISKS: &str = r#"{"blockdevices": [
    {"name":"sda","kname":"sda","path":"/dev/sda","type":"disk","size":1000204886016,"rota":true,"serial":"A","ro":false,"rm":false,"fstype":null,"pttype":null,"mountpoints":[null],"parttype":null},
    {"name":"sdb","kname":"sdb","path":"/dev/sdb","type":"disk","size":1000204886016,"rota":true,"serial":"B","ro":false,"rm":false,"fstype":null,"pttype":null,"mountpoints":[null],"parttype":null}]}"#;

#[tokio::test]
async fn smart_is_asked_of_each_disk_and_fails_alone() {
    let fake = Fake::new();
    let calls = [
        lsblk(TWO_DISKS),
        zpool(""),
        smartctl("/dev/sda", fixture!("smartctl/7.4/sata-failing.json")).exits(Exit::Code(24)),
        smartctl("/dev/sdb", fixture!("smartctl/7.4/asleep.json")).exits(Exit::Code(2)),
    ];
    let found = observe(&fake.host(calls), Depth::InPassing(&[])).await.unwrap().disks;
    assert_eq!(found[0].smart.get().unwrap().passed, Some(false));
    assert!(
        found[0]
            .verdicts
            .iter()
            .all(|verdict| verdict.against.iter().any(|r| r.kind == ReasonKind::Failing))
    );
    assert_eq!(
        found[1].smart.get().unwrap_err().reason,
        "the disk sleeps and was not woken"
    );
    assert!(
        found[1]
            .verdicts
            .iter()
            .all(|verdict| verdict.eligible() && verdict.notes.len() == 1)
    );

    // A recent answer is good enough for who watches; a failure is asked again.
    let again = [
        lsblk(TWO_DISKS),
        zpool(""),
        smartctl("/dev/sdb", "").exits(Exit::Code(1)).complains("hm\n"),
    ];
    let later = observe(&fake.host(again), Depth::InPassing(&found))
        .await
        .unwrap()
        .disks;
    assert_eq!(later[0].smart, found[0].smart);
    assert_eq!(
        later[1].smart.get().unwrap_err().reason,
        "smartctl failed (exit code 1): hm"
    );
}

#[tokio::test]
async fn without_smartctl_health_is_unknown_and_the_disks_are_not() {
    let fake = Fake::new();
    let tools = fake.place("/bin");
    std::fs::create_dir_all(&tools).unwrap();
    std::fs::write(tools.join("lsblk"), "").unwrap();
    std::fs::set_permissions(tools.join("lsblk"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = tools.join("lsblk").to_str().unwrap().to_owned();
    let call = Call::of([&program, "--json", "--bytes", "--output", COLUMNS]).prints(TWO_DISKS);
    let host = fake.host_with(Tools::only_in(tools).unwrap(), [call], quorate_clock::Clock::system());
    let found = observe(&host, Depth::InPassing(&[])).await.unwrap().disks;
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].smart.get().unwrap_err().kind, UnknownKind::ToolMissing);
}

#[test]
fn disks_stand_in_the_kernels_order() {
    let mut paths = [
        "/dev/sdaa",
        "/dev/nvme10n1",
        "/dev/sdb",
        "/dev/nvme2n1",
        "/dev/sda",
        "/dev/vda",
    ];
    paths.sort_by_key(|path| natural(path));
    assert_eq!(
        paths,
        [
            "/dev/nvme2n1",
            "/dev/nvme10n1",
            "/dev/sda",
            "/dev/sdb",
            "/dev/sdaa",
            "/dev/vda"
        ]
    );
}

/// The real machine, with its real lsblk: every whole disk that it lists, with the same size and mounts.
#[tokio::test]
async fn on_this_machine_the_disks_are_those_that_lsblk_lists() {
    let host = Host::real(quorate_clock::Clock::system());
    if host.tools().find("lsblk").is_err() {
        eprintln!("not tested: this machine has no lsblk");
        return;
    }
    let plain = host
        .tools()
        .call("lsblk")
        .unwrap()
        .args(["--nodeps", "--noheadings", "--raw", "--bytes"]);
    let plain = plain.args(["--output", "PATH,TYPE,SIZE,ROTA,RO,RM"]).build().unwrap();
    let finished = host.runner().run(&plain).await.unwrap();
    let mut listed: Vec<String> = finished
        .stdout_text()
        .unwrap()
        .lines()
        .filter(|line| line.contains(" disk "))
        .map(str::to_owned)
        .collect();
    let disks = observe(&host, Depth::InPassing(&[])).await.unwrap().disks;
    let flag = |yes: bool| if yes { 1 } else { 0 };
    let show = |d: &Disk| {
        format!(
            "{} disk {} {} {} {}",
            d.path,
            d.size.0,
            flag(d.rotational),
            flag(d.read_only),
            flag(d.removable)
        )
    };
    let mut observed: Vec<String> = disks.iter().map(show).collect();
    listed.sort();
    observed.sort();
    assert_eq!(observed, listed);
    for disk in &disks {
        let in_use = disk.holders.iter().any(|holder| holder.kind == HolderKind::Mounted);
        assert!(
            !in_use || disk.verdicts.iter().all(|verdict| !verdict.eligible()),
            "{}",
            disk.path
        );
    }
}
