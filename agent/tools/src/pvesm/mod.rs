//! `pvesm` of PVE: storages, which it defines for the whole cluster and tries on the node where it runs.

mod status;
#[cfg(test)]
mod tests;
mod trouble;

use quorate_exec::{Invocation, InvocationBuilder, SecretBytes, Stdin, Tools};
use quorate_model::ids::StorageName;
use quorate_model::storage::StorageDefinition;

use crate::CallError;

pub use status::{read_status, status};
pub use trouble::{Trouble, TroubleKind, read_troubles};

/// Its name.
pub const NAME: &str = "pvesm";

/// Defines a storage. With a secret, pvesm reads one line of stdin for it: it has no terminal to ask on.
///
/// # Errors
/// When pvesm is not installed.
pub fn add(tools: &Tools, storage: &StorageDefinition, secret: Option<&SecretBytes>) -> Result<Invocation, CallError> {
    let mut call = tools
        .call(NAME)?
        .args(["add", storage.kind.as_str(), storage.name.as_str()]);
    for (property, value) in &storage.properties {
        call = call.arg(format!("--{}", property.of_pve())).arg(value);
    }
    call = with_lists(call, storage);
    if let Some(secret) = secret {
        // Its value is optional, so that it would take the next word for it: it comes last.
        call = call
            .arg("--password")
            .stdin(Stdin::bytes([secret.expose(), b"\n"].concat()));
    }
    Ok(call.build()?)
}

/// Gives a storage that is there the nodes and the content of this definition. Nothing else is changed.
///
/// # Errors
/// When pvesm is not installed.
pub fn extend(tools: &Tools, storage: &StorageDefinition) -> Result<Invocation, CallError> {
    let mut call = tools.call(NAME)?.args(["set", storage.name.as_str()]);
    if storage.nodes.is_none() {
        call = call.args(["--delete", "nodes"]);
    }
    Ok(with_lists(call, storage).build()?)
}

/// `pvesm free STORAGE:VOLUME`: a volume of a guest goes, on this node. It asks nothing about who uses it, and one that is not there is no failure.
///
/// # Errors
/// When pvesm is not installed.
pub fn free(tools: &Tools, storage: &StorageName, volume: &str) -> Result<Invocation, CallError> {
    Ok(tools
        .call(NAME)?
        .args(["free", &format!("{storage}:{volume}")])
        .build()?)
}

fn with_lists(mut call: InvocationBuilder, storage: &StorageDefinition) -> InvocationBuilder {
    if !storage.content.is_empty() {
        let words: Vec<&str> = storage.content.iter().map(|content| content.as_str()).collect();
        call = call.args(["--content".to_owned(), words.join(",")]);
    }
    if let Some(nodes) = &storage.nodes {
        let names: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
        call = call.args(["--nodes".to_owned(), names.join(",")]);
    }
    call
}
