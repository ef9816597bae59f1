//! ZFS pools: their room and state, and each disk that is not well.

use quorate_model::observation::Pool;
use quorate_model::observation::pools::{Scan, ScanKind, ScanState, VdevState};
use quorate_model::time::spoken;
use quorate_model::{Facet, Timestamp};

use crate::table::{indent, table};

/// `now` is by the clock of the node that looked.
pub(super) fn pools(pools: &[Pool], now: Timestamp) -> String {
    if pools.is_empty() {
        return "no pool is imported\n".to_owned();
    }
    let rows: Vec<Vec<String>> = pools.iter().map(|pool| row(pool, now)).collect();
    table(&HEADERS, &rows) + &pools.iter().map(troubles).collect::<String>()
}

const HEADERS: [&str; 8] = [
    "POOL",
    "STATE",
    "SIZE",
    "USED",
    "IN PIECES",
    "VDEVS",
    "MAY LOSE",
    "LAST SCRUB OR RESILVER",
];

fn row(pool: &Pool, now: Timestamp) -> Vec<String> {
    let vdevs: Vec<&str> = pool.vdevs.iter().map(|vdev| short(&vdev.name)).collect();
    let may_lose = match pool.may_lose() {
        0 => "no disk".to_owned(),
        1 => "any 1 disk".to_owned(),
        more => format!("any {more} disks"),
    };
    vec![
        pool.name.clone(),
        pool.state.as_str().to_owned(),
        of_open(pool, pool.size.binary()),
        of_open(pool, format!("{} %", pool.fill())),
        pool.fragmentation
            .map_or_else(|| "-".to_owned(), |pieces| format!("{pieces} %")),
        vdevs.join(", "),
        may_lose,
        scan(pool.scan.as_ref(), now),
    ]
}

/// What zpool can tell only of a pool that could be opened.
fn of_open(pool: &Pool, shown: String) -> String {
    if pool.size.0 == 0 { "-".to_owned() } else { shown }
}

/// The pools of one node, or why they aren't known.
#[derive(Debug)]
pub struct PoolRow<'a> {
    /// The node's name as shown.
    pub node: String,
    /// Its pools.
    pub pools: &'a Facet<Vec<Pool>>,
    /// When it looked, by its own clock.
    pub now: Timestamp,
}

/// One table for all nodes, then each disk that is not well, then what is not known.
#[must_use]
pub fn of_nodes(nodes: &[PoolRow<'_>]) -> String {
    let (mut rows, mut trouble, mut none, mut unknown) = (Vec::new(), String::new(), Vec::new(), String::new());
    for node in nodes {
        match node.pools.get() {
            Err(why) => unknown.push_str(&format!("{} pools {why}\n", node.node)),
            Ok(pools) if pools.is_empty() => none.push(node.node.as_str()),
            Ok(pools) => {
                for pool in pools {
                    let mut cells = row(pool, node.now);
                    cells.insert(0, node.node.clone());
                    rows.push(cells);
                    trouble.extend(troubles(pool).lines().map(|line| format!("{} {line}\n", node.node)));
                }
            }
        }
    }
    let mut text = String::new();
    if !rows.is_empty() {
        let headers: Vec<&str> = ["NODE"].into_iter().chain(HEADERS).collect();
        text.push_str(&table(&headers, &rows));
    }
    for (heading, lines) in [("Not well", &trouble), ("Not known", &unknown)] {
        if !lines.is_empty() {
            text.push_str(&format!("\n{heading}\n{}", indent(lines, 2)));
        }
    }
    if !none.is_empty() {
        text.push_str(&format!("No pool is imported on {}\n", none.join(", ")));
    }
    text
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
