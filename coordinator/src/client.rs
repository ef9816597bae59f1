//! The way to a running coordinator: its Unix socket, or mutual TLS to another host.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use quorate_identity::{ClientTls, Material, OperatorBundle, Refusal, RevocationList, Role};
use quorate_model::failure::{ExitCode, Failure};
use quorate_proto::v1::coordinator_client::CoordinatorClient;
use tokio::net::{UnixStream, lookup_host};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::config::{Config, Remote};
use crate::{authority, trust};

/// How long a connection to the coordinator may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// The largest answer that is taken, in bytes: a view with thousands of disks has about 10 MiB.
pub const MAX_MESSAGE: usize = 32 * 1024 * 1024;

/// Connects to the coordinator that the configuration names.
///
/// # Errors
/// It does not run, refuses, or can't be reached; with what to do.
pub async fn connect(config: &Config) -> Result<CoordinatorClient<Channel>, Failure> {
    let channel = match &config.remote {
        None => over_socket(&config.socket).await?,
        Some(remote) => over_tls(remote, config).await?,
    };
    Ok(CoordinatorClient::new(channel).max_decoding_message_size(MAX_MESSAGE))
}

async fn over_socket(path: &Path) -> Result<Channel, Failure> {
    // The first connection is made here, so that its failure keeps its own words.
    let first = UnixStream::connect(path)
        .await
        .map_err(|error| no_socket(path, &error))?;
    let first = Arc::new(Mutex::new(Some(first)));
    let path: Arc<PathBuf> = Arc::new(path.to_owned());
    let connector = service_fn(move |_: http::Uri| {
        let (ready, path) = (
            first.lock().unwrap_or_else(PoisonError::into_inner).take(),
            Arc::clone(&path),
        );
        async move {
            match ready {
                Some(stream) => Ok(TokioIo::new(stream)),
                None => UnixStream::connect(path.as_path()).await.map(TokioIo::new),
            }
        }
    });
    Endpoint::from_static(authority::COORDINATOR)
        .connect_with_connector(connector)
        .await
        .map_err(|error| Failure::new(ExitCode::Unreachable, "the coordinator does not answer").because(&error))
}

fn no_socket(path: &Path, error: &io::Error) -> Failure {
    let (exit, message, hint) = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => (
            ExitCode::Unreachable,
            format!("no coordinator answers at {}", path.display()),
            "start it: systemctl start quorate, or `quorate serve` in the foreground",
        ),
        io::ErrorKind::PermissionDenied => (
            ExitCode::Denied,
            format!("you may not use the coordinator's socket {}", path.display()),
            "become root, or a member of the group quorate",
        ),
        _ => (
            ExitCode::Unreachable,
            format!("can't connect to the coordinator at {}", path.display()),
            "look at: systemctl status quorate",
        ),
    };
    Failure::new(exit, message).because(error).hint(hint)
}

async fn over_tls(remote: &Remote, config: &Config) -> Result<Channel, Failure> {
    let address = resolve(&remote.address).await?;
    let bundle = OperatorBundle::load(&remote.bundle).map_err(|error| {
        Failure::new(
            ExitCode::Usage,
            format!("can't use the operator's bundle {}", remote.bundle.display()),
        )
        .because(&error)
    })?;
    let material = Material {
        roots: bundle.roots().clone(),
        identity: Some(bundle.identity().clone()),
        revocations: RevocationList::default(),
    };
    let tls = ClientTls::new(material, trust::time_source(&config.clock()))
        .map_err(|error| Failure::new(ExitCode::Usage, "can't use the operator's bundle").because(&error))?;
    let (first, _) = tls
        .connect(address, &Role::Coordinator, CONNECT)
        .await
        .map_err(|refusal| no_tls(&remote.address, &refusal))?;
    let first = Arc::new(Mutex::new(Some(first)));
    let connector = service_fn(move |_: http::Uri| {
        let (ready, tls) = (first.lock().unwrap_or_else(PoisonError::into_inner).take(), tls.clone());
        async move {
            match ready {
                Some(stream) => Ok(TokioIo::new(stream)),
                None => tls
                    .connect(address, &Role::Coordinator, CONNECT)
                    .await
                    .map(|(stream, _)| TokioIo::new(stream)),
            }
        }
    });
    Endpoint::from_static(authority::COORDINATOR)
        .connect_with_connector(connector)
        .await
        .map_err(|error| Failure::new(ExitCode::Unreachable, "the coordinator does not answer").because(&error))
}

async fn resolve(address: &str) -> Result<SocketAddr, Failure> {
    let unusable = || {
        Failure::new(
            ExitCode::Unreachable,
            format!("can't find the coordinator's address {address}"),
        )
    };
    lookup_host(address)
        .await
        .map_err(|error| unusable().because(&error))?
        .next()
        .ok_or_else(|| unusable().hint("write it as HOST:PORT, for example quorate.example.com:7440"))
}

fn no_tls(address: &str, refusal: &Refusal) -> Failure {
    let message = format!("no connection to the coordinator at {address}");
    Failure::new(ExitCode::Unreachable, message)
        .because(refusal)
        .hint(refusal.hint())
        .with(trust::finding(address, refusal).into_iter().collect())
}
