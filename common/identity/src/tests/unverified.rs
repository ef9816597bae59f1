//! Probing asks whether a web server answers, whoever it is.

use std::sync::Arc;

use rustls::{ServerConfig, SupportedProtocolVersion, version};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::UnverifiedTls;
use crate::tls::provider;

/// A server with a certificate that nobody issued, for another name. Returns what it was told.
async fn meet(versions: &[&'static SupportedProtocolVersion], host: &str) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["other.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await.unwrap();
        String::from_utf8_lossy(&heard).into_owned()
    };
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = UnverifiedTls::new().unwrap().connect(stream, host).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let (heard, _stream) = tokio::join!(server, client);
    heard
}

#[tokio::test]
async fn anybody_s_certificate_will_do_in_both_versions() {
    for versions in [&[&version::TLS12], &[&version::TLS13]] {
        for host in ["shop.example", "192.0.2.7", "2001:db8::7"] {
            assert_eq!(meet(versions, host).await, "hello", "{versions:?} {host}");
        }
    }
}

#[tokio::test]
async fn a_host_that_is_no_name_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    assert!(UnverifiedTls::new().unwrap().connect(stream, "no name").await.is_err());
}
