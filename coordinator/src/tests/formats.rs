//! What earlier versions have left in the coordinator's state is understood: a state directory of each, a kept plan and a backup. Its keys
//! are of a fleet that never was.

use std::fs;
use std::path::{Path, PathBuf};

use quorate_engine::ports::Journal;
use quorate_identity::{CoordinatorStore, Passphrase};
use quorate_model::rollout::Record;
use quorate_model::{Generation, RolloutId};
use quorate_proto::v1;

use super::rollouts::{apply, cluster_file, finished, plan, watch};
use super::*;
use crate::audit::{Audit, verify};
use crate::backup;
use crate::cli::Proposal;
use crate::clusters::Clusters;
use crate::driver;
use crate::fleet::registry::{Registry, State};
use crate::fleet::revoked::Revoked;
use crate::state_dir::StateDir;
use crate::store::Store;

const PASSPHRASE: &str = "correct horse battery";

fn formats() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/formats"))
}

fn versions() -> Vec<PathBuf> {
    let folders = fs::read_dir(formats())
        .unwrap()
        .map(|entry| entry.unwrap().path().join("coordinator"));
    folders.filter(|path| path.is_dir()).collect()
}

fn passphrase() -> Passphrase {
    Passphrase::new(PASSPHRASE.to_owned().into()).unwrap()
}

/// Copies a folder; Git keeps neither who may read a file nor empty folders.
fn copied(from: &Path, to: &Path) {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    fs::DirBuilder::new().mode(0o700).recursive(true).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copied(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_of_every_version_is_taken_over_whole() {
    assert!(!versions().is_empty());
    for version in versions() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state");
        copied(&version.join("state"), &path);
        let state = StateDir::open(&path).unwrap();
        let told = |what: &str| format!("{}: {what}", version.display());

        let identity = state.identity();
        identity
            .issuing_ca()
            .unwrap_or_else(|error| panic!("{}", told(&error.to_string())));
        identity.coordinator().unwrap();
        CoordinatorStore::new(&path).root_ca(&passphrase()).unwrap();

        let books = Registry::read(&state.nodes()).unwrap();
        let enrolled = books.values().filter(|node| node.state == State::Enrolled);
        assert_eq!(enrolled.count(), 3, "{}", told("enrolled nodes"));
        assert!(
            books
                .values()
                .all(|node| node.certificates.len() == 1 || node.state == State::Invited)
        );
        assert_eq!(books.len(), 4, "{}", told("three came and one is expected"));

        assert_eq!(driver::highest_known(&state.driver()), Generation(1));
        Revoked::load(&state.revocations()).unwrap();

        let cluster = "hk1".parse().unwrap();
        let decided = Clusters::new(state.specs()).decided(&cluster).unwrap();
        assert_eq!(
            decided.spec.as_ref().map(|spec| spec.text.as_str()),
            Some(cluster_file(3).as_str())
        );
        assert!(decided.hold.frozen.is_some(), "{}", told("frozen"));

        let audit = Audit::of(&state, quorate_clock::Clock::system());
        let report = verify::file(audit.path(), audit.head().unwrap().as_ref()).unwrap();
        assert!(report.broken.is_none(), "{}", told("audit log"));

        let opened = Store::open(&state.journal(), true, quorate_clock::Clock::system()).unwrap();
        assert_eq!(opened.damage, None, "{}", told("journal"));
        let rollouts: Vec<RolloutId> = opened.store.rollouts().await.unwrap();
        assert_eq!(rollouts.len(), 1);
        let entries = opened.store.load(&rollouts[0]).await.unwrap();
        assert!(matches!(entries[0].record, Record::Created { .. }));
        assert!(matches!(entries.last().unwrap().record, Record::Finished { .. }));

        let kept = Proposal::load(&version.join("plan.json")).unwrap();
        assert_eq!(kept.plan.steps.len(), 3, "{}", told("plan.json"));
        let content = backup::open(&version.join("backup.age"), &passphrase()).unwrap();
        assert!(content.files.contains_key("nodes.json") && !content.history.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes the files of this version"]
async fn write_the_files_of_this_version() {
    let target = formats().join(env!("CARGO_PKG_VERSION")).join("coordinator");
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let _all = enrolled(&mut client, 3).await;
    let later = FakeNode::new("prox4", &world(1)).await;
    invite(&mut client, &later).await.unwrap();
    let shown = plan(&mut client, 3).await;
    let home = fixture.home.path();
    let kept = Proposal::of("hk1.toml", cluster_file(3), shown.clone());
    kept.save(&home.join("plan.json")).unwrap();
    let rollout = apply(&mut client, 3, shown).await.unwrap();
    finished(&watch(&mut client, &rollout).await.unwrap());
    let freeze = v1::FreezeRequest {
        cluster: "hk1".to_owned(),
        frozen: true,
        reason: "moving house".to_owned(),
    };
    of(client.freeze(freeze).await).unwrap();
    let mut history = Vec::new();
    let mut lines = of(client.export_history(v1::ExportHistoryRequest {}).await).unwrap();
    while let Some(message) = lines.message().await.unwrap() {
        history.extend(message.lines);
    }
    daemon.stop().await;
    backup::backup(&fixture.config, Some(&home.join("backup.age")), &passphrase(), history).unwrap();
    if target.exists() {
        fs::remove_dir_all(&target).unwrap();
    }
    copied(&fixture.config.state_dir, &target.join("state"));
    for name in ["plan.json", "backup.age"] {
        fs::copy(home.join(name), target.join(name)).unwrap();
    }
}
