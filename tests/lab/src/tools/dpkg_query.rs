//! `dpkg-query -W -f FORMAT PACKAGE…`, with the fields that anybody asks for.

use super::Reply;
use crate::world::packages::Package;
use crate::world::server::Server;

const COST: u64 = 12;

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let (format, names) = match args {
        ["-W" | "--show", "-f" | "--showformat", format, names @ ..] => (*format, names),
        ["-W" | "--show", format, names @ ..] => (format.strip_prefix("-f=").or(format.strip_prefix("-f"))?, names),
        _ => return None,
    };
    if names.is_empty() || names.iter().any(|name| name.starts_with('-') || name.contains('*')) {
        return None;
    }
    let mut reply = Reply::default();
    for name in names {
        match server.packages.list.get(*name) {
            Some(package) if package.installed.is_some() || package.residual => {
                reply.stdout.push_str(&line(format, name, package)?);
            }
            _ => {
                reply
                    .stderr
                    .push_str(&format!("dpkg-query: no packages found matching {name}\n"));
                reply.code = 1;
            }
        }
    }
    Some((COST, reply))
}

fn line(format: &str, name: &str, package: &Package) -> Option<String> {
    let residual = package.installed.is_none();
    let version = package.installed.as_deref().or(package.candidate.as_deref())?;
    let text = format
        .replace("\\t", "\t")
        .replace("\\n", "\n")
        .replace("${Package}", name)
        .replace("${binary:Package}", name)
        .replace("${db:Status-Abbrev}", if residual { "rc " } else { "ii " })
        .replace(
            "${Status}",
            if residual {
                "deinstall ok config-files"
            } else {
                "install ok installed"
            },
        )
        .replace("${Version}", version)
        .replace("${Architecture}", "amd64");
    // A field that was not recorded must not look like an empty one.
    (!text.contains("${")).then_some(text)
}
