//! Calls by their path, over connections that keep none of our own rules.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _};
use hyper_util::rt::TokioIo;
use quorate_identity::{Certificate, Roots};
use quorate_model::failure::Failure;
use quorate_proto::status::to_failure;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::callers::Shown;

/// Long enough for a slow machine.
pub(crate) const AMPLE: Duration = Duration::from_secs(60);

/// Connects from an address of this machine: whoever limits callers by address shall not take one test for the other.
pub(crate) async fn tcp(to: SocketAddr, from: Option<Ipv4Addr>) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(from) = from {
        socket.bind((from, 0).into()).unwrap();
    }
    socket.connect(to).await.unwrap()
}

/// A TLS connection, whatever is shown. In TLS 1.3 the client is done before the server has looked.
pub(crate) async fn tls(
    stream: TcpStream,
    roots: &Roots,
    name: &str,
    shown: Option<&Shown>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut store = RootCertStore::empty();
    for root in roots.certificates() {
        store
            .add(CertificateDer::from(Certificate::der(root).to_vec()))
            .unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(Shown { chain, key }) => builder.with_client_auth_cert(chain.clone(), key.clone_key()).unwrap(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// One connection to call over.
pub(crate) async fn channel<S>(stream: S) -> Result<Channel, tonic::transport::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: http::Uri| {
        let stream = stream.take();
        async move { stream.ok_or_else(|| std::io::Error::other("one connection only")) }
    });
    Endpoint::from_static("http://nobody")
        .connect_with_connector(connector)
        .await
}

/// What came of a call: its first answer, or why there is none.
pub(crate) async fn call(channel: &Channel, path: &'static str, request: Vec<u8>) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    let unready = |error: tonic::transport::Error| Status::unavailable(error.to_string());
    grpc.ready().await.map_err(unready)?;
    let path = http::uri::PathAndQuery::from_static(path);
    // A call with one answer is on the wire as one with several.
    let answers = grpc.server_streaming(Request::new(request), path, Raw);
    let asked = async { answers.await?.into_inner().message().await.map(drop) };
    tokio::time::timeout(AMPLE, asked).await.expect("an answer in time")
}

pub(crate) fn codes(failure: &Failure) -> Vec<&'static str> {
    failure.findings.iter().map(|finding| finding.code.as_str()).collect()
}

/// The code of the finding with which a call was refused by its server; nothing if it was let through, whatever came of it.
pub(crate) fn refused_with(status: &Status) -> Option<&'static str> {
    let all = codes(&to_failure(status));
    all.into_iter()
        .find(|code| code.starts_with("QRT-TLS") || code.starts_with("QRT-ROLE"))
}

/// Sends these bytes and reads until the other end closes.
pub(crate) async fn sends(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let talking = async {
        drop(stream.write_all(bytes).await);
        drop(stream.read_to_end(&mut answer).await);
    };
    tokio::time::timeout(AMPLE, talking).await.expect("the server hangs up");
    answer
}

/// Bytes as they are.
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        Ok(Some(bytes.to_vec()))
    }
}

/// A `ClientHello` of TLS 1.2, which names no later version.
pub(crate) const TLS12: &[u8] = &[
    0x16, 0x03, 0x01, 0x00, 0x45, // record: handshake, 69 bytes
    0x01, 0x00, 0x00, 0x41, // ClientHello, 65 bytes
    0x03, 0x03, // TLS 1.2
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    32, 0x00, // no session
    0x00, 0x02, 0xc0, 0x2b, // ECDHE-ECDSA with AES-128-GCM
    0x01, 0x00, // no compression
    0x00, 0x16, // extensions, 22 bytes
    0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17, // groups: secp256r1
    0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03, // signatures: ECDSA with SHA-256
    0x00, 0x0b, 0x00, 0x02, 0x01, 0x00, // uncompressed points
];
