//! Canaries: guests of ours that answer. They are made, copied and put under HA by their tag, moved, and removed without a trace; nothing else is
//! ever taken for one.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

use quorate_lab::{Lab, Plant, What};
use quorate_suites::hand::{ONE_LINK, steps};
use quorate_suites::life::newer;
use quorate_suites::{Fleet, told};

use crate::protection::{POOL, THREE, nothing_to_do};

pub(crate) const PROTECTED: &str = "\n[[replication]]\nguests = [\"tag:quorate-canary\"]\ncopies_on = [\"prox1\", \"prox2\", \"prox3\"]\nevery = \"5m\"\n\n\
                         [ha]\nguests = [\"tag:quorate-canary\"]\n";

/// Three members with their pools, an image and a template on the first, and the cluster file without guests.
pub(crate) async fn with_pools() -> (Fleet, String) {
    let fleet = Fleet::enrolled(newer(Lab::builder().nodes(3).speed(20.0), &THREE)).await;
    fleet.made_by_hand(&THREE, ONE_LINK).await;
    let file = fleet.linked_file("hk1.toml", &THREE, ONE_LINK, "");
    let text = std::fs::read_to_string(Path::new(&file)).unwrap() + POOL;
    let file = fleet.write_file("hk1.toml", &text);
    fleet.ok(&["apply", &file, "--yes"]).await;
    for path in ["/srv/debian-12.qcow2", "/var/lib/vz/template/cache/debian-12.tar.zst"] {
        let plant = Plant::File {
            path: path.to_owned(),
            text: Some(String::new()),
        };
        fleet.plant("prox1", plant).await;
    }
    (fleet, text)
}

/// The number that a guest tells.
fn number(address: Ipv4Addr) -> Option<u64> {
    let mut line = String::new();
    let mut stream = TcpStream::connect((address, 7460)).ok()?;
    stream.read_to_string(&mut line).ok()?;
    let word = line.split(' ').find_map(|word| word.strip_prefix("number="))?;
    word.parse().ok()
}

/// What is left of the canary's disc for cloud-init on prox1.
const LEFT: &str = "data_zfs/vm-900-cloudinit";

/// Another guest's disc for cloud-init gets the canary's name.
async fn leave_a_disc(fleet: &Fleet) {
    for line in [
        "qm create 990 --name other --memory 512 --ide2 data_zfs:cloudinit",
        "zfs rename data_zfs/vm-990-cloudinit data_zfs/vm-900-cloudinit",
        "qm destroy 990",
    ] {
        let done = fleet.tool("prox1", line).await;
        assert!(done.success(), "{}", told(&done));
    }
    assert!(is_left(fleet).await);
}

async fn is_left(fleet: &Fleet) -> bool {
    let listed = fleet
        .tool("prox1", "zfs list -Hp -o name -t filesystem,volume -r data_zfs")
        .await;
    listed.stdout.lines().any(|line| line == LEFT)
}

async fn gone(fleet: &Fleet, guest: u32) {
    for node in THREE {
        let left = fleet.lab.guest(node, guest).await.unwrap();
        assert!(left.is_none(), "{node}: {left:?}");
    }
    fleet.ends(&["guests", &guest.to_string()], 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_of_ours_is_made_answers_is_protected_moved_and_removed_without_a_trace() {
    let (fleet, text) = with_pools().await;
    let address = fleet.lab.guest_address(0);
    let ip = format!("{address}/24");
    let create = [
        "guest",
        "create-canary",
        "--id",
        "900",
        "--node",
        "hk1/prox1",
        "--image",
        "/srv/debian-12.qcow2",
        "--storage",
        "data_zfs",
        "--bridge",
        "vmbr0",
        "--ip",
        &ip,
        "--yes",
    ];
    let made = fleet.ok(&create).await;
    assert!(made.stdout.contains("Canary 900 answers from here"), "{}", told(&made));
    let first = number(address).expect("it answers");
    fleet
        .until("its number grows", async || number(address) > Some(first))
        .await;
    let again = fleet.ok(&create).await;
    assert!(again.stdout.contains("is a canary of ours already"), "{}", told(&again));
    assert_eq!(fleet.all(What::GuestStarted).len(), 1, "nothing was made twice");

    // By its tag it is copied and put under HA.
    let file = fleet.write_file("hk1.toml", &(text + PROTECTED));
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.until("HA looks after it", async || fleet.armed("prox1")).await;
    nothing_to_do(&fleet, &file).await;
    let before = number(address).expect("it answers");
    let moved = fleet.ok(&["migrate", "900", "hk1/prox2", "--yes"]).await;
    assert!(moved.stdout.contains("TASK OK"), "{}", told(&moved));
    fleet.until("it goes on", async || number(address) > Some(before)).await;

    // Such a disc a loss of prox1 would have left there.
    leave_a_disc(&fleet).await;
    let told_of_it = async || fleet.run(&["status"]).await.stdout.contains("QRT-CANARY-DISC-LEFT");
    fleet.until("status tells of it", told_of_it).await;
    let cleared = fleet.ok(&["guest", "clear-canary", "900", "--yes"]).await;
    assert!(cleared.stdout.contains(LEFT), "{}", told(&cleared));
    assert!(!is_left(&fleet).await, "it was freed");
    fleet
        .until("status tells it no more", async || !told_of_it().await)
        .await;
    fleet.ok(&["guest", "clear-canary", "900", "--yes"]).await;
    let before = number(address).expect("its own disc was not touched");
    fleet.until("it goes on", async || number(address) > Some(before)).await;
    // It goes before the canary comes back, so that its own keeps its name.
    leave_a_disc(&fleet).await;
    // PVE refuses while a copy is being made, and in this lab that is every three seconds: who is told so tries again.
    let goes = async |to: &str| fleet.run(&["migrate", "900", to, "--yes"]).await.success();
    fleet.until("it comes back", async || goes("hk1/prox1").await).await;
    let config = fleet.tool("prox1", "qm config 900").await.stdout;
    assert!(config.contains("data_zfs:vm-900-cloudinit"), "{config}");
    fleet
        .until("it can leave again", async || goes("hk1/prox2").await)
        .await;

    // It goes by a word for it alone.
    let silent = fleet.ends(&["guest", "remove-canary", "900", "--yes"], 3).await;
    assert!(silent.stdout.contains("--destroy guest:900"), "{}", told(&silent));
    assert!(number(address).is_some(), "it was not touched");
    let removed = fleet
        .ok(&["guest", "remove-canary", "900", "--destroy", "guest:900", "--yes"])
        .await;
    assert!(removed.stdout.contains("steps verified"), "{}", told(&removed));
    assert_eq!(number(address), None);
    gone(&fleet, 900).await;
    let again = fleet
        .ok(&["guest", "remove-canary", "900", "--destroy", "guest:900", "--yes"])
        .await;
    assert!(again.stdout.contains("has no guest 900"), "{}", told(&again));
    let plan = fleet.json(&["plan", &file]).await;
    assert!(steps(&plan).is_empty(), "{plan:#}");
    fleet.nothing_twice();
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_ours_is_made_and_nothing_else_is_taken_for_ours() {
    let (fleet, _) = with_pools().await;
    let address = fleet.lab.guest_address(1);
    let ip = format!("{address}/24");
    let create = |more: &[&'static str]| -> Vec<String> {
        let fixed = [
            "guest",
            "create-canary",
            "--node",
            "hk1/prox1",
            "--template",
            "local:vztmpl/debian-12.tar.zst",
            "--storage",
            "data_zfs",
            "--bridge",
            "vmbr0",
            "--ip",
            &ip,
            "--yes",
        ];
        fixed.iter().chain(more).map(|word| (*word).to_owned()).collect()
    };
    let run = async |line: Vec<String>, code: i32| {
        let words: Vec<&str> = line.iter().map(String::as_str).collect();
        fleet.ends(&words, code).await
    };
    let made = run(create(&[]), 0).await;
    assert!(
        made.stdout.contains("Canary 100 answers from here"),
        "the lowest id is taken: {}",
        told(&made)
    );

    // Somebody else's guest, which somebody has given our tag.
    fleet
        .tool(
            "prox1",
            "qm create 101 --name web --memory 512 --scsi0 data_zfs:1 --tags quorate-canary",
        )
        .await;
    fleet
        .tool("prox1", "qm create 102 --name db --memory 512 --scsi0 data_zfs:1")
        .await;
    let taken = run(create(&["--id", "102"]), 3).await;
    assert!(taken.stdout.contains("QRT-CANARY-ID-TAKEN"), "{}", told(&taken));
    let untagged = fleet
        .ends(&["guest", "remove-canary", "102", "--destroy", "guest:102", "--yes"], 3)
        .await;
    assert!(untagged.stdout.contains("QRT-CANARY-NOT-OURS"), "{}", told(&untagged));
    let tagged = fleet
        .ends(&["guest", "remove-canary", "101", "--destroy", "guest:101", "--yes"], 4)
        .await;
    assert!(told(&tagged).contains("is not ours"), "{}", told(&tagged));
    for guest in [101, 102] {
        assert!(
            fleet.lab.guest("prox1", guest).await.unwrap().is_some(),
            "{guest} is there"
        );
    }
    fleet
        .ok(&["guest", "remove-canary", "100", "--destroy", "guest:100", "--yes"])
        .await;
    gone(&fleet, 100).await;
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_canary_shows_of_each_server_answers_for_guests_of_its_bridge_and_vlan() {
    let (fleet, text) = with_pools().await;
    let address = fleet.lab.guest_address(0).to_string();
    let ip = format!("{address}/24");
    fleet
        .ok(&[
            "guest",
            "create-canary",
            "--id",
            "900",
            "--node",
            "hk1/prox1",
            "--image",
            "/srv/debian-12.qcow2",
            "--storage",
            "data_zfs",
            "--bridge",
            "vmbr0",
            "--vlan",
            "5",
            "--ip",
            &ip,
            "--yes",
        ])
        .await;
    fleet
        .tool(
            "prox1",
            "qm create 100 --name web --memory 512 --net0 virtio,bridge=vmbr0,tag=5 --scsihw virtio-scsi-single --scsi0 data_zfs:4",
        )
        .await;
    fleet.tool("prox1", "qm start 100").await;
    let protected = PROTECTED.replace("\"tag:quorate-canary\"", "100");
    let file = fleet.write_file("hk1.toml", &(text + &protected));
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.until("HA looks after it", async || fleet.armed("prox1")).await;
    let before = fleet.run(&["ha", "--if-lost", "prox1"]).await.stdout;
    assert!(before.contains("whether VLAN 5 reaches it"), "{before}");

    let refused = fleet
        .ends(&["ha", "--prove-reach", "100", "--at", &address, "--yes"], 3)
        .await;
    assert!(refused.stderr.contains("not seen to be a canary"), "{}", told(&refused));
    let shown = fleet
        .ok(&["ha", "--prove-reach", "900", "--at", &address, "--yes"])
        .await;
    for node in THREE {
        assert!(
            shown.stdout.contains(&format!("{node}, vmbr0, VLAN 5: reached")),
            "{}",
            told(&shown)
        );
    }
    let canary = fleet.json(&["guests", "900"]).await;
    assert_eq!(canary["guests"][0]["guest"]["node"], "prox1", "it is back: {canary:#}");
    let after = fleet.run(&["ha", "--if-lost", "prox1"]).await.stdout;
    assert!(!after.contains("whether VLAN 5 reaches it"), "{after}");

    // Nobody there: that is an answer as well.
    let nobody = fleet.lab.guest_address(7).to_string();
    fleet
        .ends(&["ha", "--prove-reach", "900", "--at", &nobody, "--yes"], 9)
        .await;
    let after = fleet.run(&["ha", "--if-lost", "prox1"]).await.stdout;
    assert!(after.contains("did not answer at it"), "{after}");
    fleet.nothing_unknown();
}
