//! A daemon in this process, on a fleet of its own.

use std::path::Path;
use std::sync::OnceLock;

use quorate_identity::{CoordinatorStore, Identity, Name, OperatorBundle, Passphrase, Role, RootCa, Roots, Scope};
use quorate_proto::v1::coordinator_client::CoordinatorClient;
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::client;
use crate::config::{Config, Remote};
use crate::init::{NewFleet, init};
use crate::serve::Daemon;

pub(super) type Client = CoordinatorClient<Channel>;

/// Making a CA costs a passphrase, which costs seconds in a build without optimisation: one is made for all tests.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<TempDir> = OnceLock::new();
    let home = TEMPLATE.get_or_init(|| {
        let home = tempfile::tempdir().unwrap();
        let config = Config {
            state_dir: home.path().join("state"),
            ..Config::default()
        };
        let fleet = NewFleet {
            name: "home".parse().unwrap(),
            advertise: "127.0.0.1".to_owned(),
        };
        init(&config, &fleet, &passphrase()).unwrap();
        home
    });
    home.path()
}

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse battery".to_owned().into()).unwrap()
}

/// A fleet, and the daemon that may run on it.
pub(super) struct Fixture {
    pub(super) home: TempDir,
    pub(super) config: Config,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let free = "127.0.0.1:0".parse().unwrap();
        let config = Config {
            state_dir: home.path().join("state"),
            socket: home.path().join("q.sock"),
            api_listen: free,
            enrol_listen: free,
            ..Config::default()
        };
        copy(&template().join("state"), &config.state_dir);
        Self { home, config }
    }

    pub(super) async fn start(&self) -> Daemon {
        Daemon::start(&self.config, false).await.unwrap()
    }

    pub(super) async fn client(&self) -> Client {
        client::connect(&self.config).await.unwrap()
    }

    /// Somebody's certificate from the root.
    pub(super) fn identity(&self, role: &Role) -> (Identity, Roots) {
        static ROOT: OnceLock<RootCa> = OnceLock::new();
        let store = CoordinatorStore::new(&self.config.state_dir);
        let root = ROOT.get_or_init(|| store.root_ca(&passphrase()).unwrap());
        (root.issue(role, now()).unwrap(), store.roots().unwrap())
    }

    /// The configuration of an operator on another host.
    pub(super) fn remote(&self, daemon: &Daemon, who: &str, viewer: bool) -> Config {
        let name = Name::parse(who).unwrap();
        let role = if viewer {
            Role::Viewer {
                name,
                scope: Scope::Fleet,
            }
        } else {
            Role::Operator {
                name,
                scope: Scope::Fleet,
            }
        };
        let (identity, roots) = self.identity(&role);
        let bundle = self.home.path().join(format!("{who}.pem"));
        OperatorBundle::new(identity, roots).unwrap().save(&bundle).unwrap();
        Config {
            remote: Some(Remote {
                address: daemon.api_address.to_string(),
                bundle,
            }),
            ..self.config.clone()
        }
    }
}

pub(super) fn now() -> u64 {
    crate::trust::unix_seconds(&quorate_clock::Clock::system())
}

fn copy(from: &Path, to: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Asks until the answer is yes.
pub(super) async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !ask().await {
        assert!(std::time::Instant::now() < end, "in vain: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
