//! A fleet to test with, and two ends that meet over a pipe.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, Issuer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::tls::Refusal;
use crate::{
    Certificate, ClientTls, Identity, IssuingCa, Material, Name, Peer, PrivateKey, RevocationList, Role, RootCa, Roots,
    Scope, ServerTls, TimeSource, UnixSeconds,
};

/// When every certificate of the tests is made.
pub(super) const NOW: UnixSeconds = 1_800_000_000;
/// Long enough for a slow machine; a test that gets here has failed.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

pub(super) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(super) fn node(node: &str) -> Role {
    Role::Node {
        cluster: name("hk1"),
        node: name(node),
    }
}

pub(super) fn operator() -> Role {
    Role::Operator {
        name: name("anna"),
        scope: Scope::Fleet,
    }
}

pub(super) fn at(time: UnixSeconds) -> TimeSource {
    TimeSource::new(move || time)
}

pub(super) struct Fleet {
    pub(super) root: RootCa,
    pub(super) issuing: IssuingCa,
}

/// Which CA signs a forged certificate.
#[derive(Clone, Copy)]
pub(super) enum Signer {
    Root,
    Issuing,
}

impl Fleet {
    pub(super) fn new() -> Self {
        let root = RootCa::create(&name("home"), NOW).unwrap();
        let issuing = root.create_issuing(NOW).unwrap();
        Self { root, issuing }
    }

    pub(super) fn roots(&self) -> Roots {
        Roots::new(vec![self.root.certificate().clone()]).unwrap()
    }

    pub(super) fn identity(&self, role: &Role) -> Identity {
        if !matches!(role, Role::Node { .. }) {
            return self.root.issue(role, NOW).unwrap();
        }
        let key = PrivateKey::generate().unwrap();
        let chain = self.issuing.sign(role, &key.public_key().unwrap(), NOW).unwrap();
        Identity::new(chain, key).unwrap()
    }

    pub(super) fn material(&self, role: &Role) -> Material {
        self.material_of(self.identity(role))
    }

    pub(super) fn material_of(&self, identity: Identity) -> Material {
        Material {
            roots: self.roots(),
            identity: Some(identity),
            revocations: RevocationList::default(),
        }
    }

    pub(super) fn server(&self, role: &Role) -> ServerTls {
        ServerTls::new(self.material(role), at(NOW)).unwrap()
    }

    pub(super) fn client(&self, role: &Role) -> ClientTls {
        ClientTls::new(self.material(role), at(NOW)).unwrap()
    }

    /// A certificate as `role` would get it, with whatever `change` makes of it, signed by the CA of one's choice.
    pub(super) fn forge(&self, role: &Role, signer: Signer, change: impl FnOnce(&mut CertificateParams)) -> Forged {
        let mut params = crate::issue::leaf(self.root.fleet(), role, NOW, u64::from(u32::MAX)).unwrap();
        change(&mut params);
        let (ca, ca_key, rest) = match signer {
            Signer::Root => (self.root.certificate(), self.root.key(), vec![]),
            Signer::Issuing => (
                self.issuing.certificate(),
                self.issuing.key(),
                vec![self.issuing.certificate().clone()],
            ),
        };
        let key = PrivateKey::generate().unwrap();
        let issuer = Issuer::from_ca_cert_der(&ca.to_tls(), ca_key.pair().unwrap()).unwrap();
        let leaf = params.signed_by(&key.pair().unwrap(), &issuer).unwrap();
        let mut chain = vec![Certificate::from_der(leaf.der()).unwrap()];
        chain.extend(rest);
        Forged {
            chain,
            key,
            roots: self.roots(),
        }
    }
}

/// A chain and a key that our own types would refuse to put to use.
pub(super) struct Forged {
    pub(super) chain: Vec<Certificate>,
    pub(super) key: PrivateKey,
    pub(super) roots: Roots,
}

impl Forged {
    pub(super) fn of(identity: &Identity, roots: Roots) -> Self {
        Self {
            chain: identity.chain().cloned().collect(),
            key: identity.key().clone(),
            roots,
        }
    }

    fn chain(&self) -> Vec<rustls_pki_types::CertificateDer<'static>> {
        self.chain.iter().map(Certificate::to_tls).collect()
    }

    fn provider() -> Arc<rustls::crypto::CryptoProvider> {
        Arc::new(rustls::crypto::ring::default_provider())
    }

    /// Dials `server` without any of our own checks; says what the server makes of it.
    pub(super) async fn dials(&self, server: &ServerTls, dialled: &Role) -> Result<Peer, Refusal> {
        let mut roots = RootCertStore::empty();
        for root in self.roots.certificates() {
            roots.add(root.to_tls()).unwrap();
        }
        let config = ClientConfig::builder_with_details(Self::provider(), Arc::new(at(NOW)))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(self.chain(), self.key.to_tls())
            .unwrap();
        let name = ServerName::try_from(dialled.dns_name(self.roots.fleet()).unwrap()).unwrap();
        let (near, far) = duplex(64 * 1024);
        let client = async {
            let mut stream = TlsConnector::from(Arc::new(config)).connect(name, near).await.unwrap();
            drop(stream.read(&mut [0]).await);
        };
        let accepted = async { server.accept(far, DEADLINE).await.map(|(_, peer)| peer) };
        let (result, ()) = tokio::join!(accepted, client);
        result
    }

    /// Answers `client` without any of our own checks; says what the client makes of it.
    pub(super) async fn answers(&self, client: &ClientTls, dialled: &Role) -> Result<Peer, Refusal> {
        let config = ServerConfig::builder_with_details(Self::provider(), Arc::new(at(NOW)))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain(), self.key.to_tls())
            .unwrap();
        let (near, far) = duplex(64 * 1024);
        let server = async {
            if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(far).await {
                drop(stream.write_all(b"!").await);
                drop(stream.flush().await);
                drop(stream.read(&mut [0]).await);
            }
        };
        let connected = async { client.connect_over(near, dialled, DEADLINE).await.map(|(_, peer)| peer) };
        let (result, ()) = tokio::join!(connected, server);
        result
    }
}

/// What the server and the client make of each other.
pub(super) async fn meet(
    server: &ServerTls,
    client: &ClientTls,
    dialled: &Role,
) -> (Result<Peer, Refusal>, Result<Peer, Refusal>) {
    let (near, far) = duplex(64 * 1024);
    let accepting = async {
        let (mut stream, peer) = server.accept(far, DEADLINE).await?;
        // Speaks unasked, as an HTTP/2 server does; a client that refuses us may be gone by now.
        drop(stream.write_all(b"!").await);
        drop(stream.flush().await);
        Ok((stream, peer))
    };
    let connecting = client.connect_over(near, dialled, DEADLINE);
    let (accepted, connected) = tokio::join!(accepting, connecting);
    (accepted.map(|(_, peer)| peer), connected.map(|(_, peer)| peer))
}

/// A pipe whose other end sends `bytes` and then reads until the end.
pub(super) fn peer_that_sends(bytes: &'static [u8]) -> DuplexStream {
    let (near, mut far) = duplex(64 * 1024);
    tokio::spawn(async move {
        far.write_all(bytes).await.unwrap();
        let mut sink = Vec::new();
        drop(far.read_to_end(&mut sink).await);
    });
    near
}
