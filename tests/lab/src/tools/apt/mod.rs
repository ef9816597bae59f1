//! `apt-get` and `apt-cache`: texts of apt 2.6.1, recorded on Debian 12.

mod install;
mod policy;
mod sources;
mod update;

use super::io::Stop;
use super::{Call, Reply, unknown};

const READING: &str = "Reading package lists...\nBuilding dependency tree...\nReading state information...\n";

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    let args = call.args();
    if call.tool == "apt-cache" {
        return match args.split_first() {
            Some((&"policy", names)) if !names.is_empty() && names.iter().all(|name| !name.starts_with('-')) => {
                let reply = call
                    .server(|server, _| policy::reply(server, names))
                    .unwrap_or_default();
                call.reply(60, reply).await
            }
            _ => unknown(call).await,
        };
    }
    let Some((flags, words)) = taken_apart(&args) else {
        return unknown(call).await;
    };
    let simulated = flags.iter().any(|flag| ["-s", "--simulate"].contains(flag));
    let yes = flags.iter().any(|flag| ["-y", "--yes"].contains(flag));
    match words.split_first() {
        Some((&"update", [])) if !simulated => update::run(call).await,
        Some((&("dist-upgrade" | "full-upgrade" | "upgrade"), [])) if simulated => {
            let reply = call.server(|server, _| install::upgrade(server)).unwrap_or_default();
            call.reply(450, reply).await
        }
        Some((&"install", names)) if !names.is_empty() => {
            let how = install::How {
                simulated,
                yes,
                only_fetched: flags.iter().any(|flag| ["-d", "--download-only"].contains(flag)),
            };
            install::run(call, names, how).await
        }
        _ => unknown(call).await,
    }
}

/// Flags and words; nothing for a flag that was not recorded.
fn taken_apart<'a>(args: &[&'a str]) -> Option<(Vec<&'a str>, Vec<&'a str>)> {
    let known = [
        "-s",
        "--simulate",
        "-y",
        "--yes",
        "-q",
        "-qq",
        "--no-install-recommends",
        "-d",
        "--download-only",
    ];
    let (mut flags, mut words) = (Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--" => {
                words.extend(args.by_ref());
            }
            // How dpkg treats changed configuration files (nothing here has any); and locks, which no simulation takes.
            "-o" => {
                let option = args.next()?;
                let known = ["Debug::NoLocking=1", "Acquire::Retries=0"];
                if !option.starts_with("Dpkg::Options::=") && !known.contains(option) {
                    return None;
                }
            }
            flag if known.contains(&flag) => flags.push(flag),
            flag if flag.starts_with('-') => return None,
            word => words.push(word),
        }
    }
    Some((flags, words))
}

/// What apt says when somebody else holds dpkg's lock; a simulation asks for none.
fn locked(call: &Call) -> Option<Reply> {
    let pid = call.server(|server, _| server.packages.locked_by).flatten()?;
    Some(Reply::fail(
        100,
        format!(
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process {pid} (apt-get)\n\
             E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n"
        ),
    ))
}
