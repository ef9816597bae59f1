//! The operator's guide is typed: what can be without installing anything. The packages themselves are installed and purged by
//! `cargo xtask dist --install`, in bare Debians.

use quorate_lab::Lab;
use quorate_suites::Fleet;
use quorate_suites::guide::Page;

const IN_DEBIAN: &str = "cargo xtask dist --install does so with dpkg, in bare Debians 12 and 13";
const BY_SYSTEMD: &str = "the lab has no systemd; its agents and coordinator are started as the units do";

#[test]
fn guide_install() {
    let mut page = Page::open("install.md");
    for line in [
        "apt install ./quorate_0.1.0_amd64.deb",
        "apt install ./quorate-agent_0.1.0_amd64.deb",
    ] {
        page.elsewhere(line, IN_DEBIAN);
    }
    for line in ["systemctl start quorate", "systemctl start quorate-agent"] {
        page.elsewhere(line, BY_SYSTEMD);
    }
    page.elsewhere(
        "quorate init --fleet home --advertise 192.168.1.5",
        "set-up.md, as the user that the tests run as",
    );
    page.elsewhere("quorate status", "look.md");
    page.elsewhere("quorate-agent enroll 192.168.1.5:7441", "enrol.md");
    page.elsewhere("cargo xtask dist --check", ".ci/reality");
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_uninstall() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    let mut page = Page::open("uninstall.md");
    page.types(&fleet, "quorate node remove --fleet-only hk1/prox1")
        .yes()
        .enter()
        .await;
    page.elsewhere("quorate backup /root/fleet.age", "backup.md");
    for line in ["apt purge quorate-agent", "apt purge quorate"] {
        page.elsewhere(line, IN_DEBIAN);
    }
}
