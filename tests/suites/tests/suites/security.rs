//! Enrolment and driving, through the real programs. The handshakes themselves are tested where they live, in common/identity.

use std::net::Ipv4Addr;

use quorate_identity::{PrivateKey, Role, Token, fetch_root, make_key_and_csr};
use quorate_lab::Lab;
use quorate_model::failure::Failure;
use quorate_proto::status::to_failure;
use quorate_proto::v1;
use quorate_proto::v1::enrolment_client::EnrolmentClient;
use quorate_suites::{Fleet, told};

use crate::matrix::dial::{AMPLE, channel, tcp, tls};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_once_for_one_name_and_not_for_ever() {
    let fleet = Fleet::bare(Lab::builder().nodes(3)).await;

    let token = fleet.invite("prox1").await;
    let other = fleet.claim("prox2", &token).await;
    assert_eq!(other.code(), Some(6), "{}", told(&other));
    assert!(
        other.stderr.contains("QRT-TOKEN-WRONG-NAME") || other.stderr.contains("QRT-TOKEN-WRONG-ADDRESS"),
        "{}",
        told(&other)
    );

    let made_up = token.replace(&token[5..11], "aaaaaa");
    let guessed = fleet.claim("prox1", &made_up).await;
    assert!(guessed.stderr.contains("QRT-TOKEN-UNKNOWN"), "{}", told(&guessed));

    let good = fleet.claim("prox1", &token).await;
    assert!(good.success(), "{}", told(&good));
    let node = fleet.json(&["node", "show", "hk1/prox1"]).await;
    assert_eq!(node["state"], "enrolled");

    // Another invitation keeps the listener open; the used token is presented again.
    let _second = fleet.invite("prox2").await;
    let host = fleet.lab.enrolment("prox1").unwrap().to_string();
    let again = fleet
        .lab
        .agent_cli(
            "prox1",
            &["enroll", &host, "--replace"],
            Some(format!("{token}\n").as_bytes()),
        )
        .await
        .unwrap();
    assert!(again.stderr.contains("QRT-TOKEN-USED"), "{}", told(&again));
    let node = fleet.json(&["node", "show", "hk1/prox1"]).await;
    assert_eq!(node["state"], "FROZEN", "both claims are frozen");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_claim_at_once_one_gets_in_and_both_are_frozen() {
    let fleet = Fleet::bare(Lab::builder().nodes(1)).await;
    let token = fleet.invite("prox1").await;
    // Two programs on one server: the same name, the same address, at the same time.
    let (one, other) = (Claimant::new(&token), Claimant::new(&token));
    let at = (fleet.lab.coordinator_address(), 7441);
    let from = fleet.lab.node("prox1").unwrap().address;
    let (one, other) = tokio::join!(one.claims(at, from), other.claims(at, from));
    let refused = [one, other].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(refused.len(), 1, "one of them gets in: {refused:?}");
    assert_eq!(refused[0].findings[0].code.as_str(), "QRT-TOKEN-USED", "{refused:?}");
    let node = fleet.json(&["node", "show", "hk1/prox1"]).await;
    assert_eq!(node["state"], "FROZEN", "nobody knows which of the two it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_held_back() {
    let fleet = Fleet::bare(Lab::builder().nodes(1)).await;
    let token = fleet.invite("prox1").await;
    let guess = token.replace(&token[5..11], "aaaaaa");
    let at = (fleet.lab.coordinator_address(), 7441);
    let from = fleet.lab.node("prox1").unwrap().address;
    let mut codes = Vec::new();
    for _ in 0..14 {
        let refused = Claimant::new(&guess).claims(at, from).await.unwrap_err();
        codes.push(refused.findings[0].code.as_str());
    }
    assert!(codes[..10].iter().all(|code| *code == "QRT-TOKEN-UNKNOWN"), "{codes:?}");
    assert!(codes[10..].contains(&"QRT-ENROLMENT-RATE-LIMITED"), "{codes:?}");
    // Whoever is at another address is not held back for it, with the right token.
    let elsewhere = Claimant::new(&token)
        .claims(at, [127, 99, 9, 9].into())
        .await
        .unwrap_err();
    assert_eq!(elsewhere.findings[0].code.as_str(), "QRT-TOKEN-WRONG-ADDRESS");
}

/// Somebody who speaks the protocol of enrolment without our program.
struct Claimant {
    token: Token,
    key_and_csr: (PrivateKey, Vec<u8>),
}

impl Claimant {
    fn new(token: &str) -> Self {
        Self {
            token: token.parse().unwrap(),
            key_and_csr: make_key_and_csr().unwrap(),
        }
    }

    async fn claims(self, at: (Ipv4Addr, u16), from: Ipv4Addr) -> Result<(), Failure> {
        let roots = fetch_root(at.into(), &self.token, AMPLE).await.unwrap();
        let name = Role::Coordinator.dns_name(roots.fleet()).unwrap();
        let stream = tls(tcp(at.into(), Some(from)).await, &roots, &name, None)
            .await
            .unwrap();
        let request = v1::EnrolRequest {
            secret: self.token.to_text().to_string(),
            csr_der: self.key_and_csr.1,
            hostname: "prox1".to_owned(),
            agent_version: "0.1.0".to_owned(),
        };
        let mut client = EnrolmentClient::new(channel(stream).await.unwrap());
        client
            .enrol(request)
            .await
            .map(drop)
            .map_err(|status| to_failure(&status))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_enrolment_port_is_closed_while_nobody_is_invited() {
    let fleet = Fleet::bare(Lab::builder().nodes(1)).await;
    let address = std::net::SocketAddr::from((fleet.lab.coordinator_address(), 7441));
    assert!(std::net::TcpStream::connect(address).is_err());
    let token = fleet.invite("prox1").await;
    assert!(std::net::TcpStream::connect(address).is_ok());
    fleet.ok(&["node", "remove", "hk1/prox1", "--yes"]).await;
    fleet
        .until("it is closed again", async || {
            std::net::TcpStream::connect(address).is_err()
        })
        .await;
    assert_ne!(
        fleet.claim("prox1", &token).await.code(),
        Some(0),
        "the invitation was withdrawn"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_looks_and_changes_nothing() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(1)).await;
    let bundle = fleet
        .lab
        .layout()
        .coordinator()
        .join("ben.pem")
        .to_string_lossy()
        .into_owned();
    let passphrase = fleet.passphrase_file().to_string_lossy().into_owned();
    fleet
        .ok(&[
            "operator",
            "add",
            "ben",
            "--viewer",
            "--out",
            &bundle,
            "--passphrase-file",
            &passphrase,
        ])
        .await;
    let remote = fleet.write_file(
        "remote.toml",
        &format!(
            "[remote]\naddress = \"{}:7440\"\nbundle = \"{bundle}\"\n",
            fleet.lab.coordinator_address()
        ),
    );
    fleet.ok(&["--config", &remote, "node", "list"]).await;
    let refused = fleet
        .ends(
            &[
                "--config",
                &remote,
                "node",
                "invite",
                "hk1/prox9",
                "--address",
                "127.0.0.1",
            ],
            6,
        )
        .await;
    assert!(refused.stderr.contains("QRT-ROLE-NOT-ALLOWED"), "{}", told(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_is_no_longer_heard() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    fleet.ok(&["node", "remove", "hk1/prox2", "--yes"]).await;
    let list = fleet.json(&["node", "list"]).await;
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list:#}");
    let plan = fleet.plan().await;
    assert!(
        quorate_suites::codes(&plan["findings"]).contains(&"QRT-NODE-NOT-ENROLLED".to_owned()),
        "{plan:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_coordinators_with_one_ca_only_the_newer_drives() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    let names = fleet.lab.names();
    let state = fleet.lab.layout().coordinator().join("state");
    let copy = fleet.lab.layout().coordinator().join("copy");
    fleet.lab.stop_coordinator().await.unwrap();
    copy_folder(&state, &copy);
    fleet.start_coordinator(&[]).await;
    fleet.connected(&names).await;
    let file = fleet.cluster_file(&names[..2]);
    fleet.ok(&["apply", &file, "--yes"]).await;

    // The copy takes the same generation as the first one did, as another instance: the agents know who drives.
    fleet.lab.stop_coordinator().await.unwrap();
    std::fs::rename(&state, fleet.lab.layout().coordinator().join("first")).unwrap();
    std::fs::rename(&copy, &state).unwrap();
    fleet.start_coordinator(&[]).await;
    fleet.connected(&names).await;
    let file = fleet.cluster_file(&names);
    let refused = fleet.run(&["apply", &file, "--yes"]).await;
    assert_ne!(refused.code(), Some(0), "{}", told(&refused));
    let all = format!("{}{}", refused.stdout, refused.stderr);
    assert!(all.contains("QRT-DRIVER-SUPERSEDED"), "{}", told(&refused));
    assert_eq!(fleet.calls("pvecm", "add").len(), 1, "the copy changed nothing");

    // It does not come back by merely being started again.
    fleet.lab.stop_coordinator().await.unwrap();
    fleet.start_coordinator(&["--take-over"]).await;
    fleet.connected(&names).await;
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.is_one_quorate_cluster(&names).await;
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), &target).unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}
