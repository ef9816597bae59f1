//! Certificates as the fleet's CAs give them, and as somebody forges them who has stolen a CA's key.

use std::path::Path;
use std::time::SystemTime;

use quorate_clock::Clock;
use quorate_identity::{
    CoordinatorStore, Identity, IssuingCa, Material, Name, Passphrase, PrivateKey, RevocationList, Role, RootCa, Roots,
    Scope, make_key_and_csr, public_key_of,
};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

const DAY: u64 = 86_400;

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn now() -> u64 {
    let now = Clock::system().system_time();
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn node(cluster: &str, node: &str) -> Role {
    Role::Node {
        cluster: name(cluster),
        node: name(node),
    }
}

pub(crate) fn operator(who: &str, clusters: &[&str]) -> Role {
    Role::Operator {
        name: name(who),
        scope: Scope::of(clusters.iter().map(|cluster| name(cluster))),
    }
}

pub(crate) fn viewer(who: &str) -> Role {
    Role::Viewer {
        name: name(who),
        scope: Scope::Fleet,
    }
}

/// A chain and its key as TLS takes them; none of our own types would put some of them to use.
pub(crate) struct Shown {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Shown {
    pub(crate) fn of(identity: &Identity) -> Self {
        let chain = identity.chain_pem();
        Self {
            chain: CertificateDer::pem_slice_iter(chain.as_bytes())
                .map(Result::unwrap)
                .collect(),
            key: PrivateKeyDer::from_pem_slice(identity.key().to_pem().as_bytes()).unwrap(),
        }
    }
}

/// What a forged certificate says.
pub(crate) struct Forgery<'a> {
    pub(crate) uri: Option<&'a str>,
    pub(crate) purposes: &'a [ExtendedKeyUsagePurpose],
}

/// A fleet's CAs, as they lie in a coordinator's state directory.
pub(crate) struct Cas {
    pub(crate) root: RootCa,
    pub(crate) issuing: IssuingCa,
    pub(crate) roots: Roots,
    root_key: String,
    issuing_key: String,
}

impl Cas {
    pub(crate) fn load(state: &Path, passphrase: &str) -> Self {
        let passphrase = Passphrase::new(passphrase.to_owned().into()).unwrap();
        let store = CoordinatorStore::new(state);
        let read = |name: &str| std::fs::read_to_string(state.join("ca").join(name)).unwrap();
        let root_key = PrivateKey::from_encrypted_pem(&read("root.key"), &passphrase).unwrap();
        Self {
            root: store.root_ca(&passphrase).unwrap(),
            issuing: store.issuing_ca().unwrap(),
            roots: store.roots().unwrap(),
            root_key: root_key.to_pem().to_string(),
            issuing_key: read("issuing.key"),
        }
    }

    /// Another fleet's, of the same name.
    pub(crate) fn strangers(fleet: &str) -> (RootCa, IssuingCa) {
        let root = RootCa::create(&name(fleet), now()).unwrap();
        let issuing = root.create_issuing(now()).unwrap();
        (root, issuing)
    }

    pub(crate) fn identity(&self, role: &Role, at: u64) -> Identity {
        if !matches!(role, Role::Node { .. }) {
            return self.root.issue(role, at).unwrap();
        }
        let (key, csr) = make_key_and_csr().unwrap();
        let chain = self.issuing.sign(role, &public_key_of(&csr).unwrap(), at).unwrap();
        Identity::new(chain, key).unwrap()
    }

    /// One that ended a second ago.
    pub(crate) fn expired(&self, role: &Role) -> Identity {
        let made = now() - 365 * DAY - 1;
        let identity = self.identity(role, made);
        assert_eq!(identity.certificate().not_after(), made + 365 * DAY);
        identity
    }

    /// One that begins in an hour: certificates are back-dated by one.
    pub(crate) fn early(&self, role: &Role) -> Identity {
        self.identity(role, now() + 2 * 3600)
    }

    pub(crate) fn material(&self, identity: Option<Identity>) -> Material {
        Material {
            roots: self.roots.clone(),
            identity,
            revocations: RevocationList::default(),
        }
    }

    pub(crate) fn forged_by_root(&self, what: &Forgery<'_>) -> Shown {
        forge(what, (self.root.certificate().der(), &self.root_key), None)
    }

    pub(crate) fn forged_by_issuing(&self, what: &Forgery<'_>) -> Shown {
        let ca = self.issuing.certificate().der();
        forge(what, (ca, &self.issuing_key), Some(ca))
    }
}

/// Signed by nobody but itself.
pub(crate) fn self_signed(uri: &str) -> Shown {
    let key = KeyPair::generate().unwrap();
    let what = Forgery {
        uri: Some(uri),
        purposes: &[ExtendedKeyUsagePurpose::ClientAuth],
    };
    let certificate = params(&what).self_signed(&key).unwrap();
    Shown {
        chain: vec![certificate.der().clone()],
        key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    }
}

fn forge(what: &Forgery<'_>, (ca, ca_key): (&[u8], &str), below: Option<&[u8]>) -> Shown {
    let key = KeyPair::generate().unwrap();
    let ca = CertificateDer::from(ca.to_vec());
    let issuer = Issuer::from_ca_cert_der(&ca, KeyPair::from_pem(ca_key).unwrap()).unwrap();
    let leaf = params(what).signed_by(&key, &issuer).unwrap();
    let mut chain = vec![leaf.der().clone()];
    chain.extend(below.map(|ca| CertificateDer::from(ca.to_vec())));
    Shown {
        chain,
        key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    }
}

fn params(what: &Forgery<'_>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = what.purposes.to_vec();
    params.subject_alt_names = what
        .uri
        .map(|uri| SanType::URI(uri.try_into().unwrap()))
        .into_iter()
        .collect();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2035, 1, 1);
    params
}
