//! `pmxcfs` itself, and `killall`, for a node that goes back to standing alone.

use quorate_exec::{Invocation, Tools};

use crate::CallError;

/// `pmxcfs -l`: mounts /etc/pve in local mode, always quorate, although there is a corosync.conf. Goes into the background.
///
/// # Errors
/// When it is not installed.
pub fn local(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call("pmxcfs")?.arg("-l").build()?)
}

/// `killall pmxcfs`: ends the one that [`local`] has started; it unmounts /etc/pve.
///
/// # Errors
/// When psmisc is not installed.
pub fn end(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call("killall")?.arg("pmxcfs").build()?)
}
