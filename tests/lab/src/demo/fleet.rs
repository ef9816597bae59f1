//! A fleet of all servers of the lab: a coordinator, and each of them enrolled.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use super::narrate::{Failed, Narrator, failed};
use crate::lab::LabError;

/// The cluster that all are enrolled for.
pub(super) const CLUSTER: &str = "hk1";

const PASSPHRASE: &str = "passphrase";

pub(super) async fn begin(tell: &Narrator<'_>) -> Result<(), Failed> {
    start_coordinator(tell).await?;
    enrol(tell, &tell.lab.names()).await?;
    tell.all_connected().await
}

async fn start_coordinator(tell: &Narrator<'_>) -> Result<(), Failed> {
    write(
        &tell.lab.layout().coordinator().join(PASSPHRASE),
        "a passphrase for the demo\n",
    )?;
    let advertise = tell.lab.coordinator_address().to_string();
    tell.say("A fleet begins with its certificate authority; the root key rests under a passphrase.");
    let args = [
        "init",
        "--fleet",
        "demo",
        "--advertise",
        &advertise,
        "--passphrase-file",
        PASSPHRASE,
    ];
    tell.quorate(&args).await?;
    tell.typed("coordinator", "quorate serve &");
    tell.lab.start_coordinator(&[])?;
    tell.coordinator_is_up().await
}

async fn enrol(tell: &Narrator<'_>, nodes: &[String]) -> Result<(), Failed> {
    tell.say("Each server is invited by name; its token is good once, and typed in on that server only.");
    tell.say("In the lab, each of them finds the coordinator at an address of its own.");
    for node in nodes {
        let address = tell.address(node)?.to_string();
        let name = format!("{CLUSTER}/{node}");
        let invited = tell.quorate(&["node", "invite", &name, "--address", &address]).await?;
        let token = token(&invited.stdout)?;
        let host = tell.lab.enrolment(node)?.to_string();
        tell.agent(node, &["enroll", &host], &format!("{token}\n")).await?;
        tell.typed(node, "systemctl enable --now quorate-agent");
        tell.lab.start_agent(node)?;
    }
    Ok(())
}

/// The token, from where an administrator reads it: set off below the line that speaks of it.
fn token(invitation: &str) -> Result<&str, Failed> {
    let mut lines = invitation.lines().skip_while(|line| !line.contains("token"));
    match lines.find_map(|line| line.strip_prefix("    ")) {
        Some(token) => Ok(token.trim()),
        None => failed("the invitation shows no token"),
    }
}

/// For its owner alone: one of the files is a passphrase.
pub(super) fn write(path: &std::path::Path, text: &str) -> Result<(), Failed> {
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
