use quorate_exec::Exit;
use quorate_exec::scripted::Call;

use super::super::testing::{Fake, fixture};
use super::*;

const BLOB: &str = "AAAAB3NzaC1yc2EAAAADAQABAAACAQCxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

fn systemctl() -> Call {
    let argv = [
        "/usr/bin/systemctl",
        "show",
        "-p",
        "LoadState,ActiveState,SubState,UnitFileState",
    ];
    let unit = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n";
    Call::of(argv.into_iter().chain(SERVICES)).prints([unit; SERVICES.len()].join("\n"))
}

fn dpkg() -> Call {
    let format = "${db:Status-Abbrev}\\t${Package}\\t${Version}\\n";
    Call::of(["/usr/bin/dpkg-query", "-W", "-f", format].into_iter().chain(PACKAGES))
}

fn policy() -> Call {
    Call::of(["/usr/bin/apt-cache", "policy"].into_iter().chain(PACKAGES))
}

fn upgrade() -> Call {
    Call::of(["/usr/bin/apt-get", "-s", "-o", "Debug::NoLocking=1", "dist-upgrade"])
}

fn space(path: &str) -> Call {
    Call::of(["/usr/bin/df", "--output=avail,size", "-B1", path])
}

fn calls() -> Vec<Call> {
    vec![
        systemctl(),
        dpkg().prints("ii \tcorosync\t3.1.7-1\nrc \tcorosync-qnetd\t3.0.3-1\n"),
        policy().prints(fixture!("apt-cache/2.6.1/policy.out")),
        upgrade().prints(fixture!("apt-get/2.6.1/dist-upgrade.out")),
        space("/").prints(fixture!("df/9.1/one.out")),
        space("/var/lib/pve-cluster").prints("Avail\n 4096 8192\n"),
    ]
}

fn server() -> Fake {
    let fake = Fake::new();
    fake.put("/var/lib/pve-cluster/config.db", "");
    fake.put("/etc/apt/sources.list", fixture!("apt-sources/2.6.1/pve.list"));
    fake.put(
        "/etc/apt/sources.list.d/debian.sources",
        fixture!("apt-sources/2.6.1/debian.sources"),
    );
    fake.put("/etc/apt/sources.list.d/old.list.bak", "nonsense");
    fake.put("/root/.ssh/id_rsa.pub", &format!("ssh-rsa {BLOB} root@prox1\n"));
    fake.put("/etc/ssh/ssh_host_rsa_key.pub", &format!("ssh-rsa {BLOB} root@prox1\n"));
    fake.put(
        "/etc/ssh/ssh_host_ed25519_key.pub",
        &format!("ssh-ed25519 {BLOB} root@prox1\n"),
    );
    fake.put("/etc/ssh/ssh_host_rsa_key", "PRIVATE");
    let line = format!("from=\"10.0.0.1\",expiry-time=\"20261122110932Z\",no-pty ssh-rsa {BLOB} quorate:hk1\n");
    fake.put("/root/.ssh/authorized_keys", &line);
    fake
}

#[tokio::test]
async fn what_a_change_leans_on() {
    let seen = observe(&server().host(calls()), &BTreeSet::new()).await.unwrap();
    assert_eq!(seen.services.len(), SERVICES.len());
    assert!(seen.services["pveproxy"].get().unwrap().is_running());
    let packages = seen.packages.get().unwrap();
    assert_eq!(packages["corosync"].installed.as_deref(), Some("3.1.7-1"));
    assert_eq!(packages["corosync"].candidate.as_deref(), Some("3.1.7-1+deb12u2"));
    let qnetd = &packages["corosync-qnetd"];
    assert_eq!(
        (qnetd.installed.as_deref(), qnetd.candidate.as_deref()),
        (None, Some("3.0.3-1"))
    );
    assert_eq!(
        (&packages["proxmox-ve"].installed, &packages["proxmox-ve"].candidate),
        (&None, &None)
    );
    assert_eq!(seen.updates.get().unwrap(), &4);
    assert_eq!(seen.repositories.get().unwrap().len(), 6);
    assert_eq!(seen.free["/var/lib/pve-cluster"].get().unwrap(), &ByteSize(4096));
    assert_eq!(seen.free["/"].get().unwrap(), &ByteSize(65_037_406_208));
    assert!(seen.root_key.get().unwrap().is_some());
    assert_eq!(seen.host_keys.get().unwrap().len(), 2);
    let admitted = seen.admitted.get().unwrap();
    assert_eq!(
        (admitted[0].cluster.as_str(), admitted[0].until.to_string().as_str()),
        ("hk1", "2026-11-22T11:09:32Z")
    );
}

#[tokio::test]
async fn each_part_fails_alone() {
    let fake = server();
    std::fs::remove_dir_all(fake.place("/var/lib/pve-cluster")).unwrap();
    std::fs::remove_file(fake.place("/root/.ssh/id_rsa.pub")).unwrap();
    fake.put("/etc/apt/sources.list.d/x.list", "dbe http://x s\n");
    fake.put("/etc/ssh/ssh_host_rsa_key.pub", "what?");
    fake.put("/root/.ssh/authorized_keys", &format!("ssh-rsa {BLOB} quorate:hk1\n"));
    let calls = [
        systemctl()
            .exits(Exit::Code(1))
            .complains("System has not been booted with systemd\n"),
        dpkg().exits(Exit::Code(2)).complains("dpkg-query: error: locked\n"),
        policy().prints(""),
        upgrade()
            .exits(Exit::Code(100))
            .complains("E: The package cache file is corrupted\n"),
        space("/").prints("Avail\n"),
    ];
    let seen = observe(&fake.host(calls), &BTreeSet::new()).await.unwrap();
    assert!(seen.services.values().all(|state| !state.is_known()) && seen.services.len() == SERVICES.len());
    assert_eq!(
        seen.packages.get().unwrap_err().reason,
        "dpkg-query failed (exit code 2): dpkg-query: error: locked"
    );
    assert!(seen.updates.get().unwrap_err().reason.contains("corrupted"));
    assert_eq!(
        seen.repositories.get().unwrap_err().reason,
        "/etc/apt/sources.list.d/x.list: sources.list: expected `deb` or `deb-src`: `dbe http://x s`"
    );
    assert_eq!(
        seen.free["/var/lib/pve-cluster"].get().unwrap_err().reason,
        "/var/lib/pve-cluster does not exist"
    );
    assert!(!seen.free["/"].is_known() && !seen.host_keys.is_known() && !seen.admitted.is_known());
    assert_eq!(seen.root_key.get().unwrap(), &None, "that there is none is known");
}

#[tokio::test]
async fn what_is_missing_is_fetched_and_what_apt_says_of_it_is_told() {
    let wanted = BTreeSet::from([Package::CorosyncQdevice]);
    let dpkg = |prints: &str| {
        let format = "${db:Status-Abbrev}\\t${Package}\\t${Version}\\n";
        Call::of(["/usr/bin/dpkg-query", "-W", "-f", format, "corosync-qdevice"]).prints(prints)
    };
    let fetch = || {
        Call::of([
            "/usr/bin/apt-get",
            "-y",
            "--no-install-recommends",
            "--download-only",
            "-o",
            "Acquire::Retries=0",
            "install",
            "--",
            "corosync-qdevice",
        ])
    };
    let nothing = || {
        dpkg("")
            .exits(Exit::Code(1))
            .complains("dpkg-query: no packages found matching corosync-qdevice\n")
    };
    let asked = async |calls: Vec<Call>| super::fetch(&server().host(calls), &wanted).await;

    assert!(
        asked(vec![dpkg("ii \tcorosync-qdevice\t3.0.3-1\n")])
            .await
            .unwrap()
            .is_empty()
    );
    assert!(asked(vec![nothing(), fetch()]).await.unwrap().is_empty());
    let away = "E: Failed to fetch http://deb.debian.org/x.deb  Could not connect\n";
    let told = asked(vec![nothing(), fetch().exits(Exit::Code(100)).complains(away)]).await;
    assert!(told.unwrap()[0].contains("Could not connect"));
    let locked = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (apt)\n";
    let told = asked(vec![nothing(), fetch().exits(Exit::Code(100)).complains(locked)]).await;
    assert_eq!(
        told.unwrap_err().kind,
        UnknownKind::Failed,
        "another apt at work says nothing of it"
    );
    let none = super::fetch(&server().host([]), &BTreeSet::new()).await;
    assert_eq!(none.unwrap_err().kind, UnknownKind::NotAsked);
}
