//! The act `cluster`: enrol three servers, look at their disks, write a cluster file, plan, apply, and be quorate.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use super::narrate::{Failed, Narrator, failed};
use crate::lab::LabError;
use crate::world::oplog::What;

const CLUSTER: &str = "hk1";

pub(super) async fn play(tell: &Narrator<'_>) -> Result<(), Failed> {
    let nodes = tell.lab.names();
    start_coordinator(tell).await?;
    enrol(tell, &nodes).await?;
    tell.quorate("quorate node list", &["node", "list"]).await?;
    tell.say("What the servers have for disks: what is free for what, and why not.");
    tell.quorate("quorate disks", &["disks"]).await?;
    let file = write_file(tell, &nodes)?;
    tell.quorate("quorate plan hk1.toml", &["plan", &file]).await?;
    tell.say("The plan holds no surprise: one server creates, the others join one after the other.");
    tell.quorate("quorate apply hk1.toml --yes", &["apply", &file, "--yes"])
        .await?;
    tell.quorate("quorate status", &["status"]).await?;
    tell.say("Asked again, the same file wants nothing more.");
    tell.quorate("quorate plan hk1.toml", &["plan", &file]).await?;
    check(tell, &nodes).await
}

async fn start_coordinator(tell: &Narrator<'_>) -> Result<(), Failed> {
    let secret = tell.lab.layout().coordinator().join("passphrase");
    write(&secret, "a passphrase for the demo\n")?;
    let advertise = tell.lab.coordinator_address().to_string();
    tell.say("A fleet begins with its certificate authority; the root key rests under a passphrase.");
    tell.quorate(
        &format!("quorate init --fleet demo --advertise {advertise} --passphrase-file passphrase"),
        &[
            "init",
            "--fleet",
            "demo",
            "--advertise",
            &advertise,
            "--passphrase-file",
            &secret.to_string_lossy(),
        ],
    )
    .await?;
    tell.typed("coordinator", "quorate serve &");
    tell.lab.start_coordinator(&[])?;
    tell.coordinator_is_up().await
}

async fn enrol(tell: &Narrator<'_>, nodes: &[String]) -> Result<(), Failed> {
    tell.say("Each server is invited by name; its token is good once, and typed on that server only.");
    for node in nodes {
        let address = tell.address(node)?.to_string();
        let name = format!("{CLUSTER}/{node}");
        let args = ["node", "invite", &name, "--address", &address, "-o", "json"];
        let invited = tell
            .quorate_quietly(&format!("quorate node invite {name} --address {address}"), &args)
            .await?;
        let token = token(&invited.stdout)?;
        let host = tell.lab.enrolment(node)?.to_string();
        tell.agent(
            node,
            &format!("quorate-agent enroll {host}"),
            &["enroll", &host],
            Some(format!("{token}\n").as_bytes()),
        )
        .await?;
        tell.typed(node, "systemctl start quorate-agent");
        tell.lab.start_agent(node)?;
    }
    Ok(())
}

fn token(json: &str) -> Result<String, Failed> {
    let value: serde_json::Value = match serde_json::from_str(json) {
        Ok(value) => value,
        Err(error) => return failed(format!("the invitation is no JSON: {error}")),
    };
    match value.get("token").and_then(serde_json::Value::as_str) {
        Some(token) => Ok(token.to_owned()),
        None => failed("the invitation holds no token"),
    }
}

fn write_file(tell: &Narrator<'_>, nodes: &[String]) -> Result<String, Failed> {
    let mut text = format!("[cluster]\nname = \"{CLUSTER}\"\nlinks = [\"10.10.10.0/24\"]\n");
    for node in nodes {
        let address = tell.lab.node(node)?.public_address;
        text.push_str(&format!("\n[nodes.{node}]\naddress = \"{address}\"\n"));
    }
    tell.say("What the cluster shall be stands in one file.");
    tell.typed("coordinator", "cat hk1.toml");
    for line in text.lines() {
        tell.plain(line);
    }
    let path = tell.lab.layout().coordinator().join("hk1.toml");
    write(&path, &text)?;
    Ok(path.to_string_lossy().into_owned())
}

/// For its owner alone: one of the files is a passphrase.
fn write(path: &std::path::Path, text: &str) -> Result<(), Failed> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| LabError::Io {
            what: format!("writing {}", path.display()),
            source,
        })
        .map_err(Failed::from)
}

/// What the world saw, whatever the commands said.
async fn check(tell: &Narrator<'_>, nodes: &[String]) -> Result<(), Failed> {
    let operations = tell.lab.operations()?;
    let count = |what| operations.iter().filter(|entry| entry.what == what).count();
    let (created, joined) = (count(What::ClusterCreated), count(What::JoinCompleted));
    if (created, joined) != (1, nodes.len() - 1) {
        return failed(format!(
            "the world saw {created} clusters created and {joined} nodes joined"
        ));
    }
    for server in tell.lab.status().await? {
        if !server.quorate || !server.writable || server.members.len() != nodes.len() {
            return failed(format!(
                "{} is not in a quorate cluster of {}: {server:?}",
                server.name,
                nodes.len()
            ));
        }
    }
    tell.nothing_unknown()
}
