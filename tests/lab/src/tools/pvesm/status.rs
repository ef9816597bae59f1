//! `pvesm status`: a row for each storage, when the slowest of them has answered.

use std::time::Duration;

use super::config::Section;
use super::{activate, sections};
use crate::plants::StorageIs;
use crate::tools::io::Stop;
use crate::tools::{Call, Reply};
use crate::world::server::Server;

/// A mount that hangs does so until somebody gives up.
const HANGS: Duration = Duration::from_secs(3600);

const KIB: u64 = 1024;

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    let hangs = call.server(|server, _| {
        let here = |section: &Section| section.is_for(server.name());
        sections(server)
            .iter()
            .filter(|section| here(section))
            .any(|section| server.hardware.storages.get(&section.id) == Some(&StorageIs::Hangs))
    });
    if hangs == Some(true) {
        call.io.pause(HANGS).await?;
    }
    let reply = call.server(|server, _| table(server)).unwrap_or_default();
    call.reply(0, reply).await
}

fn table(server: &Server) -> Reply {
    let all = sections(server);
    let mut rows: Vec<&Section> = all.iter().collect();
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    let width = rows.iter().map(|section| section.id.len()).max().unwrap_or(0).max(4) + 1;
    let sizes = if server.spec.major() >= 9 {
        ["Total (KiB)", "Used (KiB)", "Available (KiB)"]
    } else {
        ["Total", "Used", "Available"]
    };
    let [total, used, available] = sizes;
    let mut reply = Reply::ok(format!(
        "{:width$} {:>10} {:>10} {total:>15} {used:>15} {available:>15} {:>8}\n",
        "Name", "Type", "Status", "%"
    ));
    for section in rows {
        let (mut state, mut sizes, mut percent) = ("active", (0, 0), format!("{:>8}", "N/A"));
        if !section.is_for(server.name()) {
            state = "disabled";
        } else {
            match activate(server, section) {
                Ok(()) => sizes = room(server, section),
                Err(why) => {
                    state = "inactive";
                    reply.stderr.push_str(&format!("{why}\n"));
                }
            }
            let (total, used) = sizes;
            // Ten thousandths are enough for two digits.
            let share = (used * 10_000).checked_div(total).unwrap_or(0);
            percent = format!("{:>7}%", format!("{}.{:02}", share / 100, share % 100));
        }
        let (total, used) = sizes;
        reply.stdout.push_str(&format!(
            "{:width$} {:>10} {state:>10} {total:>15} {used:>15} {:>15} {percent}\n",
            section.id,
            section.kind,
            total - used
        ));
    }
    reply
}

/// Total and used, in KiB.
fn room(server: &Server, section: &Section) -> (u64, u64) {
    let total = match section.kind.as_str() {
        "zfspool" => {
            let pool = section.get("pool").unwrap_or_default();
            let name = pool.split('/').next().unwrap_or(pool);
            let size = server
                .pools
                .iter()
                .find(|pool| pool.name == name)
                .map_or(0, |pool| pool.size());
            size / KIB
        }
        // Seen on the test hosts.
        "dir" => 6_291_456,
        _ => 4 << 30,
    };
    let percent = match server.hardware.storages.get(&section.id) {
        Some(StorageIs::Filled(percent)) => u64::from(*percent).min(100),
        _ => 1,
    };
    (total, total / 100 * percent)
}
