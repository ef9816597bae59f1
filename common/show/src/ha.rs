//! HA: what it looks after, and what becomes of the guests if a node is lost.

use quorate_model::outlook::{Answer, Asks, Check, Fate, GuestOutlook, Outlook};
use quorate_model::size::ByteSize;
use serde::Serialize;

use crate::table::{or_dash, table};

/// HA of one cluster.
#[derive(Debug, Clone, Serialize)]
pub struct HaReport {
    /// The cluster.
    pub cluster: String,
    /// In a line: is it armed, who decides.
    pub summary: String,
    /// Is everything as it should be?
    pub fine: bool,
    /// What it looks after.
    pub services: Vec<ServiceRow>,
    /// One for each node that was asked about.
    pub outlooks: Vec<Outlook>,
}

/// One guest under HA.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceRow {
    /// `vm:100`.
    pub sid: String,
    /// The guest's name.
    pub name: Option<String>,
    /// Where it is.
    pub node: Option<String>,
    /// How it is, by the master.
    pub state: String,
    /// What is wanted.
    pub wanted: String,
    /// Its rules, or its group.
    pub bound: Option<String>,
}

/// All that was asked.
#[must_use]
pub fn ha(reports: &[HaReport]) -> String {
    let texts: Vec<String> = reports.iter().map(one).collect();
    texts.join("\n")
}

fn one(report: &HaReport) -> String {
    let mut text = format!("{}: {}\n", report.cluster, report.summary);
    if report.services.is_empty() {
        text.push_str("no guest is under HA\n");
    } else {
        let cells: Vec<Vec<String>> = report.services.iter().map(|service| service.cells()).collect();
        text.push('\n');
        text.push_str(&table(
            &["SERVICE", "NAME", "NODE", "STATE", "WANTED", "BOUND TO"],
            &cells,
        ));
    }
    for outlook in &report.outlooks {
        text.push('\n');
        text.push_str(&if_lost(outlook));
    }
    text
}

impl ServiceRow {
    fn cells(&self) -> Vec<String> {
        vec![
            self.sid.clone(),
            or_dash(self.name.as_deref()),
            or_dash(self.node.as_deref()),
            self.state.clone(),
            self.wanted.clone(),
            or_dash(self.bound.as_deref()),
        ]
    }
}

/// What becomes of the guests of one node.
#[must_use]
pub fn if_lost(outlook: &Outlook) -> String {
    let lost = &outlook.lost;
    let mut text = match &outlook.quorum {
        Answer::Yes(votes) => format!("If {lost} is lost: {votes}; the others go on.\n"),
        Answer::No(votes) => format!(
            "If {lost} is lost: {votes}; NOTHING is started anywhere, and servers with an armed watchdog reset themselves.\n"
        ),
        Answer::Unproven(reason) => {
            format!("If {lost} is lost: whether the others have quorum is not known: {reason}\n")
        }
    };
    if outlook.guests.is_empty() {
        text.push_str(&format!("no guest is on {lost}\n"));
        return text;
    }
    let mut headers = vec!["GUEST", "NAME", "WHAT BECOMES OF IT"];
    headers.extend(["DISKS", "STORAGE", "BRIDGE", "CPU", "DEVICES", "MEMORY"]);
    let cells: Vec<Vec<String>> = outlook.guests.iter().flat_map(rows).collect();
    text.push('\n');
    text.push_str(&table(&headers, &cells));
    text.push('\n');
    let rooms: Vec<Vec<String>> = outlook
        .rooms
        .iter()
        .map(|(node, room)| {
            let size = |size: Option<ByteSize>| size.map_or_else(|| "?".to_owned(), ByteSize::binary);
            let number = |number: Option<u32>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
            vec![
                node.to_string(),
                size(room.memory),
                size(room.own),
                room.comes.binary(),
                number(room.threads),
                number(room.cpus),
                room.answer.as_str().to_owned(),
            ]
        })
        .collect();
    if !rooms.is_empty() {
        let headers = [
            "NODE",
            "MEMORY",
            "ITS GUESTS",
            "COMES",
            "THREADS",
            "CPUS THEN",
            "ENOUGH",
        ];
        text.push_str(&table(&headers, &rooms));
    }
    let below = reasons(outlook);
    if !below.is_empty() {
        text.push('\n');
        text.push_str(&below);
    }
    text
}

/// One line for each node that it may be started on.
fn rows(guest: &GuestOutlook) -> Vec<Vec<String>> {
    let nodes = guest.fate.nodes();
    let begin = |what: String| vec![guest.vmid.to_string(), or_dash(guest.name.as_deref()), what];
    if nodes.is_empty() {
        let mut cells = begin(fate(&guest.fate));
        cells.extend(Asks::ALL.map(|_| "-".to_owned()));
        return vec![cells];
    }
    nodes
        .iter()
        .map(|node| {
            let what = match &guest.fate {
                Fate::OneOf { .. } => format!("started on {node}, or another"),
                other => fate(other),
            };
            let mut cells = begin(what);
            cells.extend(Asks::ALL.map(|asks| {
                let mut of = guest
                    .checks
                    .iter()
                    .filter(|check| check.asks == asks && check.node == *node);
                of.next().map_or("?", |check| check.answer.as_str()).to_owned()
            }));
            cells
        })
        .collect()
}

fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Recovered { on } => format!("started on {on}"),
        Fate::OneOf { nodes, .. } => {
            let nodes: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
            format!("started on one of {}", nodes.join(", "))
        }
        Fate::MovedOff { on } => format!("moved to {on}, and off as now"),
        Fate::Waits { .. } => "NOT STARTED".to_owned(),
        Fate::StaysDown { .. } => "stays down".to_owned(),
        Fate::Unknown { .. } => "?".to_owned(),
    }
}

/// Whatever is not a plain yes, with its reason.
fn reasons(outlook: &Outlook) -> String {
    let mut text = String::new();
    for guest in &outlook.guests {
        let why = match &guest.fate {
            Fate::Waits { reason }
            | Fate::StaysDown { reason }
            | Fate::Unknown { reason }
            | Fate::OneOf { reason, .. } => Some(reason),
            Fate::Recovered { .. } | Fate::MovedOff { .. } => None,
        };
        if let Some(why) = why {
            text.push_str(&format!("{}: {why}\n", guest.vmid));
        }
        for Check { node, asks, answer } in &guest.checks {
            if !matches!(answer, Answer::Yes(_)) {
                text.push_str(&format!(
                    "{} on {node}: {}: {}: {}\n",
                    guest.vmid,
                    asks.as_str(),
                    answer.as_str(),
                    answer.reason()
                ));
            }
        }
    }
    text
}
