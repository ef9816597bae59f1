//! The operator's guide is typed, page after page: from a bare host to a cluster with pools and storages, and its upkeep.

use std::os::unix::fs::PermissionsExt as _;

use quorate_lab::{Lab, Script};
use quorate_suites::guide::{Page, pages_with_commands};
use quorate_suites::hand::{ONE_LINK, steps};
use quorate_suites::{Fleet, told};

/// The tests of the guide, to see that no page is left out.
const TESTS: [&str; 6] = [
    include_str!("guide.rs"),
    include_str!("guide_guests.rs"),
    include_str!("guide_install.rs"),
    include_str!("guide_life.rs"),
    include_str!("guide_trust.rs"),
    include_str!("recovery.rs"),
];

#[test]
fn every_page_with_commands_is_typed() {
    let open = |name: &str| format!("Page::open(\"{name}\")");
    let left_out: Vec<String> = pages_with_commands()
        .into_iter()
        .filter(|name| !TESTS.iter().any(|test| test.contains(&open(name))))
        .collect();
    assert_eq!(left_out, Vec::<String>::new(), "pages whose commands nobody types");
}

/// `set-up.md`: a fleet, its daemon, and operators elsewhere.
async fn set_up(fleet: &Fleet) {
    let mut page = Page::open("set-up.md");
    let passphrase = fleet.passphrase_file().to_string_lossy().into_owned();
    let passphrase = ["--passphrase-file", passphrase.as_str()];
    let advertise = fleet.lab.coordinator_address().to_string();
    page.types(fleet, "quorate init --fleet home --advertise 192.168.1.5")
        .put("192.168.1.5", &advertise)
        .and(&passphrase)
        .enter()
        .await;
    page.elsewhere("systemctl start quorate", "the lab starts it, and stops it at the end");
    fleet.start_coordinator(&[]).await;
    page.types(fleet, "quorate operator add anna --out anna.pem")
        .and(&passphrase)
        .enter()
        .await;
    page.types(fleet, "quorate operator add ben --viewer --out ben.pem")
        .and(&passphrase)
        .enter()
        .await;

    // On the other host, with nothing but the page's file and the bundle.
    let there = fleet.lab.layout().coordinator().join("elsewhere");
    std::fs::create_dir(&there).unwrap();
    let api = fleet.configured("api_listen");
    let bundle = fleet.lab.layout().coordinator().join("ben.pem");
    let config = page
        .block("toml", "[remote]")
        .replace("192.168.1.5:7440", &api)
        .replace("/root/anna.pem", &bundle.to_string_lossy());
    let config_file = there.join("coordinator.toml");
    std::fs::write(&config_file, config).unwrap();
    let config_file = config_file.to_string_lossy().into_owned();
    let seen = fleet.ok(&["node", "list", "--config", &config_file]).await;
    assert!(seen.success(), "{}", told(&seen));
}

/// `enrol.md`: each server is invited, and enrols itself.
async fn enrol(fleet: &Fleet) {
    let mut page = Page::open("enrol.md");
    page.elsewhere(
        "quorate node add root@192.168.1.11 --cluster hk1 --package quorate-agent_0.1.0_amd64.deb",
        "tests/ssh.rs, through a real sshd",
    );
    for node in fleet.lab.names() {
        let address = fleet.lab.node(&node).unwrap().address.to_string();
        let invited = page
            .types(fleet, "quorate node invite hk1/prox1 --address 192.168.1.11")
            .put("hk1/prox1", format!("hk1/{node}"))
            .put("192.168.1.11", &address)
            .and(&["-o", "json"])
            .enter()
            .await;
        let invited: serde_json::Value = serde_json::from_str(&invited.stdout).unwrap();
        let token = invited["token"].as_str().unwrap();
        page.types(fleet, "quorate-agent enroll 192.168.1.5:7441")
            .put("192.168.1.5:7441", fleet.lab.enrolment(&node).unwrap().to_string())
            .on(&node)
            .reads(&format!("{token}\n"))
            .enter()
            .await;
        fleet.lab.start_agent(&node).unwrap();
    }
    fleet.connected(&fleet.lab.names()).await;
}

/// `cluster-file.md` and `build-a-cluster.md`: the file, its plan, and what watches the rollout.
async fn build(fleet: &Fleet) {
    let mut page = Page::open("cluster-file.md");
    page.types(fleet, "quorate spec init").yes().enter().await;
    page.types(fleet, "quorate spec check hk1.toml").enter().await;
    page.types(fleet, "quorate spec schema").enter().await;
    page.types(fleet, "quorate plan hk1.toml").enter().await;

    std::fs::remove_file(fleet.lab.layout().coordinator().join("hk1.toml")).unwrap();
    let mut page = Page::open("build-a-cluster.md");
    page.types(fleet, "quorate spec init").yes().enter().await;
    page.types(fleet, "quorate plan hk1.toml").enter().await;
    let applied = page.types(fleet, "quorate apply hk1.toml").yes().enter().await;
    assert!(applied.stdout.contains("steps verified"), "{}", told(&applied));
    fleet.is_one_quorate_cluster(&fleet.lab.names()).await;
    let watched = page.types(fleet, "quorate rollout watch").enter().await;
    assert!(watched.stdout.contains("steps verified"), "{}", told(&watched));
    let listed = page
        .types(fleet, "quorate rollout list")
        .and(&["-o", "json"])
        .enter()
        .await;
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let id = listed[0]["id"].as_str().unwrap();
    // It has ended: the command says so, and changes nothing.
    page.types(fleet, "quorate rollout cancel ID")
        .put("ID", id)
        .ends(3)
        .enter()
        .await;
}

/// `look.md` and `network.md`: nothing is changed by any of it.
async fn look(fleet: &Fleet) {
    let before = fleet.changes();
    let mut page = Page::open("look.md");
    // There is no backup yet.
    let status = page.types(fleet, "quorate status").enter().await;
    assert!(
        status.stdout.contains("quorate, 3 of 3 members online"),
        "{}",
        told(&status)
    );
    page.types(fleet, "quorate disks").enter().await;
    page.types(fleet, "quorate disks hk1/prox1").enter().await;
    page.types(fleet, "quorate disks --role zfs").enter().await;
    page.types(fleet, "quorate disks --all").enter().await;
    page.types(fleet, "quorate storage").enter().await;
    page.elsewhere("quorate storage data_zfs", "`storages` types it, where there is one");
    page.types(fleet, "quorate guests").enter().await;
    page.types(fleet, "quorate replication").enter().await;
    page.types(fleet, "quorate-agent observe").on("prox1").enter().await;
    let observed = page
        .types(fleet, "quorate-agent observe disks network --json")
        .on("prox1")
        .enter()
        .await;
    serde_json::from_str::<serde_json::Value>(&observed.stdout).unwrap();

    let mut page = Page::open("network.md");
    for line in [
        "quorate network hk1 --measure",
        "quorate network hk1 --measure --from hk1.toml",
    ] {
        let shown = page.types(fleet, line).may_end(9).enter().await.stdout;
        // Round trips within a machine that has much to do can be too long for corosync, and longer than they were before: that is told,
        // and nothing else.
        let told = shown.lines().filter(|line| line.contains("[QRT-"));
        let slower =
            |line: &str| line.contains("[QRT-LINK-WORSE]") && !line.contains("lost") && !line.contains("uncut");
        let other: Vec<&str> = told
            .filter(|line| !line.contains("[QRT-LINK-LATENCY-") && !slower(line))
            .collect();
        assert!(other.is_empty(), "{shown}");
    }
    assert_eq!(fleet.changes(), before, "looking changes nothing");
}

/// `audit.md` and `backup.md`: who did what, and all of it on another host.
async fn keep(fleet: &Fleet) {
    let mut page = Page::open("audit.md");
    let all = page.types(fleet, "quorate audit").enter().await;
    assert!(all.stdout.contains("apply"), "{}", told(&all));
    page.types(fleet, "quorate audit --since 7d --cluster hk1")
        .enter()
        .await;
    page.types(fleet, "quorate audit --since 2026-11-01T00:00:00Z -o json")
        .enter()
        .await;
    page.types(fleet, "quorate audit --verify").enter().await;

    let mut page = Page::open("backup.md");
    let passphrase = fleet.passphrase_file().to_string_lossy().into_owned();
    let passphrase = ["--passphrase-file", passphrase.as_str()];
    let coordinator = fleet.lab.layout().coordinator();
    let file = coordinator.join("fleet.age").to_string_lossy().into_owned();
    page.types(fleet, "quorate backup /root/fleet.age")
        .put("/root/fleet.age", &file)
        .and(&passphrase)
        .enter()
        .await;
    page.types(fleet, "quorate renew").and(&passphrase).enter().await;
    page.elsewhere(
        "systemctl restart quorate",
        "stopped and started by the lab, in this test",
    );
    fleet.lab.stop_coordinator().await.unwrap();
    fleet.start_coordinator(&[]).await;
    fleet.connected(&fleet.lab.names()).await;

    // The host is lost; what was backed up comes to life in its place.
    fleet.lab.stop_coordinator().await.unwrap();
    let state = fleet.state_dir();
    std::fs::rename(&state, state.with_extension("lost")).unwrap();
    page.types(fleet, "quorate init --restore /root/fleet.age")
        .put("/root/fleet.age", &file)
        .and(&passphrase)
        .enter()
        .await;
    page.elsewhere("systemctl start quorate", "started by the lab, in this test");
    fleet.start_coordinator(&[]).await;
    fleet.connected(&fleet.lab.names()).await;
    fleet
        .until("it knows its generation", async || {
            !fleet.run(&["status"]).await.stdout.contains("QRT-GENERATION-LOST")
        })
        .await;
    let plan = fleet.json(&["plan", "hk1.toml"]).await;
    assert!(steps(&plan).is_empty(), "{plan:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_from_a_bare_host_to_a_cluster_and_a_restored_coordinator() {
    let fleet = Fleet::unmade(Lab::builder().nodes(3).speed(10.0)).await;
    set_up(&fleet).await;
    enrol(&fleet).await;
    build(&fleet).await;
    look(&fleet).await;
    keep(&fleet).await;
    fleet.nothing_unknown();
}

/// A cluster of three that has these pools and storages in its file.
async fn three(fleet: &Fleet, more: &str) {
    fleet.made_by_hand(&["prox1", "prox2", "prox3"], ONE_LINK).await;
    with_file(fleet, more);
}

fn with_file(fleet: &Fleet, more: &str) {
    let file = fleet.linked_file("hk1.toml", &["prox1", "prox2", "prox3"], ONE_LINK, "");
    let text = std::fs::read_to_string(&file).unwrap();
    drop(fleet.write_file("hk1.toml", &(text + "\n" + more)));
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_pools() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(10.0)).await;
    let mut page = Page::open("pools.md");
    three(&fleet, &page.block("toml", "[zfs.data_zfs]")).await;
    page.types(&fleet, "quorate disks --role zfs").enter().await;
    page.types(&fleet, "quorate disks prox1 --role zfs --all").enter().await;
    fleet.ok(&["apply", "hk1.toml", "--yes"]).await;
    let pools = page.types(&fleet, "quorate zfs list").enter().await;
    assert_eq!(pools.stdout.matches("data_zfs").count(), 3, "{}", told(&pools));

    // A disk of the pool is pulled, and two more are plugged in.
    let old = "ata-SAMSUNG_MZ7LH960HAJR-00005_S45NNA0N104171";
    for (name, serial) in [("sdx", "S45NNA0N104998"), ("sdy", "S45NNA0N104999")] {
        let disk = quorate_lab::description::DiskSpec {
            name: name.to_owned(),
            model: Some("SAMSUNG MZ7LH960HAJR-00005".to_owned()),
            serial: Some(serial.to_owned()),
            wwn: Some(format!("0x5002538e40{}", &serial[serial.len() - 6..])),
            hctl: Some("7:0:0:0".to_owned()),
            ..quorate_lab::description::DiskSpec::default()
        };
        fleet
            .lab
            .script("prox1", Script::AddDisk(Box::new(disk)))
            .await
            .unwrap();
    }
    let before = fleet.tool("prox1", "zpool status -P data_zfs").await.stdout;
    assert!(before.contains(old), "{before}");
    let replace = "quorate zfs replace hk1/prox1 data_zfs ata-SAMSUNG_MZ7LH960HAJR_S45NNA0N104171";
    page.types(&fleet, replace)
        .put("ata-SAMSUNG_MZ7LH960HAJR_S45NNA0N104171", old)
        .yes()
        .enter()
        .await;
    let replace =
        "quorate zfs replace hk1/prox1 data_zfs 12345678901234567890 --with ata-SAMSUNG_MZ7LH960HAJR_S45NNA0N104999";
    let after = fleet.tool("prox1", "zpool status -P data_zfs").await.stdout;
    let other = ["S45NNA0N104998", "S45NNA0N104999"]
        .into_iter()
        .find(|serial| !after.contains(serial))
        .unwrap();
    let member = after
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .find(|word| word.starts_with("/dev/disk/by-id/") && !word.contains("S45NNA0N10499"))
        .unwrap();
    page.types(&fleet, replace)
        .put("12345678901234567890", member)
        .put(
            "ata-SAMSUNG_MZ7LH960HAJR_S45NNA0N104999",
            format!("ata-SAMSUNG_MZ7LH960HAJR-00005_{other}"),
        )
        .yes()
        .enter()
        .await;

    // The disk that came out has something left on it: the word for just this one lets the plan wipe it.
    let destroy = "quorate plan hk1.toml --destroy prox1:ata-SAMSUNG_MZ7LH960HAJR_S45NNA0N104171";
    with_file(
        &fleet,
        &format!("[zfs.second]\nraid = \"single\"\n[zfs.second.disks]\nprox1 = [\"{old}\"]\nprox2 = []\nprox3 = []\n"),
    );
    let consent = format!("prox1:{old}");
    let shown = page
        .types(&fleet, destroy)
        .put("prox1:ata-SAMSUNG_MZ7LH960HAJR_S45NNA0N104171", &consent)
        .enter()
        .await;
    assert!(shown.stdout.contains("DESTROYED"), "{}", told(&shown));
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_storages() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(10.0)).await;
    let mut page = Page::open("storages.md");
    let secrets = fleet.lab.layout().secrets();
    let secret = secrets.join("pbs.password");
    page.elsewhere("install -d -m 0700 /etc/quorate/secrets", "the lab has the folder");
    page.elsewhere(
        "install -o quorate -m 0600 /dev/stdin /etc/quorate/secrets/pbs.password",
        "written here by the test",
    );
    std::fs::write(&secret, "lab-backup-secret\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    // A fingerprint is checked against a server that the lab does not have.
    let with_file_of_password: String = page
        .block("toml", "[storage.backup]")
        .replace("/etc/quorate/secrets/pbs.password", &secret.to_string_lossy())
        .lines()
        .filter(|line| !line.starts_with("fingerprint"))
        .map(|line| format!("{line}\n"))
        .collect();
    let without: String = with_file_of_password
        .lines()
        .filter(|line| !line.starts_with("password_file"))
        .map(|line| format!("{line}\n"))
        .collect();
    three(&fleet, &without).await;
    drop(fleet.write_file("secret", "lab-backup-secret\n"));
    let apply = "quorate apply hk1.toml --yes --password backup < secret";
    let applied = page.types(&fleet, apply).enter().await;
    assert!(applied.stdout.contains("steps verified"), "{}", told(&applied));
    page.elsewhere(
        "quorate apply hk1.toml --password backup",
        "the same, asked at a terminal: the tests of the command have one",
    );
    with_file(&fleet, &with_file_of_password);
    let again = fleet.ok(&["apply", "hk1.toml", "--yes"]).await;
    assert!(again.stdout.contains("Nothing to do"), "{}", told(&again));
    let shown = page.types(&fleet, "quorate storage").enter().await;
    assert!(shown.stdout.contains("backup"), "{}", told(&shown));
    fleet.ok(&["storage", "backup"]).await;
}
