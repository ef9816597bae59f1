//! `hostname`.

use super::Reply;
use crate::world::server::Server;

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let name = server.name();
    let reply = match args {
        [] | ["-s"] => Reply::ok(format!("{name}\n")),
        ["-f" | "--fqdn"] => {
            let names = server
                .hosts()
                .into_iter()
                .map(|(_, names)| names)
                .find(|names| names.iter().any(|n| n == name));
            match names.and_then(|names| names.first().cloned()) {
                Some(full) => Reply::ok(format!("{full}\n")),
                None => Reply::fail(1, "hostname: Temporary failure in name resolution\n"),
            }
        }
        ["-I"] => Reply::ok(format!("{} {} \n", server.public(), server.cluster())),
        _ => return None,
    };
    Some((2, reply))
}
