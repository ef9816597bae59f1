//! Somebody else's service shows a certificate, and what is asked of it decides.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::tls::provider;
use crate::{Certificate, Proof, ServiceTls, ServiceTlsError, TimeSource};

/// 2026-06-01.
const NOW: u64 = 1_780_272_000;
const YEAR: u64 = 365 * 86_400;
/// 2025-12-01 and 2027-12-01.
const VALID: [(i32, u8, u8); 2] = [(2025, 12, 1), (2027, 12, 1)];

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    let [from, to] = VALID.map(|(year, month, day)| rcgen::date_time_ymd(year, month, day));
    (params.not_before, params.not_after) = (from, to);
    params
}

fn ca(name: &str) -> (rcgen::Certificate, Issuer<'static, KeyPair>) {
    let mut params = params(&[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate, Issuer::new(params, key))
}

fn given(certificate: &CertificateDer<'_>) -> Vec<Certificate> {
    vec![Certificate::from_der(certificate).unwrap()]
}

/// What a server with this certificate is told, called as `host`, or why it is told nothing.
async fn told(
    shown: (&CertificateDer<'static>, &KeyPair),
    versions: &[&'static SupportedProtocolVersion],
    (proof, host, now): (Proof, &str, u64),
) -> Result<String, String> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(shown.1.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![shown.0.clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut heard = [0; 5];
        match TlsAcceptor::from(Arc::new(config)).accept(stream).await {
            Ok(mut stream) => stream.read_exact(&mut heard).await.map(drop).unwrap_or_default(),
            Err(_) => return String::new(),
        }
        String::from_utf8_lossy(&heard).into_owned()
    };
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let tls = ServiceTls::new(proof, TimeSource::new(move || now)).unwrap();
        let mut stream = tls.connect(stream, host).await.map_err(|error| match error {
            ServiceTlsError::Refused(said) => said,
            ServiceTlsError::Network(error) => panic!("the network: {error}"),
        })?;
        stream.write_all(b"hello").await.unwrap();
        stream.flush().await.unwrap();
        Ok(stream)
    };
    let (heard, met) = tokio::join!(server, client);
    met.map(|_stream| heard)
}

#[tokio::test]
async fn an_issued_certificate_is_asked_for_as_much_as_was_wanted() {
    let (root, issuer) = ca("ours");
    let (stranger, _) = ca("a stranger's");
    let key = KeyPair::generate().unwrap();
    let certificate = params(&["db.example", "192.0.2.7", "2001:db8::7"])
        .signed_by(&key, &issuer)
        .unwrap();
    let shown = (certificate.der(), &key);
    let (ours, theirs) = (given(root.der()), given(stranger.der()));
    for version in BOTH {
        let asks = async |proof: Proof, host: &str| told(shown, &[*version], (proof, host, NOW)).await;
        for host in ["other.example", "198.51.100.9"] {
            assert_eq!(asks(Proof::Nothing, host).await.unwrap(), "hello");
            assert_eq!(asks(Proof::Authority(ours.clone()), host).await.unwrap(), "hello");
            let other = asks(Proof::AuthorityAndName(ours.clone()), host).await.unwrap_err();
            assert!(other.contains("not valid for name"), "{other}");
            let unknown = asks(Proof::Authority(theirs.clone()), host).await.unwrap_err();
            assert!(unknown.contains("UnknownIssuer"), "{unknown}");
        }
        for host in ["db.example", "192.0.2.7", "2001:db8::7"] {
            let met = asks(Proof::AuthorityAndName(ours.clone()), host).await;
            assert_eq!(met.unwrap(), "hello", "{host}");
            let unknown = asks(Proof::AuthorityAndName(theirs.clone()), host).await.unwrap_err();
            assert!(unknown.contains("UnknownIssuer"), "{unknown}");
        }
    }
}

#[tokio::test]
async fn one_that_issued_itself_is_taken_when_it_is_the_very_one_that_was_given() {
    // As `openssl req -x509` makes it: a CA's.
    let mut params = params(&["db.example"]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let shown = (certificate.der(), &key);
    let ours = given(certificate.der());
    let asks = async |proof: Proof, host: &str, now: u64| told(shown, BOTH, (proof, host, now)).await;
    let met = asks(Proof::AuthorityAndName(ours.clone()), "db.example", NOW).await;
    assert_eq!(met.unwrap(), "hello");
    let other = asks(Proof::AuthorityAndName(ours.clone()), "other.example", NOW).await;
    assert!(other.unwrap_err().contains("not valid for name"));
    let late = asks(Proof::Authority(ours.clone()), "db.example", NOW + 2 * YEAR).await;
    assert!(late.unwrap_err().contains("xpired"));
    let early = asks(Proof::Authority(ours), "db.example", NOW - YEAR).await;
    assert!(early.unwrap_err().contains("NotValidYet"));
    let (stranger, _) = ca("a stranger's");
    let unknown = asks(Proof::Authority(given(stranger.der())), "db.example", NOW).await;
    assert!(unknown.is_err(), "{unknown:?}");
}

#[tokio::test]
async fn who_breaks_off_is_no_matter_of_certificates() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    drop(listener.accept().await.unwrap());
    let tls = ServiceTls::new(Proof::Nothing, TimeSource::new(|| NOW)).unwrap();
    let broke = tls.connect(stream, "db.example").await.unwrap_err();
    assert!(matches!(broke, ServiceTlsError::Network(_)), "{broke}");
}
