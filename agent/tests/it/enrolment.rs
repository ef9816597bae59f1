//! How a server comes to belong to a fleet.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use quorate_exec::{Finished, Invocation, OsRunner, Runner as _, Stdin};
use quorate_identity::{EnrolmentTls, FirstContact, NodeStore, Role, Token};
use quorate_model::failure::ExitCode;
use quorate_model::{Code, Finding};
use quorate_proto::status::refuse;
use quorate_proto::v1;
use quorate_proto::v1::enrolment_server::{Enrolment, EnrolmentServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::agent::{RunningAgent, program};
use crate::fleet::{AMPLE, Fleet, key_of, node_role, now, time};
use crate::server::TestServer;

/// A coordinator that signs whoever comes.
#[derive(Clone)]
struct Desk {
    fleet: Arc<Fleet>,
    /// For which node, whatever the caller says of itself.
    node: &'static str,
    seen: Arc<Mutex<Vec<v1::EnrolRequest>>>,
}

#[tonic::async_trait]
impl Enrolment for Desk {
    async fn enrol(&self, request: Request<v1::EnrolRequest>) -> Result<Response<v1::EnrolReply>, Status> {
        let request = request.into_inner();
        self.seen.lock().unwrap().push(request.clone());
        if self.node == "nobody" {
            return Err(refuse(Finding::new(
                Code::TokenExpired,
                "prox1",
                "it expired an hour ago",
                "invite it again",
            )));
        }
        let chain = self
            .fleet
            .issuing
            .sign(&node_role(self.node), &key_of(&request.csr_der), now())
            .unwrap();
        Ok(Response::new(v1::EnrolReply {
            fleet: "home".into(),
            cluster: "lab1".into(),
            node: self.node.into(),
            not_after: Some(v1::Time { unix_micros: 0 }),
            chain_der: chain.iter().map(|certificate| certificate.der().to_vec()).collect(),
            roots_der: vec![self.fleet.root.certificate().der().to_vec()],
        }))
    }
}

impl Desk {
    async fn open(fleet: &Arc<Fleet>, node: &'static str) -> (Self, SocketAddr) {
        let desk = Self {
            fleet: Arc::clone(fleet),
            node,
            seen: Arc::default(),
        };
        let identity = fleet.root.issue(&Role::Coordinator, now()).unwrap();
        let tls = EnrolmentTls::new(&fleet.material(Some(identity)), &time()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, incoming) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(FirstContact::Tls(stream)) = tls.accept(stream, AMPLE).await {
                    drop(sender.send(Ok::<_, std::io::Error>(Plain(stream))).await);
                }
            }
        });
        let serving = tonic::transport::Server::builder().add_service(EnrolmentServer::new(desk.clone()));
        tokio::spawn(serving.serve_with_incoming(ReceiverStream::new(incoming)));
        (desk, address)
    }
}

/// Lets tonic serve a stream of ours.
struct Plain(Box<quorate_identity::ServerStream<tokio::net::TcpStream>>);

impl tonic::transport::server::Connected for Plain {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl tokio::io::AsyncRead for Plain {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl tokio::io::AsyncWrite for Plain {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write(cx, bytes)
    }
    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// `quorate-agent enroll`, with the token on stdin.
async fn enroll(server: &TestServer, address: SocketAddr, token: &str, more: &[&str]) -> (u8, String) {
    let call = Invocation::of(program())
        .args([
            "--config",
            &server.config().display().to_string(),
            "enroll",
            &address.to_string(),
        ])
        .args(more.iter().copied())
        .stdin(Stdin::bytes(format!("{token}\n")))
        .deadline(AMPLE)
        .build()
        .unwrap();
    let Finished {
        exit, stdout, stderr, ..
    } = OsRunner::new(quorate_clock::Clock::system()).run(&call).await.unwrap();
    let quorate_exec::Exit::Code(code) = exit else {
        panic!("{exit}")
    };
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
    (u8::try_from(code).unwrap(), text)
}

fn token(fleet: &Fleet) -> String {
    Token::generate(fleet.root.certificate()).unwrap().to_text().to_string()
}

#[tokio::test]
async fn a_server_enrols_once_and_its_key_stays_here() {
    let fleet = Arc::new(Fleet::new());
    let server = TestServer::unenrolled("prox1");
    let (desk, address) = Desk::open(&fleet, "prox1").await;
    let token = token(&fleet);
    let (code, said) = enroll(&server, address, &token, &[]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("node lab1/prox1 of fleet home"), "{said}");
    assert!(
        said.contains(&fleet.root.certificate().fingerprint().to_string()),
        "{said}"
    );
    {
        let seen = desk.seen.lock().unwrap();
        assert_eq!(
            (seen.len(), seen[0].hostname.as_str(), seen[0].secret.as_str()),
            (1, "prox1", token.as_str())
        );
    }
    let key = server.state().join("identity/node.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let agent = RunningAgent::start(&server).await;
    agent.dial(&fleet, &server).await;

    // While it runs, and afterwards: not a second time, unless told to.
    let again = |more: &'static [&'static str]| enroll(&server, address, &token, more);
    let (code, said) = again(&["--replace"]).await;
    assert_eq!(code, ExitCode::Refused as u8, "{said}");
    assert!(said.contains("systemctl stop quorate-agent"), "{said}");
    agent.terminate().await;
    let (code, said) = again(&[]).await;
    assert_eq!(code, ExitCode::Refused as u8, "{said}");
    assert!(
        said.contains("belongs to fleet home already") && said.contains("--replace"),
        "{said}"
    );
    let before = fs::read_to_string(&key).unwrap();
    assert_eq!(again(&["--replace"]).await.0, 0);
    assert_ne!(fs::read_to_string(&key).unwrap(), before);
}

#[tokio::test]
async fn a_server_of_another_name_is_not_enrolled() {
    let fleet = Arc::new(Fleet::new());
    let server = TestServer::unenrolled("prox1");
    let (_, address) = Desk::open(&fleet, "prox2").await;
    let (code, said) = enroll(&server, address, &token(&fleet), &[]).await;
    assert_eq!(code, ExitCode::Refused as u8, "{said}");
    assert!(
        said.contains(Code::TokenWrongName.as_str()) && said.contains("calls itself prox1"),
        "{said}"
    );
    assert!(NodeStore::new(&server.state()).load().unwrap().is_none());
}

#[tokio::test]
async fn the_coordinators_refusal_arrives_with_its_code() {
    let fleet = Arc::new(Fleet::new());
    let server = TestServer::unenrolled("prox1");
    let (_, address) = Desk::open(&fleet, "nobody").await;
    let (code, said) = enroll(&server, address, &token(&fleet), &[]).await;
    assert_eq!(code, ExitCode::Denied as u8, "{said}");
    assert!(
        said.contains(Code::TokenExpired.as_str()) && said.contains("invite it again"),
        "{said}"
    );
}

#[tokio::test]
async fn a_token_of_another_fleet_goes_no_further_than_the_fingerprint() {
    let fleet = Arc::new(Fleet::new());
    let server = TestServer::unenrolled("prox1");
    let (desk, address) = Desk::open(&fleet, "prox1").await;
    let (code, said) = enroll(&server, address, &token(&Fleet::new()), &[]).await;
    assert_eq!(code, ExitCode::Refused as u8, "{said}");
    assert!(said.contains("not the one that the token names"), "{said}");
    assert!(
        desk.seen.lock().unwrap().is_empty(),
        "the token was not shown to a stranger"
    );
}

#[tokio::test]
async fn what_is_no_token_is_told_without_showing_it() {
    let server = TestServer::unenrolled("prox1");
    let address = "127.0.0.1:9".parse().unwrap();
    let (code, said) = enroll(&server, address, "qrt1.geheim.geheim", &[]).await;
    assert_eq!(code, ExitCode::Usage as u8, "{said}");
    assert!(!said.contains("geheim"), "{said}");
    let (code, said) = enroll(&server, address, &token(&Fleet::new()), &[]).await;
    assert_eq!(code, ExitCode::Unreachable as u8, "{said}");
}

#[tokio::test]
async fn an_agent_without_identity_or_configuration_says_what_to_do() {
    let server = TestServer::unenrolled("prox1");
    let run = |config: std::path::PathBuf| async move {
        let call = Invocation::of(program())
            .args(["--config", &config.display().to_string(), "run"])
            .deadline(AMPLE)
            .build()
            .unwrap();
        let finished = OsRunner::new(quorate_clock::Clock::system()).run(&call).await.unwrap();
        (finished.exit, finished.stderr_text().into_owned())
    };
    let (exit, said) = run(server.config()).await;
    assert_eq!(exit, quorate_exec::Exit::Code(ExitCode::Refused as i32), "{said}");
    assert!(
        said.contains("not been enrolled") && said.contains("quorate-agent enroll"),
        "{said}"
    );
    let (exit, said) = run(server.path("missing.toml")).await;
    assert_eq!(exit, quorate_exec::Exit::Code(ExitCode::Usage as i32), "{said}");
    assert!(said.contains("missing.toml"), "{said}");
}
