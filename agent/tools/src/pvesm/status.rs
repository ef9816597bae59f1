//! `pvesm status`: a table for people, with what is wrong on stderr.

use std::time::Duration;

use quorate_exec::{Invocation, Tools};
use quorate_model::ByteSize;
use quorate_model::observation::storages::{StorageState, StorageStatus};

use super::NAME;
use crate::{CallError, ParseError};

/// A single storage that does not answer holds up the rows of all: PVE asks an NFS server for ten seconds, twice.
const DEADLINE: Duration = Duration::from_secs(25);

/// Asks how each storage is on this node.
///
/// # Errors
/// When pvesm is not installed.
pub fn status(tools: &Tools) -> Result<Invocation, CallError> {
    // It activates storages: it may mount them, for everybody.
    Ok(tools.call(NAME)?.arg("status").deadline(DEADLINE).on_host().build()?)
}

/// Reads [`status`]. Sizes are in KiB, whether the heading says so (PVE 9) or not (PVE 8). What is on stderr is laid to the storage that it
/// names, or to the only one that is inactive.
///
/// # Errors
/// When there is no heading, or a row does not have seven fields, or holds what is none of the known words.
pub fn read_status(stdout: &str, stderr: &str) -> Result<Vec<StorageStatus>, ParseError> {
    let mut lines = stdout.lines().filter(|line| !line.trim().is_empty());
    let heading = lines.next().unwrap_or_default();
    if !heading.starts_with("Name ") {
        return Err(ParseError::at(NAME, heading, "expected a heading"));
    }
    let mut found = lines.map(row).collect::<Result<Vec<_>, _>>()?;
    for line in stderr.lines().map(str::trim).filter(|line| !line.is_empty()) {
        blame(line, &mut found);
    }
    Ok(found)
}

fn row(line: &str) -> Result<StorageStatus, ParseError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [id, kind, state, total, used, _available, _percent] = words.as_slice() else {
        return Err(ParseError::at(NAME, line, "expected seven fields"));
    };
    let state = match *state {
        "active" => StorageState::Active,
        "inactive" => StorageState::Inactive,
        "disabled" => StorageState::Disabled,
        _ => return Err(ParseError::at(NAME, line, "expected active, inactive or disabled")),
    };
    let size = |word: &str| match word {
        "N/A" => Ok(None),
        word => word
            .parse::<u64>()
            .map(|kib| Some(ByteSize(kib.saturating_mul(1024))))
            .map_err(|_| ParseError::at(NAME, line, "expected a number of KiB")),
    };
    let (total, used) = (size(total)?, size(used)?);
    // What is not there has no room, rather than room of which nothing is left.
    let is_there = state == StorageState::Active;
    Ok(StorageStatus {
        id: (*id).to_owned(),
        kind: (*kind).to_owned(),
        state,
        total: total.filter(|_| is_there),
        used: used.filter(|_| is_there),
        complaint: None,
    })
}

fn blame(line: &str, storages: &mut [StorageStatus]) {
    let names = |storage: &StorageStatus| {
        let id = &storage.id;
        line.starts_with(&format!("{id}:")) || line.contains(&format!("'{id}'"))
    };
    let inactive = |storage: &StorageStatus| storage.state == StorageState::Inactive;
    let mut place = storages.iter().position(names);
    if place.is_none() && storages.iter().filter(|storage| inactive(storage)).count() == 1 {
        place = storages.iter().position(inactive);
    }
    let Some(storage) = place.and_then(|place| storages.get_mut(place)) else {
        return;
    };
    storage.complaint = Some(match storage.complaint.take() {
        Some(before) => format!("{before}; {line}"),
        None => line.to_owned(),
    });
}
