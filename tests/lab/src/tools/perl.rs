//! `perl`: the one program that makes a login ticket, and `-e 1`.

use std::time::Duration;

use super::io::Stop;
use super::{Call, unknown};
use crate::world::oplog::What;
use crate::world::random;

const TICKET: &str = "use PVE::AccessControl; print PVE::AccessControl::assemble_ticket('root@pam')";

/// Recorded on Debian 12.
const NO_PVE: &str = "Can't locate PVE/AccessControl.pm in @INC (you may need to install the PVE::AccessControl module) (@INC \
                      contains: /etc/perl /usr/local/lib/x86_64-linux-gnu/perl/5.36.0 /usr/local/share/perl/5.36.0 \
                      /usr/lib/x86_64-linux-gnu/perl5/5.36 /usr/share/perl5 /usr/lib/x86_64-linux-gnu/perl-base \
                      /usr/lib/x86_64-linux-gnu/perl/5.36 /usr/share/perl/5.36 /usr/local/lib/site_perl) at -e line 1.\n\
                      BEGIN failed--compilation aborted at -e line 1.\n";

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    match call.args().as_slice() {
        ["-e", "1"] | ["-e1"] => {
            call.io.pause(Duration::from_millis(4)).await?;
            Ok(0)
        }
        ["-e", program]
            if program.contains("PVE::AccessControl")
                && !call.server(|server, _| server.spec.is_pve()).unwrap_or(true) =>
        {
            call.io.err(NO_PVE).await?;
            Ok(2)
        }
        ["-e", program] if program.trim().trim_end_matches(';') == TICKET => {
            call.io.pause(Duration::from_millis(210)).await?;
            ticket(call).await
        }
        _ => unknown(call).await,
    }
}

/// PVE replaces a key that seems to come from the future, whatever the reason.
async fn ticket(call: &Call) -> Result<i32, Stop> {
    let Some((now, made, running)) = call.server(|server, _| {
        (
            server.now().as_second(),
            server.pmxcfs.replica.keys.current.made,
            server.pmxcfs.running,
        )
    }) else {
        return Ok(255);
    };
    if !running {
        call.io.err("ipcc_send_rec[1] failed: Connection refused\n").await?;
        return Ok(111);
    }
    if made > now + 300 {
        call.io
            .err(&format!(
                "auth key pair generated in the future (key {made} > host {now}), rotating..\n"
            ))
            .await?;
        let secret = random();
        let rotated = call.world.with(|state| {
            let rotated = state.write(call.node, |replica| replica.keys.rotate(secret, now));
            if rotated.is_ok() {
                state.note(Some(call.node), What::AuthkeyRotated, "");
            }
            rotated
        });
        if rotated.is_err() {
            call.io.err("cfs-lock 'authkey' error: no quorum!\n").await?;
            return Ok(13);
        }
    }
    let ticket = call.world.with(|state| {
        state.note(Some(call.node), What::TicketMade, "");
        state
            .get(call.node)
            .map(|server| server.pmxcfs.replica.keys.ticket(now))
    });
    call.io.out(&ticket.unwrap_or_default()).await?;
    Ok(0)
}
