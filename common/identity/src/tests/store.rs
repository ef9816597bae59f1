//! What is kept in files: modes, owners, interrupted writes, the offline root key.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use nix::unistd::geteuid;

use super::lab::{Fleet, NOW, name, node, operator};
use crate::{
    BundleError, CoordinatorStore, FileError, KeyError, NodeStore, OperatorBundle, Passphrase, PrivateKey, Role, Scope,
    StoreError,
};

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned().into()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_fleet_is_kept_and_its_root_key_can_be_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = CoordinatorStore::new(&dir.path().join("quorate"));
    let fleet = Fleet::new();
    let coordinator = fleet.identity(&Role::Coordinator);
    assert!(!store.exists());
    store
        .create(&fleet.root, &passphrase("correct horse"), &fleet.issuing, &coordinator)
        .unwrap();
    assert!(store.exists());

    let state = dir.path().join("quorate");
    assert_eq!(names(&state), ["ca", "coordinator.key", "coordinator.pem"]);
    assert_eq!(
        names(&state.join("ca")),
        ["issuing.key", "issuing.pem", "root.key", "root.pem"]
    );
    for (path, wanted) in [
        ("", 0o700),
        ("ca", 0o700),
        ("ca/root.key", 0o600),
        ("ca/issuing.key", 0o600),
        ("coordinator.key", 0o600),
    ] {
        assert_eq!(mode(&state.join(path)), wanted, "{path}");
    }
    assert_eq!(store.roots().unwrap(), fleet.roots());
    assert_eq!(store.issuing_ca().unwrap().certificate(), fleet.issuing.certificate());
    assert_eq!(store.coordinator().unwrap().certificate(), coordinator.certificate());
    let root = store.root_ca(&passphrase("correct horse")).unwrap();
    assert!(root.issue(&operator(), NOW).is_ok());

    let wrong = store.root_ca(&passphrase("wrong horse")).unwrap_err();
    assert!(
        matches!(
            wrong,
            StoreError::Key {
                source: KeyError::WrongPassphrase,
                ..
            }
        ),
        "{wrong:?}"
    );

    let again = store
        .create(&fleet.root, &passphrase("x"), &fleet.issuing, &coordinator)
        .unwrap_err();
    assert!(matches!(again, StoreError::Exists { .. }), "{again:?}");

    fs::rename(state.join("ca/root.key"), dir.path().join("usb-stick")).unwrap();
    let offline = store.root_ca(&passphrase("correct horse")).unwrap_err();
    assert!(
        matches!(&offline, StoreError::RootKeyOffline { path } if *path == state.join("ca/root.key")),
        "{offline:?}"
    );
    assert!(
        store.issuing_ca().is_ok() && store.coordinator().is_ok(),
        "nodes can still be enrolled"
    );
}

#[test]
fn the_root_key_at_rest_is_encrypted_and_an_empty_passphrase_is_none() {
    let key = PrivateKey::generate().unwrap();
    let text = key.to_encrypted_pem(&passphrase("correct horse")).unwrap();
    assert!(
        text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
        "{}",
        text.as_str()
    );
    assert!(matches!(PrivateKey::from_pem(&text), Err(KeyError::NoPem { .. })));
    let back = PrivateKey::from_encrypted_pem(&text, &passphrase("correct horse")).unwrap();
    assert_eq!(back.public_key().unwrap(), key.public_key().unwrap());
    assert!(Passphrase::new(String::new().into()).is_none());
    let cut = &text[..text.len() / 2];
    let refused = PrivateKey::from_encrypted_pem(cut, &passphrase("correct horse"));
    assert!(matches!(refused, Err(KeyError::BadEncryption { .. })), "{refused:?}");
}

#[test]
fn a_node_keeps_its_identity() {
    let dir = tempfile::tempdir().unwrap();
    let (store, fleet) = (NodeStore::new(dir.path()), Fleet::new());
    assert!(store.load().unwrap().is_none());
    let first = fleet.identity(&node("prox1"));
    store.save(&fleet.roots(), &first).unwrap();
    let identity = dir.path().join("identity");
    assert_eq!(names(&identity), ["node.key", "node.pem", "root.pem"]);
    assert_eq!((mode(&identity), mode(&identity.join("node.key"))), (0o700, 0o600));
    let (roots, loaded) = store.load().unwrap().unwrap();
    assert_eq!((roots, loaded.certificate()), (fleet.roots(), first.certificate()));
    assert_eq!(loaded.chain().count(), 2, "the issuing CA is presented along");

    let renewed = fleet.identity(&node("prox1"));
    store.save_identity(&renewed).unwrap();
    assert_eq!(store.load().unwrap().unwrap().1.certificate(), renewed.certificate());
    assert_eq!(names(&identity), ["node.key", "node.pem", "root.pem"]);
}

#[test]
fn a_renewal_that_was_cut_short_leaves_the_old_or_the_new_identity() {
    let dir = tempfile::tempdir().unwrap();
    let (store, fleet) = (NodeStore::new(dir.path()), Fleet::new());
    let (old, new) = (fleet.identity(&node("prox1")), fleet.identity(&node("prox1")));
    let file = |name: &str| dir.path().join("identity").join(name);
    let put_key = |name: &str| crate::write_secret_file(&file(name), &new.key().to_pem()).unwrap();
    let put_chain = |name: &str| crate::write_file(&file(name), &new.chain_pem()).unwrap();
    let loaded = || store.load().unwrap().unwrap().1.certificate().clone();

    store.save(&fleet.roots(), &old).unwrap();
    put_key("node.next.key");
    assert_eq!(&loaded(), old.certificate(), "cut after the new key");
    put_chain("node.next.pem");
    assert_eq!(&loaded(), new.certificate(), "cut after the new certificate");

    store.save(&fleet.roots(), &old).unwrap();
    put_key("node.key");
    put_chain("node.next.pem");
    assert_eq!(&loaded(), new.certificate(), "cut between the two renames");
    assert_eq!(
        names(&dir.path().join("identity")),
        ["node.key", "node.pem", "root.pem"]
    );

    store.save(&fleet.roots(), &old).unwrap();
    put_key("node.key");
    assert!(
        matches!(store.load(), Err(StoreError::Identity { .. })),
        "a key of somebody else is no renewal"
    );
}

#[test]
fn an_exposed_key_is_refused_with_the_command_that_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, fleet) = (NodeStore::new(dir.path()), Fleet::new());
    store.save(&fleet.roots(), &fleet.identity(&node("prox1"))).unwrap();
    let key = dir.path().join("identity/node.key");
    for exposed in [0o640, 0o604, 0o620, 0o610] {
        set_mode(&key, exposed);
        let refused = store.load().unwrap_err();
        assert!(
            matches!(refused, StoreError::File(FileError::Exposed { mode, .. }) if mode == exposed),
            "{refused:?}"
        );
        assert!(
            refused.to_string().ends_with(&format!("chmod 0600 {}", key.display())),
            "{refused}"
        );
    }
    set_mode(&key, 0o400);
    assert!(store.load().is_ok());

    set_mode(&dir.path().join("identity"), 0o770);
    let refused = store.load().unwrap_err();
    assert!(
        matches!(refused, StoreError::File(FileError::ExposedDir { mode: 0o770, .. })),
        "{refused:?}"
    );
}

#[test]
fn a_key_of_another_user_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = if geteuid().is_root() {
        let path = dir.path().join("key");
        crate::write_secret_file(&path, "secret").unwrap();
        chown(&path, Some(65_534), None).unwrap();
        path
    } else {
        "/etc/passwd".into()
    };
    let refused = crate::read_secret_file(&path).unwrap_err();
    assert!(matches!(refused, FileError::WrongOwner { .. }), "{refused:?}");
    assert!(
        refused.to_string().contains(&format!("chown {}", geteuid())),
        "{refused}"
    );
}

#[test]
fn what_is_missing_or_no_text_is_called_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    assert!(matches!(crate::read_secret_file(&path), Err(FileError::Missing { .. })));
    fs::write(&path, [0xff, 0xfe]).unwrap();
    set_mode(&path, 0o600);
    assert!(matches!(crate::read_secret_file(&path), Err(FileError::NotText { .. })));
    fs::write(&path, vec![b'x'; 1024 * 1024 + 1]).unwrap();
    assert!(matches!(crate::read_secret_file(&path), Err(FileError::NotText { .. })));
}

#[test]
fn writing_replaces_whole_files_and_their_modes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    fs::write(&path, "open to all").unwrap();
    set_mode(&path, 0o666);
    crate::write_secret_file(&path, "secret").unwrap();
    assert_eq!(
        (mode(&path), fs::read_to_string(&path).unwrap().as_str()),
        (0o600, "secret")
    );
    assert_eq!(names(dir.path()), ["key"], "no temporary file stays behind");
    fs::create_dir(dir.path().join("taken")).unwrap();
    assert!(crate::write_secret_file(&dir.path().join("taken"), "secret").is_err());
    assert_eq!(names(dir.path()), ["key", "taken"], "nor after a failure");
}

#[test]
fn a_bundle_is_one_private_file_for_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let (path, fleet) = (dir.path().join("anna.pem"), Fleet::new());
    let bundle = OperatorBundle::new(fleet.identity(&operator()), fleet.roots()).unwrap();
    bundle.save(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    let loaded = OperatorBundle::load(&path).unwrap();
    assert_eq!(loaded.identity().certificate(), bundle.identity().certificate());
    assert_eq!(loaded.roots(), bundle.roots());
    assert_eq!(
        loaded.identity().role(),
        &Role::Operator {
            name: name("anna"),
            scope: Scope::Fleet
        }
    );

    set_mode(&path, 0o644);
    assert!(matches!(
        OperatorBundle::load(&path),
        Err(BundleError::File(FileError::Exposed { .. }))
    ));
    let refused = OperatorBundle::new(fleet.identity(&Role::Coordinator), fleet.roots());
    assert!(matches!(refused, Err(BundleError::NotAPerson { .. })), "{refused:?}");
    let half = bundle.identity().chain_pem();
    assert!(matches!(OperatorBundle::from_pem(&half), Err(BundleError::Key(_))));
}
