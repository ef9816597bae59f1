//! `pvecm updatecerts`: what a node of a cluster has of its own in `/etc/pve`, made where it is missing.

use std::time::Duration;

use super::super::io::Stop;
use super::super::{Call, Reply, unknown};
use crate::world::identity::Certificate;

/// It waits so long for quorum, and says so now and then.
const PATIENCE: Duration = Duration::from_secs(80);
const STEP: Duration = Duration::from_secs(5);

pub(super) async fn run(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    if !args
        .iter()
        .all(|arg| ["--force", "--silent", "-f", "-s", "1"].contains(arg))
    {
        return unknown(call).await;
    }
    let has = |names: [&str; 2]| args.iter().any(|arg| names.contains(arg));
    let (force, silent) = (has(["--force", "-f"]), has(["--silent", "-s"]));
    let mut waited = Duration::ZERO;
    while !call.server(|server, _| server.pmxcfs.writable()).unwrap_or(false) {
        if waited >= PATIENCE {
            let text = "got timeout when trying to ensure cluster certificates and base file hierarchy is set up - no quorum \
                        (yet) or hung pmxcfs?\n";
            let code = if silent { 0 } else { 255 };
            return call.reply(0, Reply::fail(code, text)).await;
        }
        if !silent {
            call.io
                .out("waiting for pmxcfs mount to appear and get quorate...\n")
                .await?;
        }
        waited += STEP;
        call.io.pause(STEP).await?;
    }
    if !silent {
        call.io.out("(re)generate node files\n").await?;
    }
    if force && !silent {
        call.io.out("generate new node certificate\n").await?;
    }
    call.io.pause(Duration::from_millis(600)).await?;
    let made = make(call, force);
    if force && !silent {
        call.io.out("merge authorized SSH keys\n").await?;
    }
    match made {
        Ok(()) => Ok(0),
        Err(text) => call.reply(0, Reply::fail(255, format!("{text}\n"))).await,
    }
}

/// The node's folder, its certificate (a new one only if there is none, or by force), and its key among those of the others.
pub(super) fn make(call: &Call, force: bool) -> Result<(), String> {
    let name = call.server(|server, _| server.spec.name.clone()).unwrap_or_default();
    let fresh = Certificate::generate(&name).map_err(|error| format!("unable to generate certificate - {error}"))?;
    call.world.with(|state| {
        let present = state
            .get(call.node)
            .and_then(|server| server.pmxcfs.replica.certificates.get(&name).cloned());
        let certificate = present.filter(|_| !force).unwrap_or_else(|| fresh.clone());
        let written = state.write(call.node, |replica| {
            replica.revive(&format!("nodes/{name}/"));
            replica.certificates.insert(name.clone(), certificate.clone());
            replica.merge_ssh_key(&name);
        });
        if written.is_err() {
            return Err(format!(
                "unable to open file '/etc/pve/nodes/{name}/pve-ssl.pem' - Permission denied"
            ));
        }
        if let Some(server) = state.servers.get_mut(call.node) {
            server.certificate = Some(certificate);
        }
        Ok(())
    })
}
