//! Cuts, seen from the sockets and from the tools.

use std::net::SocketAddrV4;
use std::time::Duration;

use quorate_lab::{Lab, What};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{PATIENCE, happened, lab, three};

/// Stands in for an agent: answers each byte with the next one.
async fn echo(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok() {
                if stream.write_all(&[byte[0].wrapping_add(1)]).await.is_err() {
                    return;
                }
            }
        });
    }
}

pub(crate) async fn ask(stream: &mut TcpStream, byte: u8) -> u8 {
    stream.write_all(&[byte]).await.expect("sent");
    let mut answer = [0];
    stream.read_exact(&mut answer).await.expect("answered");
    answer[0]
}

/// A connection to where a server's agent is reached, with an echo behind it.
pub(crate) async fn connected(lab: &Lab, name: &str) -> TcpStream {
    let node = lab.node(name).expect("a server");
    let config = std::fs::read_to_string(&node.agent_config).expect("the agent's configuration");
    let listen = config
        .lines()
        .find_map(|line| line.strip_prefix("listen = "))
        .expect("listen")
        .trim_matches('"');
    let listener = TcpListener::bind(listen).await.expect("the agent's address is free");
    tokio::spawn(echo(listener));
    TcpStream::connect(SocketAddrV4::new(node.address, 7443))
        .await
        .expect("connected")
}

#[tokio::test]
async fn a_cut_stalls_connections_and_a_heal_lets_them_go_on() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let mut stream = connected(&lab, "prox1").await;
    assert_eq!(ask(&mut stream, 1).await, 2);

    lab.cut("prox1").await.expect("cut");
    stream.write_all(&[5]).await.expect("sent into the void");
    let mut answer = [0];
    let silence = tokio::time::timeout(Duration::from_millis(200), stream.read_exact(&mut answer)).await;
    assert!(
        silence.is_err(),
        "nothing comes back, and the connection is not reset either"
    );

    lab.heal("prox1").await.expect("healed");
    stream
        .read_exact(&mut answer)
        .await
        .expect("what was under way arrives");
    assert_eq!(answer[0], 6);
}

#[tokio::test]
async fn the_way_out_shows_which_server_it_comes_from() {
    let lab = lab(|builder| builder.nodes(2)).await;
    let enrolment = SocketAddrV4::new(lab.coordinator_address(), 7441);
    let listener = TcpListener::bind(enrolment)
        .await
        .expect("the coordinator's address is free");
    for name in ["prox1", "prox2"] {
        let door = lab.enrolment(name).expect("a door");
        let stream = TcpStream::connect(door).await.expect("connected");
        let (_, from) = listener.accept().await.expect("accepted");
        assert_eq!(from.ip(), *door.ip());
        drop(stream);
    }
}

#[tokio::test]
async fn isolation_and_return_take_as_long_as_on_real_servers() {
    let lab = lab(|builder| builder.nodes(3).speed(10.0)).await;
    three(&lab).await;
    lab.cut_link("prox3", 0).await.expect("cut");
    let quorate = async |wanted: bool| {
        lab.wait_for("prox3's quorum", PATIENCE, async || {
            lab.status()
                .await
                .is_ok_and(|list| list.iter().any(|s| s.name == "prox3" && s.quorate == wanted))
        })
        .await
        .expect("in time");
    };
    quorate(false).await;
    lab.heal("prox3").await.expect("healed");
    quorate(true).await;
    let last = |what: What, node: &str| {
        let found = happened(&lab, what)
            .into_iter()
            .rfind(|entry| entry.node.as_deref() == Some(node));
        found.expect("it happened").ms
    };
    // The ticks of a busy machine come late, never early.
    assert!(last(What::QuorumLost, "prox3") - last(What::Cut, "prox3") >= 8030);
    assert!(last(What::QuorumGained, "prox3") - last(What::Healed, "prox3") >= 2900);
    // Both sides at once; and the majority never lost its quorum.
    let moves = happened(&lab, What::MembershipChanged);
    let lost = moves
        .iter()
        .filter(|entry| entry.detail == "3" || entry.detail == "1 2")
        .collect::<Vec<_>>();
    let after = last(What::Cut, "prox3");
    let times: Vec<u64> = lost.iter().map(|entry| entry.ms).filter(|ms| *ms > after).collect();
    assert_eq!(times.len(), 3);
    assert!(times.windows(2).all(|pair| pair[0] == pair[1]), "{times:?}");
}

#[tokio::test]
async fn only_a_pulled_cable_shows_at_the_port() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let carrier = async || {
        let output = lab.tool("prox1", &["ip", "-j", "addr"], None).await.expect("ip runs");
        !output.stdout.contains("NO-CARRIER")
    };
    lab.cut("prox1").await.expect("cut");
    assert!(carrier().await, "packets are lost on the way, the port does not know");
    lab.heal("prox1").await.expect("healed");
    lab.unplug("prox1", 0).await.expect("unplugged");
    assert!(!carrier().await);
    let speed = std::fs::read_to_string(lab.node("prox1").expect("prox1").root.join("sys/class/net/eno2/speed"));
    assert_eq!(speed.expect("there"), "-1\n");
}
