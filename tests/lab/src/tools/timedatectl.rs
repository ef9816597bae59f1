//! `timedatectl show`.

use super::Reply;
use crate::world::server::Server;

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let ["show", rest @ ..] = args else { return None };
    let mut wanted = Vec::new();
    let mut value_only = false;
    let mut rest = rest.iter();
    while let Some(arg) = rest.next() {
        match *arg {
            "-p" | "--property" => wanted.extend(rest.next()?.split(',')),
            "--value" => value_only = true,
            other => wanted.extend(other.strip_prefix("--property=")?.split(',')),
        }
    }
    let word = if server.clock_synchronised { "yes" } else { "no" };
    let properties = [
        ("Timezone", "Etc/UTC"),
        ("LocalRTC", "no"),
        ("CanNTP", "yes"),
        ("NTP", "yes"),
        ("NTPSynchronized", word),
    ];
    let text: String = properties
        .iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.contains(name))
        .map(|(name, value)| {
            if value_only {
                format!("{value}\n")
            } else {
                format!("{name}={value}\n")
            }
        })
        .collect();
    Some((45, Reply::ok(text)))
}
