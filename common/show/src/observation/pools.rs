//! ZFS pools: their room and state, and each disk that is not well.

use quorate_model::Timestamp;
use quorate_model::observation::Pool;
use quorate_model::observation::pools::{Scan, ScanKind, ScanState, VdevState};
use quorate_model::time::spoken;

use crate::table::table;

/// `now` is by the clock of the node that looked.
pub(super) fn pools(pools: &[Pool], now: Timestamp) -> String {
    if pools.is_empty() {
        return "no pool is imported\n".to_owned();
    }
    let row = |pool: &Pool| {
        let vdevs: Vec<&str> = pool.vdevs.iter().map(|vdev| short(&vdev.name)).collect();
        vec![
            pool.name.clone(),
            pool.state.as_str().to_owned(),
            pool.size.binary(),
            format!("{} %", pool.fill()),
            pool.fragmentation
                .map_or_else(|| "-".to_owned(), |pieces| format!("{pieces} %")),
            vdevs.join(", "),
            scan(pool.scan.as_ref(), now),
        ]
    };
    let rows: Vec<Vec<String>> = pools.iter().map(row).collect();
    let headers = [
        "POOL",
        "STATE",
        "SIZE",
        "USED",
        "IN PIECES",
        "VDEVS",
        "LAST SCRUB OR RESILVER",
    ];
    table(&headers, &rows) + &pools.iter().map(troubles).collect::<String>()
}

fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn scan(scan: Option<&Scan>, now: Timestamp) -> String {
    let Some(scan) = scan else { return "never".to_owned() };
    let kind = match scan.kind {
        ScanKind::Scrub => "scrub",
        ScanKind::Resilver => "resilver",
    };
    let ago = scan
        .at
        .map_or_else(String::new, |at| format!(" {} ago", spoken(at.age(now))));
    match scan.state {
        ScanState::Running => {
            let percent = scan
                .percent
                .map_or_else(String::new, |percent| format!(", {percent:.0} % done"));
            format!("{kind} runs{percent}")
        }
        ScanState::Paused => format!("{kind} paused"),
        ScanState::Cancelled => format!("{kind} cancelled{ago}"),
        ScanState::Finished => {
            let errors = scan.errors.filter(|errors| *errors > 0);
            format!(
                "{kind}{ago}{}",
                errors.map_or_else(String::new, |n| format!(", {n} errors"))
            )
        }
    }
}

fn troubles(pool: &Pool) -> String {
    let mut text = String::new();
    for leaf in pool.leaves() {
        let errors = leaf.health.errors.unwrap_or_default();
        let counted = errors.read + errors.write + errors.checksum > 0;
        let fine = matches!(
            leaf.health.state,
            VdevState::Online | VdevState::Available | VdevState::InUse
        );
        if fine && !counted {
            continue;
        }
        let note = leaf
            .health
            .note
            .as_ref()
            .map_or_else(String::new, |note| format!(", {note}"));
        text.push_str(&format!(
            "{}: {} is {}, {} read, {} write, {} checksum errors{note}\n",
            pool.name,
            leaf.name,
            leaf.health.state.as_str(),
            errors.read,
            errors.write,
            errors.checksum
        ));
    }
    match pool.data_errors {
        Some(0) => {}
        Some(count) => text.push_str(&format!("{}: {count} errors in data, which is lost\n", pool.name)),
        None => text.push_str(&format!("{}: whether data was lost is not known\n", pool.name)),
    }
    if let Some(complaint) = &pool.complaint {
        text.push_str(&format!("{}: {complaint}\n", pool.name));
    }
    text
}
