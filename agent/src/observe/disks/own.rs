//! What only this server can say of its disks: that its policy forbids to touch one, and that what lies on one is left from a try of ours.

use quorate_model::observation::disks::{Disk, Disks, Edges, HolderKind, Partition};
use quorate_model::observation::eligibility::{Reason, ReasonKind, Role};
use quorate_tools::blkid;

use super::edges::{Meanwhile, read_device};
use crate::begun_pools::{self, Begun};
use crate::host::{Host, ReadError};

/// The file systems from which PVE's proxmox-boot-tool boots this server, by their UUIDs. They are mounted only while it writes to them.
const BOOTED_FROM: &str = "/etc/kernel/proxmox-boot-uuids";

/// The partition that ZFS makes for the data, and the small one that it makes behind it. Source: OpenZFS, `zpool_label_disk`.
const DATA: &str = "6a898cc3-1dd2-11b2-99a6-080020736631";
const RESERVED: &str = "6a945a3b-1dd2-11b2-99a6-080020736631";

/// Adds to the verdicts what the policy forbids and what this server boots from, and takes out of them what is left from a try to give a
/// disk to a pool that never came about.
pub(super) async fn judge(host: &Host, disks: &mut Disks, meanwhile: Meanwhile) {
    let begun = host.state_dir().map(begun_pools::all).unwrap_or_default();
    let booted_from = booted_from(host);
    for index in 0..disks.disks.len() {
        let left_by = left_by(host, disks, index, &begun, meanwhile).await;
        let Some(disk) = disks.disks.get_mut(index) else {
            continue;
        };
        if let Some(begun) = left_by {
            pardon(disk, begun);
        }
        let boots = boots(disk, &booted_from);
        let forbidden = forbidden(disk, host.never_touch()).map(|name| Reason {
            kind: ReasonKind::NeverTouch,
            text: format!("/etc/quorate/agent.toml says never to touch {name}"),
        });
        for reason in boots.into_iter().chain(forbidden) {
            disk.verdicts
                .iter_mut()
                .for_each(|verdict| verdict.against.push(reason.clone()));
        }
    }
}

/// What proxmox-boot-tool writes to, or why that can't be told; nothing where PVE boots by other means.
fn booted_from(host: &Host) -> Result<Vec<String>, String> {
    match host.root().read_text(BOOTED_FROM) {
        Ok(text) => Ok(text.split_whitespace().map(str::to_owned).collect()),
        Err(ReadError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    }
}

/// That this server boots from it, if so. Where that can't be told, whatever any server boots from is held for it.
fn boots(disk: &Disk, booted_from: &Result<Vec<String>, String>) -> Option<Reason> {
    match booted_from {
        Ok(uuids) => {
            let mut holders = disk.holders.iter();
            let used = holders.find(|holder| {
                let uuid = holder.uuid.as_ref();
                uuid.is_some_and(|uuid| uuids.iter().any(|own| own.eq_ignore_ascii_case(uuid)))
            })?;
            Some(Reason {
                kind: ReasonKind::InUse,
                text: format!("{} is what this server boots from ({BOOTED_FROM})", used.device),
            })
        }
        Err(why) => {
            let mut holders = disk.holders.iter();
            let maybe = holders.find(|holder| holder.kind == HolderKind::Boot)?;
            Some(Reason {
                kind: ReasonKind::SignaturesUnseen,
                text: format!("whether this server boots from {} can't be told: {why}", maybe.device),
            })
        }
    }
}

/// The name by which the policy forbids it, whatever its case and however it says whose number a WWN is.
fn forbidden<'n>(disk: &Disk, never_touch: &'n [String]) -> Option<&'n str> {
    let links = disk
        .by_id
        .iter()
        .chain(disk.partitions.iter().flat_map(|part| &part.by_id));
    let own: Vec<String> = links
        .chain(&disk.wwn)
        .chain(&disk.serial)
        .map(|name| bare(name))
        .collect();
    let is_it = |forbidden: &str| own.contains(&bare(forbidden));
    never_touch.iter().map(String::as_str).find(|name| is_it(name))
}

/// `/dev/disk/by-id/wwn-0x5002538E…`, `naa.5002538e…` and `5002538e…` are one name; so are `nvme-eui.0025…` and `eui.0025…`.
fn bare(name: &str) -> String {
    let mut name = name.trim().to_ascii_lowercase();
    for prefix in ["/dev/disk/by-id/", "wwn-", "nvme-eui.", "eui.", "naa.", "0x"] {
        if let Some(rest) = name.strip_prefix(prefix) {
            name = rest.to_owned();
        }
    }
    name
}

/// What was begun here and left on the disk what it carries: nothing but the two empty partitions that ZFS makes first. A label in them
/// would be that of a pool that came about, here or elsewhere, and is nobody's leftover.
async fn left_by<'b>(
    host: &Host,
    disks: &Disks,
    index: usize,
    begun: &'b [Begun],
    meanwhile: Meanwhile,
) -> Option<&'b Begun> {
    let disk = disks.disks.get(index)?;
    let begun = begun.iter().find(|begun| {
        let mut planned = begun.disks.iter();
        planned.any(|planned| planned.find(disks).is_ok_and(|found| found.path == disk.path))
    })?;
    let [data, reserved] = disk.partitions.as_slice() else {
        return None;
    };
    let as_zfs_makes_them = is(data, DATA, "1") && is(reserved, RESERVED, "9");
    let only_leftovers = disk
        .verdicts
        .iter()
        .flat_map(|verdict| &verdict.against)
        .all(|reason| reason.kind.goes_by_wiping() || reason.kind.is_about_the_role());
    if !as_zfs_makes_them || disk.fstype.is_some() || !only_leftovers {
        return None;
    }
    // udev's database may lag behind: the device itself is asked.
    let seen = host.ask(blkid::probe(host.tools(), &data.path)).await.ok()?;
    if !blkid::is_empty_partition(&seen, DATA) {
        return None;
    }
    let edges = read_device(host, &data.path, data.size, meanwhile).await.ok()?;
    (edges == Edges::default()).then_some(begun)
}

fn is(partition: &Partition, parttype: &str, number: &str) -> bool {
    let typed = partition
        .parttype
        .as_deref()
        .is_some_and(|is| is.eq_ignore_ascii_case(parttype));
    typed && partition.fstype.is_none() && partition.path.ends_with(number)
}

/// For ZFS alone: zpool takes such a disk without a word, `ceph-volume` does not.
fn pardon(disk: &mut Disk, begun: &Begun) {
    for verdict in disk.verdicts.iter_mut().filter(|verdict| verdict.role == Role::Zfs) {
        verdict.against.retain(|reason| !reason.kind.goes_by_wiping());
        verdict.notes.push(format!(
            "carries two empty partitions, left here by a try to give it to pool {} that did not come to its end",
            begun.pool
        ));
    }
}

#[cfg(test)]
mod tests {
    use quorate_exec::scripted::Call;
    use quorate_exec::{Exit, Tools};
    use quorate_model::ByteSize;
    use quorate_model::pool_layout::DiskIdentity;

    use super::super::super::testing::Fake;
    use super::super::{Claims, disk, sysfs};
    use super::*;

    const LEFT: &str = r#"{"blockdevices": [
        {"name":"sdb","kname":"sdb","path":"/dev/sdb","type":"disk","size":1000204886016,"rota":true,"serial":"B","ro":false,"rm":false,
         "wwn":"0x5002538E40A1B2C3","pttype":"gpt","ptuuid":"t1","children":[
            {"name":"sdb1","kname":"sdb1","path":"/dev/sdb1","type":"part","size":1000194015232,"rota":true,"ro":false,"rm":false,
             "parttype":"6a898cc3-1dd2-11b2-99a6-080020736631"},
            {"name":"sdb9","kname":"sdb9","path":"/dev/sdb9","type":"part","size":8388608,"rota":true,"ro":false,"rm":false,
             "parttype":"6a945a3b-1dd2-11b2-99a6-080020736631"}]}]}"#;

    const BOOT: &str = r#"{"blockdevices": [
        {"name":"sda","kname":"sda","path":"/dev/sda","type":"disk","size":1000204886016,"rota":true,"serial":"A","ro":false,"rm":false,
         "pttype":"gpt","children":[
            {"name":"sda2","kname":"sda2","path":"/dev/sda2","type":"part","size":1073741824,"rota":true,"ro":false,"rm":false,
             "parttype":"c12a7328-f81f-11d2-ba4b-00a0c93ec93b","fstype":"vfat","uuid":"7C4A-1B01"}]}]}"#;

    /// The disks of this answer of lsblk, judged by what the node's devices say.
    fn seen(fake: &Fake, answer: &str) -> Disks {
        let host = fake.host([]);
        let by_id = sysfs::by_id_links(&host).unwrap();
        let devices = quorate_tools::lsblk::read(answer).unwrap();
        let of = |device| {
            let mut disk = disk(&host, device, &Claims::default(), &by_id);
            disk.verdicts = Role::ALL
                .iter()
                .map(|role| quorate_model::observation::eligibility::judge(&disk, *role))
                .collect();
            disk
        };
        Disks {
            disks: devices.iter().map(of).collect(),
        }
    }

    fn against(disks: &Disks) -> Vec<ReasonKind> {
        disks.disks[0].verdicts[0]
            .against
            .iter()
            .map(|reason| reason.kind)
            .collect()
    }

    /// What is said of a disk that a `zpool add` left, where blkid and the reader of its data partition answer so.
    async fn leftover(blkid: (&str, i32), edges: &str) -> Vec<ReasonKind> {
        let fake = Fake::new();
        fake.link("../../sdb", "/dev/disk/by-id/ata-DISK_B");
        let mut disks = seen(&fake, LEFT);
        let state_dir = fake.place("/state");
        std::fs::create_dir_all(&state_dir).unwrap();
        let begun = Begun {
            pool: "tank".parse().unwrap(),
            disks: vec![DiskIdentity::of(&disks.disks[0]).unwrap()],
        };
        begun_pools::begin(&state_dir, &"op-1".parse().unwrap(), &begun).unwrap();
        let device = std::fs::canonicalize(fake.place("/dev")).unwrap().join("sdb1");
        let reader = [
            "/usr/bin/quorate-agent",
            "read-edges",
            device.to_str().unwrap(),
            "1000194015232",
        ];
        let mut calls = vec![
            Call::of(["/usr/bin/blkid", "-p", "-o", "export", "/dev/sdb1"])
                .prints(blkid.0)
                .exits(Exit::Code(blkid.1)),
        ];
        if !edges.is_empty() {
            calls.push(Call::of(reader).prints(edges));
        }
        let host = fake.host_with(Tools::imagined(), calls, quorate_clock::Clock::system());
        let host = host
            .with_program("/usr/bin/quorate-agent".into())
            .remembering_in(state_dir);
        judge(&host, &mut disks, Meanwhile::Nobody).await;
        against(&disks)
    }

    #[tokio::test]
    async fn our_own_leftover_is_one_only_if_its_partition_was_seen_to_be_empty() {
        let empty = "DEVNAME=/dev/sdb1\nPART_ENTRY_SCHEME=gpt\nPART_ENTRY_TYPE=6a898cc3-1dd2-11b2-99a6-080020736631\n";
        let free = "{\"first\":null,\"last\":null,\"claimed\":false}\n";
        assert_eq!(leftover((empty, 0), free).await, []);
        let left = [ReasonKind::Leftover, ReasonKind::Leftover];
        // blkid says as little of a device that it can't read.
        assert_eq!(leftover(("", 2), "").await, left);
        let filled = "{\"first\":16384,\"last\":null,\"claimed\":false}\n";
        assert_eq!(leftover((empty, 0), filled).await, left);
        assert_eq!(leftover((&format!("{empty}TYPE=ext4\n"), 0), "").await, left);
    }

    #[tokio::test]
    async fn what_the_server_boots_from_is_in_use_though_nobody_mounts_it() {
        let fake = Fake::new();
        let mut disks = seen(&fake, BOOT);
        judge(&fake.host([]), &mut disks, Meanwhile::Nobody).await;
        assert!(!against(&disks).contains(&ReasonKind::InUse));
        fake.put("/etc/kernel/proxmox-boot-uuids", "7c4a-1b01\n7C4A-1B02\n");
        judge(&fake.host([]), &mut disks, Meanwhile::Nobody).await;
        let last = disks.disks[0].verdicts[0].against.last().unwrap();
        assert_eq!(
            (last.kind, last.text.as_str()),
            (
                ReasonKind::InUse,
                "/dev/sda2 is what this server boots from (/etc/kernel/proxmox-boot-uuids)"
            )
        );
    }

    #[test]
    fn a_disk_is_forbidden_by_whichever_of_its_names() {
        let fake = Fake::new();
        fake.link("../../sdb", "/dev/disk/by-id/ata-DISK_B");
        let disks = seen(&fake, LEFT);
        let forbids = |name: &str| forbidden(&disks.disks[0], &[name.to_owned()]).is_some();
        for name in [
            "B",
            "b",
            "ata-DISK_B",
            "/dev/disk/by-id/ata-disk_b",
            "0x5002538e40a1b2c3",
            "5002538E40A1B2C3",
            "wwn-0x5002538e40a1b2c3",
            "naa.5002538e40a1b2c3",
        ] {
            assert!(forbids(name), "{name}");
        }
        assert!(!forbids("A") && !forbids("0x5002538e40a1b2c4"));
        assert_eq!(disks.disks[0].size, ByteSize(1_000_204_886_016));
    }
}
