//! `chronyc -c tracking`.

use super::Reply;
use crate::world::server::Server;

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    if args != ["-c", "tracking"] {
        return None;
    }
    let now = server.now().as_second();
    let line = if server.clock_synchronised {
        format!(
            "C0A80101,192.168.1.1,3,{}.412087310,0.000021483,0.000017204,0.000036117,-11.482,0.003,0.061,0.004120331,\
             0.001204911,64.7,Normal\n",
            now - 41
        )
    } else {
        "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,1.000000000,0.0,\
         Not synchronised\n"
            .to_owned()
    };
    Some((4, Reply::ok(line)))
}
