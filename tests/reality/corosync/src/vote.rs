//! A third vote: the real corosync-qnetd outside, and a corosync-qdevice on every node, with certificates made as `pvecm qdevice setup` does.

use std::path::Path;
use std::time::Duration;

use quorate_lab::process::Daemon;

use crate::cables::{Hub, OUTSIDE};
use crate::cluster::{Cluster, Node};
use crate::conf::CLUSTER;
use crate::space::Space;

/// Where qnetd answers.
pub const ADDRESS: &str = "10.79.0.100";

/// Its host number.
pub const HOST: u8 = 100;

/// Keys are made with random input that takes its time.
const CERTIFICATES: Duration = Duration::from_secs(120);

/// qnetd, and the daemons on the nodes.
#[derive(Debug)]
pub struct Vote {
    /// By node, in their order.
    devices: Vec<Daemon>,
    qnetd: Daemon,
    _space: Space,
}

impl Vote {
    /// Starts all of them beside a cluster whose corosyncs run.
    pub async fn beside(cluster: &Cluster) -> Self {
        let dir = cluster.dir();
        let space = Space::named("vote", &dir.join("vote.log")).await;
        cluster.hub().connect(&space, HOST, &[OUTSIDE]).await;
        certified(cluster, &space).await;
        space.does(&["mkdir", "-p", "/run/corosync-qnetd"]).await;
        let qnetd = space.program(&["corosync-qnetd", "-f"]);
        let qnetd = qnetd
            .spawn(&dir.join("qnetd.log"), false)
            .expect("corosync-qnetd is installed");
        let mut devices = Vec::new();
        for node in cluster.nodes() {
            devices.push(device(node, dir).await);
        }
        Self {
            devices,
            qnetd,
            _space: space,
        }
    }

    /// Starts a node's daemon anew. It ends with its corosync; where it is a service, systemd does this.
    pub async fn again(&mut self, cluster: &Cluster, number: u8) {
        let new = device(cluster.node(number), cluster.dir()).await;
        let mut old = std::mem::replace(&mut self.devices[usize::from(number) - 1], new);
        old.kill();
    }

    /// Pulls qnetd's cable.
    pub async fn cut(&self, hub: &Hub) {
        hub.cut(HOST, &[OUTSIDE]).await;
    }

    /// Puts it in again.
    pub async fn restore(&self, hub: &Hub) {
        hub.restore(HOST, &[OUTSIDE]).await;
    }
}

impl Drop for Vote {
    fn drop(&mut self) {
        self.devices.iter_mut().for_each(Daemon::kill);
        self.qnetd.kill();
    }
}

async fn device(node: &Node, dir: &Path) -> Daemon {
    node.space().does(&["mkdir", "-p", "/run/corosync-qdevice"]).await;
    let log = dir.join(format!("{}.qdevice.log", node.name()));
    let device = node.space().program(&["corosync-qdevice", "-f"]);
    device.spawn(&log, false).expect("corosync-qdevice is installed")
}

/// A CA on qnetd's side, and one certificate for the cluster, which every node gets with its key.
async fn certified(cluster: &Cluster, qnetd: &Space) {
    const NODE: &str = "/etc/corosync/qdevice/net/nssdb";
    const SERVER: &str = "/etc/corosync/qnetd/nssdb";
    let first = cluster.node(1).space();
    let others: Vec<&Space> = cluster.nodes().skip(1).map(Node::space).collect();
    makes(qnetd, &["corosync-qnetd-certutil", "-i"]).await;
    for node in cluster.nodes().map(Node::space) {
        carry(
            qnetd,
            &format!("{SERVER}/qnetd-cacert.crt"),
            node,
            "/etc/corosync/ca.crt",
        );
        makes(
            node,
            &["corosync-qdevice-net-certutil", "-i", "-c", "/etc/corosync/ca.crt"],
        )
        .await;
    }
    makes(first, &["corosync-qdevice-net-certutil", "-r", "-n", CLUSTER]).await;
    carry(
        first,
        &format!("{NODE}/qdevice-net-node.crq"),
        qnetd,
        "/etc/corosync/node.crq",
    );
    makes(
        qnetd,
        &[
            "corosync-qnetd-certutil",
            "-s",
            "-c",
            "/etc/corosync/node.crq",
            "-n",
            CLUSTER,
        ],
    )
    .await;
    carry(
        qnetd,
        &format!("{SERVER}/cluster-{CLUSTER}.crt"),
        first,
        "/etc/corosync/cluster.crt",
    );
    makes(
        first,
        &["corosync-qdevice-net-certutil", "-M", "-c", "/etc/corosync/cluster.crt"],
    )
    .await;
    for node in others {
        carry(
            first,
            &format!("{NODE}/qdevice-net-node.p12"),
            node,
            "/etc/corosync/node.p12",
        );
        makes(
            node,
            &["corosync-qdevice-net-certutil", "-m", "-c", "/etc/corosync/node.p12"],
        )
        .await;
    }
}

async fn makes(space: &Space, argv: &[&str]) {
    let output = space.program(argv).deadline(CERTIFICATES).run().await;
    let output = output.unwrap_or_else(|error| panic!("{argv:?}: {error}"));
    assert!(output.success(), "{argv:?}: {output:#?}");
}

fn carry(from: &Space, what: &str, to: &Space, place: &str) {
    let copied = std::fs::copy(from.path(what), to.path(place));
    copied.unwrap_or_else(|error| panic!("{what} to {}: {error}", Path::new(place).display()));
}
