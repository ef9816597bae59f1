//! A fleet's CAs, and connections with its certificates.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use hyper_util::rt::TokioIo;
use quorate_clock::Clock;
use quorate_identity::{
    ClientTls, Identity, IssuingCa, Material, Name, PublicKey, Refusal, RevocationList, Role, RootCa, Roots, TimeSource,
    make_key_and_csr, public_key_of,
};
use quorate_proto::v1::agent_client::AgentClient;
use tonic::transport::{Channel, Endpoint};

pub const AMPLE: Duration = Duration::from_secs(60);

pub struct Fleet {
    pub root: RootCa,
    pub issuing: IssuingCa,
    pub coordinator: Identity,
}

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub fn node_role(node: &str) -> Role {
    Role::Node { cluster: name("lab1"), node: name(node) }
}

pub fn now() -> u64 {
    Clock::system().system_time().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

pub fn time() -> TimeSource {
    TimeSource::new(now)
}

impl Fleet {
    pub fn new() -> Self {
        let root = RootCa::create(&name("home"), now()).unwrap();
        let issuing = root.create_issuing(now()).unwrap();
        let coordinator = root.issue(&Role::Coordinator, now()).unwrap();
        Self { root, issuing, coordinator }
    }

    pub fn roots(&self) -> Roots {
        Roots::new(vec![self.root.certificate().clone()]).unwrap()
    }

    pub fn node(&self, node: &str) -> Identity {
        let (key, csr) = make_key_and_csr().unwrap();
        let chain = self.issuing.sign(&node_role(node), &key_of(&csr), now()).unwrap();
        Identity::new(chain, key).unwrap()
    }

    pub fn material(&self, identity: Option<Identity>) -> Material {
        Material { roots: self.roots(), identity, revocations: RevocationList::default() }
    }

    /// A client of the agent of `node`, with this identity.
    pub async fn dial(
        &self,
        identity: Option<Identity>,
        address: SocketAddr,
        node: &str,
    ) -> Result<AgentClient<Channel>, Refusal> {
        Ok(AgentClient::new(self.channel(identity, address, node).await?))
    }

    pub async fn channel(
        &self,
        identity: Option<Identity>,
        address: SocketAddr,
        node: &str,
    ) -> Result<Channel, Refusal> {
        let tls = ClientTls::new(self.material(identity), time()).unwrap();
        let (stream, _) = tls.connect(address, &node_role(node), AMPLE).await?;
        let mut stream = Some(TokioIo::new(stream));
        let connector = tower::service_fn(move |_: http::Uri| {
            let stream = stream.take().ok_or_else(|| std::io::Error::other("one connection only"));
            async move { stream }
        });
        Ok(Endpoint::from_static("http://agent").connect_with_connector(connector).await.unwrap())
    }
}

pub fn key_of(csr: &[u8]) -> PublicKey {
    public_key_of(csr).unwrap()
}
