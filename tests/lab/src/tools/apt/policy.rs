//! `apt-cache policy`.

use std::fmt::Write as _;

use super::super::Reply;
use super::sources;
use crate::world::packages::Package;
use crate::world::server::Server;

pub(super) fn reply(server: &Server, names: &[&str]) -> Reply {
    let mut text = String::new();
    for name in names {
        // A name that apt never heard of is passed over in silence, with 0.
        if let Some(package) = server.packages.list.get(*name) {
            one(server, name, package, &mut text);
        }
    }
    Reply::ok(text)
}

fn one(server: &Server, name: &str, package: &Package, text: &mut String) {
    let word = |version: &Option<String>| version.clone().unwrap_or_else(|| "(none)".to_owned());
    let candidate = package.candidate.clone().or_else(|| package.installed.clone());
    write!(
        text,
        "{name}:\n  Installed: {}\n  Candidate: {}\n  Version table:\n",
        word(&package.installed),
        word(&candidate)
    )
    .ok();
    let source = sources::of(server)
        .into_iter()
        .find(|source| source.is_debian() != package.proxmox);
    let repository = source.map(|source| {
        let component = match (package.proxmox, source.is_enterprise()) {
            (false, _) => "main",
            (true, true) => "pve-enterprise",
            (true, false) => "pve-no-subscription",
        };
        format!(
            "        500 {} {}/{component} amd64 Packages\n",
            source.uri, source.suite
        )
    });
    let status = "        100 /var/lib/dpkg/status\n";
    let newer = package
        .candidate
        .as_ref()
        .filter(|version| Some(*version) != package.installed.as_ref());
    if let (Some(version), Some(repository)) = (newer, &repository) {
        write!(text, "     {version} 500\n{repository}").ok();
    }
    if let Some(version) = &package.installed {
        match (&repository, package.candidate == package.installed) {
            (Some(repository), true) => write!(text, " *** {version} 500\n{repository}{status}").ok(),
            _ => write!(text, " *** {version} 100\n{status}").ok(),
        };
    }
}
