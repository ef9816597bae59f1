//! The table on a real kernel: a bridged guest in a network namespace, a port that leads to another one, and nothing but nft's own word on when it
//! ends. Nothing of this machine's is touched.

use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use quorate_clock::Clock;
use quorate_exec::{CommandLine, Finished, Invocation, OsRunner, Runner as _, Sink, Stdin, Tools, supervise};
use quorate_tools::nft::{self, Family, Table};

/// Whoever answers is told so by this, in a process of its own; else its test does nothing.
const ANSWER_AT: &str = "QUORATE_TEST_ANSWER_AT";
const ASK: &str = "QUORATE_TEST_ASK";

const SERVER: &str = "10.99.0.1";
const GUEST: &str = "10.99.0.100";

/// A network namespace, gone when dropped.
struct Space(String);

impl Space {
    async fn new(what: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "quorate-ft-{}-{}-{what}",
            process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        ip(&["netns", "add", &name]).await;
        let space = Self(name);
        space.does(&["ip", "link", "set", "lo", "up"]).await;
        space
    }

    fn invocation(&self, argv: &[&str]) -> quorate_exec::InvocationBuilder {
        let tools = Tools::system();
        let program = tools.find(argv[0]).unwrap_or_else(|_| PathBuf::from(argv[0]));
        let call = tools.call("ip").unwrap().args(["netns", "exec", &self.0]);
        call.arg(program.into_os_string()).args(argv[1..].iter().copied())
    }

    async fn run(&self, argv: &[&str], stdin: &str) -> Finished {
        let call = self.invocation(argv).stdin(Stdin::bytes(stdin)).build().unwrap();
        OsRunner::new(Clock::system()).run(&call).await.unwrap()
    }

    async fn does(&self, argv: &[&str]) -> String {
        let finished = self.run(argv, "").await;
        assert!(finished.exit.is_success(), "{argv:?}: {}", finished.stderr_text());
        finished.stdout_text().unwrap().to_owned()
    }

    /// Somebody who answers at this address, until the test ends.
    fn answers(&self, at: &str) -> Answering {
        let command = self.again(ANSWER_AT, at);
        Answering(supervise(&command, Stdin::Null, Sink::Null, Sink::Null).unwrap())
    }

    fn again(&self, variable: &str, value: &str) -> CommandLine {
        let own = std::env::current_exe().unwrap();
        let test = "faults::netns_tests::somebody_who_answers_or_asks";
        let words = [own.to_str().unwrap(), "--ignored", "--exact", test];
        let call = self.invocation(&words).env(variable, value).build().unwrap();
        call.command().clone()
    }

    /// Does somebody answer there?
    async fn reaches(&self, at: &str) -> bool {
        let own = std::env::current_exe().unwrap();
        let test = "faults::netns_tests::somebody_who_answers_or_asks";
        let call = self.invocation(&[own.to_str().unwrap(), "--ignored", "--exact", test]);
        let call = call.env(ASK, at).build().unwrap();
        OsRunner::new(Clock::system())
            .run(&call)
            .await
            .unwrap()
            .exit
            .is_success()
    }

    async fn nft(&self, call: &Invocation) -> Finished {
        let words: Vec<String> = call
            .command()
            .args()
            .map(|arg| arg.to_str().unwrap().to_owned())
            .collect();
        let mut argv = vec!["nft"];
        argv.extend(words.iter().map(String::as_str));
        let stdin = match call.stdin() {
            Stdin::Bytes(bytes) => String::from_utf8(bytes.expose().to_vec()).unwrap(),
            _ => String::new(),
        };
        self.run(&argv, &stdin).await
    }
}

/// Somebody who answers, gone when dropped.
struct Answering(quorate_exec::Supervised);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.terminate().ok();
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let name = self.0.clone();
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(ip(&["netns", "del", &name]));
        });
        removing.join().ok();
    }
}

async fn ip(args: &[&str]) {
    let call = Tools::system()
        .call("ip")
        .unwrap()
        .args(args.iter().copied())
        .build()
        .unwrap();
    let finished = OsRunner::new(Clock::system()).run(&call).await.unwrap();
    assert!(
        finished.exit.is_success(),
        "ip {args:?} (needs root): {}",
        finished.stderr_text()
    );
}

#[test]
#[ignore = "is a part of the other test"]
fn somebody_who_answers_or_asks() {
    let udp = |at: &str| std::net::UdpSocket::bind(at).unwrap();
    if let Ok(at) = std::env::var(ANSWER_AT) {
        let socket = udp(&at);
        let mut bytes = [0; 16];
        loop {
            if let Ok((length, from)) = socket.recv_from(&mut bytes) {
                socket.send_to(&bytes[..length], from).ok();
            }
        }
    }
    if let Ok(at) = std::env::var(ASK) {
        let socket = udp("0.0.0.0:0");
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket.send_to(b"?", &at).ok();
        socket.recv(&mut [0; 16]).expect("no answer");
    }
}

/// A server with a bridge, on which are its port and a guest; and somebody at the other end of the port's cable.
async fn server_guest_and_peer() -> (Space, Space, Space) {
    let (server, guest, peer) = (
        Space::new("server").await,
        Space::new("guest").await,
        Space::new("peer").await,
    );
    server.does(&["ip", "link", "add", "vmbr0", "type", "bridge"]).await;
    for (port, inside, other, address) in [
        ("eno1", "far", &peer, "10.99.0.2/24"),
        ("tap100i0", "eth0", &guest, "10.99.0.100/24"),
    ] {
        let cable = [
            "ip", "link", "add", port, "type", "veth", "peer", "name", inside, "netns", &other.0,
        ];
        server.does(&cable).await;
        server.does(&["ip", "link", "set", port, "master", "vmbr0", "up"]).await;
        other.does(&["ip", "address", "add", address, "dev", inside]).await;
        other.does(&["ip", "link", "set", inside, "up"]).await;
    }
    server
        .does(&["ip", "address", "add", "10.99.0.1/24", "dev", "vmbr0"])
        .await;
    server.does(&["ip", "link", "set", "vmbr0", "up"]).await;
    (server, guest, peer)
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) -> Instant {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Instant::now()
}

#[tokio::test]
#[ignore = "needs root, nft and network namespaces: .ci/reality runs it"]
async fn the_kernel_alone_ends_a_cut_of_the_port_that_cuts_bridged_guests_too() {
    let (server, guest, peer) = server_guest_and_peer().await;
    let [host, corosync, inside] = [
        format!("{SERVER}:9000"),
        format!("{SERVER}:5405"),
        format!("{GUEST}:9000"),
    ];
    let _answering = [server.answers(&host), server.answers(&corosync), guest.answers(&inside)];
    for at in [&host, &corosync, &inside] {
        until(at, async || peer.reaches(at).await).await;
    }
    // As it is where no firewall asked for more: then no table of family inet sees what is bridged.
    let bridged = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    server.run(&["tee", bridged], "0").await;
    let tools = Tools::system();
    server.does(&["nft", "add", "table", "inet", "others"]).await;

    let table = Table::of(Family::Netdev, "op-1");
    let (everything, all) = (Duration::from_secs(3), Duration::from_secs(6));
    let script = nft::ports(&table, &["eno1".to_owned()], &[5405], everything, all);
    let begun = Instant::now();
    let loaded = server.nft(&nft::load(&tools, &script).unwrap()).await;
    assert!(loaded.exit.is_success(), "{}", loaded.stderr_text());
    for at in [&host, &corosync, &inside] {
        assert!(!peer.reaches(at).await, "{at} is cut");
    }
    assert!(!guest.reaches("10.99.0.2:9").await);
    let own = server.reaches(&inside).await;
    assert!(own, "over its own bridge the server reaches its guest");
    let again = server.nft(&nft::load(&tools, &script).unwrap()).await;
    assert!(
        !again.exit.is_success(),
        "nothing is ever added to a table that is there"
    );

    // Nobody does anything from here on but the kernel.
    let open = until("corosync's port", async || peer.reaches(&corosync).await).await - begun;
    assert!(open >= Duration::from_millis(2900), "{open:?}");
    assert!(
        !peer.reaches(&host).await && !peer.reaches(&inside).await,
        "guests are still cut"
    );
    let ended = until("the guest", async || peer.reaches(&inside).await).await - begun;
    assert!(ended >= Duration::from_millis(5900), "{ended:?}");
    assert!(peer.reaches(&host).await);
    // A process is started for each question, so that the machine's load is in these figures.
    eprintln!("      corosync's packets passed after {open:?} of 3 s, everything after {ended:?} of 6 s");

    let listed = server.nft(&nft::list(&tools, &table).unwrap()).await;
    let content = nft::read(listed.stdout_text().unwrap()).unwrap();
    assert!(
        !content.holds() && content.sets.len() == 2 && content.chains == 2,
        "{content:?}"
    );
    let deleted = server.nft(&nft::delete(&tools, &table).unwrap()).await;
    assert!(deleted.exit.is_success());
    let tables = server.does(&["nft", "list", "tables"]).await;
    assert_eq!(tables.trim(), "table inet others", "what is not ours stays");
}

#[tokio::test]
#[ignore = "needs root, nft and network namespaces: .ci/reality runs it"]
async fn one_links_packets_fall_and_the_rest_passes() {
    let (server, _guest, peer) = server_guest_and_peer().await;
    let [host, zero, one] = [9000, 5405, 5406].map(|port| format!("{SERVER}:{port}"));
    let _answering = [server.answers(&host), server.answers(&zero), server.answers(&one)];
    for at in [&host, &zero, &one] {
        until(at, async || peer.reaches(at).await).await;
    }
    let tools = Tools::system();
    let table = Table::of(Family::Inet, "op-2");
    let script = nft::addresses(&table, &[(SERVER.parse().unwrap(), 5406)], Duration::from_secs(3));
    let begun = Instant::now();
    let loaded = server.nft(&nft::load(&tools, &script).unwrap()).await;
    assert!(loaded.exit.is_success(), "{}", loaded.stderr_text());
    assert!(!peer.reaches(&one).await);
    assert!(peer.reaches(&zero).await && peer.reaches(&host).await);
    let ended = until("link 1", async || peer.reaches(&one).await).await - begun;
    assert!(ended >= Duration::from_millis(2900), "{ended:?}");
    eprintln!("      link 1 passed again after {ended:?} of 3 s");
}
