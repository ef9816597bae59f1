//! A fleet's CAs, and connections with its certificates.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use hyper_util::rt::TokioIo;
use quorate_clock::Clock;
use quorate_identity::{
    ClientTls, Identity, IssuingCa, Material, Name, PublicKey, Refusal, RevocationList, Role, RootCa, Roots,
    TimeSource, make_key_and_csr, public_key_of,
};
use quorate_proto::v1::agent_client::AgentClient;
use tonic::transport::{Channel, Endpoint};

pub(crate) const AMPLE: Duration = Duration::from_secs(60);

pub(crate) struct Fleet {
    pub(crate) root: RootCa,
    pub(crate) issuing: IssuingCa,
    pub(crate) coordinator: Identity,
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn node_role(node: &str) -> Role {
    Role::Node {
        cluster: name("lab1"),
        node: name(node),
    }
}

pub(crate) fn now() -> u64 {
    Clock::system()
        .system_time()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub(crate) fn time() -> TimeSource {
    TimeSource::new(now)
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let root = RootCa::create(&name("home"), now()).unwrap();
        let issuing = root.create_issuing(now()).unwrap();
        let coordinator = root.issue(&Role::Coordinator, now()).unwrap();
        Self {
            root,
            issuing,
            coordinator,
        }
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::new(vec![self.root.certificate().clone()]).unwrap()
    }

    pub(crate) fn node(&self, node: &str) -> Identity {
        let (key, csr) = make_key_and_csr().unwrap();
        let chain = self.issuing.sign(&node_role(node), &key_of(&csr), now()).unwrap();
        Identity::new(chain, key).unwrap()
    }

    pub(crate) fn material(&self, identity: Option<Identity>) -> Material {
        Material {
            roots: self.roots(),
            identity,
            revocations: RevocationList::default(),
        }
    }

    /// A client of the agent of `node`, with this identity.
    pub(crate) async fn dial(
        &self,
        identity: Option<Identity>,
        address: SocketAddr,
        node: &str,
    ) -> Result<AgentClient<Channel>, Refusal> {
        Ok(AgentClient::new(self.channel(identity, address, node).await?))
    }

    pub(crate) async fn channel(
        &self,
        identity: Option<Identity>,
        address: SocketAddr,
        node: &str,
    ) -> Result<Channel, Refusal> {
        let tls = ClientTls::new(self.material(identity), time()).unwrap();
        let (stream, _) = tls.connect(address, &node_role(node), AMPLE).await?;
        let mut stream = Some(TokioIo::new(stream));
        let connector = tower::service_fn(move |_: http::Uri| {
            let stream = stream
                .take()
                .ok_or_else(|| std::io::Error::other("one connection only"));
            async move { stream }
        });
        Ok(Endpoint::from_static("http://agent")
            .connect_with_connector(connector)
            .await
            .unwrap())
    }
}

pub(crate) fn key_of(csr: &[u8]) -> PublicKey {
    public_key_of(csr).unwrap()
}
