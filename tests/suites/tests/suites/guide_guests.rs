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
    // What they do where something is held, has tests of its own.
    for how in ["--keep", "--discard"] {
        let resolve = format!("quorate replication resolve 100 {how}");
        let nothing = page.types(&fleet, &resolve).ends(3).enter().await;
        assert!(
            told(&nothing).contains("no copy of guest 100 is held"),
            "{}",
            told(&nothing)
        );
    }
}
