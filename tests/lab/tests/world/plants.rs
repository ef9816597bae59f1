//! What a preflight ought to find: each planted thing shows where it would on a real server.

use quorate_lab::plants::{Plant, ServiceIs};
use quorate_lab::{Lab, Script};

use crate::{PATIENCE, add, created, lab, nothing_unknown};

fn text(lab: &Lab, path: &str) -> String {
    let root = lab.node("prox1").expect("prox1").root;
    std::fs::read_to_string(root.join(path.trim_start_matches('/'))).unwrap_or_default()
}

async fn out(lab: &Lab, argv: &[&str]) -> String {
    lab.tool("prox1", argv, None).await.expect("the tool runs").stdout
}

fn word(text: &str) -> String {
    text.to_owned()
}

#[tokio::test]
async fn configuration_shows_in_its_files() {
    let plants = [
        Plant::Storage {
            id: word("backup1"),
            kind: word("pbs"),
            nodes: vec![word("prox1"), word("prox2")],
        },
        Plant::Token {
            id: word("root@pam!backup"),
        },
        Plant::RootTotp,
        Plant::OwnCertificate,
        Plant::AuthorizedKey {
            comment: word("admin@desk"),
        },
        Plant::Firewall {
            policy_in: None,
            rules: vec![word("IN ACCEPT -source 192.168.1.0/24 -p tcp -dport 22")],
        },
        Plant::Replication {
            guest: 100,
            target: word("prox9"),
        },
        Plant::Ceph {
            monitors: vec![word("prox1")],
        },
        Plant::LeftoverNode { name: word("prox7") },
        Plant::EnterpriseRepository,
        Plant::File {
            path: word("/etc/pve/ha/groups.cfg"),
            text: Some(word("group: all\n\tnodes prox1,prox7\n")),
        },
    ];
    let lab = lab(|builder| {
        plants
            .iter()
            .fold(builder.nodes(1), |builder, plant| builder.plant("prox1", plant.clone()))
    })
    .await;
    for (path, wanted) in [
        (
            "/etc/pve/storage.cfg",
            "\npbs: backup1\n\tcontent backup\n\tnodes prox1,prox2\n",
        ),
        ("/etc/pve/storage.cfg", "dir: local\n"),
        ("/etc/pve/user.cfg", "token:root@pam!backup:0:1::\n"),
        ("/etc/pve/user.cfg", "user:root@pam:"),
        ("/etc/pve/priv/tfa.cfg", "\"root@pam\":{\"totp\":["),
        ("/etc/pve/nodes/prox1/pveproxy-ssl.pem", "BEGIN CERTIFICATE"),
        ("/root/.ssh/authorized_keys", " admin@desk\n"),
        ("/root/.ssh/authorized_keys", " root@prox1\n"),
        (
            "/etc/pve/firewall/cluster.fw",
            "[OPTIONS]\n\nenable: 1\npolicy_in: DROP\n\n[RULES]\n\nIN ACCEPT -source 192.168.1.0/24",
        ),
        ("/etc/pve/replication.cfg", "local: 100-0\n\ttarget prox9\n"),
        ("/etc/pve/ceph.conf", "[mon.prox1]\n"),
        ("/etc/pve/ha/groups.cfg", "nodes prox1,prox7"),
        ("/etc/apt/sources.list.d/pve-enterprise.list", "enterprise.proxmox.com"),
    ] {
        assert!(text(&lab, path).contains(wanted), "{path}: {}", text(&lab, path));
    }
    let root = lab.node("prox1").expect("prox1").root;
    assert!(root.join("etc/pve/nodes/prox7").is_dir());
    assert_eq!(
        out(&lab, &["pve-firewall", "status"]).await,
        "Status: enabled/running\n"
    );
    nothing_unknown(&lab);
}

#[tokio::test]
async fn nothing_of_it_is_there_unless_it_was_planted() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let root = lab.node("prox1").expect("prox1").root;
    for path in [
        "priv/tfa.cfg",
        "nodes/prox1/pveproxy-ssl.pem",
        "firewall/cluster.fw",
        "replication.cfg",
        "ceph.conf",
        "ha/resources.cfg",
    ] {
        assert!(!root.join("etc/pve").join(path).exists(), "{path}");
    }
    assert!(!root.join("run/watchdog-mux.active").exists());
    assert_eq!(text(&lab, "/root/.ssh/authorized_keys").lines().count(), 1);
    let host = text(&lab, "/etc/ssh/ssh_host_rsa_key.pub");
    assert!(
        host.starts_with("ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB") && host.ends_with(" root@prox1\n"),
        "{host}"
    );
    assert!(text(&lab, "/etc/ssh/ssh_host_ed25519_key.pub").starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"));
    assert_eq!(
        out(&lab, &["pve-firewall", "status"]).await,
        "Status: disabled/running\n"
    );
    let argv = ["df", "--output=avail,size", "-B1", "/var/lib/pve-cluster"];
    assert_eq!(
        out(&lab, &argv).await,
        "      Avail    1B-blocks\n58129936384 100861726720\n"
    );
}

#[tokio::test]
async fn a_full_disk_and_a_missing_folder_show_in_df() {
    let full = Plant::Free {
        path: word("/var/lib/pve-cluster"),
        bytes: 0,
    };
    let lab = lab(|builder| builder.nodes(1).plant("prox1", full)).await;
    let argv = ["df", "--output=avail,size", "-B1", "/var/lib/pve-cluster/backup"];
    assert_eq!(out(&lab, &argv).await, "Avail    1B-blocks\n    0 100861726720\n");
    let argv = ["df", "--output=avail,size", "-B1", "/nosuch"];
    let output = lab.tool("prox1", &argv, None).await.expect("df runs");
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str(), output.code()),
        ("", "df: /nosuch: No such file or directory\n", Some(1))
    );
}

#[tokio::test]
async fn names_ports_and_services_are_as_planted() {
    let lab = lab(|builder| builder.nodes(1)).await;
    for plant in [
        Plant::Name {
            name: word("prox2"),
            address: Some(word("192.168.1.99")),
        },
        Plant::Speed {
            port: word("eno2"),
            mbits: 1000,
            half: true,
        },
        Plant::Mtu {
            interface: word("eno2"),
            bytes: 9000,
        },
        Plant::Service {
            unit: word("pvedaemon"),
            state: ServiceIs::Failed,
        },
        Plant::Service {
            unit: word("sshd"),
            state: ServiceIs::Stopped,
        },
        Plant::Service {
            unit: word("chrony"),
            state: ServiceIs::Masked,
        },
    ] {
        lab.script("prox1", Script::Plant(plant)).await.expect("planted");
    }
    let argv = ["getent", "ahosts", "prox2"];
    assert!(
        out(&lab, &argv)
            .await
            .starts_with("192.168.1.99    STREAM prox2.lab.example\n")
    );
    assert_eq!(text(&lab, "/sys/class/net/eno2/speed"), "1000\n");
    assert_eq!(text(&lab, "/sys/class/net/eno2/duplex"), "half\n");
    assert_eq!(text(&lab, "/sys/class/net/eno1/duplex"), "full\n");
    assert_eq!(text(&lab, "/sys/class/net/eno2/mtu"), "9000\n");
    let links: serde_json::Value = serde_json::from_str(&out(&lab, &["ip", "-j", "link"]).await).expect("JSON");
    let mtu = |name: &str| {
        let list = links.as_array().expect("a list");
        list.iter().find(|link| link["ifname"] == name).expect("the link")["mtu"].clone()
    };
    assert_eq!((mtu("eno2"), mtu("eno1")), (9000.into(), 1500.into()));
    let argv = [
        "systemctl",
        "show",
        "-p",
        "ActiveState,LoadState",
        "pvedaemon",
        "ssh",
        "chrony",
        "pveproxy",
    ];
    assert_eq!(
        out(&lab, &argv).await,
        "LoadState=loaded\nActiveState=failed\n\nLoadState=loaded\nActiveState=inactive\n\n\
         LoadState=masked\nActiveState=inactive\n\nLoadState=loaded\nActiveState=active\n"
    );

    let gone = Plant::Name {
        name: word("prox1"),
        address: None,
    };
    lab.script("prox1", Script::Plant(gone)).await.expect("planted");
    let output = lab
        .tool("prox1", &["getent", "ahosts", "prox1"], None)
        .await
        .expect("getent runs");
    assert_eq!((output.stdout.as_str(), output.code()), ("", Some(2)));
    nothing_unknown(&lab);
}

#[tokio::test]
async fn a_join_drops_what_only_the_joining_node_had() {
    let lab = lab(|builder| {
        let key = Plant::AuthorizedKey {
            comment: word("old@desk"),
        };
        let storage = Plant::Storage {
            id: word("old"),
            kind: word("dir"),
            nodes: Vec::new(),
        };
        builder.nodes(2).plant("prox2", key).plant("prox2", storage).plant(
            "prox1",
            Plant::Token {
                id: word("root@pam!kept"),
            },
        )
    })
    .await;
    let root = lab.node("prox2").expect("prox2").root;
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    assert!(
        read("root/.ssh/authorized_keys").contains("old@desk") && read("etc/pve/storage.cfg").contains("dir: old\n")
    );
    created(&lab, "lab1").await;
    assert!(
        add(&lab, "prox2", "labpass", &["--link0", "10.10.10.2"])
            .await
            .success()
    );
    lab.wait_for("the cluster's files", PATIENCE, async || {
        read("etc/pve/user.cfg").contains("root@pam!kept")
    })
    .await
    .expect("there");
    assert!(
        !read("root/.ssh/authorized_keys").contains("old@desk") && !read("etc/pve/storage.cfg").contains("dir: old\n")
    );
    assert!(
        read("root/.ssh/authorized_keys").contains("root@prox1")
            && read("root/.ssh/authorized_keys").contains("root@prox2")
    );
}

#[tokio::test]
async fn what_can_not_be_planted_is_refused() {
    let lab = lab(|builder| builder.nodes(1).qnetd("witness1")).await;
    let refused = lab.script("witness1", Script::Plant(Plant::RootTotp)).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("witness1 is no PVE node")));
    let outside = Plant::File {
        path: word("/../../outside"),
        text: Some(String::new()),
    };
    assert!(lab.script("prox1", Script::Plant(outside)).await.is_err());
}
