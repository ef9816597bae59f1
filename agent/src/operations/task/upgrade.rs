//! The agent's own package: looked at once more, and installed.

use quorate_model::Release;
use quorate_model::ids::PackageDigest;
use quorate_tools::dpkg;

use super::super::actions::UNTRUSTED;
use super::{CHANGING, Stopped, Task, say, stopped};
use crate::errors::chain;
use crate::release;

const PACKAGE: &str = "quorate-agent";

pub(super) async fn run(task: &Task<'_>, version: Release, package: &PackageDigest) -> Result<(), Stopped> {
    let untrusted = |why: String| Stopped(format!("{UNTRUSTED}: {why}"));
    let file = release::kept(task.host, &task.state_dir, package).map_err(|error| untrusted(chain(&error)))?;
    let ask = async |call| task.host.ask(call).await.map_err(|unknown| Stopped(unknown.reason));
    let fields = dpkg::read_fields(&ask(dpkg::fields(task.host.tools(), &file)).await?)?;
    let architecture = ask(dpkg::architecture(task.host.tools())).await?;
    if fields.package != PACKAGE {
        return Err(untrusted(format!(
            "it is the package {}, not {PACKAGE}",
            fields.package
        )));
    }
    if fields.architecture != architecture.trim() && fields.architecture != "all" {
        let message = format!(
            "it is for {}, and this server is {}",
            fields.architecture,
            architecture.trim()
        );
        return Err(untrusted(message));
    }
    match Release::of_package(&fields.version) {
        Ok(found) if found == version => {}
        _ => return Err(untrusted(format!("it is of version {}, not {version}", fields.version))),
    }
    // The planner and the agent have asked before; a package that was signed once stays signed for ever.
    match task.host.version().parse::<Release>() {
        Ok(runs) if runs <= version => {}
        Ok(_) => return stopped(format!("a newer agent runs: {}", task.host.version())),
        Err(_) => return stopped(format!("it can't be told whether {} is newer", task.host.version())),
    }
    say(CHANGING);
    task.change(dpkg::install(task.host.tools(), &file)).await
}
