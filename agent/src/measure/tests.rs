//! With real sockets on the loopback interface.

use std::net::UdpSocket as Std;
use std::path::Path;
use std::time::Duration;

use quorate_clock::Clock;
use quorate_exec::Tools;
use quorate_exec::scripted::{Call, Scripted};
use quorate_proto::v1;
use tokio::net::UdpSocket;

use super::packet::{HEAD, Packet};
use super::*;
use crate::host::HostRoot;

const OURS: [u8; KEY] = [1; KEY];
const AMPLE: Duration = Duration::from_secs(60);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An agent on a server that has these addresses, on interfaces of this MTU. It looks `times` times.
fn echo(addresses: &[&str], mtu: u32, times: usize) -> Echo {
    let info: Vec<String> = addresses
        .iter()
        .map(|a| format!(r#"{{"family":"inet","local":"{a}","prefixlen":8}}"#))
        .collect();
    let shown = format!(
        r#"[{{"ifname":"eno2","flags":["UP","LOWER_UP"],"mtu":{mtu},"link_type":"ether","operstate":"UP","addr_info":[{}]}}]"#,
        info.join(",")
    );
    let call = || Call::of(["/usr/bin/ip", "-j", "-d", "address"]).prints(shown.clone());
    let runner = Arc::new(Scripted::new((0..times).map(|_| call())));
    let root = HostRoot::lab(Path::new("/proc")).unwrap();
    Echo::new(
        Arc::new(Host::new(root, Tools::imagined(), runner, Clock::system())),
        // Whichever is free.
        0..=0,
    )
}

fn open(local: &str, peers: &[&str], lasts: Duration) -> Open {
    let end = LinkEnd {
        local: ip(local),
        peers: peers.iter().map(|p| ip(p)).collect(),
    };
    Open {
        key: OURS,
        lasts,
        links: [(0, end)].into(),
    }
}

async fn opened(echo: &Echo, local: &str, peers: &[&str]) -> Ready {
    echo.open(open(local, peers, AMPLE)).await.remove(&0).unwrap().unwrap()
}

fn measure(remote: &str, port: u16, packets: u32) -> Measure {
    Measure {
        key: OURS,
        targets: vec![Target {
            link: 0,
            remote: ip(remote),
            port,
        }],
        packets,
        every: Duration::from_millis(1),
    }
}

async fn measured(echo: &Echo, remote: &str, port: u16, packets: u32) -> PairMeasurement {
    let mut facets = echo.measure(measure(remote, port, packets)).await.unwrap();
    facets.remove(0).get().unwrap().clone()
}

/// Sends a packet from an address of its own, and gives back the answer.
async fn answer(from: &str, to: (&str, u16), bytes: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind((from, 0)).await.unwrap();
    socket.send_to(bytes, to).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let received = tokio::time::timeout(AMPLE, socket.recv(&mut buffer)).await;
    let length = received.expect("an answer").unwrap();
    buffer[..length].to_vec()
}

/// Is a packet passed over? Packets are answered in their order: what comes after this one has its answer, and this one has none.
async fn passed_over(from: &str, to: (&str, u16), bytes: &[u8]) -> bool {
    let socket = Std::bind((from, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.send_to(bytes, to).unwrap();
    answer("127.0.0.2", to, &Packet::Request { number: 9 }.write(HEAD, &OURS)).await;
    socket.recv(&mut [0; 65_535]).is_err()
}

/// A way that drops what is larger than an MTU, and every so-many-th packet; it looks like the other end to both.
async fn way(address: &'static str, ends: [(&'static str, u16); 2], mtu: usize, drops: usize) -> u16 {
    let socket = UdpSocket::bind((address, 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_535];
        let mut count = 0;
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            count += 1;
            if length + 28 > mtu || (drops > 0 && count % drops == 0) {
                continue;
            }
            let to = if from.ip() == ip(ends[0].0) { ends[1] } else { ends[0] };
            socket.send_to(&buffer[..length], to).await.unwrap();
        }
    });
    port
}

#[tokio::test]
async fn two_agents_measure_one_another_over_ipv4_and_ipv6() {
    for (one, other) in [("127.0.0.1", "127.0.0.2"), ("::1", "::1")] {
        let (here, there) = (echo(&[one], 1500, 1), echo(&[other], 9000, 1));
        let near = opened(&here, one, &[other]).await;
        let far = opened(&there, other, &[one]).await;
        assert_eq!((near.mtu, far.mtu), (1500, 9000));
        let measured = measured(&here, other, far.port, 50).await;
        assert_eq!((measured.sent, measured.received, measured.late), (50, 50, 0));
        assert!(measured.rtt_p50 <= measured.rtt_p99 && measured.rtt_p99 <= measured.rtt_max);
        assert_eq!(
            measured.path_mtu.get(),
            Ok(&1500),
            "the loopback passes all that the interface sends"
        );
        assert_eq!((measured.local, measured.remote), (ip(one), ip(other)));
    }
}

#[tokio::test]
async fn a_way_with_a_smaller_mtu_and_losses_is_seen_as_it_is() {
    let (here, there) = (echo(&["127.0.0.1"], 1500, 1), echo(&["127.0.0.2"], 1500, 1));
    let near = opened(&here, "127.0.0.1", &["127.0.0.3"]).await;
    let far = opened(&there, "127.0.0.2", &["127.0.0.3"]).await;
    let ends = [("127.0.0.1", near.port), ("127.0.0.2", far.port)];
    // Of 200 packets there and back, one in 40 is lost.
    let way = way("127.0.0.3", ends, 1400, 40).await;
    let measured = measured(&here, "127.0.0.3", way, 100).await;
    assert_eq!(measured.path_mtu.get(), Ok(&1400));
    assert!((4..=5).contains(&measured.lost()), "{measured:?}");
}

#[tokio::test]
async fn too_many_losses_leave_the_mtu_unknown() {
    let (here, there) = (echo(&["127.0.0.1"], 1500, 1), echo(&["127.0.0.2"], 1500, 1));
    let near = opened(&here, "127.0.0.1", &["127.0.0.4"]).await;
    let far = opened(&there, "127.0.0.2", &["127.0.0.4"]).await;
    let ends = [("127.0.0.1", near.port), ("127.0.0.2", far.port)];
    let way = way("127.0.0.4", ends, 1500, 4).await;
    let measured = measured(&here, "127.0.0.4", way, 50).await;
    assert!(measured.lost() > 10);
    assert!(
        measured.path_mtu.get().unwrap_err().reason.contains("too many"),
        "{measured:?}"
    );
}

#[tokio::test]
async fn silence_is_unknown_and_not_a_measurement() {
    let here = echo(&["127.0.0.1"], 1500, 1);
    opened(&here, "127.0.0.1", &["127.0.0.2"]).await;
    let nobody = Std::bind(("127.0.0.2", 0)).unwrap();
    let port = nobody.local_addr().unwrap().port();
    let facets = here.measure(measure("127.0.0.2", port, 5)).await.unwrap();
    assert_eq!(
        facets[0].get().unwrap_err().reason,
        "no answer from 127.0.0.2 to 5 packets"
    );
    let facets = here.measure(measure("127.0.0.9", port, 5)).await.unwrap();
    assert!(
        facets[0].get().unwrap_err().reason.contains("was not named"),
        "{facets:?}"
    );
}

#[tokio::test]
async fn strangers_and_other_keys_get_no_answer_and_nobody_more_than_he_sent() {
    let here = echo(&["127.0.0.1"], 1500, 1);
    let port = opened(&here, "127.0.0.1", &["127.0.0.2"]).await.port;
    let request = Packet::Request { number: 5 };
    for length in [HEAD, 200, 1472] {
        let answer = answer("127.0.0.2", ("127.0.0.1", port), &request.write(length, &OURS)).await;
        assert_eq!(answer.len(), length);
        let Some(Packet::Answer { number: 5, there }) = Packet::read(&answer, &OURS) else {
            panic!("no answer: {answer:?}");
        };
        assert!(there.0 > 0 && there.0 <= there.1, "its own time stamps are in it");
    }
    let to = ("127.0.0.1", port);
    for (from, bytes, what) in [
        ("127.0.0.9", request.write(HEAD, &OURS), "a stranger"),
        ("127.0.0.2", request.write(HEAD, &[2; KEY]), "another key"),
        ("127.0.0.2", request.write(HEAD, &OURS)[..HEAD - 1].to_vec(), "short"),
    ] {
        assert!(passed_over(from, to, &bytes).await, "{what}");
    }
    let forged = Packet::Answer {
        number: 1,
        there: (0, 0),
    }
    .write(HEAD, &OURS);
    assert!(passed_over("127.0.0.2", to, &forged).await, "an answer to nothing");
}

#[tokio::test]
async fn a_session_ends_by_itself_and_the_port_is_free_again() {
    let here = echo(&["127.0.0.1"], 1500, 1);
    let request = Packet::Request { number: 1 }.write(HEAD, &OURS);
    // Long enough for an answer before, on a busy machine too.
    let lasts = Duration::from_secs(4);
    let port = here
        .open(open("127.0.0.1", &["127.0.0.2"], lasts))
        .await
        .remove(&0)
        .unwrap()
        .unwrap()
        .port;
    answer("127.0.0.2", ("127.0.0.1", port), &request).await;
    let begun = std::time::Instant::now();
    while Std::bind(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < AMPLE, "the port is still held");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        here.measure(measure("127.0.0.2", 9, 1)).await.unwrap_err(),
        NotBegun::NoSession
    );
}

#[tokio::test]
async fn closing_needs_the_key_and_a_new_session_takes_the_place_of_the_old() {
    let here = echo(&["127.0.0.1"], 1500, 2);
    let first = opened(&here, "127.0.0.1", &["127.0.0.2"]).await.port;
    here.close([9; KEY]).await;
    assert!(
        Std::bind(("127.0.0.1", first)).is_err(),
        "somebody else's key closes nothing"
    );
    let second = opened(&here, "127.0.0.1", &["127.0.0.2"]).await.port;
    assert!(Std::bind(("127.0.0.1", second)).is_err());
    here.close(OURS).await;
    assert!(Std::bind(("127.0.0.1", second)).is_ok());
}

#[tokio::test]
async fn an_address_that_is_not_on_the_server_is_refused_by_name() {
    let here = echo(&["127.0.0.1"], 1500, 1);
    let mut request = open("127.0.0.8", &["127.0.0.2"], AMPLE);
    let good = open("127.0.0.1", &["127.0.0.2"], AMPLE).links.remove(&0).unwrap();
    request.links.insert(1, good);
    let opened = here.open(request).await;
    let reason = &opened[&0].as_ref().unwrap_err().reason;
    assert_eq!(reason, "127.0.0.8 is not an address of this server");
    assert!(opened[&1].is_ok(), "the other link is open");
}

#[tokio::test]
async fn no_more_is_measured_at_once_than_a_node_should() {
    let here = echo(&["127.0.0.1"], 1500, 1);
    opened(&here, "127.0.0.1", &["127.0.0.2"]).await;
    let series = || here.measure(measure("127.0.0.2", 9, 100));
    let (first, second, third) = tokio::join!(series(), series(), series());
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(third.unwrap_err(), NotBegun::Busy);
}

#[test]
fn requests_beyond_the_limits_are_refused() {
    let good = v1::OpenEchoRequest {
        key: OURS.to_vec(),
        seconds: 120,
        links: vec![v1::EchoLink {
            link: 0,
            local: "10.10.10.1".into(),
            peers: vec!["10.10.10.2".into(); 128],
        }],
    };
    assert!(Open::try_from(good.clone()).is_ok());
    let bad = |change: fn(&mut v1::OpenEchoRequest)| {
        let mut request = good.clone();
        change(&mut request);
        Open::try_from(request).unwrap_err().to_string()
    };
    assert!(bad(|r| r.key.truncate(15)).contains("16 bytes"));
    assert!(bad(|r| r.seconds = 121).contains("1 to 120 seconds"));
    assert!(bad(|r| r.seconds = 0).contains("1 to 120 seconds"));
    assert!(bad(|r| r.links[0].peers.push("10.10.10.2".into())).contains("128 at most"));
    assert!(bad(|r| r.links = vec![r.links[0].clone(); 9]).contains("8 at most"));
    assert!(bad(|r| r.links = vec![r.links[0].clone(); 2]).contains("twice"));
    assert!(bad(|r| r.links[0].local = "prox1".into()).contains("is no IP address"));

    let good = v1::MeasureRequest {
        key: OURS.to_vec(),
        targets: vec![v1::EchoTarget::default(); 8]
            .into_iter()
            .map(|t| v1::EchoTarget {
                remote: "::1".into(),
                ..t
            })
            .collect(),
        packets: 1000,
        interval_micros: 500,
    };
    assert!(Measure::try_from(good.clone()).is_ok());
    let bad = |change: fn(&mut v1::MeasureRequest)| {
        let mut request = good.clone();
        change(&mut request);
        Measure::try_from(request).unwrap_err().to_string()
    };
    assert!(bad(|r| r.packets = 1001).contains("1 to 1000"));
    assert!(bad(|r| r.packets = 0).contains("1 to 1000"));
    assert!(bad(|r| r.interval_micros = 499).contains("500 to 100000"));
    assert!(bad(|r| r.interval_micros = 100_001).contains("500 to 100000"));
    assert!(bad(|r| r.targets.push(r.targets[0].clone())).contains("8 at most"));
    assert!(bad(|r| r.targets[0].port = 65_536).contains("65535"));
}
