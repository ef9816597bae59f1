//! `quorate node add root@HOST`: brings the agent to a server by ssh, invites the server and enrols it, in one go.
//!
//! Each step first looks whether it is done; so the same may be typed again, whatever kept it from its end.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use quorate_exec::{Exit, Stdin};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{ClusterName, NodeName, NodeRef};
use quorate_proto::v1;
use sha2::{Digest as _, Sha256};

use super::ssh::{self, Destination, Said, Ssh};
use super::wire::{self, Client};
use super::{Answer, Context, Format, output};

/// Releases of Debian that the package is made for: those of PVE 8 and 9.
const RELEASES: [&str; 2] = ["12", "13"];

/// The only architecture that PVE has.
const ARCHITECTURE: &str = "amd64";

/// The package, its program and its service.
const AGENT: &str = "quorate-agent";

/// The package goes through a slow line; apt fetches what it needs, and may wait a minute for another apt.
const COPIED_WITHIN: Duration = Duration::from_secs(300);
const INSTALLED_WITHIN: Duration = Duration::from_secs(900);

/// The token is used at once; that it is good for some minutes is for a server that is slow.
const TOKEN_SECONDS: u32 = 900;

/// The agent starts in a second, and the coordinator calls again after some seconds.
const CONNECTED_WITHIN: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Options of `quorate node add`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where ssh reaches it as root: root@HOST
    #[arg(value_name = "root@HOST")]
    destination: Destination,
    /// The cluster that it is in or meant for
    #[arg(long, value_name = "CLUSTER")]
    cluster: ClusterName,
    /// Where its agent will answer: ADDRESS or ADDRESS:PORT (port 7443 if none); none: the address that ssh reaches it at
    #[arg(long)]
    address: Option<String>,
    /// Install this package (quorate-agent_…_amd64.deb) from here; none: apt on the server knows where there is one
    #[arg(long, value_name = "FILE")]
    package: Option<PathBuf>,
    #[command(flatten)]
    ssh: ssh::Way,
}

/// What became of it: fit for printing.
#[derive(Debug, serde::Serialize)]
struct Added {
    node: NodeRef,
    address: String,
    /// The package's version.
    agent: String,
    /// Was it installed now, or was it there?
    installed: bool,
    /// Was it enrolled now, or had it been?
    enrolled: bool,
}

pub(crate) async fn run(context: &Context, client: &mut Client, args: Args) -> Answer {
    if let Some(package) = &args.package
        && !package.is_file()
    {
        return Err(
            Failure::new(ExitCode::Usage, format!("there is no package {}", package.display()))
                .hint("name the agent's: quorate-agent_VERSION_amd64.deb"),
        );
    }
    let tell = |what: &str| {
        if context.format == Format::Table {
            output::aside(what);
        }
    };
    let Args {
        destination,
        cluster,
        address,
        package,
        ssh,
    } = args;
    let ssh = Ssh::to(destination.clone(), ssh, context.config.clock()).await?;
    let server = Server {
        ssh,
        name: destination.to_string(),
    };
    let node = NodeRef::new(cluster, server.check().await?);
    let address = match address {
        Some(address) => address,
        None => address_of(server.ssh.host()).await?.to_string(),
    };
    tell(&format!("{destination} is {node}"));
    let enrolled = !is_enrolled(&nodes(client).await?, &node, &address)?;
    let (agent, installed) = match server.installed().await? {
        Some(version) => (version, false),
        None => {
            tell("installing quorate-agent");
            (server.install(package.as_deref()).await?, true)
        }
    };
    if enrolled {
        tell("enrolling");
        server.enrol(client, &node, &address).await?;
    }
    server.start().await?;
    tell("waiting for its answer");
    connected(client, &node).await?;
    let added = Added {
        node,
        address,
        agent,
        installed,
        enrolled,
    };
    output::either(context.format, &added, || {
        let was = |now: bool, done: &str| {
            if now {
                done.to_owned()
            } else {
                format!("was {done} before")
            }
        };
        format!(
            "{} answers at {}. Agent {}: {}, {}.\n",
            added.node,
            added.address,
            added.agent,
            was(added.installed, "installed"),
            was(added.enrolled, "enrolled"),
        )
    });
    Ok(ExitCode::Done)
}

/// A server, by the way that leads there.
struct Server {
    ssh: Ssh,
    /// As the operator typed it.
    name: String,
}

impl Server {
    fn refused(&self, what: impl std::fmt::Display) -> Failure {
        Failure::new(
            ExitCode::Refused,
            format!("{}: {what}; nothing was changed there", self.name),
        )
    }

    /// A step that did not come about, in the words of who did it.
    fn failed(&self, what: &str, said: &Said) -> Failure {
        let mut failure = Failure::new(ExitCode::Failed, format!("{}: {what}", self.name));
        let words = said.stderr.lines().rfind(|line| !line.trim().is_empty());
        failure
            .causes
            .push(words.map_or_else(|| said.exit.to_string(), |words| words.trim().to_owned()));
        failure
    }

    /// Is it one that the package is made for, and are we root there? Gives its own name.
    async fn check(&self) -> Result<NodeName, Failure> {
        let user = self.ssh.first(&["id", "-u"]).await?;
        if user.stdout != "0" {
            return Err(self
                .refused(format!("ssh leads to user id {}, who is not root", user.stdout))
                .hint("name root: quorate node add root@HOST; its sshd must allow keys for root (PermitRootLogin prohibit-password)"));
        }
        let release = self.ssh.does(&["cat", "/etc/os-release"]).await?;
        let of = |name: &str| {
            let line = release
                .stdout
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.map(|value| value.trim_matches('"').to_owned()).unwrap_or_default()
        };
        let (id, version) = (of("ID"), of("VERSION_ID"));
        if id != "debian" || !RELEASES.contains(&version.as_str()) {
            let found = if of("PRETTY_NAME").is_empty() {
                "no Debian".to_owned()
            } else {
                of("PRETTY_NAME")
            };
            return Err(self
                .refused(format!("it runs {found}"))
                .hint("the agent is for Debian 12 and 13: Proxmox VE 8 and 9"));
        }
        let architecture = self.ssh.does(&["dpkg", "--print-architecture"]).await?;
        if architecture.stdout != ARCHITECTURE {
            let found = if architecture.stdout.is_empty() {
                "unknown"
            } else {
                &architecture.stdout
            };
            return Err(self.refused(format!(
                "its architecture is {found}, and the package is for {ARCHITECTURE}"
            )));
        }
        let hostname = self.ssh.does(&["hostname"]).await?.stdout;
        let short = hostname.split('.').next().unwrap_or_default();
        NodeName::new(short).map_err(|error| {
            self.refused(format!("it calls itself `{hostname}`, which can't be a node's name"))
                .because(&error)
        })
    }

    /// The version of the package, if it is installed.
    async fn installed(&self) -> Result<Option<String>, Failure> {
        let format = "--showformat=${db:Status-Status} ${Version}";
        let said = self.ssh.does(&["dpkg-query", "--show", format, AGENT]).await?;
        // 1: there is no such package. Whatever else went wrong says nothing about it.
        if !said.success() && said.exit != Exit::Code(1) {
            return Err(self.failed("it can't be told whether the agent is installed", &said));
        }
        Ok(said
            .stdout
            .strip_prefix("installed ")
            .map(|version| version.trim().to_owned()))
    }

    async fn install(&self, package: Option<&Path>) -> Result<String, Failure> {
        match package {
            None => self.apt(AGENT).await?,
            Some(package) => {
                let made = self
                    .ssh
                    .does(&["mktemp", "-d", "/var/tmp/quorate-add.XXXXXXXX"])
                    .await?;
                let folder = made.stdout.clone();
                // It is deleted afterwards: nothing but what was asked for.
                let suffix = folder.strip_prefix("/var/tmp/quorate-add.").unwrap_or_default();
                if !made.success() || suffix.is_empty() || !suffix.chars().all(|c| c.is_ascii_alphanumeric()) {
                    return Err(self.failed("there is no room for the package", &made));
                }
                let file = format!("{folder}/quorate-agent.deb");
                let installed = async {
                    self.copy(package, &file).await?;
                    self.apt(&file).await
                };
                let installed = installed.await;
                let removed = self.ssh.does(&["rm", "-rf", "--", &folder]).await;
                if !removed.is_ok_and(|said| said.success()) {
                    output::aside(&format!("{folder} stays behind on {}", self.name));
                }
                installed?;
            }
        }
        self.installed().await?.ok_or_else(|| {
            Failure::new(
                ExitCode::Failed,
                format!("{}: apt-get ended well, and the package is not there", self.name),
            )
        })
    }

    /// Copies the package, and makes sure that it is there whole.
    async fn copy(&self, package: &Path, file: &str) -> Result<(), Failure> {
        let bytes = std::fs::read(package).map_err(|error| {
            Failure::new(ExitCode::Usage, format!("can't read {}", package.display())).because(&error)
        })?;
        let of = format!("of={file}");
        let stdin = Stdin::File(package.to_owned());
        let copied = self
            .ssh
            .does_with(&["dd", &of, "status=none"], stdin, COPIED_WITHIN)
            .await?;
        if !copied.success() {
            return Err(self.failed("the package could not be copied", &copied));
        }
        let digest = self.ssh.does(&["sha256sum", "--", file]).await?;
        let ours = HEXLOWER.encode(&Sha256::digest(&bytes));
        if digest.stdout.split_whitespace().next() == Some(ours.as_str()) {
            Ok(())
        } else {
            Err(self.failed("the package did not arrive whole", &digest))
        }
    }

    async fn apt(&self, what: &str) -> Result<(), Failure> {
        let command = [
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "LC_ALL=C.UTF-8",
            "apt-get",
            "-y",
            // What is only recommended must not keep it from being installed, and nothing else may go for it.
            "--no-install-recommends",
            "--no-remove",
            "-o",
            "DPkg::Lock::Timeout=60",
            "-o",
            "Dpkg::Options::=--force-confold",
            "install",
            "--",
            what,
        ];
        let said = self.ssh.does_with(&command, Stdin::Null, INSTALLED_WITHIN).await?;
        if said.success() {
            return Ok(());
        }
        let failure = self.failed("the package could not be installed", &said);
        let has = |words: &str| said.stderr.contains(words);
        Err(
            if has("Could not get lock") || has("Unable to acquire the dpkg frontend lock") {
                let message = format!(
                    "{}: another apt or dpkg holds the lock there, and did not end within a minute",
                    self.name
                );
                Failure { message, ..failure }
                    .hint("when it is done, type the same again; see which it is: fuser -v /var/lib/dpkg/lock-frontend")
            } else if has("Unable to locate package") {
                failure.hint(
                    "apt there knows no repository with it; bring it along: --package quorate-agent_VERSION_amd64.deb",
                )
            } else if has("dpkg was interrupted") {
                failure.hint("on the server: dpkg --configure -a; then type the same again")
            } else {
                failure.hint("look on the server: /var/log/apt/term.log, apt-get --fix-broken install")
            },
        )
    }

    /// Invites it, and lets it enrol with the token, which goes by stdin.
    async fn enrol(&self, client: &mut Client, node: &NodeRef, address: &str) -> Result<(), Failure> {
        let request = v1::InviteNodeRequest {
            cluster: node.cluster.to_string(),
            node: node.node.to_string(),
            address: address.to_owned(),
            valid_seconds: TOKEN_SECONDS,
        };
        let invited = client.invite_node(request).await.map_err(wire::refused)?.into_inner();
        let token = Stdin::bytes(format!("{}\n", invited.token));
        let place = invited.enrol_at;
        let said = self
            .ssh
            .does_with(&[AGENT, "enroll", &place], token, Duration::from_secs(120))
            .await?;
        if said.success() {
            return Ok(());
        }
        if said.exit == quorate_exec::Exit::Code(ExitCode::Unreachable as i32) {
            let mut failure = Failure::new(
                ExitCode::Unreachable,
                format!("{} finds no way back to this coordinator, at {place}", self.name),
            );
            failure.causes.extend(reasons(&said));
            return Err(failure
                .hint(format!(
                    "is {place} right? It is what `quorate init --advertise` said; and does a firewall let it in?"
                ))
                .hint("then type the same again"));
        }
        let mut failure = Failure::new(ExitCode::Failed, format!("{} could not be enrolled", self.name));
        failure.causes.extend(reasons(&said));
        let hints = said
            .stderr
            .lines()
            .filter_map(|line| line.trim().strip_prefix("next: "));
        Err(hints.fold(failure, |failure, hint| failure.hint(format!("on the server: {hint}"))))
    }

    /// Starts the agent, or starts it again: it may have been running under another identity.
    async fn start(&self) -> Result<(), Failure> {
        for command in [["systemctl", "enable", AGENT], ["systemctl", "restart", AGENT]] {
            let said = self.ssh.does(&command).await?;
            if !said.success() {
                return Err(self.failed("the agent's service does not start", &said).hint(format!(
                    "look on the server: systemctl status {AGENT}, journalctl -u {AGENT}"
                )));
            }
        }
        Ok(())
    }
}

/// What failed and why, in the agent's own words.
fn reasons(said: &Said) -> impl Iterator<Item = String> {
    let lines = said.stderr.lines().map(str::trim);
    let reason = |line: &str| {
        line.strip_prefix("error: ")
            .or(line.strip_prefix("because: "))
            .map(str::to_owned)
    };
    lines.filter_map(reason).collect::<Vec<_>>().into_iter()
}

/// The address that a name stands for.
async fn address_of(host: &str) -> Result<IpAddr, Failure> {
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    let unknown = || {
        Failure::new(ExitCode::Usage, format!("the address of {host} can't be found"))
            .hint("name it: --address ADDRESS")
    };
    let mut found = tokio::net::lookup_host((host, 0))
        .await
        .map_err(|error| unknown().because(&error))?;
    found.next().map(|found: SocketAddr| found.ip()).ok_or_else(unknown)
}

async fn nodes(client: &mut Client) -> Result<Vec<v1::Node>, Failure> {
    let reply = client
        .list_nodes(v1::ListNodesRequest {})
        .await
        .map_err(wire::refused)?;
    Ok(reply.into_inner().nodes)
}

fn find<'n>(nodes: &'n [v1::Node], node: &NodeRef) -> Option<&'n v1::Node> {
    nodes
        .iter()
        .find(|known| known.name == node.node.as_str() && known.cluster == node.cluster.as_str())
}

/// Is it enrolled already, this very server?
fn is_enrolled(nodes: &[v1::Node], node: &NodeRef, address: &str) -> Result<bool, Failure> {
    let Some(known) = find(nodes, node).filter(|known| known.state() != v1::node::State::Invited) else {
        return Ok(false);
    };
    if known.state() == v1::node::State::Frozen {
        let message = format!("{node} was claimed twice: somebody else had its token. Nothing was changed there");
        return Err(Failure::new(ExitCode::Refused, message).hint(format!(
            "find out who it was; then: quorate node remove {node}; and add it anew"
        )));
    }
    if ip_of(&known.address) != ip_of(address) {
        let message = format!(
            "{node} is enrolled with the address {}, and this server has {address}. Nothing was changed there",
            known.address
        );
        return Err(Failure::new(ExitCode::Refused, message)
            .hint("if it is another server of the same name: give it a name of its own first")
            .hint(format!(
                "if it is the same with a new address: quorate node remove --fleet-only {node}; and add it anew"
            )));
    }
    Ok(true)
}

fn ip_of(address: &str) -> Option<IpAddr> {
    let with_port = address.parse().map(|address: SocketAddr| address.ip());
    with_port.or_else(|_| address.parse()).ok()
}

/// Waits until the coordinator has reached it.
async fn connected(client: &mut Client, node: &NodeRef) -> Result<(), Failure> {
    let mut last = String::new();
    let waiting = async {
        loop {
            let nodes = nodes(client).await?;
            let connection = find(&nodes, node)
                .and_then(|node| node.connection.clone())
                .unwrap_or_default();
            if connection.state() == v1::connection::State::Connected {
                return Ok(());
            }
            last = connection.reason;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(CONNECTED_WITHIN, waiting).await {
        Ok(ended) => ended,
        Err(_) => {
            let message = format!("{node} is enrolled, but its agent can't be reached from the coordinator");
            let mut failure = Failure::new(ExitCode::Unreachable, message);
            failure.causes.extend(Some(last).filter(|reason| !reason.is_empty()));
            Err(failure
                .hint("does a firewall let the coordinator in, to port 7443 of the server? Is its address right? quorate node list")
                .hint("was the server installed anew since? Then, on it: quorate-agent enroll --replace HOST:7441"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_server_counts_as_enrolled() {
        let node: NodeRef = "hk1/prox1".parse().unwrap();
        let known = |state: v1::node::State, address: &str| v1::Node {
            cluster: "hk1".to_owned(),
            name: "prox1".to_owned(),
            address: address.to_owned(),
            state: state.into(),
            ..v1::Node::default()
        };
        let ask = |known: v1::Node| is_enrolled(&[known], &node, "192.0.2.1");
        assert!(!is_enrolled(&[], &node, "192.0.2.1").unwrap());
        assert!(!ask(known(v1::node::State::Invited, "192.0.2.9:7443")).unwrap());
        assert!(ask(known(v1::node::State::Enrolled, "192.0.2.1:7443")).unwrap());
        let other = ask(known(v1::node::State::Enrolled, "192.0.2.9:7443")).unwrap_err();
        assert!(
            other.exit == ExitCode::Refused && other.message.contains("192.0.2.9"),
            "{other}"
        );
        let twice = ask(known(v1::node::State::Frozen, "192.0.2.1:7443")).unwrap_err();
        assert!(
            twice.exit == ExitCode::Refused && twice.message.contains("claimed twice"),
            "{twice}"
        );
    }
}
