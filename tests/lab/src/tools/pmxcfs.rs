//! `pmxcfs`, started by hand, and `killall pmxcfs`: how a node is made standalone again.

use std::time::Duration;

use super::io::Stop;
use super::{Call, Reply, unknown};

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    let local = match call.args().as_slice() {
        [] => false,
        ["-l" | "--local"] => true,
        _ => return unknown(call).await,
    };
    call.io.pause(Duration::from_millis(60)).await?;
    let (running, name, address, conf) = call
        .server(|server, _| {
            (
                server.pmxcfs.running,
                server.name().to_owned(),
                server.own_address(),
                server.pmxcfs.replica.conf.is_some(),
            )
        })
        .unwrap_or_default();
    if running {
        let text = "[main] notice: unable to acquire pmxcfs lock - trying again\n\
                    [main] crit: unable to acquire pmxcfs lock: Resource temporarily unavailable\n\
                    [main] notice: exit proxmox configuration filesystem (-1)\n";
        return call.reply(10_000, Reply::fail(255, text)).await;
    }
    if let Some(address) = address {
        let text = format!("[main] notice: resolved node name '{name}' to '{address}' for default node IP address\n");
        call.io.err(&text).await?;
    }
    if local && conf {
        call.io
            .err("[main] notice: forcing local mode (although corosync.conf exists)\n")
            .await?;
    }
    let started = call.world.with(|state| state.start_pmxcfs_in(call.node, local));
    match started {
        Ok(()) => {
            call.world.with(|state| {
                if let Some(server) = state.servers.get_mut(call.node) {
                    server.pmxcfs.by_hand = true;
                }
            });
            Ok(0)
        }
        Err(text) => call.reply(0, Reply::fail(255, format!("{text}\n"))).await,
    }
}

/// `killall pmxcfs`: it ends in an orderly way, whoever started it.
pub(super) async fn killall(call: &Call) -> Result<i32, Stop> {
    let args = call.args();
    let ["pmxcfs"] = args.as_slice() else {
        return unknown(call).await;
    };
    call.io.pause(Duration::from_millis(5)).await?;
    let running = call.world.with(|state| {
        let running = state.get(call.node).is_some_and(|server| server.pmxcfs.running);
        state.stop_pmxcfs(call.node);
        running
    });
    // The content is away before anybody looks.
    call.world.with(|_| ());
    if running {
        return Ok(0);
    }
    call.reply(0, Reply::fail(1, "pmxcfs: no process found\n")).await
}
