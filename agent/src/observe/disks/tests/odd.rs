//! What is rarely on a disk, what lsblk does not show, and what only reading tells.

use super::*;

const ODD_DISKS: &str = r#"{"blockdevices": [
    {"name":"sda","kname":"sda","path":"/dev/sda","type":"disk","size":1000204886016,"rota":true,"serial":"A","ro":false,"rm":false,"pttype":null,"parttype":null,"mountpoints":[null],
     "fstype":"drbd","children":[
        {"name":"drbd0","kname":"drbd0","path":"/dev/drbd0","type":"disk","size":1,"rota":true,"ro":false,"rm":false,"pttype":null,"parttype":null,"mountpoints":[null],"fstype":"ext4"}]},
    {"name":"sdb","kname":"sdb","path":"/dev/sdb","type":"disk","size":1000204886016,"rota":true,"serial":"B","ro":false,"rm":false,"fstype":null,"parttype":null,"mountpoints":[null],
     "pttype":"gpt","children":[
        {"name":"sdb1","kname":"sdb1","path":"/dev/sdb1","type":"part","size":1,"rota":true,"ro":false,"rm":false,"fstype":null,"pttype":null,"mountpoints":[null],
         "parttype":"5808c8aa-7e8f-42e0-85d2-e1e90434cfb3"},
        {"name":"sdb2","kname":"sdb2","path":"/dev/sdb2","type":"part","size":1,"rota":true,"ro":false,"rm":false,"pttype":null,"mountpoints":[null],
         "parttype":"c12a7328-f81f-11d2-ba4b-00a0c93ec93b","fstype":"vfat"},
        {"name":"sdb3","kname":"sdb3","path":"/dev/sdb3","type":"part","size":1,"rota":true,"ro":false,"rm":false,"pttype":null,"mountpoints":[null],
         "parttype":"6a898cc3-1dd2-11b2-99a6-080020736631","fstype":"zfs_member","label":"oldtank"}]},
    {"name":"sdc","kname":"sdc","path":"/dev/sdc","type":"disk","size":1000204886016,"rota":true,"serial":"C","ro":false,"rm":false,"pttype":null,"parttype":null,"mountpoints":[null],
     "fstype":"zfs_member","label":"tank"},
    {"name":"sdd","kname":"sdd","path":"/dev/sdd","type":"disk","size":1000204886016,"rota":true,"serial":"D","ro":false,"rm":false,"fstype":null,"pttype":null,"parttype":null,"mountpoints":[null]}]}"#;

#[tokio::test]
async fn drbd_ldm_boot_partitions_and_labels_of_pools_are_known_by_name() {
    let pools = "tank\t1T\t1\t1\t-\t-\t0\t0\t1.00\tONLINE\t-\n\t/dev/sdc\t1\t-\t-\t-\t-\t-\t-\t-\tONLINE\n";
    let disks = disks(&Fake::new(), [lsblk(ODD_DISKS), zpool(pools)]).await;
    assert_eq!(held(&disks, "/dev/sda"), ["/dev/sda DRBD drbd0"]);
    let expected = [
        "/dev/sdb partition table gpt",
        "/dev/sdb1 LDM",
        "/dev/sdb2 file system vfat",
        "/dev/sdb2 boot EFI system partition",
        "/dev/sdb3 ZFS label oldtank",
    ];
    assert_eq!(held(&disks, "/dev/sdb"), expected);
    // That an imported pool has a label goes without saying.
    assert_eq!(held(&disks, "/dev/sdc"), ["/dev/sdc ZFS tank"]);
}

#[tokio::test]
async fn a_holder_that_lsblk_does_not_show_says_itself_what_it_is() {
    let fake = Fake::new();
    for (name, dm) in [
        ("md127", None),
        ("bcache3", None),
        ("drbd7", None),
        ("dm-0", Some(("CRYPT-LUKS2-f00-secret", "secret"))),
        ("dm-1", Some(("mpath-3600a098", "mpatha"))),
        ("dm-2", Some(("LVM-abc", "my--group-root"))),
        ("dm-3", Some(("VERITY-1", "odd"))),
    ] {
        fake.put(&format!("/sys/class/block/sdd/holders/{name}"), "");
        if let Some((uuid, called)) = dm {
            fake.put(&format!("/sys/block/{name}/dm/uuid"), &format!("{uuid}\n"));
            fake.put(&format!("/sys/block/{name}/dm/name"), &format!("{called}\n"));
        }
    }
    let disks = disks(&fake, [lsblk(ODD_DISKS), zpool("")]).await;
    let expected = [
        "/dev/sdd LVM my-group",
        "/dev/sdd md md127",
        "/dev/sdd LUKS secret",
        "/dev/sdd multipath mpatha",
        "/dev/sdd bcache bcache3",
        "/dev/sdd device mapper odd",
        "/dev/sdd DRBD drbd7",
    ];
    assert_eq!(held(&disks, "/dev/sdd"), expected);
}

fn refuses(columns: &str, refused: &str) -> Call {
    Call::of(["/usr/bin/lsblk", "--json", "--bytes", "--output", columns])
        .complains(format!("lsblk: unknown column: {refused}\n"))
        .exits(Exit::Code(1))
}

#[tokio::test]
async fn an_lsblk_that_can_not_tell_what_a_disk_carries_leaves_none_free() {
    let without = |column: &str| COLUMNS.replace(&format!("{column},"), "");
    let smart = |path| smartctl(path, "").complains("no\n").exits(Exit::Code(1));
    // What a transport is called is no reason.
    let fewer = without("TRAN");
    let answer = Call::of(["/usr/bin/lsblk", "--json", "--bytes", "--output", &fewer]).prints(TWO_DISKS);
    let calls = [
        refuses(COLUMNS, "TRAN,FSTYPE"),
        answer,
        zpool(""),
        smart("/dev/sda"),
        smart("/dev/sdb"),
    ];
    let found = observe(&Fake::new().host(calls), Depth::InPassing(&[]))
        .await
        .unwrap()
        .disks;
    assert!(found[0].verdicts.iter().all(|verdict| verdict.eligible()));

    let fewer = without("PTTYPE");
    let answer = Call::of(["/usr/bin/lsblk", "--json", "--bytes", "--output", &fewer]).prints(TWO_DISKS);
    let calls = [
        refuses(COLUMNS, "PTTYPE"),
        answer,
        zpool(""),
        smart("/dev/sda"),
        smart("/dev/sdb"),
    ];
    let found = observe(&Fake::new().host(calls), Depth::InPassing(&[]))
        .await
        .unwrap()
        .disks;
    let told = "whether it carries something or is in use can't be told: lsblk of this server does not know PTTYPE";
    for disk in &found {
        assert_eq!(disk.verdicts[0].against[0].text, told);
    }
}

fn edges(fake: &Fake, name: &str) -> Call {
    let root = std::fs::canonicalize(fake.place("/")).unwrap();
    let path = root.join("dev").join(name);
    Call::of([
        "/usr/bin/quorate-agent",
        "read-edges",
        path.to_str().unwrap(),
        "1000204886016",
        root.join("run/lock/pve-diskmanage.lck").to_str().unwrap(),
    ])
}

#[tokio::test]
async fn only_what_seems_free_is_read_and_only_when_somebody_asks() {
    let fake = Fake::new();
    for folder in ["/dev", "/run/lock"] {
        std::fs::create_dir_all(fake.place(folder)).unwrap();
    }
    let smart = |path| smartctl(path, "").complains("no\n").exits(Exit::Code(1));
    let three = TWO_DISKS.replace(
        "]}",
        r#",{"name":"sdc","kname":"sdc","path":"/dev/sdc","type":"disk","size":1000204886016,"rota":true,"serial":"C","ro":true,"rm":false,"fstype":null,"pttype":null,"mountpoints":[null],"parttype":null}]}"#,
    );
    let calls = [
        lsblk(&three),
        zpool(""),
        smart("/dev/sda"),
        smart("/dev/sdb"),
        smart("/dev/sdc"),
        edges(&fake, "sda").prints("{\"first\":null,\"last\":null,\"claimed\":false}\n"),
        edges(&fake, "sdb")
            .complains("error: /dev/sdb can't be read: Input/output error (os error 5)\n")
            .exits(Exit::Code(1)),
    ];
    let host = fake.host(calls).with_program("/usr/bin/quorate-agent".into());
    let found = observe(&host, Depth::Whole).await.unwrap().disks;
    let kinds = |disk: &Disk| {
        disk.verdicts[0]
            .against
            .iter()
            .map(|reason| reason.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(&found[0]), []);
    // One that can't be read makes nothing unknown but itself.
    assert_eq!(kinds(&found[1]), [ReasonKind::EdgesUnseen]);
    assert!(found[1].verdicts[0].against[0].text.contains("Input/output error"));
    assert_eq!(kinds(&found[2]), [ReasonKind::ReadOnly]);
    assert_eq!(found[2].edges.get().unwrap_err().kind, UnknownKind::NotAsked);
}
