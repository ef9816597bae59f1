//! `zpool` and `zfs` on a server without pools.

use super::Reply;

const COST: u64 = 12;

pub(super) fn reply(tool: &str, args: &[&str]) -> Option<(u64, Reply)> {
    let reply = match (tool, args) {
        // With -H nothing is printed at all.
        ("zpool", ["list", flags @ ..]) if lists(flags) => {
            if flags.iter().any(|flag| flag.starts_with('-') && flag.contains('H')) {
                Reply::default()
            } else {
                Reply::ok("no pools available\n")
            }
        }
        ("zpool", ["status", flags @ ..]) if lists(flags) => Reply::fail(0, "no pools available\n"),
        ("zpool", ["version"] | ["--version"]) => Reply::ok("zfs-2.2.7-pve2\nzfs-kmod-2.2.7-pve2\n"),
        ("zfs", ["list", flags @ ..]) => {
            if flags.iter().any(|flag| flag.starts_with('-') && flag.contains('H')) {
                Reply::default()
            } else {
                Reply::fail(0, "no datasets available\n")
            }
        }
        _ => return None,
    };
    Some((COST, reply))
}

/// Flags only, no pool names, which would be an error without pools.
fn lists(flags: &[&str]) -> bool {
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        if *flag == "-o" {
            if flags.next().is_none() {
                return false;
            }
        } else if !flag.starts_with('-') {
            return false;
        }
    }
    true
}
