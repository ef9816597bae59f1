use std::collections::{BTreeMap, BTreeSet};

use quorate_model::ByteSize;
use quorate_model::observation::storages::StorageState;
use quorate_model::storage::{Content, Property, StorageKind};

use super::*;

fn storage() -> StorageDefinition {
    StorageDefinition {
        name: "data_zfs".parse().unwrap(),
        kind: StorageKind::Zfspool,
        properties: BTreeMap::from([
            (Property::Pool, "data_zfs".to_owned()),
            (Property::Thin, "1".to_owned()),
        ]),
        content: BTreeSet::from([Content::Images, Content::Rootdir]),
        nodes: Some(["prox1", "prox2"].map(|n| n.parse().unwrap()).into()),
    }
}

#[test]
fn one_volume_is_freed_by_its_id() {
    let (tools, storage) = (Tools::imagined(), "data_zfs".parse().unwrap());
    assert_eq!(
        free(&tools, &storage, "vm-900-cloudinit").unwrap().to_string(),
        "/usr/bin/pvesm free data_zfs:vm-900-cloudinit"
    );
}

#[test]
fn storages_are_added_and_extended_as_the_recipe_has_it() {
    let tools = Tools::imagined();
    assert_eq!(
        add(&tools, &storage(), None).unwrap().to_string(),
        "/usr/bin/pvesm add zfspool data_zfs --pool data_zfs --sparse 1 --content images,rootdir --nodes prox1,prox2"
    );
    assert_eq!(
        extend(&tools, &storage()).unwrap().to_string(),
        "/usr/bin/pvesm set data_zfs --content images,rootdir --nodes prox1,prox2"
    );
    let everywhere = StorageDefinition {
        nodes: None,
        content: BTreeSet::new(),
        ..storage()
    };
    assert_eq!(
        extend(&tools, &everywhere).unwrap().to_string(),
        "/usr/bin/pvesm set data_zfs --delete nodes"
    );
}

#[test]
fn a_password_comes_by_stdin_and_its_option_last() {
    let backup = StorageDefinition {
        name: "backup".parse().unwrap(),
        kind: StorageKind::Pbs,
        properties: BTreeMap::from([
            (Property::Server, "192.168.1.5".to_owned()),
            (Property::Datastore, "store1".to_owned()),
            (Property::Username, "quorate@pbs".to_owned()),
            (Property::PruneBackups, "keep-last=3".to_owned()),
        ]),
        content: BTreeSet::new(),
        nodes: None,
    };
    let call = add(&Tools::imagined(), &backup, Some(&SecretBytes::new("hush"))).unwrap();
    assert_eq!(
        call.to_string(),
        "/usr/bin/pvesm add pbs backup --server 192.168.1.5 --datastore store1 --username quorate@pbs --prune-backups keep-last=3 \
         --password"
    );
    assert!(!format!("{call:?}").contains("hush"));
}

#[test]
fn the_columns_of_pve_8_and_9_are_read() {
    let shown = |out: &str, err: &str| -> Vec<String> {
        let told = |s: quorate_model::observation::storages::StorageStatus| {
            let size = |size: Option<ByteSize>| size.map_or_else(|| "-".to_owned(), |size| size.0.to_string());
            let (total, used) = (size(s.total), size(s.used));
            format!(
                "{} {} {} {total} {used} {}",
                s.id,
                s.kind,
                s.state.as_str(),
                s.complaint.unwrap_or_default()
            )
        };
        read_status(out, err).unwrap().into_iter().map(told).collect()
    };
    assert_eq!(
        shown(fixture!("pvesm-status/pve-8.4/fresh.out"), ""),
        ["local dir active 6442450944 8245248 "]
    );
    assert_eq!(
        shown(
            fixture!("pvesm-status/pve-8.4/mixed.out"),
            fixture!("pvesm-status/pve-8.4/mixed.err")
        ),
        [
            "backup pbs inactive - - backup: error fetching datastores - 500 Can't connect to 192.168.1.5:8007 (No route to host)",
            "data_zfs zfspool active 954556481536 95455647744 ",
            "local dir active 6442450944 8245248 ",
            "nas nfs disabled - - ",
        ]
    );
    assert_eq!(
        shown(
            fixture!("pvesm-status/pve-9.0/mixed.out"),
            fixture!("pvesm-status/pve-9.0/mixed.err")
        ),
        [
            "data_zfs zfspool inactive - - zfs error: cannot open 'data_zfs': no such pool",
            "local dir active 6442450944 8245248 ",
            "nas nfs disabled - - ",
        ]
    );
    for bad in [
        "",
        "local dir active 1 1 1 1%\n",
        "Name Type\nlocal dir up 1 1 1 1%\n",
        "Name Type\nlocal dir active x 1 1 1%\n",
    ] {
        assert!(read_status(bad, "").is_err(), "{bad}");
    }
    assert_eq!(
        read_status(fixture!("pvesm-status/pve-8.4/fresh.out"), "").unwrap()[0].state,
        StorageState::Active
    );
}

#[test]
fn what_went_wrong_is_known_by_its_words() {
    let kinds = |text: &str| -> Vec<TroubleKind> { read_troubles(text).into_iter().map(|t| t.kind).collect() };
    for (text, kind) in [
        (
            "create storage failed: storage ID 'tank' already defined\n",
            TroubleKind::AlreadyDefined,
        ),
        (
            "create storage failed: cfs-lock 'file-storage_cfg' error: got lock request timeout\n",
            TroubleKind::Locked,
        ),
        (
            "create storage failed: storage 'nas' is not online\n",
            TroubleKind::NotOnline,
        ),
        (
            "create storage failed: backup: error fetching datastores - 401 Unauthorized\n",
            TroubleKind::LoginRefused,
        ),
        (
            "create storage failed: backup: error fetching datastores - 500 Can't connect to 192.168.1.5:8007 (No route to host)\n",
            TroubleKind::BackupServer,
        ),
        (
            "create storage failed: backup: Cannot find datastore 'x', check permissions and existence!\n",
            TroubleKind::NoDatastore,
        ),
        (
            "create storage failed: could not activate storage 'tank', zfs error: cannot import 'tank': no such pool available\n",
            TroubleKind::NotActivated,
        ),
        (
            "storage does not support content type 'iso'\n",
            TroubleKind::ContentDropped,
        ),
        ("what is this\n", TroubleKind::Other),
    ] {
        assert_eq!(kinds(text), [kind], "{text}");
    }
    let wrong = "400 Parameter verification failed.\ncontent: invalid format - invalid content type 'x'\n\npvesm add <type> <storage> [OPTIONS]\n";
    assert_eq!(kinds(wrong), [TroubleKind::BadArguments]);
    assert!(read_troubles("").is_empty());
}
