//! A server that is drowning: all processors are busy and the system's disk is written to without end. The agent answers, and heals.

use quorate_model::observation::FacetName;
use quorate_model::observation::pools::VdevState;
use quorate_reality::disk::Disk;
use quorate_reality::guest::Guest;
use quorate_reality::{note, until};

use crate::create::STORAGE;
use crate::fleet::Fleet;
use crate::planning::{only_step, plan, wanted};
use crate::replace;

const WWN: u64 = 0x5000_c500_6000_0000;

fn ssd(n: u64) -> Disk {
    Disk::ssd(&format!("ssd{n}"), 512, &format!("S45NNA0N10417{n}"), WWN + n)
}

/// All processors are busy from now on, and the system's disk is written to without end.
pub(crate) async fn drown(guest: &Guest) {
    // Two for each processor, each with a share of its own, as guests have them.
    for n in 1..=4 {
        let unit = format!("--unit=burn{n}");
        guest
            .ok(&["systemd-run", "--quiet", &unit, "/bin/sh", "-c", "while :; do :; done"])
            .await;
    }
    let write = "while :; do dd if=/dev/zero of=/var/tmp/fill bs=1M count=64 conv=fsync status=none; done";
    guest
        .ok(&["systemd-run", "--quiet", "--unit=fill", "/bin/sh", "-c", write])
        .await;
    note("the machine is drowning");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and minutes: .ci/reality runs it"]
async fn a_drowning_server_still_answers_and_is_healed() {
    let mut fleet = Fleet::enrolled(vec![ssd(1), ssd(2)], async |_: &Guest| {}).await;
    let driving = fleet.driving();
    let mirror = wanted("data_zfs", "mirror", "{ count = 2, kind = \"ssd\" }");
    let (create, layout) = only_step(&plan(&driving.known(&STORAGE).await, &mirror));
    driving.done("op-mirror", &create).await;
    fleet.guest().does("systemctl stop zfs-zed.service").await;
    fleet.machine.pull("ssd2").await;
    fleet.machine.plug(ssd(3)).await;
    drown(fleet.guest()).await;

    for _ in 0..3 {
        let seen = driving.look(&[FacetName::System]).await;
        assert!(seen.system.is_known(), "{:#?}", seen.system);
    }
    let status = fleet.json(&["status"]).await;
    assert!(status.to_string().contains("prox1"), "{status:#}");
    note("it answers");
    let disks = driving.known(&STORAGE).await;
    let found = &disks.disks.get().unwrap().disks;
    let new = found
        .iter()
        .find(|disk| disk.serial.as_deref() == Some("S45NNA0N104173"));
    let pulled = format!("/dev/disk/by-id/{}-part1", layout.disks[1].link);
    let replace = replace::planned(&disks, &mirror, &pulled, new.unwrap().stable_name().unwrap());
    driving.done("op-replace", &replace).await;
    until("the pool is whole again", async || {
        let seen = driving.known(&STORAGE).await;
        let pools = seen.pools.get().unwrap();
        pools
            .iter()
            .any(|pool| pool.name == "data_zfs" && pool.state == VdevState::Online)
    })
    .await;
    note("it is healed");
    // And it was the machine that was busy, all the time.
    let busy = fleet
        .guest()
        .does("systemctl is-active burn1 burn2 burn3 burn4 fill")
        .await;
    assert_eq!(busy, "active\n".repeat(5));
}
