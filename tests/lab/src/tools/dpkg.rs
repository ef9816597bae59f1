//! `dpkg` and `dpkg-deb`, as of 1.21.22 on Debian 12: captured are an installation, one without what the package depends on, one whose
//! script fails, a lock that is held, and a file that is no package.
//!
//! A package here is the text of its control file. A field of ours, `Lab-Postinst: CODE`, says how its script
//! ends where that fails.

use std::collections::BTreeMap;
use std::fs;

use super::io::Stop;
use super::{Call, Reply, unknown};
use crate::world::packages::Package;

const AGENT: &str = "quorate-agent";

/// Where a simulated server's agent looks of which version it is.
const VERSION: &str = "usr/share/quorate-agent/version";

type Control = BTreeMap<String, String>;

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    match call.args().as_slice() {
        ["--field", file, names @ ..] if call.tool == "dpkg-deb" && !names.is_empty() => {
            call.reply(15, fields(file, names)).await
        }
        ["--print-architecture"] if call.tool == "dpkg" => call.reply(5, Reply::ok("amd64\n")).await,
        ["--force-confold", "--install", file] if call.tool == "dpkg" => install(call, file).await,
        _ => unknown(call).await,
    }
}

fn control(file: &str) -> Option<Control> {
    let text = fs::read_to_string(file).ok()?;
    let fields = text.lines().map(|line| line.split_once(": "));
    let fields = fields.map(|field| field.map(|(name, value)| (name.to_owned(), value.to_owned())));
    fields
        .collect::<Option<Control>>()
        .filter(|control| control.contains_key("Package"))
}

fn fields(file: &str, names: &[&str]) -> Reply {
    if !std::path::Path::new(file).exists() {
        let text = format!("dpkg-deb: error: failed to read archive '{file}': No such file or directory\n");
        return Reply::fail(2, text);
    }
    let Some(control) = control(file) else {
        return Reply::fail(2, format!("dpkg-deb: error: '{file}' is not a Debian format archive\n"));
    };
    let line = |name: &&str| control.get(*name).map(|value| format!("{name}: {value}\n"));
    Reply::ok(names.iter().filter_map(line).collect::<String>())
}

async fn install(call: &Call, file: &str) -> Result<i32, Stop> {
    let locked = call.server(|server, _| server.packages.locked_by).flatten();
    if let Some(pid) = locked {
        let text = format!(
            "dpkg: error: dpkg frontend lock was locked by another process with pid {pid}\n\
             Note: removing the lock file is always wrong, can damage the locked area\n\
             and the entire system. See <https://wiki.debian.org/Teams/Dpkg/FAQ#db-lock>.\n"
        );
        return call.reply(20, Reply::fail(2, text)).await;
    }
    let Some(control) = control(file) else {
        let text = format!("dpkg-deb: error: '{file}' is not a Debian format archive\n");
        return call.reply(20, Reply::fail(1, text)).await;
    };
    let value = |name: &str| control.get(name).cloned().unwrap_or_default();
    let (name, version) = (value("Package"), value("Version"));
    let before = call
        .server(|server, _| server.packages.version(&name).map(str::to_owned))
        .flatten();
    let over = before
        .as_deref()
        .map(|old| format!(" over ({old})"))
        .unwrap_or_default();
    let text = format!(
        "(Reading database ... 61840 files and directories currently installed.)\nPreparing to unpack {file} ...\n\
         Unpacking {name} ({version}){over} ...\n"
    );
    call.reply(400, Reply::ok(text)).await?;
    let needs = control.get("Depends").map(String::as_str);
    if let Some(needs) = needs.filter(|needs| call.server(|server, _| server.packages.has(needs)) != Some(true)) {
        let text = format!(
            "dpkg: dependency problems prevent configuration of {name}:\n {name} depends on {needs}; however:\n  \
             Package {needs} is not installed.\n\ndpkg: error processing package {name} (--install):\n \
             dependency problems - leaving unconfigured\nErrors were encountered while processing:\n {name}\n"
        );
        return call.reply(50, Reply::fail(1, text)).await;
    }
    call.io.out(&format!("Setting up {name} ({version}) ...\n")).await?;
    if let Some(code) = control.get("Lab-Postinst") {
        let text = format!(
            "dpkg: error processing package {name} (--install):\n installed {name} package post-installation script subprocess \
             returned error exit status {code}\nErrors were encountered while processing:\n {name}\n"
        );
        return call.reply(50, Reply::fail(1, text)).await;
    }
    let root = call.world.with(|state| {
        let server = state.servers.get_mut(call.node)?;
        let installed = Package {
            installed: Some(version.clone()),
            candidate: Some(version.clone()),
            residual: false,
            proxmox: false,
        };
        server.packages.list.insert(name.clone(), installed);
        Some(server.root.clone())
    });
    if let Some(root) = root.filter(|_| name == AGENT) {
        let path = root.join(VERSION);
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, &version));
        if let Err(error) = written {
            call.io
                .err(&format!("quorate-lab: {}: {error}\n", path.display()))
                .await?;
        }
        // As the package's own script does, before dpkg ends.
        call.world.restart_agent(call.node).await;
    }
    Ok(0)
}
