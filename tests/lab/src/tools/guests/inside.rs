//! Programs inside of guests, as far as somebody runs them there: what counts the guest's writes, and what puts that into one made from an
//! image or a template.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::super::Call;

/// Of what writes numbers: with both files there, its unit can be started.
const PROGRAM: &str = "/usr/local/bin/quorate-tally";
const UNIT: &str = "/etc/systemd/system/quorate-tally.service";

/// How a program ended, and what it printed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Ran {
    fn failed(err: String) -> Self {
        Self {
            code: 1,
            err,
            ..Self::default()
        }
    }
}

/// What was put where, by guest and path.
type Files = BTreeMap<(u32, String), String>;

/// Runs it. What is not known here ends well and prints nothing; a number is printed where one is asked for.
pub(super) fn run(call: &Call, vmid: u32, program: &[&str], stdin: &[u8]) -> Ran {
    let node = call.node;
    match program {
        ["/usr/bin/install", "-D", "-m", _, "/dev/stdin", path] => {
            put(call, vmid, path, stdin);
            Ran::default()
        }
        ["/usr/bin/sha256sum", path] => call.world.with(|state| sum(&state.put_inside, vmid, path)),
        ["/usr/bin/systemctl", "enable", "--now", "quorate-tally.service"] => call.world.with(|state| {
            let there = |path: &str| state.put_inside.contains_key(&(vmid, path.to_owned()));
            if there(PROGRAM) && there(UNIT) {
                state.bare.remove(&vmid);
                return Ran::default();
            }
            Ran::failed("Failed to enable unit: Unit file quorate-tally.service does not exist.\n".to_owned())
        }),
        program => {
            let asks = program
                .iter()
                .any(|word| word.contains("number") && !word.contains('>'));
            let number = call.world.with(|state| state.number_of(node, vmid));
            Ran {
                out: if asks { format!("{number}\n") } else { String::new() },
                ..Ran::default()
            }
        }
    }
}

/// A file in the guest.
pub(super) fn put(call: &Call, vmid: u32, path: &str, bytes: &[u8]) {
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    call.world
        .with(|state| state.put_inside.insert((vmid, path.to_owned()), digest));
}

fn sum(files: &Files, vmid: u32, path: &str) -> Ran {
    match files.get(&(vmid, path.to_owned())) {
        Some(digest) => Ran {
            out: format!("{digest}  {path}\n"),
            ..Ran::default()
        },
        None => Ran::failed(format!("/usr/bin/sha256sum: {path}: No such file or directory\n")),
    }
}
