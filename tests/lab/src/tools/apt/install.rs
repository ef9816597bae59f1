//! `apt-get install` and the simulated `dist-upgrade`.

use std::fmt::Write as _;

use super::super::io::Stop;
use super::super::{Call, Reply};
use super::{READING, locked};
use crate::roots;
use crate::world::oplog::What;
use crate::world::packages::{self, Package};
use crate::world::server::{Network, Server};

/// What apt makes of a request.
struct Request {
    /// In apt's order: what is brought along before what brings it.
    fresh: Vec<(String, String)>,
    /// Name, installed and new version.
    raised: Vec<(String, String, String)>,
    /// Already there in the newest version.
    newest: Vec<(String, String)>,
    /// Not asked for by name.
    brought: Vec<String>,
    /// How many others could be upgraded.
    others: usize,
}

/// What the flags say.
#[derive(Clone, Copy)]
pub(super) struct How {
    pub(super) simulated: bool,
    pub(super) yes: bool,
    /// Fetched into the cache, and no more.
    pub(super) only_fetched: bool,
}

pub(super) async fn run(call: &Call, names: &[&str], how: How) -> Result<i32, Stop> {
    let How {
        simulated,
        yes,
        only_fetched,
    } = how;
    if !simulated && let Some(reply) = locked(call) {
        return call.reply(40, reply).await;
    }
    let request = call.server(|server, _| decide(server, names));
    let request = match request {
        Some(Ok(request)) => request,
        Some(Err(reply)) => return call.reply(400, reply).await,
        None => return Ok(100),
    };
    let text = format!("{READING}{}", request.announce());
    if simulated {
        let text = text + &call.server(|server, _| request.simulate(server)).unwrap_or_default();
        return call.reply(450, Reply::ok(text)).await;
    }
    call.reply(500, Reply::ok(text)).await?;
    if request.fresh.is_empty() && request.raised.is_empty() {
        return Ok(0);
    }
    call.io
        .out("Need to get 148 kB of archives.\nAfter this operation, 612 kB of additional disk space will be used.\n")
        .await?;
    // Nobody answers on a closed standard input.
    if !yes {
        call.io.out("Do you want to continue? [Y/n] Abort.\n").await?;
        return Ok(1);
    }
    fetch_and_unpack(call, &request, only_fetched).await
}

async fn fetch_and_unpack(call: &Call, request: &Request, only_fetched: bool) -> Result<i32, Stop> {
    let uri = "http://deb.debian.org/debian bookworm/main amd64";
    let all: Vec<(String, String)> = request
        .fresh
        .iter()
        .cloned()
        .chain(
            request
                .raised
                .iter()
                .map(|(name, _, version)| (name.clone(), version.clone())),
        )
        .collect();
    let away = call
        .server(|server, _| server.packages.unreachable || !server.carries(Network::Public))
        .unwrap_or(true);
    for (number, (name, version)) in all.iter().enumerate() {
        let number = number + 1;
        if away {
            let reason = "Could not connect to deb.debian.org:80 (151.101.86.132). - connect (111: Connection refused)";
            let reply = Reply {
                stdout: format!(
                    "Ign:{number} {uri} {name} amd64 {version}\nErr:{number} {uri} {name} amd64 {version}\n  {reason}\n"
                ),
                stderr: format!(
                    "E: Failed to fetch http://deb.debian.org/debian/pool/main/c/{name}/{name}_{version}_amd64.deb  {reason}\n\
                     E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?\n"
                ),
                code: 100,
            };
            return call.reply(3000, reply).await;
        }
        call.reply(
            250,
            Reply::ok(format!("Get:{number} {uri} {name} amd64 {version} [74.1 kB]\n")),
        )
        .await?;
    }
    call.io.out("Fetched 148 kB in 0s (1,204 kB/s)\n").await?;
    if only_fetched {
        call.io.out("Download complete and in download only mode\n").await?;
        return Ok(0);
    }
    for (name, version) in &all {
        let text = format!(
            "Selecting previously unselected package {name}.\r\n(Reading database ... \r(Reading database ... 100%\r\
             (Reading database ... 61840 files and directories currently installed.)\r\n\
             Preparing to unpack .../{name}_{version}_amd64.deb ...\r\nUnpacking {name} ({version}) ...\r\n"
        );
        call.reply(300, Reply::ok(text)).await?;
    }
    for (name, version) in &all {
        call.reply(350, Reply::ok(format!("Setting up {name} ({version}) ...\r\n")))
            .await?;
        let linked = call.world.with(|state| {
            let Some(server) = state.servers.get_mut(call.node) else {
                return Ok(());
            };
            server.packages.list.entry(name.clone()).and_modify(|package| {
                package.installed = Some(version.clone());
                package.residual = false;
            });
            // Debian starts a service that it installed.
            if name == "corosync-qnetd" {
                server.qnetd_running = true;
            }
            state.note(Some(call.node), What::PackageInstalled, format!("{name} {version}"));
            match state.get(call.node) {
                Some(server) => roots::link_tools(&call.world.layout, server, packages::tools(name)),
                None => Ok(()),
            }
        });
        if let Err(error) = linked {
            crate::world::complain(&format!("can't link the tools of {name}: {error}"));
        }
    }
    Ok(0)
}

fn decide(server: &Server, names: &[&str]) -> Result<Request, Reply> {
    let mut request = Request {
        fresh: Vec::new(),
        raised: Vec::new(),
        newest: Vec::new(),
        brought: Vec::new(),
        others: 0,
    };
    let list = &server.packages.list;
    let unknown: String = names
        .iter()
        .filter(|name| !list.contains_key(**name))
        .map(|name| format!("E: Unable to locate package {name}\n"))
        .collect();
    if !unknown.is_empty() {
        return Err(Reply {
            stdout: READING.to_owned(),
            stderr: unknown,
            code: 100,
        });
    }
    for name in names {
        let Some(package) = list.get(*name) else { continue };
        match (&package.installed, &package.candidate) {
            (None, None) => return Err(no_candidate(name)),
            (Some(old), Some(new)) if old != new => {
                request.raised.push(((*name).to_owned(), old.clone(), new.clone()));
            }
            (Some(version), _) => request.newest.push(((*name).to_owned(), version.clone())),
            (None, Some(version)) => {
                for needed in packages::brings(name) {
                    let missing = list.get(*needed).filter(|package| package.installed.is_none());
                    let seen = request.fresh.iter().any(|(fresh, _)| fresh == needed);
                    match missing.map(|package| package.candidate.clone()) {
                        Some(Some(version)) if !seen => {
                            request.fresh.push(((*needed).to_owned(), version));
                            request.brought.push((*needed).to_owned());
                        }
                        Some(None) => return Err(unmet(name, needed)),
                        _ => {}
                    }
                }
                request.fresh.push(((*name).to_owned(), version.clone()));
            }
        }
    }
    let updates = server.packages.updates();
    request.others = updates
        .iter()
        .filter(|(name, _)| !request.raised.iter().any(|(raised, ..)| raised == name))
        .count();
    Ok(request)
}

impl Request {
    fn announce(&self) -> String {
        let mut text: String = self
            .newest
            .iter()
            .map(|(name, version)| format!("{name} is already the newest version ({version}).\n"))
            .collect();
        let mut list = |title: &str, mut names: Vec<&str>| {
            names.sort_unstable();
            if !names.is_empty() {
                writeln!(text, "{title}\n  {}", names.join(" ")).ok();
            }
        };
        list(
            "The following additional packages will be installed:",
            self.brought.iter().map(String::as_str).collect(),
        );
        list(
            "The following NEW packages will be installed:",
            self.fresh.iter().map(|(name, _)| name.as_str()).collect(),
        );
        list(
            "The following packages will be upgraded:",
            self.raised.iter().map(|(name, ..)| name.as_str()).collect(),
        );
        writeln!(
            text,
            "{} upgraded, {} newly installed, 0 to remove and {} not upgraded.",
            self.raised.len(),
            self.fresh.len(),
            self.others
        )
        .ok();
        text
    }

    fn simulate(&self, server: &Server) -> String {
        let origin = |name: &str| origin(server.packages.list.get(name));
        let mut text = String::new();
        for (name, version) in &self.fresh {
            writeln!(text, "Inst {name} ({version} {} [amd64])", origin(name)).ok();
        }
        for (name, old, new) in &self.raised {
            writeln!(text, "Inst {name} [{old}] ({new} {} [amd64])", origin(name)).ok();
        }
        let raised = self.raised.iter().map(|(name, _, version)| (name, version));
        for (name, version) in self.fresh.iter().map(|(name, version)| (name, version)).chain(raised) {
            writeln!(text, "Conf {name} ({version} {} [amd64])", origin(name)).ok();
        }
        text
    }
}

/// `apt-get -s dist-upgrade`: as of the last update.
pub(super) fn upgrade(server: &Server) -> Reply {
    let raised = server
        .packages
        .updates()
        .into_iter()
        .map(|(name, package)| {
            let version = |version: &Option<String>| version.clone().unwrap_or_default();
            (
                name.to_owned(),
                version(&package.installed),
                version(&package.candidate),
            )
        })
        .collect();
    let request = Request {
        fresh: Vec::new(),
        raised,
        newest: Vec::new(),
        brought: Vec::new(),
        others: 0,
    };
    // Each is configured before the next is unpacked, as was recorded.
    let lines: String = request
        .raised
        .iter()
        .map(|(name, old, new)| {
            let origin = origin(server.packages.list.get(name));
            format!("Inst {name} [{old}] ({new} {origin} [amd64])\nConf {name} ({new} {origin} [amd64])\n")
        })
        .collect();
    Reply::ok(format!(
        "{READING}Calculating upgrade...\n{}{lines}",
        request.announce()
    ))
}

fn origin(package: Option<&Package>) -> &'static str {
    if package.is_some_and(|package| package.proxmox) {
        "Proxmox Debian Repository:stable"
    } else {
        "Debian:12.14/oldstable"
    }
}

fn no_candidate(name: &str) -> Reply {
    Reply {
        stdout: format!(
            "{READING}Package {name} is not available, but is referred to by another package.\n\
             This may mean that the package is missing, has been obsoleted, or\nis only available from another source\n\n"
        ),
        stderr: format!("E: Package '{name}' has no installation candidate\n"),
        code: 100,
    }
}

fn unmet(name: &str, needed: &str) -> Reply {
    Reply {
        stdout: format!(
            "{READING}Some packages could not be installed. This may mean that you have\n\
             requested an impossible situation or if you are using the unstable\n\
             distribution that some required packages have not yet been created\nor been moved out of Incoming.\n\
             The following information may help to resolve the situation:\n\n\
             The following packages have unmet dependencies:\n {name} : Depends: {needed} but it is not installable\n"
        ),
        stderr: "E: Unable to correct problems, you have held broken packages.\n".to_owned(),
        code: 100,
    }
}
