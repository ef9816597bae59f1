//! The guests of the clusters: whose they are, how they run, and what they lie on.

use quorate_model::Facet;
use quorate_model::observation::guest_config::{Backing, GuestConfig, GuestDisk};
use quorate_model::observation::{Guest, GuestKind};
use quorate_model::time::spoken;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::table::{or_dash, table};

/// A guest of a cluster.
#[derive(Debug, Clone, Serialize)]
pub struct GuestRow {
    /// The cluster.
    pub cluster: String,
    /// Its id, its owner, its kind.
    pub guest: Guest,
    /// What it is configured to be.
    pub config: Facet<GuestConfig>,
    /// How it runs, in a word (`running`, `stopped`, `paused` …), by its owner's agent.
    pub run: Facet<Run>,
    /// What the HA manager makes of it, such as `started`; `None`: it is not under HA.
    pub ha: Facet<Option<String>>,
}

/// How a guest runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// In a word.
    pub state: String,
    /// For how long, if that is known; 0 where it does not run.
    pub uptime_seconds: Option<u64>,
}

/// The guests of all clusters.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GuestList {
    /// Those that are known of.
    pub guests: Vec<GuestRow>,
    /// Servers, as CLUSTER/NODE, of whose guests nobody could tell, and why.
    pub unseen: BTreeMap<String, String>,
}

impl GuestList {
    /// Are all guests known, and fine?
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.unseen.is_empty() && self.guests.iter().all(GuestRow::is_fine)
    }
}

impl GuestRow {
    /// Is all of it known, and does HA make no error of it?
    #[must_use]
    pub fn is_fine(&self) -> bool {
        let known = self.config.is_known() && self.run.is_known() && self.ha.is_known();
        known && self.ha.get().is_ok_and(|ha| ha.as_deref() != Some("error"))
    }
}

/// One table, and below it what is not known.
#[must_use]
pub fn guests(list: &GuestList) -> String {
    let unseen = |(node, why): (&String, &String)| format!("{node}: which guests it has: {why}\n");
    let unseen: String = list.unseen.iter().map(unseen).collect();
    let rows = &list.guests;
    if rows.is_empty() {
        return if unseen.is_empty() {
            "there is no guest\n".to_owned()
        } else {
            unseen
        };
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let headers = [
        "CLUSTER", "ID", "KIND", "NAME", "NODE", "STATE", "UP", "HA", "MEMORY", "CPUS", "DISKS", "TAGS",
    ];
    let below = unseen + &unknown(rows);
    let gap = if below.is_empty() { "" } else { "\n" };
    table(&headers, &cells) + gap + &below
}

fn cells(row: &GuestRow) -> Vec<String> {
    let config = row.config.get().ok();
    let of_config = |shown: &dyn Fn(&GuestConfig) -> String| config.map_or_else(|| "?".to_owned(), shown);
    let run = row.run.get().ok();
    let locked = config.and_then(|config| config.lock.as_ref());
    let state = match (run, config) {
        (Some(_), Some(config)) if config.template => "template".to_owned(),
        (Some(run), _) => run.state.clone(),
        (None, _) => "?".to_owned(),
    };
    vec![
        row.cluster.clone(),
        row.guest.vmid.to_string(),
        match row.guest.kind {
            GuestKind::Vm => "VM".to_owned(),
            GuestKind::Container => "container".to_owned(),
        },
        of_config(&|config| or_dash(config.name.as_deref())),
        row.guest.node.clone(),
        match locked {
            Some(lock) => format!("{state}, {lock}"),
            None => state,
        },
        match run {
            Some(Run {
                uptime_seconds: Some(seconds),
                ..
            }) if *seconds > 0 => spoken(Duration::from_secs(*seconds)),
            _ => "-".to_owned(),
        },
        match row.ha.get() {
            Ok(ha) => or_dash(ha.as_deref()),
            Err(_) => "?".to_owned(),
        },
        of_config(&|config| config.memory.binary()),
        of_config(&|config| config.cpus.map_or_else(|| "all".to_owned(), |cpus| cpus.to_string())),
        of_config(&|config| disks(&config.disks)),
        of_config(&|config| or_dash(Some(&config.tags.join(", ")))),
    ]
}

/// What it uses, by storage, such as `40 GiB on data_zfs, 1 device of its host`.
fn disks(disks: &[GuestDisk]) -> String {
    let used = disks.iter().filter(|disk| !disk.is_unused());
    let mut on: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
    let (mut devices, mut folders) = (0, 0);
    for disk in used {
        match &disk.backing {
            Backing::Volume { storage, .. } => {
                let (bytes, unsaid) = on.entry(storage).or_default();
                *bytes += disk.size.unwrap_or_default().0;
                *unsaid |= disk.size.is_none();
            }
            Backing::Device(_) => devices += 1,
            Backing::Folder(_) => folders += 1,
        }
    }
    let mut parts: Vec<String> = on
        .into_iter()
        .map(|(storage, (bytes, unsaid))| {
            let size = quorate_model::ByteSize(bytes).binary();
            // PVE does not write the size of every disk.
            if unsaid {
                format!("at least {size} on {storage}")
            } else {
                format!("{size} on {storage}")
            }
        })
        .collect();
    for (count, one, several) in [(devices, "device", "devices"), (folders, "folder", "folders")] {
        if count > 0 {
            parts.push(format!(
                "{count} {} of its host",
                if count == 1 { one } else { several }
            ));
        }
    }
    or_dash(Some(&parts.join(", ")))
}

/// Each reason once for each node or guest that it is about.
fn unknown(rows: &[GuestRow]) -> String {
    let mut said = BTreeSet::new();
    for row in rows {
        let Guest { vmid, node, .. } = &row.guest;
        if let Err(unknown) = row.config.get() {
            said.insert(format!(
                "{}: what guest {vmid} is configured to be: {unknown}\n",
                row.cluster
            ));
        }
        if let Err(unknown) = row.run.get() {
            said.insert(format!("{}/{node}: how its guests run: {unknown}\n", row.cluster));
        }
        if let Err(unknown) = row.ha.get() {
            said.insert(format!("{}: what is under HA: {unknown}\n", row.cluster));
        }
    }
    said.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use quorate_model::facet::{Unknown, UnknownKind};
    use quorate_model::observation::guest_config::GuestNic;
    use quorate_model::{ByteSize, Timestamp};

    use super::*;

    fn known<T>(value: T) -> Facet<T> {
        Facet::known(value, Timestamp(0))
    }

    fn of<const N: usize>(rows: [GuestRow; N]) -> String {
        guests(&GuestList {
            guests: rows.into(),
            ..GuestList::default()
        })
    }

    fn row(vmid: u32) -> GuestRow {
        let disk = |key: &str, backing: Backing, gib: u64| GuestDisk {
            key: key.to_owned(),
            backing,
            size: Some(ByteSize(gib << 30)),
            replicate: true,
            shared: false,
        };
        let volume = |name: &str| Backing::Volume {
            storage: "data_zfs".to_owned(),
            volume: name.to_owned(),
        };
        GuestRow {
            cluster: "hk1".to_owned(),
            guest: Guest {
                vmid,
                node: "prox1".to_owned(),
                kind: GuestKind::Vm,
            },
            config: known(GuestConfig {
                name: Some("web1".to_owned()),
                memory: ByteSize(4 << 30),
                cpus: Some(4),
                cpu_type: None,
                tags: vec!["customer-a".to_owned()],
                template: false,
                lock: None,
                starts_at_boot: true,
                agent: true,
                disks: vec![
                    disk("scsi0", volume("vm-100-disk-0"), 32),
                    disk("scsi1", volume("vm-100-disk-1"), 8),
                    disk("unused0", volume("vm-100-disk-2"), 100),
                    disk("scsi2", Backing::Device("/dev/sdb".to_owned()), 1),
                ],
                nics: vec![GuestNic {
                    key: "net0".to_owned(),
                    bridge: Some("vmbr0".to_owned()),
                    vlan: None,
                    mac: None,
                }],
                discs: vec![],
                snapshots: vec![],
                bound_by: vec![],
                created: None,
            }),
            run: known(Run {
                state: "running".to_owned(),
                uptime_seconds: Some(7200),
            }),
            ha: known(Some("started".to_owned())),
        }
    }

    #[test]
    fn a_guest_is_one_line() {
        let shown = of([row(100)]);
        assert_eq!(
            shown
                .lines()
                .nth(1)
                .map(str::split_whitespace)
                .map(Iterator::collect::<Vec<_>>)
                .map(|words| words.join(" ")),
            Some(
                "hk1 100 VM web1 prox1 running 2 h started 4 GiB 4 40 GiB on data_zfs, 1 device of its host customer-a"
                    .to_owned()
            ),
            "{shown}"
        );
        assert!(row(100).is_fine());
    }

    #[test]
    fn what_is_not_known_is_told_once_for_each_node() {
        let dead = || Facet::Unknown(Unknown::new(UnknownKind::Unreachable, "no route to host"));
        let unseen = |vmid| GuestRow {
            run: dead(),
            ..row(vmid)
        };
        let shown = of([unseen(100), unseen(101)]);
        assert_eq!(shown.matches("no route to host").count(), 1, "{shown}");
        assert!(shown.contains("hk1/prox1: how its guests run: "), "{shown}");
        assert!(!unseen(100).is_fine());
    }

    #[test]
    fn templates_locks_and_errors_are_seen() {
        let mut template = row(100);
        if let Facet::Known { value, .. } = &mut template.config {
            value.template = true;
            value.lock = Some("backup".to_owned());
        }
        assert!(of([template.clone()]).contains("template, backup"));
        template.ha = known(Some("error".to_owned()));
        assert!(!template.is_fine());
        assert_eq!(of([]), "there is no guest\n");
    }
}
