//! What `sslmode` asks of a database, through the real program: a server that speaks PostgreSQL's handshake, and says no to everybody, so that
//! one sees how far it came. What a real one makes of rows is in tests/reality/postgres.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quorate_lab::binaries;
use quorate_lab::process::{Output, Program};
use quorate_suites::told;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// Whoever waits longer has hung.
const PATIENCE: Duration = Duration::from_secs(60);

/// A CA, and what a server does with a certificate that it issued.
struct Made {
    ca: String,
    acceptor: TlsAcceptor,
}

fn made(ca: &str, names: &[&str]) -> Made {
    let mut of_ca = CertificateParams::default();
    of_ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    of_ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    of_ca.distinguished_name.push(DnType::CommonName, ca);
    let key = KeyPair::generate().unwrap();
    let ca = of_ca.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(of_ca, key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    Made {
        ca,
        acceptor: TlsAcceptor::from(Arc::new(config)),
    }
}

/// What the server does with whoever asks for TLS.
#[derive(Clone)]
enum Speaks {
    Tls(TlsAcceptor),
    Clear,
}

/// A server, and how many have told it who they are.
async fn server(at: &str, speaks: Speaks) -> Option<(u16, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind((at, 0)).await.ok()?;
    let port = listener.local_addr().unwrap().port();
    let met = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&met);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(meet(stream, speaks.clone(), Arc::clone(&counted)));
        }
    });
    Some((port, met))
}

async fn meet(mut stream: TcpStream, speaks: Speaks, met: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut begun = [0; 8];
    stream.read_exact(&mut begun).await?;
    if begun != SSL_REQUEST {
        return answer(stream, begun, met, "28P01", "spoken in the clear").await;
    }
    match speaks {
        Speaks::Tls(acceptor) => {
            stream.write_all(b"S").await?;
            let mut stream = acceptor.accept(stream).await?;
            stream.read_exact(&mut begun).await?;
            answer(stream, begun, met, "28P01", "spoken under TLS").await
        }
        Speaks::Clear => {
            stream.write_all(b"N").await?;
            stream.read_exact(&mut begun).await?;
            answer(stream, begun, met, "28P01", "spoken in the clear").await
        }
    }
}

/// Reads who it is, and says no.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    begun: [u8; 8],
    met: Arc<AtomicUsize>,
    code: &str,
    text: &str,
) -> std::io::Result<()> {
    let length = usize::try_from(u32::from_be_bytes(begun[..4].try_into().unwrap())).unwrap();
    assert_eq!(begun[4..], [0, 3, 0, 0], "the version of the protocol");
    let mut rest = vec![0; length - 8];
    stream.read_exact(&mut rest).await?;
    met.fetch_add(1, Ordering::SeqCst);
    let fields = format!("SFATAL\0VFATAL\0C{code}\0M{text}\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap();
    let message = [b"E".as_slice(), &length.to_be_bytes(), fields.as_bytes()].concat();
    stream.write_all(&message).await?;
    stream.shutdown().await
}

async fn probe(host: &str, port: u16, options: &str) -> Output {
    let quorate = binaries::ensure_built().unwrap().quorate;
    let target = format!("postgres://drill@{host}:{port}/drill{options}");
    let program = Program::new(quorate).args(["probe", &target, "--for", "1s"]);
    program.deadline(PATIENCE).run().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_spoken_to_as_sslmode_says_or_not_at_all() {
    let home = tempfile::tempdir().unwrap();
    let named = made("ours", &["127.0.0.1", "::1"]);
    let elsewhere = made("elsewhere", &["db.example", "198.51.100.9"]);
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (ca, stranger) = (file("ca.pem", &named.ca), file("other.pem", &elsewhere.ca));
    let (port, met) = server("127.0.0.1", Speaks::Tls(named.acceptor.clone())).await.unwrap();
    let full = format!("?sslmode=verify-full&sslrootcert={ca}");
    for (options, spoken) in [
        (String::new(), "under TLS"),
        ("?sslmode=disable".to_owned(), "in the clear"),
        ("?sslmode=prefer".to_owned(), "under TLS"),
        ("?sslmode=require".to_owned(), "under TLS"),
        (format!("?sslmode=verify-ca&sslrootcert={ca}"), "under TLS"),
        (full.clone(), "under TLS"),
    ] {
        let ended = probe("127.0.0.1", port, &options).await;
        let expected = format!("the database answers, and says no: spoken {spoken} (28P01)");
        assert!(ended.stderr.contains(&expected), "{options}: {}", told(&ended));
        assert_eq!(ended.code(), Some(6), "{options}: {}", told(&ended));
    }
    let before = met.load(Ordering::SeqCst);
    for (options, code, why) in [
        (format!("?sslmode=verify-ca&sslrootcert={stranger}"), 6, "UnknownIssuer"),
        (format!("?sslmode=require&sslrootcert={stranger}"), 6, "UnknownIssuer"),
        (format!("{full}.absent"), 2, "does not exist"),
        ("?sslmode=verify-full".to_owned(), 2, "sslrootcert"),
    ] {
        let ended = probe("127.0.0.1", port, &options).await;
        assert!(ended.stderr.contains(why), "{options}: {}", told(&ended));
        assert_eq!(ended.code(), Some(code), "{options}: {}", told(&ended));
    }
    assert_eq!(
        met.load(Ordering::SeqCst),
        before,
        "nobody told a stranger who they are"
    );
    // Of a CA that is trusted, and for another name.
    let (other, met) = server("127.0.0.1", Speaks::Tls(elsewhere.acceptor)).await.unwrap();
    let asked = format!("?sslmode=verify-full&sslrootcert={stranger}");
    let ended = probe("127.0.0.1", other, &asked).await;
    assert!(ended.stderr.contains("not valid for name"), "{}", told(&ended));
    assert_eq!(met.load(Ordering::SeqCst), 0, "{}", told(&ended));
    let ended = probe("127.0.0.1", other, &asked.replace("full", "ca")).await;
    assert!(ended.stderr.contains("spoken under TLS"), "{}", told(&ended));
    if let Some((port, _)) = server("::1", Speaks::Tls(named.acceptor)).await {
        let ended = probe("[::1]", port, &full).await;
        assert!(ended.stderr.contains("spoken under TLS"), "{}", told(&ended));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_without_tls_is_spoken_to_only_where_that_will_do() {
    let (port, met) = server("127.0.0.1", Speaks::Clear).await.unwrap();
    for options in ["", "?sslmode=prefer", "?sslmode=disable"] {
        let ended = probe("127.0.0.1", port, options).await;
        assert!(
            ended.stderr.contains("spoken in the clear"),
            "{options}: {}",
            told(&ended)
        );
    }
    let before = met.load(Ordering::SeqCst);
    let ended = probe("127.0.0.1", port, "?sslmode=require").await;
    assert!(ended.stderr.contains("server does not support TLS"), "{}", told(&ended));
    assert_eq!(ended.code(), Some(6), "{}", told(&ended));
    assert_eq!(met.load(Ordering::SeqCst), before);
}
