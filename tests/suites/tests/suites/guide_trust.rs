//! The operator's guide is typed: who works from elsewhere, and the exchange of what they are believed by.

use quorate_lab::Lab;
use quorate_suites::guide::Page;
use quorate_suites::{Fleet, told};

#[tokio::test(flavor = "multi_thread")]
async fn guide_operators() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(1)).await;
    let passphrase = fleet.passphrase_file().to_string_lossy().into_owned();
    let passphrase = ["--passphrase-file", passphrase.as_str()];
    let mut page = Page::open("operators.md");
    for line in [
        "quorate operator add anna --out anna.pem",
        "quorate operator add otto --cluster hk1 --out otto.pem",
        "quorate operator add tv --viewer --out tv.pem",
    ] {
        page.types(&fleet, line).and(&passphrase).enter().await;
    }
    let listed = page.types(&fleet, "quorate operator list").enter().await;
    assert!(listed.stdout.contains("otto"), "{}", told(&listed));
    page.types(&fleet, "quorate operator remove anna").enter().await;
    let listed = page.types(&fleet, "quorate operator list").enter().await;
    assert!(listed.stdout.contains("REMOVED"), "{}", told(&listed));
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_rotate() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    let passphrase = fleet.passphrase_file().to_string_lossy().into_owned();
    let passphrase = ["--passphrase-file", passphrase.as_str()];
    let mut page = Page::open("rotate.md");
    page.types(&fleet, "quorate ca begin").and(&passphrase).enter().await;
    for step in ["quorate ca switch", "quorate ca finish"] {
        fleet
            .until("no server is missing", async || {
                fleet.json(&["ca", "status"]).await["missing"] == serde_json::json!([])
            })
            .await;
        page.types(&fleet, step).enter().await;
    }
    let status = page.types(&fleet, "quorate ca status").enter().await;
    assert!(
        status.stdout.contains("No exchange of the CA is under way"),
        "{}",
        told(&status)
    );
    fleet.connected(&fleet.lab.names()).await;
}
