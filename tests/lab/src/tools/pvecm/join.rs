//! A node joins a cluster over the API of a member.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::super::Call;
use super::super::worker::{Failure, Worker, died};
use super::nodes::{self, Addition};
use super::updatecerts;
use crate::roots::DATABASE;
use crate::world::oplog::What;
use crate::world::pmxcfs::Replica;
use crate::world::server::{Network, Server};
use crate::world::units;

/// A password or ticket; never shown.
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What the caller asked for.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) host: String,
    pub(crate) fingerprint: Option<String>,
    pub(crate) links: BTreeMap<u8, String>,
    pub(crate) nodeid: Option<u32>,
    pub(crate) votes: Option<u32>,
    pub(crate) force: bool,
}

/// The member on the other side.
#[derive(Debug, Clone, Copy)]
struct Peer {
    index: usize,
    network: Network,
}

impl Join {
    pub(crate) async fn run(&self, worker: &Worker<'_>, secret: &Secret) -> Result<(), Failure> {
        worker.pause(40).await?;
        self.check_this_node(worker).await?;
        super::permit_root_login(worker.call);
        let peer = self.log_in(worker, secret).await?;
        worker.pause(60).await?;
        worker.say("check cluster join API version\n").await?;
        self.request(worker, peer).await?;
        self.set_up(worker, peer).await?;
        self.wait_for_quorum(worker).await?;
        self.finish(worker).await
    }

    /// What PVE checks on the joining node, all of it before it gives up.
    async fn check_this_node(&self, worker: &Worker<'_>) -> Result<(), Failure> {
        let errors = worker.call.server(|server, _| self.errors(server)).unwrap_or_default();
        if errors.is_empty() {
            return Ok(());
        }
        worker
            .say(&format!("detected the following error(s):\n{errors}"))
            .await?;
        if self.force {
            return worker.say("\nWARNING : detected error but forced to continue!\n").await;
        }
        died("Check if node may join a cluster failed!")
    }

    fn errors(&self, server: &Server) -> String {
        let mut text = String::new();
        let mut add = |line: &str| text.push_str(&format!("* {line}\n"));
        if server.authkey.is_some() {
            add("authentication key '/etc/corosync/authkey' already exists");
        }
        if server.pmxcfs.replica.conf.is_some() {
            add("cluster config '/etc/pve/corosync.conf' already exists");
        }
        if !server.pmxcfs.replica.guests.is_empty() {
            add("this host already contains virtual guests");
        }
        if server.corosync.is_some() {
            add("corosync is already running, is this node already in a cluster?!");
        }
        for (number, address) in &self.links {
            match address.parse::<IpAddr>() {
                Ok(ip) if server.has_address(ip) => {}
                // This message carries its own line end, and so leaves an empty line.
                Ok(_) => add(&format!(
                    "link{number}: cannot use IP '{address}', not found on local node!\n"
                )),
                Err(_) => add(&format!(
                    "link{number}: cannot use '{address}': hostname lookup '{address}' failed - Name or service not known"
                )),
            }
        }
        text
    }

    /// Reaches the member, checks its certificate, logs in.
    async fn log_in(&self, worker: &Worker<'_>, secret: &Secret) -> Result<Peer, Failure> {
        let host = &self.host;
        worker
            .say(&format!("Establishing API connection with host '{host}'\n"))
            .await?;
        let addresses = worker.call.server(|server, _| server.resolve(host)).unwrap_or_default();
        let Some(IpAddr::V4(address)) = addresses.first().copied() else {
            worker.pause(40).await?;
            return died(format!(
                "500 Can't connect to {host}:8006 (Temporary failure in name resolution)"
            ));
        };
        let Some(peer) = self.peer(worker, address) else {
            worker.pause(3080).await?;
            return died(format!("500 Can't connect to {host}:8006 (No route to host)"));
        };
        let (down, daemon, certificate) = worker.call.world.with(|state| {
            let server = state.get(peer.index);
            let runs = |unit| server.is_some_and(|server| units::runs(server, unit));
            (
                !runs("pveproxy"),
                runs("pvedaemon"),
                server.and_then(|server| {
                    let own = server.pmxcfs.replica.own_certificate(server.name());
                    own.or_else(|| Some(server.certificate.clone()?.fingerprint))
                }),
            )
        });
        worker.pause(40).await?;
        if down {
            return died(format!("500 Can't connect to {host}:8006 (Connection refused)"));
        }
        self.check_fingerprint(worker, &certificate.unwrap_or_default()).await?;
        if !daemon {
            // The proxy is there, and finds nobody behind it.
            return died("595 Connection refused");
        }
        let accepted = worker.call.world.with(|state| {
            let accepted = state.get(peer.index).is_some_and(|server| accepts(server, &secret.0));
            let what = if accepted {
                What::LoginAccepted
            } else {
                What::LoginRefused
            };
            let from = state
                .get(worker.call.node)
                .map(|server| server.name().to_owned())
                .unwrap_or_default();
            state.note(Some(peer.index), what, format!("from {from}"));
            accepted
        });
        if !accepted {
            worker.pause(3000).await?;
            return died("401 authentication failure");
        }
        worker.pause(60).await?;
        worker.say("Login succeeded.\n").await?;
        Ok(peer)
    }

    fn peer(&self, worker: &Worker<'_>, address: Ipv4Addr) -> Option<Peer> {
        worker.call.world.with(|state| {
            let (index, network) = state.locate(address)?;
            state
                .connected(worker.call.node, index, network)
                .then_some(Peer { index, network })
        })
    }

    async fn check_fingerprint(&self, worker: &Worker<'_>, real: &str) -> Result<(), Failure> {
        match &self.fingerprint {
            Some(given) if given.eq_ignore_ascii_case(real) => Ok(()),
            Some(_) => died(format!("fingerprint '{real}' not verified, abort!")),
            None => {
                let question = format!(
                    "The authenticity of host '{}' can't be established.\nX509 SHA256 key fingerprint is {real}.\n\
                     Are you sure you want to continue connecting (yes/no)? ",
                    self.host
                );
                worker.say(&question).await?;
                let answer = worker.call.io.line().await?.unwrap_or_default();
                if answer.to_ascii_lowercase().starts_with("yes") {
                    return Ok(());
                }
                died("Fingerprint not verified, abort!")
            }
        }
    }

    /// Asks the member to take this node in. When that succeeds, there is no way back.
    async fn request(&self, worker: &Worker<'_>, peer: Peer) -> Result<(), Failure> {
        let (name, own) = worker
            .call
            .server(|server, _| (server.spec.name.clone(), server.own_address()))
            .unwrap_or((String::new(), None));
        let fallback = own.map(|ip| ip.to_string());
        if self.links.is_empty() {
            let ip = fallback.clone().unwrap_or_default();
            let text = format!("No cluster network links passed explicitly, fallback to local node IP '{ip}'\n");
            worker.say(&text).await?;
        }
        worker.say("Request addition of this node\n").await?;
        let addition = Addition {
            name,
            links: self.links.clone(),
            fallback,
            nodeid: self.nodeid,
            votes: self.votes,
            force: self.force,
        };
        // This runs in the member's daemon: it goes on whatever becomes of the joining side.
        let world = std::sync::Arc::clone(&worker.call.world);
        let request = tokio::spawn(async move { nodes::add(&world, peer.index, &addition).await });
        let answer = request.await.unwrap_or_else(|error| Err(error.to_string()));
        let back = worker
            .call
            .world
            .with(|state| state.connected(worker.call.node, peer.index, peer.network));
        if !back {
            worker.pause(60_000).await?;
            return died("500 read timeout");
        }
        match answer {
            Ok(()) => Ok(()),
            Err(message) => {
                worker
                    .say(&format!("An error occurred on the cluster node: {message}\n"))
                    .await?;
                died("Cluster join aborted!")
            }
        }
    }

    /// Takes over the cluster's configuration and starts the cluster's services with it.
    async fn set_up(&self, worker: &Worker<'_>, peer: Peer) -> Result<(), Failure> {
        let call = worker.call;
        worker.say("Join request OK, finishing setup locally\n").await?;
        let epoch = call.world.with(|state| {
            // What the member sent back: its file as it was when it had written this node into it.
            let Some(member) = state.get(peer.index) else { return 0 };
            let name = state
                .get(call.node)
                .map(|server| server.name().to_owned())
                .unwrap_or_default();
            let conf = nodes::answer_for(member, &name).cloned();
            let key = member.authkey;
            let Some(server) = state.servers.get_mut(call.node) else {
                return 0;
            };
            server.authkey = key;
            server.etc_conf = conf;
            server.now().as_second()
        });
        worker.say("stopping pve-cluster service\n").await?;
        worker.pause(60).await?;
        call.world.with(|state| state.stop_pmxcfs(call.node));
        worker.pause(260).await?;
        worker
            .say(&format!(
                "backup old database to '/var/lib/pve-cluster/backup/config-{epoch}.sql.gz'\n"
            ))
            .await?;
        call.world.with(|state| {
            if let Some(server) = state.servers.get_mut(call.node) {
                let file = server
                    .root
                    .join(format!("var/lib/pve-cluster/backup/config-{epoch}.sql.gz"));
                if let Err(error) = crate::roots::put(&file, "") {
                    crate::world::complain(&format!("{}: {error}", server.name()));
                }
                std::fs::remove_file(server.root.join(DATABASE)).ok();
                server.pmxcfs.replica = Replica::default();
            }
        });
        worker.pause(30).await?;
        let pmxcfs = call.world.with(|state| state.start_pmxcfs(call.node));
        worker.pause(1050).await?;
        let corosync = call.world.with(|state| state.start_corosync(call.node));
        // Both as recorded; what stands behind the colon is what the systemctl of those hosts left.
        match (pmxcfs, corosync) {
            (Err(_), _) => return died("starting pve-cluster failed: exit code 1"),
            (Ok(()), Err(_)) => {
                return died(
                    "starting pve-cluster failed: Job for corosync.service failed because the control process exited with \
                     error code.",
                );
            }
            (Ok(()), Ok(())) => {}
        }
        worker.pause(400).await
    }

    /// Waits in steps of a second, for ever.
    async fn wait_for_quorum(&self, worker: &Worker<'_>) -> Result<(), Failure> {
        let writable = || {
            worker
                .call
                .server(|server, _| server.pmxcfs.writable())
                .unwrap_or(false)
        };
        if writable() {
            return Ok(());
        }
        worker.say("waiting for quorum...").await?;
        while !writable() {
            worker.pause(1000).await?;
        }
        worker.say("OK\n").await
    }

    async fn finish(&self, worker: &Worker<'_>) -> Result<(), Failure> {
        let call = worker.call;
        worker
            .say("(re)generate node files\ngenerate new node certificate\n")
            .await?;
        worker.pause(900).await?;
        let name = call.server(|server, _| server.spec.name.clone()).unwrap_or_default();
        if let Err(text) = updatecerts::make(call, true) {
            return died(text);
        }
        worker.say("merge authorized SSH keys\n").await?;
        worker.pause(200).await?;
        worker
            .say("generated new node certificate, restart pveproxy and pvedaemon services\n")
            .await?;
        worker.pause(4760).await?;
        worker
            .say(&format!("successfully added node '{name}' to cluster.\n"))
            .await?;
        call.world
            .with(|state| state.note(Some(call.node), What::JoinCompleted, self.host.clone()));
        Ok(())
    }
}

/// The member's root password, or a ticket that is good by its clock.
fn accepts(server: &Server, secret: &str) -> bool {
    secret == server.spec.root_password || server.pmxcfs.replica.keys.accepts(secret, server.now().as_second())
}

/// Waits on a member, not on the caller: nothing interrupts it.
pub(super) async fn wait(call: &Call, ms: u64) {
    call.world.pace.sleep(Duration::from_millis(ms)).await;
}
