//! `zpool labelclear`. Captured: it wants the partition; on the whole disk of a member it finds no label and fails.

use super::super::io::Stop;
use super::super::{Call, Reply, unknown};
use super::{COST, REFUSES};
use crate::description::PartitionSpec;
use crate::world::server::Server;
use crate::world::zfs::disks::{self, Holds};

pub(super) async fn run(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let (force, path) = match args {
        ["-f", path] => (true, *path),
        [path] if !path.starts_with('-') => (false, *path),
        _ => return unknown(call).await,
    };
    let Some(found) = call.server(|server, _| judge(server, path, force)) else {
        return unknown(call).await;
    };
    match found {
        Ok((disk, number)) => {
            call.io.pause(REFUSES).await?;
            call.world.with(|state| {
                if let Some(server) = state.servers.get_mut(call.node) {
                    disks::change(server, &disk, |disk| {
                        let parts = disk.partitions.iter_mut().filter(|part| part.number == number);
                        parts.for_each(disks::clear);
                    });
                }
            });
            Ok(0)
        }
        Err(reply) => call.reply(COST, reply).await,
    }
}

fn judge(server: &Server, path: &str, force: bool) -> Result<(String, u32), Reply> {
    let full = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/dev/{path}")
    };
    // From zpool_main.c (`zpool_do_labelclear`), not seen.
    let Some((disk, number)) = disks::at(&server.disks, &full) else {
        return Err(Reply::fail(
            1,
            if path.starts_with('/') {
                format!("failed to open {path}: No such file or directory\n")
            } else {
                format!("failed to find device {path}, try specifying absolute path instead\n")
            },
        ));
    };
    let is_one = |part: &&PartitionSpec| Some(part.number) == number && part.fstype.as_deref() == Some(disks::MEMBER);
    let Some(part) = disk.partitions.iter().find(is_one) else {
        return Err(Reply::fail(255, format!("failed to clear label for {path}\n")));
    };
    let pool = part.label.as_deref().unwrap_or_default();
    let member = |state: &str| {
        let hint = if force {
            ". Offline the disk first to clear its label."
        } else {
            ""
        };
        // The line's end comes on the other stream.
        Err(Reply {
            stdout: "\n".to_owned(),
            stderr: format!("{path} is a member ({state}) of pool \"{pool}\"{hint}"),
            code: 1,
        })
    };
    let override_it = |state: &str| {
        let text =
            format!("use '-f' to override the following error:\n{path} is a member of {state} pool \"{pool}\"\n");
        Err(Reply::fail(1, text))
    };
    match disks::holds(server, part) {
        Holds::Active | Holds::Spare | Holds::Cache if force && !disks::open(server, part) => {}
        Holds::Active => return member("ACTIVE"),
        Holds::Spare => return member("SPARE"),
        Holds::Cache => return member("L2CACHE"),
        Holds::Exported if !force => return override_it("exported"),
        Holds::PotentiallyActive if !force => return override_it("potentially active"),
        Holds::Exported | Holds::PotentiallyActive | Holds::Nothing => {}
    }
    Ok((disk.name.clone(), part.number))
}
