//! `apt-get update`.

use std::fmt::Write as _;

use super::super::io::Stop;
use super::super::{Call, Reply};
use super::sources::{self, Source};
use crate::world::server::Server;

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    let reply = call.server(|server, _| reply(server)).unwrap_or_default();
    call.reply(1900, reply).await
}

fn reply(server: &Server) -> Reply {
    if let Some(pid) = server.packages.locked_by {
        return Reply {
            stdout: "Reading package lists...\n".to_owned(),
            stderr: format!(
                "E: Could not get lock /var/lib/apt/lists/lock. It is held by process {pid} (apt-get)\n\
                 E: Unable to lock directory /var/lib/apt/lists/\n"
            ),
            code: 100,
        };
    }
    let away = server.packages.unreachable || !server.carries(crate::world::server::Network::Public);
    let mut reply = Reply::default();
    let mut refused = String::new();
    for (number, source) in sources::of(server).iter().enumerate() {
        let number = number + 1;
        let Source { uri, suite } = source;
        let file = format!("{uri}/dists/{suite}/InRelease");
        if away {
            let host = uri.split('/').nth(2).unwrap_or(uri);
            writeln!(
                reply.stdout,
                "Ign:{number} {uri} {suite} InRelease\nErr:{number} {uri} {suite} InRelease\n  Could not resolve '{host}'"
            )
            .ok();
            writeln!(reply.stderr, "W: Failed to fetch {file}  Could not resolve '{host}'").ok();
        } else if source.is_enterprise() && !sources::subscribed(server) {
            let reason = "401  Unauthorized [IP: 51.91.38.34 443]";
            writeln!(reply.stdout, "Err:{number} {uri} {suite} InRelease\n  {reason}").ok();
            write!(
                refused,
                "E: Failed to fetch {file}  {reason}\nE: The repository '{uri} {suite} InRelease' is not signed.\n"
            )
            .ok();
        } else {
            writeln!(reply.stdout, "Hit:{number} {uri} {suite} InRelease").ok();
        }
    }
    reply.stdout.push_str("Reading package lists...\n");
    // What can't be reached is a warning and 0; what is refused is an error.
    if away && !reply.stderr.is_empty() {
        reply
            .stderr
            .push_str("W: Some index files failed to download. They have been ignored, or old ones used instead.\n");
    }
    if !refused.is_empty() {
        reply.stderr.push_str(&refused);
        reply.code = 100;
    }
    reply
}
