//! The operator's guide is typed, on: guests are copied, put under HA, moved, and servers emptied.

use std::path::Path;

use quorate_lab::binaries;
use quorate_lab::process::{Daemon, Program};
use quorate_suites::guide::Page;
use quorate_suites::{Fleet, told};

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

/// A numbered writer that ends with its test.
struct Writer(Daemon);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// A numbered writer, as it would run in a guest, and where it answers.
async fn writer(fleet: &Fleet, folder: &Path) -> (Writer, String) {
    let (records, log) = (folder.join("records"), folder.join("log"));
    let records = records.to_string_lossy();
    let daemon = Program::new(binaries::ensure_built().unwrap().tally)
        .args(["--listen", "127.0.0.1:0", "--records", &records])
        .spawn(&log, false)
        .unwrap();
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let address = || {
        let said = said();
        let line = said.lines().find_map(|line| line.strip_prefix("listens on "))?;
        said.contains("goes on after").then(|| line.to_owned())
    };
    fleet.until("the writer listens", async || address().is_some()).await;
    (Writer(daemon), address().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_probe_guests() {
    let (fleet, file) = three(true).await;
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.until("HA looks after it", async || fleet.armed("prox1")).await;
    let folder = fleet.lab.layout().coordinator().join("guest");
    std::fs::create_dir(&folder).unwrap();
    let (_writer, address) = writer(&fleet, &folder).await;
    let mut page = Page::open("probe-guests.md");
    // A busy machine may leave a gap: then it ends with 9.
    let probed = page
        .types(&fleet, "quorate probe tcp:192.168.1.100:22")
        .put("192.168.1.100:22", &address)
        .and(&["--for", "1s"])
        .may_end(9)
        .enter()
        .await;
    assert!(probed.stdout.contains("     0.0 s  "), "{}", told(&probed));
    assert!(probed.stdout.contains("Pause: "), "{}", told(&probed));
    let probed = page
        .types(&fleet, "quorate probe tally:192.168.1.100 --for 10m")
        .put("192.168.1.100", &address)
        .put("10m", "2s")
        .and(&["-o", "json"])
        .may_end(9)
        .enter()
        .await;
    let probed: serde_json::Value = serde_json::from_str(&probed.stdout).unwrap();
    let records = &probed["measured"]["records"];
    assert!(records["last"]["number"].as_u64() > Some(0), "{probed:#}");
    assert_eq!(
        (&records["lost"], &records["new_runs"]),
        (&0.into(), &serde_json::json!([]))
    );

    // Two agents call, each for itself.
    let probed = page
        .types(&fleet, "quorate probe tcp:192.168.1.100:22 --from hk1/prox2,hk1/prox3")
        .put("192.168.1.100:22", &address)
        .and(&["--for", "2s", "-o", "json"])
        .may_end(9)
        .enter()
        .await;
    let probed: serde_json::Value = serde_json::from_str(&probed.stdout).unwrap();
    for node in ["hk1/prox2", "hk1/prox3"] {
        let seen = &probed["measured_from"][node];
        assert_eq!(seen["from"], node, "{probed:#}");
        assert!(seen["answered"].as_u64() > Some(0), "{probed:#}");
    }
    assert_eq!(probed["failed"], serde_json::json!({}), "{probed:#}");
    page.elsewhere(
        "quorate probe postgres://drill@192.168.1.100/drill --password-file drill.password",
        "tests/reality/postgres, beside a real one",
    );

    let moved = page
        .types(
            &fleet,
            "quorate migrate 100 hk1/prox2 --measure --probe tally:192.168.1.100",
        )
        .put("192.168.1.100", &address)
        .yes()
        .enter()
        .await;
    assert_eq!(owner(&fleet).await, "prox2");
    assert!(
        moved.stdout.contains("No record that was told is lost."),
        "{}",
        told(&moved)
    );

    let by_hand = "in a guest; its program and its files are what common/tally tests";
    for line in [
        "scp /usr/share/quorate/guest/quorate-tally /usr/share/quorate/guest/quorate-tally.service root@192.168.1.100:",
        "install -m 755 quorate-tally /usr/local/bin/",
        "install -m 644 quorate-tally.service /etc/systemd/system/",
        "systemctl enable --now quorate-tally",
        "systemctl disable --now quorate-tally",
        "rm -r /usr/local/bin/quorate-tally /etc/systemd/system/quorate-tally.service /var/lib/quorate-tally",
    ] {
        page.elsewhere(line, by_hand);
    }
}

/// `quorate probe` where nobody answers, and what it can't call.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_tells_what_did_not_answer() {
    let fleet = Fleet::bare(quorate_lab::Lab::builder().nodes(1)).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("tcp:{}", listener.local_addr().unwrap());
    drop(listener);
    let seen = fleet.ends(&["probe", &target, "--for", "300ms"], 9).await;
    assert!(seen.stdout.contains("never answered"), "{}", told(&seen));
    assert!(seen.stdout.contains("connection refused"), "{}", told(&seen));
    let wrong = fleet.ends(&["probe", "tcp:mail.example:22"], 2).await;
    assert!(wrong.stderr.contains("names are not looked up"), "{}", told(&wrong));
    let rows = fleet.ends(&["probe", "postgres://drill:hush@192.0.2.7/drill"], 2).await;
    assert!(rows.stderr.contains("--password-file"), "{}", told(&rows));
    let nowhere = fleet
        .run(&["probe", &target, "--from", "hk1/prox9", "--for", "1s"])
        .await;
    assert!(!nowhere.success(), "{}", told(&nowhere));
    assert!(
        nowhere.stderr.contains("hk1/prox9 is not enrolled"),
        "{}",
        told(&nowhere)
    );
    let (refused, answered) = ("net.ipv4.ping_group_range", "Measured from this host at icmp:127.0.0.1");
    let pinged = fleet.run(&["probe", "icmp:127.0.0.1", "--for", "300ms"]).await;
    match pinged.code() {
        Some(6) => assert!(pinged.stderr.contains(refused), "{}", told(&pinged)),
        _ => assert!(pinged.stdout.contains(answered), "{}", told(&pinged)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_drills() {
    let (fleet, text) = crate::canary::with_pools().await;
    let address = fleet.lab.guest_address(0).to_string();
    let ip = format!("{address}/24");
    let create = "guest create-canary --id 900 --node hk1/prox1 --image /srv/debian-12.qcow2 --storage data_zfs --bridge vmbr0 --yes --ip";
    let create: Vec<&str> = create.split(' ').chain([ip.as_str()]).collect();
    fleet.ok(&create).await;
    let mut page = Page::open("drills.md");
    let drill = page
        .block("toml", "[drills.cut-prox1]")
        .replace("192.168.1.90", &address);
    let file = fleet.write_file("hk1.toml", &format!("{text}{}\n{drill}", crate::canary::PROTECTED));
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.until("HA looks after it", async || fleet.armed("prox1")).await;
    fleet
        .until("nothing speaks against it", async || {
            fleet.run(&["drill", "preview", "cut-prox1"]).await.success()
        })
        .await;
    let shown = page.types(&fleet, "quorate drill preview cut-prox1").enter().await;
    assert!(shown.stdout.contains("FAILS, and is started again"), "{}", told(&shown));
    let ran = page
        .types(&fleet, "quorate drill run cut-prox1 --html cut-prox1.html")
        .and(&["--confirm", "hk1/prox1"])
        .enter()
        .await;
    assert!(
        ran.stdout.contains("Drill 1 (cut-prox1) of hk1: passed"),
        "{}",
        told(&ran)
    );
    let html = fleet.lab.layout().coordinator().join("cut-prox1.html");
    assert!(std::fs::read_to_string(&html).unwrap().contains("<svg"));
    std::fs::remove_file(&html).unwrap();
    let listed = page.types(&fleet, "quorate drill list").enter().await;
    assert!(listed.stdout.contains("cut-prox1"), "{}", told(&listed));
    page.types(&fleet, "quorate drill show 1 --html cut-prox1.html")
        .enter()
        .await;
    assert!(std::fs::read_to_string(&html).unwrap().contains("<svg"));
    // Nothing is rehearsed any more: that is what all of them say.
    let ended = page.types(&fleet, "quorate drill abort").enter().await;
    assert!(ended.stdout.starts_with("In hk1 "), "{}", told(&ended));
    for line in ["quorate-agent heal --look", "quorate-agent heal"] {
        page.types(&fleet, line).on("prox1").enter().await;
    }
    fleet.nothing_unknown();
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
    // No server was lost: there is nothing to free.
    page.types(&fleet, "quorate guest clear-canary 900").yes().enter().await;
    page.types(&fleet, "quorate guest remove-canary 900 --destroy guest:900")
        .yes()
        .enter()
        .await;
}
