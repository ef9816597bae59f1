//! Whole disks, their partitions, what holds each, their health, and what each may be used for.
//!
//! Listed is every device that lsblk calls a `disk` and that lies on no other: real disks, and also zram, zvols, nbd and
//! rbd, which have no identity and are therefore eligible for nothing. Loop devices and optical drives are not listed.

pub(crate) mod edges;
mod holders;
mod mounts;
mod own;
mod sight;
mod signature;
mod smart;
mod sysfs;

use std::collections::BTreeMap;

use edges::Meanwhile;
use quorate_model::facet::Unknown;
use quorate_model::observation::disks::{Disk, Disks, Partition};
use quorate_model::observation::eligibility::{Reason, ReasonKind, Role, judge};
use quorate_model::size::ByteSize;
use quorate_tools::lsblk::{self, Columns, Device};
use quorate_tools::lvs::LogicalVolume;
use quorate_tools::pvs::PhysicalVolume;
use quorate_tools::zpool::Member;
use quorate_tools::{lvs, pvs, zpool};

use crate::host::{Host, complaint, text, unparsable};

pub(crate) use sysfs::led_to;

/// What other tools know of the devices, beside lsblk.
#[derive(Debug, Default)]
struct Claims {
    pools: Vec<Member>,
    physical_volumes: Vec<PhysicalVolume>,
    logical_volumes: Vec<LogicalVolume>,
}

/// How closely disks are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Depth<'a> {
    /// By who watches: no disk is read, and SMART is asked anew but for disks whose earlier answer among these is still good.
    InPassing(&'a [Disk]),
    /// By who asks what disks may be used for: those that seem to be free are read, too.
    Whole,
    /// By who is about to act: the same, and what is on them is looked at last, after all that takes its time.
    Acting,
}

/// Observes the disks.
pub(super) async fn observe(host: &Host, depth: Depth<'_>) -> Result<Disks, Unknown> {
    let (devices, untold, mut disks) = match depth {
        Depth::InPassing(recent) => {
            let mut seen = listed(host).await?;
            smart::add(host, &mut seen.2, recent).await;
            seen
        }
        Depth::Whole => {
            let mut seen = listed(host).await?;
            smart::add(host, &mut seen.2, &[]).await;
            seen
        }
        Depth::Acting => {
            // SMART of all disks may take a minute, in which somebody may begin to use one.
            let (.., mut before) = listed(host).await?;
            smart::add(host, &mut before, &[]).await;
            let mut seen = listed(host).await?;
            smart::carry_over(&before, &mut seen.2);
            seen
        }
    };
    let meanwhile = match depth {
        Depth::InPassing(_) | Depth::Whole => Meanwhile::Others,
        Depth::Acting => Meanwhile::Nobody,
    };
    if matches!(depth, Depth::Whole | Depth::Acting) {
        edges::add(host, &mut disks, meanwhile).await;
    }
    let unseen = sight::unseen(host, &devices).await;
    let untold = (!untold.is_empty()).then(|| Reason {
        kind: ReasonKind::SignaturesUnseen,
        text: format!(
            "whether it carries something or is in use can't be told: lsblk of this server does not know {}",
            untold.join(", ")
        ),
    });
    for disk in &mut disks {
        disk.verdicts = Role::ALL.iter().map(|role| judge(disk, *role)).collect();
        for reason in unseen.get(&disk.path).into_iter().chain(&untold) {
            disk.verdicts
                .iter_mut()
                .for_each(|verdict| verdict.against.push(reason.clone()));
        }
    }
    let mut disks = Disks { disks };
    own::judge(host, &mut disks, meanwhile).await;
    Ok(disks)
}

/// All devices, which columns this lsblk can't tell, and the disks among them with what holds each.
async fn listed(host: &Host) -> Result<(Vec<Device>, Vec<&'static str>, Vec<Disk>), Unknown> {
    let (mut devices, untold) = devices(host).await?;
    mounts::as_on_the_host(host, &mut devices)?;
    let claims = claims(host, &devices).await?;
    let by_id = sysfs::by_id_links(host)?;
    let roots = devices.iter().filter(|device| device.kind == "disk");
    let mut disks: Vec<Disk> = roots.map(|device| disk(host, device, &claims, &by_id)).collect();
    disks.sort_by_key(|disk| natural(&disk.path));
    Ok((devices, untold, disks))
}

/// Waits for at most eight futures at once.
async fn together(futures: Vec<impl Future<Output = ()>>) {
    let mut futures = futures.into_iter();
    let mut next = || {
        let future = futures.next();
        async move {
            if let Some(future) = future {
                future.await;
            }
        }
    };
    tokio::join!(next(), next(), next(), next(), next(), next(), next(), next());
}

/// All devices, and which columns that tell of what they carry this lsblk does not know.
async fn devices(host: &Host) -> Result<(Vec<Device>, Vec<&'static str>), Unknown> {
    let mut columns = Columns::default();
    loop {
        let finished = host.run(lsblk::list(host.tools(), &columns)).await?;
        if finished.exit.is_success() {
            let devices = columns.read(&text(lsblk::NAME, &finished)?).map_err(unparsable)?;
            return Ok((devices, columns.untold()));
        }
        // It names one at a time; each time there are fewer to name.
        match columns.without_refused(&finished.stderr_text()) {
            Some(fewer) => columns = fewer,
            None => return Err(complaint(lsblk::NAME, &finished)),
        }
    }
}

/// A zpool that is installed but does not answer makes everything unknown: "in no pool" could not be said of any disk.
/// What LVM's tools add are only names: that a disk is a physical volume lsblk has seen already.
async fn claims(host: &Host, devices: &[Device]) -> Result<Claims, Unknown> {
    let tree = || devices.iter().flat_map(Device::tree);
    let has_lvm = tree().any(|device| device.kind == "lvm" || device.fstype.as_deref() == Some(signature::LVM));
    let (pools, lvm) = tokio::join!(pools(host), async {
        if has_lvm {
            tokio::join!(physical_volumes(host), logical_volumes(host))
        } else {
            Default::default()
        }
    });
    Ok(Claims {
        pools: pools?,
        physical_volumes: lvm.0,
        logical_volumes: lvm.1,
    })
}

async fn pools(host: &Host) -> Result<Vec<Member>, Unknown> {
    if host.tools().find(zpool::NAME).is_err() {
        return Ok(Vec::new());
    }
    // Without the kernel's module no pool can be imported, and zpool says so with an error.
    let finished = host.run(zpool::list_devices(host.tools())).await?;
    if !finished.exit.is_success() && zpool::says_no_module(&finished.stderr_text()) {
        return Ok(Vec::new());
    }
    if !finished.exit.is_success() {
        return Err(complaint(zpool::NAME, &finished));
    }
    zpool::read_devices(&text(zpool::NAME, &finished)?).map_err(unparsable)
}

async fn physical_volumes(host: &Host) -> Vec<PhysicalVolume> {
    let answer = host.ask(pvs::list(host.tools())).await;
    named_or_not(answer.and_then(|stdout| pvs::read(&stdout).map_err(unparsable)))
}

async fn logical_volumes(host: &Host) -> Vec<LogicalVolume> {
    let answer = host.ask(lvs::list(host.tools())).await;
    named_or_not(answer.and_then(|stdout| lvs::read(&stdout).map_err(unparsable)))
}

fn named_or_not<T>(answer: Result<Vec<T>, Unknown>) -> Vec<T> {
    answer.unwrap_or_else(|unknown| {
        tracing::warn!(
            reason = unknown.reason,
            "LVM's names are missing from what holds the disks"
        );
        Vec::new()
    })
}

fn disk(host: &Host, device: &Device, claims: &Claims, by_id: &BTreeMap<String, Vec<String>>) -> Disk {
    let partitions = device.children.iter().filter(|child| child.kind == "part");
    Disk {
        path: device.path.clone(),
        by_id: by_id.get(&device.kname).cloned().unwrap_or_default(),
        wwn: device.wwn.clone(),
        serial: device.serial.clone(),
        model: device.model.clone(),
        vendor: device.vendor.clone(),
        size: ByteSize(device.size),
        rotational: device.rota,
        transport: device.tran.clone(),
        hctl: device.hctl.clone(),
        read_only: device.ro,
        removable: device.rm,
        partition_table: device.pttype.clone(),
        fstype: device.fstype.clone(),
        controller: sysfs::controller(host, &device.sysfs_name()),
        raid_level: sysfs::raid_level(host, &device.sysfs_name()),
        partitions: partitions.map(|device| partition(device, by_id)).collect(),
        holders: holders::of(host, device, claims),
        smart: quorate_model::Facet::not_asked(),
        edges: quorate_model::Facet::not_asked(),
        verdicts: Vec::new(),
    }
}

fn partition(device: &Device, by_id: &BTreeMap<String, Vec<String>>) -> Partition {
    let mounted = device.mountpoints.iter().filter(|point| *point != lsblk::SWAP);
    Partition {
        path: device.path.clone(),
        size: ByteSize(device.size),
        parttype: device.parttype.clone(),
        fstype: device.fstype.clone(),
        mountpoints: mounted.cloned().collect(),
        by_id: by_id.get(&device.kname).cloned().unwrap_or_default(),
    }
}

/// `sda` before `sdb` before `sdaa`, `nvme2n1` before `nvme10n1`: as the kernel counted them.
fn natural(path: &str) -> (String, usize, Vec<u64>, String) {
    let letters: String = path.chars().take_while(|c| !c.is_ascii_digit()).collect();
    let numbers = path
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect();
    let stem = letters
        .get(..letters.len().min("/dev/sd".len()))
        .unwrap_or(&letters)
        .to_owned();
    (stem, letters.len(), numbers, path.to_owned())
}

#[cfg(test)]
mod tests;
