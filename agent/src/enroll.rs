//! `quorate-agent enroll`: how a server comes to belong to a fleet. Its key is made here and never leaves.

use std::io;
use std::net::SocketAddr;

use hyper_util::rt::TokioIo;
use quorate_identity::{
    BootstrapError, Certificate, ClientStream, ClientTls, Fingerprint, Identity, Material, Name, NodeStore, PrivateKey,
    Refusal, RevocationList, Role, Roots, ServerTls, TimeSource, Token, fetch_root, make_key_and_csr,
};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::NodeRef;
use quorate_model::{Code, Finding, Timestamp};
use quorate_proto::limits::{CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT, QUICK_CALL_TIMEOUT};
use quorate_proto::status::to_failure;
use quorate_proto::v1;
use quorate_proto::v1::enrolment_client::EnrolmentClient;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

use crate::config::Config;
use crate::ledger::{Content, Ledger, LedgerError, Revoked};
use crate::observe::hostname;
use crate::start::{self, StateLock};

/// A server that now belongs to a fleet.
#[derive(Debug)]
pub struct Enrolled {
    /// The fleet.
    pub fleet: Name,
    /// Cluster and node.
    pub node: NodeRef,
    /// The fleet's root, to be compared with what the coordinator shows.
    pub root: Fingerprint,
    /// The last moment at which the certificate is valid, if it is not renewed.
    pub not_after: Timestamp,
}

/// Enrols this server with the coordinator at one of the addresses.
///
/// # Errors
/// Why not; nothing was changed then, on this server.
pub async fn enroll(config: &Config, place: &str, token: &Token, replace: bool) -> Result<Enrolled, Failure> {
    let host = start::host(config)?;
    let _lock = StateLock::take(&config.state_dir)?;
    let store = NodeStore::new(&config.state_dir);
    refuse_second(&store, replace)?;
    let own = hostname(&host);
    let time = start::time_source(host.clock());

    let (address, roots) = root_of(place, token).await?;
    let stream = connect(address, &roots, &time).await?;
    let (key, csr_der) =
        make_key_and_csr().map_err(|error| Failure::new(ExitCode::Failed, "no key could be made").because(&error))?;
    let request = v1::EnrolRequest {
        secret: token.to_text().to_string(),
        csr_der,
        hostname: own.clone(),
        agent_version: quorate_model::version!().to_owned(),
    };
    let reply = ask(stream, request).await?;
    let (roots, identity, node) = accept(reply, key, &roots, &own, &time)?;

    // A new fleet counts its coordinators and lists from one again.
    let ledger = Ledger::open(&config.state_dir).map_err(|error| unkept(&error))?;
    ledger
        .change(forget_fleet)
        .await
        .map_err(|error: LedgerError| unkept(&error))?;
    store.save(&roots, &identity).map_err(|error| unkept(&error))?;
    let not_after = Timestamp::from_seconds(i64::try_from(identity.certificate().not_after()).unwrap_or(i64::MAX));
    Ok(Enrolled {
        fleet: identity.fleet().clone(),
        node,
        root: token.root(),
        not_after,
    })
}

fn refuse_second(store: &NodeStore, replace: bool) -> Result<(), Failure> {
    let again = "if that fleet is lost, or this server is to change it: quorate-agent enroll --replace HOST:PORT";
    match store.load() {
        Ok(None) => Ok(()),
        _ if replace => Ok(()),
        Ok(Some((roots, identity))) => Err(Failure::new(
            ExitCode::Refused,
            format!(
                "this server belongs to fleet {} already, as {}",
                roots.fleet(),
                identity.role()
            ),
        )
        .hint(again)),
        Err(error) => Err(Failure::new(
            ExitCode::Refused,
            "this server has an identity already, which is damaged",
        )
        .because(&error)
        .hint(again)),
    }
}

/// Finds an address that answers, and the root that the token names.
async fn root_of(place: &str, token: &Token) -> Result<(SocketAddr, Roots), Failure> {
    let usage = |error: io::Error| {
        Failure::new(
            ExitCode::Usage,
            format!("`{place}` is no HOST:PORT that leads anywhere"),
        )
        .because(&error)
        .hint("the line to type stands under `quorate node invite`; the port is 7441 unless it was changed")
    };
    let mut last = None;
    for address in tokio::net::lookup_host(place).await.map_err(usage)? {
        match fetch_root(address, token, CONNECT_TIMEOUT + HANDSHAKE_TIMEOUT).await {
            Ok(roots) => return Ok((address, roots)),
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        Some(error) => no_root(&error),
        None => usage(io::Error::other("it has no address")),
    })
}

fn no_root(error: &BootstrapError) -> Failure {
    let (exit, hint) = match error {
        BootstrapError::Unreachable { .. } | BootstrapError::Broken { .. } | BootstrapError::TimedOut { .. } => (
            ExitCode::Unreachable,
            "the coordinator listens for enrolment only while an invitation is pending: quorate node list; check address, port and firewalls",
        ),
        BootstrapError::WrongRoot { .. } | BootstrapError::NotARoot(_) => (
            ExitCode::Refused,
            "do not go on before you know why: compare the address and the fingerprint with what the coordinator shows",
        ),
        _ => (
            ExitCode::Refused,
            "check address and port: another program answers there",
        ),
    };
    Failure::new(exit, "the fleet's root certificate could not be fetched")
        .because(error)
        .hint(hint)
}

async fn connect(address: SocketAddr, roots: &Roots, time: &TimeSource) -> Result<ClientStream<TcpStream>, Failure> {
    let material = Material {
        roots: roots.clone(),
        identity: None,
        revocations: RevocationList::default(),
    };
    let tls = ClientTls::new(material, time.clone())
        .map_err(|error| Failure::new(ExitCode::Internal, "TLS can't be set up").because(&error))?;
    let connected = tls
        .connect(address, &Role::Coordinator, CONNECT_TIMEOUT + HANDSHAKE_TIMEOUT)
        .await;
    let (stream, _) = connected.map_err(|refusal| refused(&refusal))?;
    Ok(stream)
}

fn refused(refusal: &Refusal) -> Failure {
    let exit = match refusal {
        Refusal::Unreachable { .. } | Refusal::TimedOut { .. } | Refusal::Closed | Refusal::Broken(_) => {
            ExitCode::Unreachable
        }
        _ => ExitCode::Refused,
    };
    Failure::new(exit, "no connection to the coordinator")
        .because(refusal)
        .hint(refusal.hint())
}

async fn ask(stream: ClientStream<TcpStream>, request: v1::EnrolRequest) -> Result<v1::EnrolReply, Failure> {
    let channel = channel(stream).await?;
    let mut client = EnrolmentClient::new(channel);
    let answered = tokio::time::timeout(QUICK_CALL_TIMEOUT, client.enrol(request)).await;
    let lost = || {
        Failure::new(ExitCode::Unreachable, "the coordinator did not answer in time")
            .hint("if the token turns out to be used now, withdraw the invitation and invite the server again")
    };
    match answered {
        Err(_) => Err(lost()),
        Ok(Err(status)) => Err(to_failure(&status)),
        Ok(Ok(reply)) => Ok(reply.into_inner()),
    }
}

/// A channel over the one connection that was checked; it never dials by itself.
async fn channel(stream: ClientStream<TcpStream>) -> Result<Channel, Failure> {
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: http::Uri| {
        let stream = stream
            .take()
            .ok_or_else(|| io::Error::other("the connection is used up"));
        async move { stream }
    });
    Endpoint::from_static("http://coordinator")
        .connect_with_connector(connector)
        .await
        .map_err(|error| Failure::new(ExitCode::Unreachable, "the connection to the coordinator broke").because(&error))
}

/// Takes what the coordinator gave, if it is what was asked for.
fn accept(
    reply: v1::EnrolReply,
    key: PrivateKey,
    trusted: &Roots,
    own: &str,
    time: &TimeSource,
) -> Result<(Roots, Identity, NodeRef), Failure> {
    let wrong = |message: String| Failure::new(ExitCode::Refused, message);
    let names = || Ok::<_, quorate_model::ids::InvalidName>((reply.cluster.parse()?, reply.node.parse()?));
    let (cluster, node) =
        names().map_err(|error| wrong("the coordinator's answer makes no sense".into()).because(&error))?;
    let node = NodeRef::new(cluster, node);
    if node.node.as_str() != own {
        let finding = Finding::new(
            Code::TokenWrongName,
            node.to_string(),
            format!(
                "the invitation is for {}, and this server calls itself {own}",
                node.node
            ),
            format!("invite it under its own name: quorate node invite {own} --address ADDRESS"),
        );
        return Err(wrong("this is not the server that was invited".into()).with(vec![finding]));
    }
    let certificates = |der: &[Vec<u8>]| {
        der.iter()
            .map(|der| Certificate::from_der(der))
            .collect::<Result<Vec<_>, _>>()
    };
    let unreadable = |error: quorate_identity::CertificateError| {
        wrong("the coordinator sent a certificate that can't be read".into()).because(&error)
    };
    let roots = Roots::new(certificates(&reply.roots_der).map_err(unreadable)?)
        .map_err(|error| wrong("the coordinator sent root certificates that can't be used".into()).because(&error))?;
    let includes = |root: &Certificate| {
        roots
            .certificates()
            .iter()
            .any(|sent| sent.fingerprint() == root.fingerprint())
    };
    if !trusted.certificates().iter().all(includes) {
        return Err(wrong(
            "the coordinator sent other root certificates than the token names".into(),
        ));
    }
    let identity = Identity::new(certificates(&reply.chain_der).map_err(unreadable)?, key).map_err(|error| {
        wrong("the coordinator sent a certificate that is not for this server's key".into()).because(&error)
    })?;
    let is_ours = matches!(identity.role(), Role::Node { cluster, node: name }
        if cluster.as_str() == node.cluster.as_str() && name.as_str() == node.node.as_str());
    if !is_ours {
        return Err(wrong(format!(
            "the coordinator sent a certificate for {}, not for node {node}",
            identity.role()
        )));
    }
    let material = Material {
        roots: roots.clone(),
        identity: Some(identity.clone()),
        revocations: RevocationList::default(),
    };
    ServerTls::new(material, time.clone())
        .map_err(|error| wrong("the coordinator sent a certificate that can't be used".into()).because(&error))?;
    Ok((roots, identity, node))
}

fn forget_fleet(content: &mut Content) -> Result<(), LedgerError> {
    content.driver = None;
    content.revoked = Revoked::default();
    Ok(())
}

fn unkept(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(ExitCode::Failed, "the new identity can't be kept")
        .because(error)
        .hint("the token is used up: once this is mended, invite the server again")
}
