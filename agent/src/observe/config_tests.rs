use super::super::testing::{Fake, fixture, member};
use super::*;

/// prox1 of three, with something in every file.
fn full() -> Fake {
    let fake = Fake::new();
    member(&fake);
    for (path, text) in [
        ("/etc/pve/storage.cfg", fixture!("storage.cfg/pve-9/three.cfg")),
        ("/etc/pve/user.cfg", fixture!("user.cfg/pve-8.4/tokens.cfg")),
        ("/etc/pve/priv/tfa.cfg", fixture!("tfa.cfg/pve-8.4/root-totp.json")),
        ("/etc/pve/nodes/prox1/pveproxy-ssl.pem", "-----BEGIN"),
        ("/etc/pve/firewall/cluster.fw", fixture!("pve-firewall/5.1/cluster.fw")),
        ("/etc/pve/nodes/prox1/host.fw", fixture!("pve-firewall/5.1/host.fw")),
        ("/etc/pve/replication.cfg", fixture!("replication.cfg/pve-8.4/one.cfg")),
        ("/etc/pve/ha/groups.cfg", fixture!("ha/pve-8.4/groups.cfg")),
        ("/etc/pve/ha/rules.cfg", fixture!("ha/pve-9/rules.cfg")),
        ("/etc/pve/ceph.conf", fixture!("ceph.conf/pve-8.4/three-monitors.conf")),
        ("/etc/pve/nodes/prox2/qemu-server/101.conf", ""),
        (
            "/etc/pve/nodes/prox2/qemu-server/100.conf",
            "net0: virtio=BC:24:11:0A:0B:0C,bridge=vmbr0\n",
        ),
        ("/var/lib/ceph/osd/ceph-3/fsid", ""),
        ("/var/lib/ceph/mgr/ceph-prox1/keyring", ""),
        ("/etc/pve/qdevice-net-node.p12", "key"),
        ("/etc/pve/nodes/prox2/lxc/200.conf", ""),
        (
            "/etc/pve/priv/authorized_keys",
            "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAACAQC root@prox1\n",
        ),
    ] {
        fake.put(path, text);
    }
    fake.link("../../etc/pve/priv/authorized_keys", "/root/.ssh/authorized_keys");
    fake
}

fn spec_file() -> String {
    let text = "[cluster]\nname = \"lab1\"\n";
    kept_spec::write(&KeptSpec {
        digest: quorate_model::spec::digest_of(text),
        applied_at: quorate_model::Timestamp::from_seconds(1_795_345_772),
        rollout: "r-1".to_owned(),
        text: text.to_owned(),
    })
}

#[tokio::test]
async fn everything_that_a_join_would_overwrite() {
    let fake = full();
    fake.put("/etc/pve/quorate/spec.toml", &spec_file());
    let config = observe(&fake.host([])).await.unwrap();
    let ids: Vec<_> = config.storages.get().unwrap().iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["local", "tank", "backup"]);
    assert_eq!(config.users.get().unwrap(), &["monitor@pve"]);
    assert_eq!(config.tokens.get().unwrap().len(), 2);
    assert!(config.root_tfa.get().unwrap() & config.own_certificate);
    assert_eq!(config.authorized_keys.get().unwrap()[0].name, "root@prox1");
    let firewall = config.firewall.get().unwrap();
    assert!(firewall.enabled && firewall.rules.len() == 4 && firewall.host_rules.len() == 1);
    assert_eq!(config.replication.get().unwrap()[0].target, "prox2");
    let placements = config.ha_placements.get().unwrap();
    assert_eq!(placements.keys().collect::<Vec<_>>(), ["group front", "rule near"]);
    assert_eq!(config.ceph_monitors.get().unwrap().as_ref().unwrap().len(), 3);
    let folders = config.node_folders.get().unwrap();
    assert_eq!(folders.keys().collect::<Vec<_>>(), ["prox1", "prox2"]);
    assert_eq!(folders["prox2"].guests, [100, 101, 200]);
    assert_eq!(config.guest_macs.get().unwrap(), &["bc:24:11:0a:0b:0c"]);
    assert_eq!(config.ceph_daemons.get().unwrap(), &["mgr.prox1", "osd.3"]);
    assert!(config.qdevice_key);
    assert_eq!(config.spec.get().unwrap().as_ref().unwrap().rollout, "r-1");
}

#[tokio::test]
async fn files_that_nobody_else_tells_of_are_named() {
    let fake = full();
    for (path, text) in [
        ("/etc/pve/datacenter.cfg", "keyboard: de\n"),
        ("/etc/pve/jobs.cfg", "\n"),
        ("/etc/pve/priv/storage/backup.enc", "{\"kdf\": null}"),
        ("/etc/pve/priv/lock/file-corosync_conf/x", "1"),
        ("/etc/pve/nodes/prox1/config", "acme: domains=x\n"),
        ("/etc/pve/nodes/prox1/pve-ssl.pem", "-----BEGIN"),
        ("/etc/pve/sdn/zones.cfg", "simple: z\n"),
        ("/etc/pve/quorate/spec.toml", &spec_file()),
    ] {
        fake.put(path, text);
    }
    let config = observe(&fake.host([])).await.unwrap();
    let files = config.files.get().unwrap();
    let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "ceph.conf",
            "datacenter.cfg",
            "firewall/cluster.fw",
            "ha/groups.cfg",
            "ha/rules.cfg",
            "nodes/prox1/config",
            "nodes/prox1/host.fw",
            "priv/storage/backup.enc",
            "priv/tfa.cfg",
            "qdevice-net-node.p12",
            "sdn/zones.cfg",
            "user.cfg",
        ]
    );
    let digest = |path: &str| files.iter().find(|file| file.path == path).unwrap().digest.clone();
    assert!(digest("datacenter.cfg").is_some());
    assert_eq!(
        digest("priv/storage/backup.enc"),
        None,
        "nothing of a secret leaves the server"
    );
}

#[tokio::test]
async fn a_fresh_member_has_nothing_and_that_is_known() {
    let fake = Fake::new();
    member(&fake);
    let config = observe(&fake.host([])).await.unwrap();
    assert!(config.storages.get().unwrap().is_empty() && config.tokens.get().unwrap().is_empty());
    assert!(!config.root_tfa.get().unwrap() && !config.own_certificate && !config.qdevice_key);
    assert!(!config.firewall.get().unwrap().enabled);
    assert!(config.authorized_keys.get().unwrap().is_empty() && config.node_folders.get().unwrap().is_empty());
    assert_eq!(
        (config.ceph_monitors.get().unwrap(), config.spec.get().unwrap()),
        (&None, &None)
    );
}

#[tokio::test]
async fn a_realm_that_wants_a_second_factor_counts_for_root() {
    let fake = Fake::new();
    member(&fake);
    fake.put("/etc/pve/domains.cfg", "pam: pam\n\tcomment Linux\n\ttfa type=oath\n\n");
    let config = observe(&fake.host([])).await.unwrap();
    assert!(config.root_tfa.get().unwrap());
}

#[tokio::test]
async fn without_etc_pve_all_of_it_is_unknown() {
    let unknown = observe(&Fake::new().host([])).await.unwrap_err();
    assert_eq!(
        unknown.reason,
        "/etc/pve/.members does not exist: /etc/pve is not mounted"
    );
    // The keys are a link into it.
    let fake = Fake::new();
    fake.link("../../etc/pve/priv/authorized_keys", "/root/.ssh/authorized_keys");
    let unknown = authorized_keys(&fake.host([]), AUTHORIZED_KEYS).await.unwrap_err();
    assert!(
        unknown.reason.ends_with("is not there: /etc/pve is not mounted"),
        "{unknown}"
    );
}

#[tokio::test]
async fn a_host_without_pve_has_an_empty_configuration() {
    let fake = Fake::new();
    fake.put(
        "/root/.ssh/authorized_keys",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAACAQC admin\n",
    );
    let config = observe(&fake.bare()).await.unwrap();
    assert_eq!(config.authorized_keys.get().unwrap()[0].name, "admin");
    assert!(config.storages.get().unwrap().is_empty() && config.node_folders.get().unwrap().is_empty());
}

#[tokio::test]
async fn each_file_fails_alone_and_secrets_are_not_told() {
    let fake = full();
    fake.put("/etc/pve/storage.cfg", "<<<<\n");
    fake.put("/etc/pve/priv/tfa.cfg", "{ \"users\": \"SEED\" }");
    fake.put("/etc/pve/nodes/prox2/lxc/strange.conf", "");
    fake.put("/etc/pve/quorate/spec.toml", &spec_file().replace("lab1", "lab2"));
    let config = observe(&fake.host([])).await.unwrap();
    assert_eq!(
        config.storages.get().unwrap_err().reason,
        "storage.cfg: expected `TYPE: ID`: `<<<<`"
    );
    let secret = config.root_tfa.get().unwrap_err();
    assert!(!secret.reason.contains("SEED"), "{secret}");
    assert_eq!(
        config.node_folders.get().unwrap_err().reason,
        "/etc/pve/nodes/prox2/lxc/strange.conf has no guest's number for a name"
    );
    let spec = config.spec.get().unwrap_err();
    assert!(
        spec.kind == UnknownKind::Unparsable && spec.reason.contains("the digest is"),
        "{spec}"
    );
    assert!(config.users.is_known() && config.firewall.is_known() && config.replication.is_known());
}

/// pmxcfs lets reads wait around a change of membership; a pipe that nobody writes to does the same.
#[tokio::test]
async fn a_stalled_pmxcfs_is_told_as_such() {
    let fake = full();
    let storages = fake.place("/etc/pve/storage.cfg");
    std::fs::remove_file(&storages).unwrap();
    nix::unistd::mkfifo(&storages, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let observed = observe(&fake.host([])).await;
    let reason = observed.unwrap_err().reason;
    assert!(reason.contains("/etc/pve has been blocked for "), "{reason}");
    // Lets the thread go.
    drop(std::fs::OpenOptions::new().write(true).open(storages).unwrap());
}
