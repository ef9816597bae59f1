//! The applied cluster file in /etc/pve: a hint for whoever comes after the coordinator, never an order. It has no secrets, for www-data
//! can read it.

use std::time::Duration;

use quorate_exec::Stdin;
use quorate_model::observation::config::KeptSpec;
use quorate_model::spec::digest_of;
use quorate_tools::kept_spec;

use crate::errors::chain;
use crate::host::{Host, HostRoot};
use crate::operations::Supervisor;

/// Where it lies.
pub const PATH: &str = "/etc/pve/quorate/spec.toml";
const FOLDER: &str = "/etc/pve/quorate";

/// A write to /etc/pve waits for as long as the membership is undecided, up to fifteen seconds.
const WITHIN: Duration = Duration::from_secs(30);

/// Puts it there, from a process of its own: pmxcfs may block whoever writes.
///
/// # Errors
/// Why it is not there.
pub async fn keep(host: &Host, supervisor: &Supervisor, spec: &KeptSpec) -> Result<(), String> {
    if digest_of(&spec.text) != spec.digest {
        return Err("its digest is not that of its text".to_owned());
    }
    let call = supervisor
        .helper("keep-spec")
        .stdin(Stdin::bytes(kept_spec::write(spec).into_bytes()))
        .deadline(WITHIN)
        .on_host()
        .build();
    let call = call.map_err(|error| chain(&error))?;
    let finished = host.runner().run(&call).await.map_err(|error| chain(&error))?;
    if finished.exit.is_success() {
        Ok(())
    } else {
        Err(finished.stderr_text().trim().to_owned())
    }
}

/// What that process does. Nothing is written where pmxcfs is not mounted: it could not be mounted over it again.
///
/// # Errors
/// Why it is not there.
pub fn write(root: &HostRoot, text: &str) -> Result<(), String> {
    if root.read_link("/etc/pve/local").is_err() {
        return Err("/etc/pve is not mounted".to_owned());
    }
    root.make_folder(FOLDER, 0o755).map_err(|error| chain(&error))?;
    root.replace(PATH, text, 0o640).map_err(|error| chain(&error))
}
