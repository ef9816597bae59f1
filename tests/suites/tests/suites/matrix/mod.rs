//! Every call of the protocol by everybody who might make it, on the real programs: who gets what, as one table.

pub(crate) mod callers;
pub(crate) mod dial;
mod requests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use quorate_identity::{
    ClientTls, CoordinatorStore, Identity, Material, OperatorBundle, Refusal, Role, TimeSource, make_key_and_csr,
    public_key_of,
};
use quorate_lab::Lab;
use quorate_proto::authz::METHODS;
use quorate_proto::v1;
use quorate_proto::v1::agent_client::AgentClient;
use quorate_suites::Fleet;
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use tokio::net::TcpListener;
use tonic::transport::Channel;

use self::callers::{Cas, Forgery, Shown, node, now, operator, self_signed, viewer};
use self::dial::{AMPLE, TLS12, call, channel, refused_with, sends, tcp, tls};

pub(crate) const API: u16 = 7440;
const ENROL: u16 = 7441;
const AGENT: u16 = 7443;

/// The lines that a daemon wrote about callers that it refused, one after the other.
pub(crate) struct Log {
    path: PathBuf,
    read: usize,
}

impl Log {
    pub(crate) fn new(path: PathBuf) -> Self {
        let read = std::fs::read(&path).unwrap_or_default().len();
        Self { path, read }
    }

    /// The code in the next such line.
    pub(crate) async fn next(&mut self) -> String {
        let mut found = None;
        quorate_suites::until("the daemon says why it refused a caller", AMPLE, async || {
            let text = std::fs::read_to_string(&self.path).unwrap_or_default();
            let Some(end) = text.rfind('\n').filter(|end| *end >= self.read) else {
                return false;
            };
            let fresh = text[self.read..end].lines();
            let mut at = self.read;
            for line in fresh {
                at += line.len() + 1;
                if line.contains("refused a caller") {
                    let code = line
                        .split("code=")
                        .nth(1)
                        .and_then(|rest| rest.split_whitespace().next());
                    found = Some(code.unwrap_or("none").trim_matches('"').to_owned());
                    self.read = at;
                    return true;
                }
            }
            self.read = at;
            false
        })
        .await;
        found.unwrap()
    }
}

/// A server to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Server {
    Agent,
    Coordinator,
    Enrolment,
}

impl Server {
    fn of(path: &str) -> Self {
        match path.split('/').nth(1).unwrap() {
            "quorate.v1.Agent" => Self::Agent,
            "quorate.v1.Enrolment" => Self::Enrolment,
            _ => Self::Coordinator,
        }
    }
}

/// What stands at the top of a column.
#[derive(Clone, Copy)]
enum Caller<'a> {
    /// With this certificate, or none.
    Shows(Option<&'a Shown>),
    /// Over connections that are open already.
    Over(&'a BTreeMap<Server, Channel>),
    Plaintext,
    Tls12,
    /// A caller of ours, at the address of another server than it means.
    AtTheWrongServer,
    /// A caller of ours, whose server has an operator's certificate.
    ServedByAClient,
}

struct Hall {
    cas: Cas,
    fleet: Fleet,
    agent: SocketAddr,
    api: SocketAddr,
    enrol: SocketAddr,
    logs: BTreeMap<Server, Log>,
    csr: Vec<u8>,
    /// For the next caller of the enrolment port, which counts by address.
    address: u8,
}

impl Hall {
    async fn new() -> Self {
        let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
        // Somebody is expected: the enrolment port is open.
        fleet
            .ok(&[
                "node",
                "invite",
                "hk1/prox7",
                "--address",
                "127.0.0.1",
                "--minutes",
                "60",
            ])
            .await;
        let layout = fleet.lab.layout();
        let own = fleet.lab.coordinator_address();
        let at = |address: Ipv4Addr, port| SocketAddr::from((address, port));
        let coordinator_log = layout.coordinator().join("coordinator.log");
        let logs = [
            (Server::Agent, layout.agent_log("prox1")),
            (Server::Coordinator, coordinator_log.clone()),
            (Server::Enrolment, coordinator_log),
        ];
        Self {
            cas: Cas::load(&layout.coordinator().join("state"), "a passphrase for tests"),
            agent: at(fleet.lab.node("prox1").unwrap().address, AGENT),
            api: at(own, API),
            enrol: at(own, ENROL),
            logs: logs
                .into_iter()
                .map(|(server, path)| (server, Log::new(path)))
                .collect(),
            csr: make_key_and_csr().unwrap().1,
            address: 0,
            fleet,
        }
    }

    fn place(&self, server: Server) -> (SocketAddr, Role) {
        match server {
            Server::Agent => (self.agent, node("hk1", "prox1")),
            Server::Coordinator => (self.api, Role::Coordinator),
            Server::Enrolment => (self.enrol, Role::Coordinator),
        }
    }

    /// Whoever tries the enrolment port often is held back, by address: each comes from another.
    async fn tcp(&mut self, server: Server) -> tokio::net::TcpStream {
        let (place, _) = self.place(server);
        let from = (server == Server::Enrolment).then(|| {
            self.address += 1;
            Ipv4Addr::new(127, 99, 0, self.address)
        });
        tcp(place, from).await
    }

    async fn open(&mut self, server: Server, shown: Option<&Shown>) -> std::io::Result<Channel> {
        let stream = self.tcp(server).await;
        let (_, role) = self.place(server);
        let name = role.dns_name(self.cas.roots.fleet()).unwrap();
        let stream = tls(stream, &self.cas.roots, &name, shown).await?;
        channel(stream).await.map_err(std::io::Error::other)
    }

    /// What a server says to this call, by the code of its finding.
    async fn cell(&mut self, path: &'static str, caller: Caller<'_>) -> String {
        let server = Server::of(path);
        let request = requests::request(path, &self.csr);
        match caller {
            Caller::Shows(shown) => {
                let answer = match self.open(server, shown).await {
                    Ok(channel) => call(&channel, path, request).await,
                    Err(_) => return self.logged(server).await,
                };
                match answer {
                    Ok(()) => "passes".to_owned(),
                    Err(status) if status.details().is_empty() && closed(&status) => self.logged(server).await,
                    Err(status) => said(&status),
                }
            }
            Caller::Over(channels) => {
                let Some(channel) = channels.get(&server) else {
                    return "-".to_owned();
                };
                match call(channel, path, request).await {
                    Ok(()) => "passes".to_owned(),
                    Err(status) if status.details().is_empty() && closed(&status) => "closed".to_owned(),
                    Err(status) => said(&status),
                }
            }
            Caller::Plaintext => {
                let stream = self.tcp(server).await;
                let answer = sends(stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
                // A TLS alert at most.
                assert!(answer.len() <= 7, "{server:?} answers in plain text: {answer:?}");
                self.logged(server).await
            }
            Caller::Tls12 => {
                let stream = self.tcp(server).await;
                let answer = sends(stream, TLS12).await;
                assert_eq!(answer.last(), Some(&70), "the alert protocol_version");
                self.logged(server).await
            }
            Caller::AtTheWrongServer => {
                let (_, meant) = self.place(server);
                // Whose log nobody reads here.
                let other = SocketAddr::from((self.fleet.lab.node("prox2").unwrap().address, AGENT));
                let own = (server != Server::Enrolment).then(|| self.cas.identity(&Role::Coordinator, now()));
                refused_by_us(self.cas.material(own), other, &meant).await
            }
            Caller::ServedByAClient => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let shown = Shown::of(&self.cas.identity(&operator("mallory", &[]), now()));
                tokio::spawn(answer_with(listener, shown));
                let (_, meant) = self.place(server);
                let own = (server != Server::Enrolment).then(|| self.cas.identity(&Role::Coordinator, now()));
                refused_by_us(self.cas.material(own), address, &meant).await
            }
        }
    }

    async fn logged(&mut self, server: Server) -> String {
        let log = self.logs.get_mut(&server).unwrap();
        let code = log.next().await;
        // Both listeners write into one file.
        let read = log.read;
        for other in [Server::Coordinator, Server::Enrolment] {
            if server != Server::Agent {
                self.logs.get_mut(&other).unwrap().read = read;
            }
        }
        short(&code)
    }

    /// One column.
    async fn column(&mut self, caller: Caller<'_>) -> Vec<String> {
        let mut cells = Vec::new();
        for rule in METHODS {
            cells.push(self.cell(rule.path, caller).await);
        }
        cells
    }

    /// Opens connections to everybody who takes them, to be called over later.
    async fn connections(&mut self, shown: &Shown, servers: &[Server]) -> BTreeMap<Server, Channel> {
        let mut all = BTreeMap::new();
        for server in servers {
            all.insert(*server, self.open(*server, Some(shown)).await.unwrap());
        }
        all
    }

    /// Lets the issuing CA give prox1 another certificate, as the coordinator does when two thirds of its life are over.
    async fn renew_prox1(&self, channel: &Channel) {
        let mut client = AgentClient::new(channel.clone());
        let csr = client
            .renewal_request(v1::RenewalRequestRequest {})
            .await
            .unwrap()
            .into_inner()
            .csr_der;
        let chain = self
            .cas
            .issuing
            .sign(&node("hk1", "prox1"), &public_key_of(&csr).unwrap(), now())
            .unwrap();
        let chain_der = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
        let request = v1::InstallCertificateRequest {
            chain_der,
            roots_der: vec![],
        };
        client.install_certificate(request).await.unwrap();
    }

    /// Exchanges the CA, and believes the new one from then on.
    async fn rotate(&mut self) {
        let passphrase = self.fleet.passphrase_file().to_string_lossy().into_owned();
        self.fleet.ok(&["ca", "begin", "--passphrase-file", &passphrase]).await;
        for step in ["switch", "finish"] {
            let fleet = &self.fleet;
            fleet
                .until("no server is missing", async || {
                    fleet.json(&["ca", "status"]).await["missing"] == serde_json::json!([])
                })
                .await;
            self.fleet.ok(&["ca", step]).await;
        }
        let state = self.fleet.lab.layout().coordinator().join("state");
        self.cas.roots = CoordinatorStore::new(&state).roots().unwrap();
    }

    /// An operator as an administrator makes one.
    async fn bundle(&self, who: &str) -> Identity {
        let layout = self.fleet.lab.layout();
        let out = layout.coordinator().join(format!("{who}.pem"));
        let passphrase = self.fleet.passphrase_file();
        let (shown, passphrase) = (
            out.to_string_lossy().into_owned(),
            passphrase.to_string_lossy().into_owned(),
        );
        self.fleet
            .ok(&[
                "operator",
                "add",
                who,
                "--out",
                &shown,
                "--passphrase-file",
                &passphrase,
            ])
            .await;
        OperatorBundle::load(&out).unwrap().identity().clone()
    }
}

/// Did the other end hang up, rather than say anything?
fn closed(status: &tonic::Status) -> bool {
    use tonic::Code::{Cancelled, Internal, Unavailable, Unknown};
    matches!(status.code(), Unavailable | Unknown | Cancelled | Internal)
}

/// What a server said, by its code; what was not refused at the door has passed, whatever came of it.
fn said(status: &tonic::Status) -> String {
    let token = dial::codes(&quorate_proto::status::to_failure(status))
        .into_iter()
        .find(|code| code.starts_with("QRT-TOKEN"));
    refused_with(status)
        .or(token)
        .map_or_else(|| "passes".to_owned(), short)
}

fn short(code: &str) -> String {
    code.trim_start_matches("QRT-").to_owned()
}

async fn refused_by_us(material: Material, at: SocketAddr, meant: &Role) -> String {
    let tls = ClientTls::new(material, TimeSource::new(now)).unwrap();
    let refusal: Refusal = tls.connect(at, meant, AMPLE).await.map(drop).unwrap_err();
    quorate_reception::finding("", &refusal).map_or_else(|| refusal.to_string(), |finding| short(finding.code.as_str()))
}

/// A server with whatever certificate.
async fn answer_with(listener: TcpListener, shown: Shown) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(shown.chain, shown.key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    while let Ok((stream, _)) = listener.accept().await {
        drop(acceptor.accept(stream).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_may_not_is_refused_with_the_code_that_says_why() {
    let mut hall = Hall::new().await;
    let shows = |identity: Identity| Shown::of(&identity);
    let (anna, mallory) = (operator("anna", &[]), hall.bundle("mallory").await);
    let coordinator = Role::Coordinator;
    let (stranger, _) = Cas::strangers("test");
    let mallory = shows(mallory);
    let of_fleet = |path: &str| format!("quorate://{}/{path}", hall.cas.roots.fleet());
    let (admin, posing, node_uri) = (
        of_fleet("admin/anna"),
        of_fleet("coordinator"),
        of_fleet("node/hk1/prox1"),
    );

    let genuine = [
        ("coordinator", shows(hall.cas.identity(&coordinator, now()))),
        ("operator", shows(hall.cas.identity(&anna, now()))),
        ("viewer", shows(hall.cas.identity(&viewer("tv"), now()))),
        (
            "operator of hk1",
            shows(hall.cas.identity(&operator("otto", &["hk1"]), now())),
        ),
        (
            "operator of another cluster",
            shows(hall.cas.identity(&operator("olga", &["hk2"]), now())),
        ),
    ];
    let forged = [
        ("self-signed", self_signed(&posing)),
        ("other CA", shows(stranger.issue(&coordinator, now()).unwrap())),
        ("expired by 1 s", shows(hall.cas.expired(&coordinator))),
        ("not yet valid", shows(hall.cas.early(&coordinator))),
        ("server certificate as client", shows_node(&hall)),
        (
            "no role",
            hall.cas.forged_by_root(&Forgery {
                uri: None,
                purposes: &[ClientAuth],
            }),
        ),
        (
            "unknown role",
            hall.cas.forged_by_root(&Forgery {
                uri: Some(&admin),
                purposes: &[ClientAuth],
            }),
        ),
        (
            "node commanding",
            hall.cas.forged_by_issuing(&Forgery {
                uri: Some(&node_uri),
                purposes: &[ServerAuth, ClientAuth],
            }),
        ),
        (
            "node CA poses as coordinator",
            hall.cas.forged_by_issuing(&Forgery {
                uri: Some(&posing),
                purposes: &[ClientAuth],
            }),
        ),
    ];
    let mut columns: Vec<(&str, Vec<String>)> = Vec::new();
    for (title, shown) in &genuine {
        columns.push((title, hall.column(Caller::Shows(Some(shown))).await));
    }
    columns.push(("no certificate", hall.column(Caller::Shows(None)).await));
    columns.push(("plaintext", hall.column(Caller::Plaintext).await));
    columns.push(("TLS 1.2", hall.column(Caller::Tls12).await));
    for (title, shown) in &forged {
        columns.push((title, hall.column(Caller::Shows(Some(shown))).await));
    }
    columns.push(("right CA, wrong server", hall.column(Caller::AtTheWrongServer).await));
    columns.push((
        "client certificate as server",
        hall.column(Caller::ServedByAClient).await,
    ));

    // What was open goes on with the certificate that it was opened with.
    let driver = hall.connections(&genuine[0].1, &[Server::Agent]).await;
    let mut old = hall.connections(&genuine[1].1, &[Server::Coordinator]).await;
    hall.renew_prox1(&driver[&Server::Agent]).await;
    old.extend(driver);
    columns.push(("certificate replaced mid-stream", hall.column(Caller::Over(&old)).await));

    // What was open under a certificate that is revoked does not.
    let open = hall.connections(&mallory, &[Server::Agent, Server::Coordinator]).await;
    hall.fleet.ok(&["operator", "remove", "mallory"]).await;
    columns.push(("revoked mid-stream", hall.column(Caller::Over(&open)).await));
    columns.push(("revoked", hall.column(Caller::Shows(Some(&mallory))).await));

    // Another CA has taken the old one's place: what the old one signed is over, also where it is connected.
    hall.rotate().await;
    columns.push(("CA rotated", hall.column(Caller::Shows(Some(&genuine[0].1))).await));
    columns.push(("CA rotated mid-stream", hall.column(Caller::Over(&old)).await));

    insta::assert_snapshot!(table(&columns));
}

/// A node's own, which answers and never calls.
fn shows_node(hall: &Hall) -> Shown {
    Shown::of(&hall.cas.identity(&node("hk1", "prox2"), now()))
}

/// Numbered columns: their titles would be wider than what stands in them.
fn table(columns: &[(&str, Vec<String>)]) -> String {
    let mut text = String::new();
    for (number, (title, _)) in columns.iter().enumerate() {
        writeln!(text, "{:>2}  {title}", number + 1).unwrap();
    }
    let width = |cells: &[String]| cells.iter().map(String::len).max().unwrap_or(0).max(2);
    write!(text, "\n{:<28}", "").unwrap();
    for (number, (_, cells)) in columns.iter().enumerate() {
        write!(text, "  {:<1$}", number + 1, width(cells)).unwrap();
    }
    for (row, rule) in METHODS.iter().enumerate() {
        text.push('\n');
        let method = rule.path.trim_start_matches("/quorate.v1.");
        write!(text, "{method:<28}").unwrap();
        for (_, cells) in columns {
            write!(text, "  {:<1$}", cells[row], width(cells)).unwrap();
        }
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}
