//! Whatever a tool prints, reading it ends with a value or an error: each fixture is cut, flipped and filled with other
//! pieces, and nothing may panic.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::*;

/// Reads a text with everything that reads text.
fn read_with_all(text: &str) {
    drop((
        lsblk::read(text),
        lsblk::Columns::default().without_refused(text).is_some(),
        zpool::read_devices(text),
        zpool::read_health(text),
        zpool_status::read(text),
        zpool_get::read(text),
        (zfs_list::read(text), zfs_list::volumes(text)),
    ));
    drop((pvesm::read_status(text, text), pvesm::read_troubles(text)));
    drop((vzdump_log::read(104, text), vzdump_log::guest_of(text)));
    drop((
        pvs::read(text),
        lvs::read(text),
        smartctl::read(text),
        ip::read(text),
        getent::read(text),
    ));
    drop((
        pveversion::read(text),
        timedatectl::read(text),
        chronyc::read(text),
        systemctl::read(text),
    ));
    drop((
        pvecm::read_create(text, text),
        pvecm::read_join(text, ""),
        pvecm::read_join("", text).peer_change(),
    ));
    drop((
        pve_config::certificate::fingerprint(text),
        perl::read_ticket(text.as_bytes()),
    ));
    drop((
        corosync_quorumtool::read(text),
        corosync_cfgtool::read(text),
        corosync_cmapctl::read(text),
        corosync_cmapctl::read_latencies(text),
        corosync_cmapctl::read_timers(text),
    ));
    drop((
        corosync_conf::read(text),
        pmxcfs::members::read(text),
        pmxcfs::vmlist::read(text),
        os_release::read(text),
    ));
    drop((
        proc::load_averages(text),
        proc::uptime_seconds(text),
        proc::memory(text),
        proc::processors(text),
    ));
    drop((
        pve_config::ceph::read_monitors(text),
        pve_config::ha::read_lrm_status(text),
        pve_config::ha::read_manager_status(text),
        pve_config::ha::read_resources(text),
    ));
    drop((
        pve_config::ha::read_placements(text, text),
        pve_config::datacenter::read(text),
        pve_config::user::pools(text),
    ));
    drop((
        pve_config::replication::read(text),
        pve_config::storage::read(text),
        pve_config::tfa::root_has_factor(text),
        pve_config::tfa::realm_wants_factor(text),
        pve_config::user::read(text),
        pve_firewall::read(Some(text), Some(text)),
    ));
    drop((
        apt::read_upgrade(text),
        apt_cache::read(text),
        apt_sources::read("/etc/apt/sources.list", text),
        apt_sources::read("x.sources", text),
        dpkg_query::read(text),
        df::read(text),
    ));
    drop((
        authorized_keys::admitted(text),
        authorized_keys::keys(text),
        dpkg::read_fields(text),
        kept_spec::read(text),
        mountinfo::read(text),
        ssh_key::read(text),
        systemctl::read_each(text, &["a", "b"]),
    ));
    drop((
        guest::trouble(text),
        pve_tasks::read(text).is_some(),
        pve_tasks::read_end(text),
        pve_tasks::read_active(text),
        pvesh::migrate::read("prox2", text),
    ));
    drop((nft::read_tables(text), nft::read(text), corosync_conf::ports(text)));
    if let Ok(devices) = lsblk::read(text) {
        assert!(
            devices
                .iter()
                .flat_map(lsblk::Device::tree)
                .all(|device| !device.sysfs_name().contains('/'))
        );
    }
}

fn fixtures() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let texts: Vec<String> = files(&folder)
        .iter()
        // What our own programs wrote is no tool's output.
        .filter(|path| !path.starts_with(folder.join("formats")))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    assert!(texts.len() > 80, "{} fixtures", texts.len());
    texts
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What our own versions wrote is nothing that a tool prints.
        if path.ends_with("fixtures/formats") {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// One change: at a place (in thousandths of the text), some bytes away, something else there.
type Change = (usize, usize, Vec<u8>);

fn mutated(text: &str, changes: &[Change]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (place, remove, insert) in changes {
        let at = bytes.len() * place / 1000;
        let end = (at + remove).min(bytes.len());
        bytes.splice(at..end, insert.iter().copied());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Pieces that mean something to one reader or another.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let telling = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "\n",
        "\t",
        " = ",
        "null",
        "-1",
        "1e400",
        "18446744073709551616",
        "(",
        "->",
        ")",
        "#",
        "/dev/",
        "\\u0000",
        "ü",
        "LINK:",
        "nodeid:",
        "runtime.members.",
        "waiting for quorum...",
        "* ",
        "! ",
        "400 ",
        "[RULES]\n",
        "deb ",
        "Types: ",
        "quorate:",
        "@pam",
    ]);
    prop_oneof![
        telling.prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..6)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_output_never_panics(changes in prop::collection::vec((0..=1000_usize, 0..40_usize, piece()), 1..6)) {
        for text in fixtures() {
            read_with_all(&mutated(&text, &changes));
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in ".{0,400}") {
        read_with_all(&text);
    }
}
