use quorate_exec::Exit;
use quorate_exec::scripted::Call;

use super::super::testing::{Fake, fixture};
use super::*;

fn server() -> Fake {
    let fake = Fake::new();
    fake.put("/etc/os-release", fixture!("os-release/debian-12.out"));
    fake.put("/proc/sys/kernel/osrelease", "6.8.12-4-pve\n");
    fake.put("/proc/sys/kernel/random/boot_id", "0b1e\n");
    fake.put("/proc/uptime", fixture!("proc/6.18/uptime.out"));
    fake.put("/proc/loadavg", fixture!("proc/6.18/loadavg.out"));
    fake.put("/proc/meminfo", fixture!("proc/6.18/meminfo.out"));
    fake.put("/proc/cpuinfo", fixture!("proc/6.18/cpuinfo.out"));
    fake
}

fn pveversion() -> Call {
    Call::of(["/usr/bin/pveversion"]).prints(fixture!("pveversion/pve-8.4/version.out"))
}

fn chronyc() -> Call {
    Call::of(["/usr/bin/chronyc", "-c", "tracking"]).prints(fixture!("chronyc/4.3/synchronised.out"))
}

#[tokio::test]
async fn a_pve_server() {
    let system = observe(&server().host([pveversion(), chronyc()])).await.unwrap();
    assert_eq!(system.pve.get().unwrap().as_ref().unwrap().manager, "8.4.21");
    assert_eq!(
        (system.os.as_str(), system.kernel.as_str()),
        ("Debian GNU/Linux 12 (bookworm)", "6.8.12-4-pve")
    );
    assert_eq!((system.cpu.model.as_str(), system.cpu.threads), ("AMD EPYC", 2));
    assert_eq!(system.clock.synchronised.get().unwrap().source, "chronyc");
    assert_eq!(system.reboot_needed, None);
    assert!(system.agent.memory > ByteSize(100_000));
}

#[tokio::test]
async fn the_dear_version_is_asked_once_until_packages_change() {
    let fake = server();
    fake.put("/var/lib/dpkg/status", "");
    let host = fake.host([pveversion(), chronyc(), chronyc(), pveversion(), chronyc()]);
    observe(&host).await.unwrap();
    observe(&host).await.unwrap();
    let installed = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
    std::fs::File::open(fake.place("/var/lib/dpkg/status"))
        .unwrap()
        .set_modified(installed)
        .unwrap();
    observe(&host).await.unwrap();
}

#[tokio::test]
async fn no_pve_is_known_and_a_failing_pveversion_is_not() {
    let system = observe(&server().bare()).await.unwrap();
    assert_eq!(system.pve.get().unwrap(), &None);
    assert_eq!(
        system.clock.synchronised.get().unwrap_err().kind,
        UnknownKind::ToolMissing
    );
    let broken = Call::of(["/usr/bin/pveversion"])
        .exits(Exit::Code(255))
        .complains("Can't locate PVE/pvecfg.pm\n");
    let system = observe(&server().host([broken, chronyc()])).await.unwrap();
    let unknown = system.pve.get().unwrap_err();
    assert_eq!(
        unknown.reason,
        "pveversion failed (exit code 255): Can't locate PVE/pvecfg.pm"
    );
}

#[tokio::test]
async fn without_chronyd_systemd_is_asked() {
    let refused = Call::of(["/usr/bin/chronyc", "-c", "tracking"])
        .prints(fixture!("chronyc/4.3/no-daemon.out"))
        .exits(Exit::Code(1));
    let timedatectl =
        Call::of(["/usr/bin/timedatectl", "show", "-p", "NTPSynchronized"]).prints(fixture!("timedatectl/252/no.out"));
    let system = observe(&server().host([pveversion(), refused, timedatectl]))
        .await
        .unwrap();
    assert!(!system.clock.synchronised.get().unwrap().synchronised);
}

#[tokio::test]
async fn a_newer_kernel_of_the_same_flavour_asks_for_a_reboot() {
    let fake = server();
    fake.put("/boot/vmlinuz-6.8.4-2-pve", "");
    fake.put("/boot/vmlinuz-6.99.0-1-amd64", "");
    fake.put("/boot/vmlinuz-6.8.12-4-pve", "");
    let reason = |host: &Host| reboot_needed(host, "6.8.12-4-pve");
    assert_eq!(reason(&fake.bare()), None);
    fake.put("/boot/vmlinuz-6.8.12-10-pve", "");
    assert_eq!(
        reason(&fake.bare()).unwrap(),
        "kernel 6.8.12-10-pve is installed, 6.8.12-4-pve runs"
    );
    fake.put("/etc/kernel/proxmox-boot-pin", "6.8.12-4-pve\n");
    assert_eq!(reason(&fake.bare()), None);
    fake.put("/run/reboot-required", "");
    assert!(reason(&fake.bare()).unwrap().contains("/run/reboot-required"));
}

#[tokio::test]
async fn a_missing_figure_makes_the_facet_unknown() {
    let fake = server();
    fake.put("/proc/meminfo", "MemTotal: 1 kB\n");
    let unknown = observe(&fake.bare()).await.unwrap_err();
    assert_eq!(unknown.reason, "/proc/meminfo: MemAvailable is missing");
}
