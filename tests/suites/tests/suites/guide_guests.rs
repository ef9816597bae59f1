//! The operator's guide is typed, on: guests are copied, put under HA, moved, and servers emptied.

use quorate_suites::guide::Page;
use quorate_suites::told;

use crate::protection::{THREE, nothing_to_do, owner, three};

#[tokio::test(flavor = "multi_thread")]
async fn guide_move_guests() {
    let (fleet, file) = three(true).await;
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.until("HA looks after it", async || fleet.armed("prox1")).await;
    let mut page = Page::open("move-guests.md");
    page.types(&fleet, "quorate migrate 100 hk1/prox2").yes().enter().await;
    assert_eq!(owner(&fleet).await, "prox2");
    page.types(&fleet, "quorate node drain hk1/prox1")
        .put("prox1", "prox2")
        .yes()
        .enter()
        .await;
    assert_ne!(owner(&fleet).await, "prox2");
    page.types(&fleet, "quorate node undrain hk1/prox1")
        .put("prox1", "prox2")
        .yes()
        .enter()
        .await;
    page.types(&fleet, "quorate reboot --rolling --cluster hk1")
        .yes()
        .enter()
        .await;
    fleet.all_in(&THREE).await;
    nothing_to_do(&fleet, &file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_copies_and_ha() {
    let (fleet, _) = three(false).await;
    let mut page = Page::open("copies-and-ha.md");
    assert!(page.block("toml", "[[replication]]").contains("[ha]"));
    let protect = page
        .types(&fleet, "quorate protect 100 --every 5m --ha")
        .may_end(3)
        .enter()
        .await;
    assert!(protect.stdout.contains("[[replication]]"), "{}", told(&protect));
    let plan = page.types(&fleet, "quorate plan hk1.toml").enter().await;
    assert!(
        plan.stdout.contains("copy guest 100 (web) from prox1 to prox2"),
        "{}",
        told(&plan)
    );
    page.types(&fleet, "quorate apply hk1.toml").yes().enter().await;
    page.types(&fleet, "quorate replication").enter().await;
    fleet.until("HA looks after it", async || fleet.armed("prox1")).await;
    let lost = page.types(&fleet, "quorate ha --if-lost prox1").enter().await;
    assert!(lost.stdout.contains("started on prox2"), "{}", told(&lost));
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_canary() {
    let (fleet, _) = crate::canary::with_pools().await;
    let [machine, container] = [0, 1].map(|number| fleet.lab.guest_address(number).to_string());
    let mut page = Page::open("canary.md");
    let made = page
        .types(
            &fleet,
            "quorate guest create-canary --id 900 --node hk1/prox1 --image /srv/debian-12.qcow2 --storage data_zfs --bridge vmbr0 --ip \
             192.168.1.90/24",
        )
        .put("192.168.1.90/24", format!("{machine}/24"))
        .yes()
        .enter()
        .await;
    assert!(made.stdout.contains("Canary 900 answers from here"), "{}", told(&made));
    let made = page
        .types(
            &fleet,
            "quorate guest create-canary --id 901 --node hk1/prox1 --template local:vztmpl/debian-12.tar.zst --storage data_zfs --bridge vmbr0 --ip \
             192.168.1.91/24",
        )
        .put("192.168.1.91/24", format!("{container}/24"))
        .yes()
        .enter()
        .await;
    assert!(made.stdout.contains("Canary 901 answers from here"), "{}", told(&made));
    assert!(page.block("toml", "[[replication]]").contains("tag:quorate-canary"));
    let moved = page
        .types(
            &fleet,
            "quorate migrate 900 hk1/prox2 --measure --probe tcp:192.168.1.90:7460",
        )
        .put("tcp:192.168.1.90:7460", format!("tcp:{machine}:7460"))
        .yes()
        .enter()
        .await;
    assert!(moved.stdout.contains("Pause: "), "{}", told(&moved));
    let shown = page
        .types(&fleet, "quorate ha --prove-reach 900 --at 192.168.1.90")
        .put("192.168.1.90", &machine)
        .yes()
        .enter()
        .await;
    assert_eq!(shown.stdout.matches(": reached; ").count(), 3, "{}", told(&shown));
    page.types(&fleet, "quorate guest remove-canary 900 --destroy guest:900")
        .yes()
        .enter()
        .await;
}
