//! Guests that answer: what they say, and when they are silent.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use quorate_lab::control::Press;
use quorate_lab::{Lab, Plant, Script, What};

use crate::guests::{three_with_pools, tool};
use crate::{nothing_unknown, until};

/// What whoever calls there hears; `None`: nobody answers.
fn heard(address: Ipv4Addr, port: u16) -> Option<String> {
    let within = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address.into(), port), within).ok()?;
    stream.set_read_timeout(Some(within)).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text).filter(|text| !text.is_empty())
}

/// The words of the line about the numbers.
fn numbers(address: Ipv4Addr) -> Option<BTreeMap<String, String>> {
    let line = heard(address, 7460)?;
    let words = line.strip_prefix("quorate-tally 1 ")?.strip_suffix('\n')?;
    let words = words.split(' ').map(|word| word.split_once('='));
    words
        .map(|word| word.map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect()
}

fn number(address: Ipv4Addr) -> u64 {
    let words = numbers(address).expect("it answers");
    words["number"].parse().expect("a number")
}

async fn make(lab: &Lab, address: Ipv4Addr, disk: &str) {
    let line = format!(
        "qm create 900 --name web --memory 512 --net0 virtio,bridge=vmbr0 --scsihw virtio-scsi-single --scsi0 {disk} --ide2 \
         data_zfs:cloudinit --ostype l26 --agent 1 --ipconfig0 ip={address}/24"
    );
    let made = tool(lab, "prox1", &line).await;
    assert_eq!(made.2, 0, "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_answers_while_it_runs_wherever_that_is() {
    let lab = three_with_pools().await;
    let address = lab.guest_address(0);
    make(&lab, address, "data_zfs:1").await;
    assert_eq!(heard(address, 7460), None, "it does not run");
    tool(&lab, "prox1", "qm start 900").await;
    until(&lab, "its answer", async || numbers(address).is_some()).await;
    let first = numbers(address).expect("it answers");
    assert_eq!((first["host"].as_str(), first["resumed"].as_str()), ("web", "0"));
    assert!(
        first["run"].len() == 16 && first["boot"].len() == 36 && first["time_ms"].len() == 13,
        "{first:?}"
    );
    until(&lab, "more writes", async || number(address) > 20).await;
    // Root alone may listen there.
    if let Some(greeting) = heard(address, 22) {
        assert!(greeting.starts_with("SSH-2.0-"), "{greeting}");
    }

    // Moved while it runs, it is the same run, and no number is lost.
    let before = number(address);
    let moved = tool(&lab, "prox1", "qm migrate 900 prox2 --online 1 --with-local-disks 1").await;
    assert_eq!(moved.2, 0, "{moved:?}");
    until(&lab, "its answer", async || numbers(address).is_some()).await;
    let after = numbers(address).expect("it answers");
    assert_eq!((&after["run"], &after["resumed"]), (&first["run"], &first["resumed"]));
    assert!(number(address) >= before);

    // A server that is cut off carries nothing, and its guests are silent. Back on the network, they go on.
    lab.cut("prox2").await.expect("cut");
    until(&lab, "silence", async || heard(address, 7460).is_none()).await;
    lab.heal("prox2").await.expect("healed");
    until(&lab, "its answer", async || numbers(address).is_some()).await;

    // Stopped and started it is another run, which found what the one before has written.
    let before = number(address);
    tool(&lab, "prox2", "qm stop 900").await;
    assert_eq!(heard(address, 7460), None, "it was stopped");
    tool(&lab, "prox2", "qm start 900").await;
    until(&lab, "its answer", async || numbers(address).is_some()).await;
    let again = numbers(address).expect("it answers");
    assert_ne!(again["run"], first["run"]);
    assert!(
        again["resumed"].parse::<u64>().expect("a number") >= before,
        "{again:?}"
    );

    // Without its disc for cloud-init it starts all the same: that is made anew.
    tool(&lab, "prox2", "qm stop 900").await;
    tool(&lab, "prox2", "zfs destroy -r data_zfs/vm-900-cloudinit").await;
    assert_eq!(tool(&lab, "prox2", "qm start 900").await.2, 0);
    lab.power("prox2", Press::Pull).await.expect("pulled");
    until(&lab, "silence", async || heard(address, 7460).is_none()).await;
    nothing_unknown(&lab);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_image_it_tells_numbers_once_somebody_has_put_that_in() {
    let lab = three_with_pools().await;
    let address = lab.guest_address(0);
    let image = Plant::File {
        path: "/srv/debian.qcow2".to_owned(),
        text: Some(String::new()),
    };
    lab.script("prox1", Script::Plant(image)).await.expect("planted");
    make(&lab, address, "data_zfs:0,import-from=/srv/debian.qcow2").await;
    tool(&lab, "prox1", "qm start 900").await;
    assert_eq!(numbers(address), None);
    let exec = async |program: &str, stdin: Option<&[u8]>| {
        let line = format!("qm guest exec 900 --pass-stdin 1 -- {program}");
        let argv: Vec<&str> = line.split(' ').collect();
        let output = lab
            .tool("prox1", &argv, Some(stdin.unwrap_or_default()))
            .await
            .expect("it runs");
        let answer: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
        answer
    };
    let enable = "/usr/bin/systemctl enable --now quorate-tally.service";
    assert_eq!(exec(enable, None).await["exitcode"], 1);
    let program = "/usr/bin/install -D -m 0755 /dev/stdin /usr/local/bin/quorate-tally";
    assert_eq!(exec(program, Some(b"a program\xff\n")).await["exitcode"], 0);
    let sum = exec("/usr/bin/sha256sum /usr/local/bin/quorate-tally", None).await;
    let sum = sum["out-data"].as_str().expect("text").to_owned();
    assert!(
        sum.ends_with("  /usr/local/bin/quorate-tally\n") && sum.len() > 64,
        "{sum}"
    );
    let unit = "/usr/bin/install -D -m 0644 /dev/stdin /etc/systemd/system/quorate-tally.service";
    assert_eq!(exec(unit, Some(b"[Service]\n")).await["exitcode"], 0);
    assert_eq!(exec(enable, None).await["exitcode"], 0);
    until(&lab, "its answer", async || numbers(address).is_some()).await;
    nothing_unknown(&lab);
}

/// Where a server's own programs reach a guest over its bridge.
fn bridged(lab: &Lab, node: &str, guest: Ipv4Addr) -> Ipv4Addr {
    let config = std::fs::read_to_string(lab.layout().agent_config(node)).expect("a configuration");
    let begin = format!("\"{guest}\" = \"");
    let line = config.lines().find_map(|line| line.strip_prefix(&begin));
    let address = line.and_then(|rest| rest.strip_suffix('"'));
    address.expect("an address of its own").parse().expect("an address")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_cut_off_reaches_its_guests_over_its_own_bridge() {
    let lab = three_with_pools().await;
    let address = lab.guest_address(0);
    make(&lab, address, "data_zfs:1").await;
    tool(&lab, "prox1", "qm start 900").await;
    until(&lab, "its answer", async || numbers(address).is_some()).await;
    let (own, others) = (bridged(&lab, "prox1", address), bridged(&lab, "prox2", address));
    assert_ne!(own, others);
    assert!(numbers(own).is_some() && numbers(others).is_none());

    lab.cut("prox1").await.expect("cut");
    until(&lab, "silence", async || heard(address, 7460).is_none()).await;
    let before = number(own);
    until(&lab, "more writes", async || number(own) > before).await;
    let told = |what| -> Vec<String> {
        let entries = crate::happened(&lab, what);
        entries.into_iter().map(|entry| entry.detail).collect()
    };
    assert_eq!(
        (told(What::GuestAnswers), told(What::GuestSilent)),
        (vec!["900".to_owned()], vec!["900".to_owned()]),
        "what is told on a bridge is no answer to anybody outside"
    );
    lab.power("prox1", Press::Pull).await.expect("pulled");
    until(&lab, "silence on the bridge", async || numbers(own).is_none()).await;
    nothing_unknown(&lab);
}
