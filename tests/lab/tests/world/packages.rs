//! dpkg and apt, as Debian 12's own were recorded.

use quorate_lab::plants::Plant;
use quorate_lab::{Lab, Output, Script, What};

use crate::{happened, lab, nothing_unknown};

const FORMAT: &str = "${Package}\\t${db:Status-Abbrev}\\t${Version}\\n";

async fn run(lab: &Lab, argv: &[&str]) -> Output {
    lab.tool("prox1", argv, None).await.expect("the tool runs")
}

async fn plant(lab: &Lab, plant: Plant) {
    lab.script("prox1", Script::Plant(plant)).await.expect("planted");
}

fn package(name: &str, installed: Option<&str>, candidate: Option<&str>, residual: bool) -> Plant {
    Plant::Package {
        name: name.to_owned(),
        installed: installed.map(str::to_owned),
        candidate: candidate.map(str::to_owned),
        residual,
    }
}

#[tokio::test]
async fn dpkg_tells_what_is_installed_and_complains_of_the_rest() {
    let lab = lab(|builder| {
        builder
            .nodes(1)
            .plant("prox1", package("gone", None, Some("1.2-3"), true))
    })
    .await;
    let output = run(
        &lab,
        &[
            "dpkg-query",
            "-W",
            "-f",
            FORMAT,
            "bash",
            "corosync-qdevice",
            "gone",
            "nosuch",
        ],
    )
    .await;
    assert_eq!(output.stdout, "bash\tii \t5.2.15-2+b8\ngone\trc \t1.2-3\n");
    assert_eq!(
        output.stderr,
        "dpkg-query: no packages found matching corosync-qdevice\ndpkg-query: no packages found matching nosuch\n"
    );
    assert_eq!(output.code(), Some(1));
    let output = run(&lab, &["dpkg-query", "-W", "-f", FORMAT, "pve-manager"]).await;
    assert_eq!(
        (output.stdout.as_str(), output.code()),
        ("pve-manager\tii \t8.4.21\n", Some(0))
    );
    nothing_unknown(&lab);
}

#[tokio::test]
async fn the_policy_shows_candidates_and_passes_over_what_it_never_heard_of() {
    let lab = lab(|builder| {
        builder.nodes(1).plant(
            "prox1",
            package("bash", Some("5.2.15-2+b8"), Some("5.2.15-2+b13"), false),
        )
    })
    .await;
    let output = run(&lab, &["apt-cache", "policy", "bash", "corosync-qdevice", "nosuch"]).await;
    assert_eq!(
        output.stdout,
        "bash:\n  Installed: 5.2.15-2+b8\n  Candidate: 5.2.15-2+b13\n  Version table:\n     5.2.15-2+b13 500\n        \
         500 http://deb.debian.org/debian bookworm/main amd64 Packages\n *** 5.2.15-2+b8 100\n        \
         100 /var/lib/dpkg/status\n\
         corosync-qdevice:\n  Installed: (none)\n  Candidate: 3.0.3-1\n  Version table:\n     3.0.3-1 500\n        \
         500 http://deb.debian.org/debian bookworm/main amd64 Packages\n"
    );
    assert_eq!((output.stderr.as_str(), output.code()), ("", Some(0)));
}

#[tokio::test]
async fn an_installation_is_simulated_done_and_then_nothing_is_left_to_do() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let simulated = run(&lab, &["apt-get", "-s", "install", "corosync-qdevice"]).await;
    assert_eq!(
        simulated.stdout,
        "Reading package lists...\nBuilding dependency tree...\nReading state information...\n\
         The following additional packages will be installed:\n  libnss3-tools\n\
         The following NEW packages will be installed:\n  corosync-qdevice libnss3-tools\n\
         0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.\n\
         Inst libnss3-tools (2:3.87.1-1+deb12u1 Debian:12.14/oldstable [amd64])\n\
         Inst corosync-qdevice (3.0.3-1 Debian:12.14/oldstable [amd64])\n\
         Conf libnss3-tools (2:3.87.1-1+deb12u1 Debian:12.14/oldstable [amd64])\n\
         Conf corosync-qdevice (3.0.3-1 Debian:12.14/oldstable [amd64])\n"
    );
    assert_eq!(happened(&lab, What::PackageInstalled), []);
    let argv = [
        "apt-get",
        "-y",
        "--no-install-recommends",
        "-o",
        "Dpkg::Options::=--force-confold",
        "install",
        "--",
        "corosync-qdevice",
    ];
    let done = run(&lab, &argv).await;
    assert!(
        done.success() && done.stdout.contains("Unpacking corosync-qdevice (3.0.3-1) ...\r\n"),
        "{done:?}"
    );
    assert!(done.stdout.ends_with("Setting up corosync-qdevice (3.0.3-1) ...\r\n"));
    assert!(
        lab.node("prox1")
            .expect("prox1")
            .bin
            .join("corosync-qdevice-tool")
            .exists()
    );
    let argv = [
        "systemctl",
        "show",
        "-p",
        "LoadState,ActiveState,UnitFileState",
        "corosync-qdevice",
    ];
    assert_eq!(
        run(&lab, &argv).await.stdout,
        "LoadState=loaded\nActiveState=inactive\nUnitFileState=disabled\n"
    );
    let again = run(
        &lab,
        &[
            "apt-get",
            "-y",
            "--no-install-recommends",
            "install",
            "corosync-qdevice",
        ],
    )
    .await;
    assert!(again.stdout.ends_with(
        "corosync-qdevice is already the newest version (3.0.3-1).\n0 upgraded, 0 newly installed, 0 to remove and 0 not \
         upgraded.\n"
    ));
    assert_eq!(happened(&lab, What::PackageInstalled).len(), 2);
    nothing_unknown(&lab);
}

#[tokio::test]
async fn apt_fails_as_planted() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let install = [
        "apt-get",
        "-y",
        "--no-install-recommends",
        "install",
        "corosync-qdevice",
    ];

    let output = run(&lab, &["apt-get", "-s", "install", "nosuch"]).await;
    assert_eq!(
        (output.stderr.as_str(), output.code()),
        ("E: Unable to locate package nosuch\n", Some(100))
    );

    plant(&lab, package("corosync-qdevice", None, None, false)).await;
    let output = run(&lab, &install).await;
    assert_eq!(
        (output.stderr.as_str(), output.code()),
        (
            "E: Package 'corosync-qdevice' has no installation candidate\n",
            Some(100)
        )
    );
    plant(&lab, package("corosync-qdevice", None, Some("3.0.3-1"), false)).await;

    plant(&lab, Plant::AptLocked { held: true }).await;
    let output = run(&lab, &install).await;
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str(), output.code()),
        (
            "",
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (apt-get)\nE: Unable to acquire \
             the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n",
            Some(100)
        )
    );
    assert_eq!(run(&lab, &["apt-get", "update"]).await.code(), Some(100));
    assert!(
        run(&lab, &["apt-get", "-s", "install", "corosync-qdevice"])
            .await
            .success(),
        "a simulation asks for no lock"
    );
    plant(&lab, Plant::AptLocked { held: false }).await;

    plant(&lab, Plant::AptUnreachable { away: true }).await;
    let output = run(&lab, &install).await;
    assert_eq!(output.code(), Some(100));
    assert!(
        output
            .stderr
            .ends_with("E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?\n")
    );
    let output = run(&lab, &["apt-get", "update"]).await;
    assert!(
        output.success() && output.stderr.starts_with("W: Failed to fetch http://deb.debian.org/"),
        "{output:?}"
    );
    plant(&lab, Plant::AptUnreachable { away: false }).await;
    assert_eq!(happened(&lab, What::PackageInstalled), []);
    assert!(run(&lab, &install).await.success());
}

#[tokio::test]
async fn the_enterprise_repository_refuses_whoever_has_no_subscription() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let output = run(&lab, &["apt-get", "update"]).await;
    assert!(output.success() && output.stderr.is_empty(), "{output:?}");
    plant(&lab, Plant::EnterpriseRepository).await;
    let output = run(&lab, &["apt-get", "update"]).await;
    assert_eq!(output.code(), Some(100));
    assert!(output.stderr.starts_with(
        "E: Failed to fetch https://enterprise.proxmox.com/debian/pve/dists/bookworm/InRelease  401  Unauthorized [IP: "
    ));
    assert!(
        output.stderr.ends_with(
            "E: The repository 'https://enterprise.proxmox.com/debian/pve bookworm InRelease' is not signed.\n"
        ),
        "{output:?}"
    );
    let file = lab
        .node("prox1")
        .expect("prox1")
        .root
        .join("etc/apt/sources.list.d/pve-enterprise.list");
    std::fs::remove_file(file).expect("removed");
    assert!(
        run(&lab, &["apt-get", "update"]).await.success(),
        "the files themselves decide"
    );
}

#[tokio::test]
async fn pending_updates_are_counted() {
    let lab = lab(|builder| builder.nodes(1).plant("prox1", Plant::Updates { count: 3 })).await;
    let output = run(&lab, &["apt-get", "-s", "-o", "Debug::NoLocking=1", "dist-upgrade"]).await;
    assert!(
        output
            .stdout
            .contains("3 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n"),
        "{output:?}"
    );
    assert_eq!(
        output.stdout.lines().filter(|line| line.starts_with("Inst ")).count(),
        3
    );
}
