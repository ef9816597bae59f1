//! What the tools print, call by call, beside what real servers printed.

use quorate_lab::description::GuestKind;
use quorate_lab::{GuestSpec, Lab, Script, What};

use crate::captured::{self, comparable};
use crate::{add, created, fingerprint, lab, nothing_unknown, three};

/// Plays calls on a node and compares stdout, stderr and the exit code with the fixtures named beside them, put together.
/// Of other codes than 0, 1 and 2 only that they are not 0: in Perl they are leftovers.
pub(crate) async fn compare(lab: &Lab, node: &str, calls: &[(&str, &[&str])]) {
    for (line, fixtures) in calls {
        let recorded: Vec<_> = fixtures.iter().map(|name| captured::read(name)).collect();
        let wanted_stdout: String = recorded.iter().map(|part| part.stdout.as_str()).collect();
        let wanted_stderr: String = recorded.iter().map(|part| part.stderr.as_str()).collect();
        let wanted_code = recorded.last().expect("a fixture").code;
        let (stdout, stderr, code) = match line.strip_prefix("cat ") {
            Some(path) => {
                let root = lab.node(node).expect("the node").root;
                let text = std::fs::read_to_string(root.join(path.trim_start_matches('/'))).expect("the file");
                (text, String::new(), 0)
            }
            None => {
                let argv: Vec<&str> = line.split(' ').collect();
                let output = lab.tool(node, &argv, None).await.expect("the tool runs");
                let code = output.code().expect("an exit code");
                (output.stdout, output.stderr, code)
            }
        };
        let place = format!("[{node}]# {line}");
        assert_eq!(comparable(&stdout), comparable(&wanted_stdout), "stdout of {place}");
        assert_eq!(comparable(&stderr), comparable(&wanted_stderr), "stderr of {place}");
        if wanted_code <= 2 {
            assert_eq!(code, wanted_code, "exit code of {place}");
        }
        assert_eq!(code == 0, wanted_code == 0, "exit code {code} of {place}");
    }
    nothing_unknown(lab);
}

const JOIN: &str = "pvesh get /cluster/config/join --output-format json";
const CLUSTER_STATUS: &str = "pvesh get /cluster/status --output-format json";

#[tokio::test]
async fn a_standalone_server() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let calls: &[(&str, &[&str])] = &[
        ("pvecm status", &["pvecm/pve-8.4/standalone"]),
        ("pvecm nodes", &["pvecm/pve-8.4/standalone"]),
        ("pvecm expected 1", &["pvecm/pve-8.4/standalone"]),
        ("pvecm apiver", &["pvecm/pve-8.4/apiver"]),
        (CLUSTER_STATUS, &["pvesh/pve-8.4/status-standalone"]),
        (JOIN, &["pvesh/pve-8.4/join-standalone"]),
        ("cat /etc/pve/.members", &["pmxcfs/pve-8.4/members-standalone"]),
        ("cat /etc/pve/.vmlist", &["pmxcfs/pve-8.4/vmlist-empty"]),
        ("corosync-quorumtool -s", &["corosync-quorumtool/3.1.7/not-running"]),
        ("corosync-cfgtool -s", &["corosync-cfgtool/3.1.7/not-running"]),
        ("corosync-cfgtool -n", &["corosync-cfgtool/3.1.7/not-running"]),
        ("systemctl is-active corosync", &["systemctl/252/inactive"]),
    ];
    compare(&lab, "prox1", calls).await;
}

#[tokio::test]
async fn guests_as_pmxcfs_lists_them() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    let add = async |node: &str, vmid, kind| {
        let guest = GuestSpec {
            vmid,
            name: format!("t{vmid}"),
            kind,
            ..GuestSpec::default()
        };
        lab.script(node, Script::AddGuest(guest))
            .await
            .expect("a guest appears");
    };
    add("prox3", 100, GuestKind::Qemu).await;
    let one: &[(&str, &[&str])] = &[("cat /etc/pve/.vmlist", &["pmxcfs/pve-8.4/vmlist-one-guest"])];
    compare(&lab, "prox3", one).await;

    lab.script("prox3", Script::RemoveGuest(100)).await.expect("it goes");
    add("prox1", 100, GuestKind::Qemu).await;
    add("prox2", 101, GuestKind::Lxc).await;
    // Every member's copy tells of all guests. Their order is a hash table's, so their meaning is compared.
    let listed = |text: &str| {
        let mut value: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert!(value["version"].is_u64());
        for guest in value["ids"].as_object_mut().expect("guests").values_mut() {
            assert!(guest["version"].is_u64());
            guest["version"] = 0.into();
        }
        value["ids"].take()
    };
    let recorded = captured::read("pmxcfs/pve-8.4/vmlist-both-kinds").stdout;
    let list = lab.node("prox3").expect("prox3").root.join("etc/pve/.vmlist");
    lab.wait_for("both guests to be listed", crate::PATIENCE, async || {
        std::fs::read_to_string(&list).is_ok_and(|text| text.contains("\"101\"") && text.contains("\"100\""))
    })
    .await
    .expect("listed");
    let text = std::fs::read_to_string(&list).expect("the list");
    assert_eq!(listed(&text), listed(&recorded));
}

#[tokio::test]
async fn wrong_uses_of_create() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let calls: &[(&str, &[&str])] = &[
        ("pvecm create lab_1", &["pvecm/pve-8.4/create-bad-name"]),
        (
            "pvecm create 1-lab-name-way-too-long",
            &["pvecm/pve-8.4/create-long-name"],
        ),
        ("pvecm create", &["pvecm/pve-8.4/create-no-name"]),
        ("pvecm create lab1 --bogus 1", &["pvecm/pve-8.4/create-unknown-option"]),
        ("pvecm bogus", &["pvecm/pve-8.4/unknown-command"]),
    ];
    compare(&lab, "prox1", calls).await;
}

#[tokio::test]
async fn a_cluster_of_one() {
    let lab = lab(|builder| builder.nodes(1)).await;
    created(&lab, "lab1").await;
    let calls: &[(&str, &[&str])] = &[
        ("pvecm create lab2", &["pvecm/pve-8.4/create-exists"]),
        (
            "pvecm status",
            &["pvecm/pve-8.4/status-head", "corosync-quorumtool/3.1.7/one-node"],
        ),
        ("pvecm nodes", &["pvecm/pve-8.4/nodes-one-node"]),
        ("cat /etc/pve/corosync.conf", &["corosync.conf/pve-8.4/one-node"]),
        ("cat /etc/pve/.members", &["pmxcfs/pve-8.4/members-one-node"]),
        (
            "corosync-quorumtool -s",
            &["corosync-quorumtool/3.1.7/one-node-decimal"],
        ),
        ("corosync-quorumtool -siH", &["corosync-quorumtool/3.1.7/one-node"]),
        ("corosync-cfgtool -s", &["corosync-cfgtool/3.1.7/links-one-node"]),
        ("corosync-cfgtool -n", &["corosync-cfgtool/3.1.7/one-node"]),
        ("pvecm expected 2", &["pvecm/pve-8.4/expected-too-many"]),
        ("pvecm delnode prox1", &["pvecm/pve-8.4/delnode-itself"]),
        ("pvecm delnode prox2", &["pvecm/pve-8.4/delnode-unknown"]),
    ];
    compare(&lab, "prox1", calls).await;
}

#[tokio::test]
async fn three_quorate_nodes_and_one_isolated() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    let all: &[(&str, &[&str])] = &[
        (
            "pvecm status",
            &["pvecm/pve-8.4/status-head", "corosync-quorumtool/3.1.7/three-nodes"],
        ),
        ("pvecm nodes", &["pvecm/pve-8.4/nodes-three-nodes"]),
        (
            "corosync-quorumtool -s",
            &["corosync-quorumtool/3.1.7/three-nodes-decimal"],
        ),
        ("corosync-quorumtool -siH", &["corosync-quorumtool/3.1.7/three-nodes"]),
        ("corosync-cfgtool -s", &["corosync-cfgtool/3.1.7/links-three-nodes"]),
        ("corosync-cfgtool -n", &["corosync-cfgtool/3.1.7/three-nodes"]),
        ("cat /etc/pve/corosync.conf", &["corosync.conf/pve-8.4/three-nodes"]),
        ("cat /etc/pve/.members", &["pmxcfs/pve-8.4/members-three-nodes"]),
    ];
    compare(&lab, "prox1", all).await;

    lab.cut("prox3").await.expect("cut");
    lab.wait_for("prox3 to be alone", crate::PATIENCE, async || {
        lab.status()
            .await
            .is_ok_and(|list| list.iter().any(|s| s.name == "prox3" && !s.quorate && !s.writable))
    })
    .await
    .expect("isolated in time");
    let majority: &[(&str, &[&str])] = &[
        (
            "pvecm status",
            &["pvecm/pve-8.4/status-head", "corosync-quorumtool/3.1.7/majority"],
        ),
        ("pvecm nodes", &["pvecm/pve-8.4/nodes-majority"]),
        ("corosync-cfgtool -s", &["corosync-cfgtool/3.1.7/links-majority"]),
        ("corosync-cfgtool -n", &["corosync-cfgtool/3.1.7/majority"]),
        ("cat /etc/pve/.members", &["pmxcfs/pve-8.4/members-majority"]),
    ];
    compare(&lab, "prox1", majority).await;
    let minority: &[(&str, &[&str])] = &[
        (
            "pvecm status",
            &["pvecm/pve-8.4/status-head", "corosync-quorumtool/3.1.7/not-quorate"],
        ),
        ("pvecm nodes", &["pvecm/pve-8.4/nodes-not-quorate"]),
        ("corosync-cfgtool -s", &["corosync-cfgtool/3.1.7/links-not-quorate"]),
        ("corosync-cfgtool -n", &["corosync-cfgtool/3.1.7/isolated"]),
        ("cat /etc/pve/.members", &["pmxcfs/pve-8.4/members-not-quorate"]),
    ];
    compare(&lab, "prox3", minority).await;
}

#[tokio::test]
async fn a_join_prints_what_a_real_one_prints() {
    let lab = lab(|builder| builder.nodes(2)).await;
    // On the public network, so that the join may fall back to the address of its own name, as the recorded one did.
    let output = lab
        .tool("prox1", &["pvecm", "create", "lab1", "--link0", "192.168.1.11"], None)
        .await
        .expect("pvecm runs");
    assert!(output.success(), "{output:?}");
    crate::writable(&lab, "prox1").await;
    let recorded = captured::read("pvecm/pve-8.4/add-success");
    let output = add(&lab, "prox2", "labpass", &[]).await;
    assert_eq!(comparable(&output.stdout), comparable(&recorded.stdout));
    assert_eq!((output.stderr.as_str(), output.code()), ("", Some(0)));
}

/// A refused `pvecm add`.
struct Refused {
    fixture: &'static str,
    member: &'static str,
    /// What is typed; nothing when standard input is closed.
    password: &'static str,
    more: &'static [&'static str],
}

const REFUSED: &[Refused] = &[
    Refused {
        fixture: "add-wrong-password",
        member: "192.168.1.11",
        password: "wrongpw\n",
        more: &[],
    },
    Refused {
        fixture: "add-no-route",
        member: "192.168.1.199",
        password: "labpass\n",
        more: &[],
    },
    Refused {
        fixture: "add-unresolvable-member",
        member: "nosuchhost",
        password: "labpass\n",
        more: &[],
    },
    Refused {
        fixture: "add-no-password",
        member: "192.168.1.11",
        password: "",
        more: &[],
    },
    Refused {
        fixture: "add-address-not-here",
        member: "192.168.1.11",
        password: "labpass\n",
        more: &["--link0", "10.10.10.55"],
    },
    Refused {
        fixture: "add-extra-link",
        member: "192.168.1.11",
        password: "labpass\n",
        more: &["--link0", "10.10.10.3", "--link1", "10.10.10.3"],
    },
];

/// Compares one refused join with its fixture.
async fn refused(lab: &Lab, fixture: &str, argv: &[&str], stdin: &str) {
    let recorded = captured::read(&format!("pvecm/pve-8.4/{fixture}"));
    let output = lab
        .tool("prox3", argv, Some(stdin.as_bytes()))
        .await
        .expect("pvecm runs");
    assert_eq!(
        comparable(&output.stdout),
        comparable(&recorded.stdout),
        "stdout: {fixture}"
    );
    assert_eq!(
        comparable(&output.stderr),
        comparable(&recorded.stderr),
        "stderr: {fixture}"
    );
    assert_eq!(output.code(), Some(0), "a refused join ends with 0: {fixture}");
    assert_eq!(recorded.code, 0, "as recorded: {fixture}");
}

#[tokio::test]
async fn refused_joins_say_what_real_ones_say() {
    let lab = lab(|builder| builder.nodes(3)).await;
    created(&lab, "lab1").await;
    let real = fingerprint(&lab, "prox1").await;
    for case in REFUSED {
        let mut argv = vec!["pvecm", "add", case.member, "--fingerprint", &real];
        argv.extend(case.more);
        refused(&lab, case.fixture, &argv, case.password).await;
    }
    let wrong = format!("00{}", &real[2..]);
    let argv = ["pvecm", "add", "192.168.1.11", "--fingerprint", &wrong];
    refused(&lab, "add-wrong-fingerprint", &argv, "labpass\n").await;

    let guest = GuestSpec {
        vmid: 100,
        name: "t100".to_owned(),
        kind: GuestKind::Qemu,
        ..GuestSpec::default()
    };
    lab.script("prox3", Script::AddGuest(guest))
        .await
        .expect("a guest appears");
    let argv = ["pvecm", "add", "192.168.1.11", "--fingerprint", &real];
    refused(&lab, "add-has-guests", &argv, "labpass\n").await;

    assert_eq!(crate::happened(&lab, What::AddnodeCommitted), Vec::new());
    nothing_unknown(&lab);
}
