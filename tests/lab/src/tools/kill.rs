//! `kill -KILL PID`: of processes on the simulated server, guests' are the only ones that can be meant.

use super::io::Stop;
use super::{Call, Reply, unknown};

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    let args = call.args();
    let ["-KILL", pid] = args[..] else {
        return unknown(call).await;
    };
    let killed = call.world.with(|state| {
        let pid: u32 = pid.parse().ok()?;
        let server = state.servers.get(call.node)?;
        let vmid = server
            .running
            .iter()
            .find(|(_, process)| process.pid == pid)
            .map(|(vmid, _)| *vmid)?;
        state.stop_guest_now(call.node, vmid);
        Some(())
    });
    // What follows at once is there when the command ends.
    call.world.with(|_| ());
    match killed {
        Some(()) => call.reply(2, Reply::default()).await,
        None => {
            call.reply(2, Reply::fail(1, format!("kill: ({pid}): No such process\n")))
                .await
        }
    }
}
