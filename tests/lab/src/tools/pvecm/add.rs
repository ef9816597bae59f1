//! `pvecm add`: what is checked before a worker starts; the join itself is in `join`.

use super::super::io::Stop;
use super::super::options::LINKS;
use super::super::worker::{Failure, Worker, died};
use super::super::{Call, Reply, unknown};
use super::join::{Join, Secret};
use super::{bad_parameter, one_word};

const USAGE: &str = "pvecm add <hostname> [OPTIONS]";

pub(super) async fn run(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let mut known = vec!["nodeid", "votes", "force", "fingerprint", "use_ssh"];
    known.extend(LINKS);
    let (host, parsed) = match one_word(args, &known, USAGE) {
        Ok(found) => found,
        Err(reply) => return call.reply(0, reply).await,
    };
    if parsed.option("use_ssh").is_some() {
        return unknown(call).await;
    }
    let fingerprint = parsed.option("fingerprint").map(str::to_owned);
    if fingerprint.as_deref().is_some_and(|text| !is_fingerprint(text)) {
        return call
            .reply(
                0,
                bad_parameter("fingerprint", "value does not match the regex pattern", USAGE),
            )
            .await;
    }
    let pve = call.server(|server, _| server.root.join("etc/pve")).unwrap_or_default();
    if std::path::Path::new(&call.cwd).starts_with(pve) {
        let text = "Navigate out of /etc/pve before running 'pvecm add', for example by running 'cd'.\n";
        return call.reply(0, Reply::fail(255, text)).await;
    }
    let worker = Worker::start(call, "clusterjoin", "");
    let join = Join {
        host,
        fingerprint,
        links: parsed.links(),
        nodeid: parsed.option("nodeid").and_then(|id| id.parse().ok()),
        votes: parsed.option("votes").and_then(|votes| votes.parse().ok()),
        force: parsed
            .option("force")
            .is_some_and(|force| ["1", "on", "yes", "true"].contains(&force)),
    };
    let result = add(&worker, &join).await;
    worker.end(result).await
}

/// Without a terminal the password is read as one line, with no prompt.
async fn add(worker: &Worker<'_>, join: &Join) -> Result<(), Failure> {
    let Some(password) = worker.call.io.line().await? else {
        return died("EOF while reading password");
    };
    join.run(worker, &Secret(password)).await
}

/// `([A-Fa-f0-9]{2}:){31}[A-Fa-f0-9]{2}`.
pub(super) fn is_fingerprint(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() == 32
        && parts
            .iter()
            .all(|part| part.len() == 2 && part.chars().all(|c| c.is_ascii_hexdigit()))
}
