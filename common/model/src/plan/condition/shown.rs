//! Conditions in words: what a plan says is looked at before a step and after it.

use std::fmt;

use super::{Condition, row};

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standalone { node } => write!(f, "{node} is in no cluster"),
            Self::Members {
                cluster,
                nodes,
                offline,
            } => {
                write!(
                    f,
                    "{cluster} has exactly {}, all online and quorate, seen by each",
                    row(nodes)
                )?;
                if !offline.is_empty() {
                    write!(f, ", and {} offline", row(offline))?;
                }
                Ok(())
            }
            Self::Quorate { cluster, node } => write!(f, "{node} is quorate in {cluster} and can write to /etc/pve"),
            Self::LinksUp { cluster, nodes } => {
                write!(f, "every link of {cluster} connects {} with each other", row(nodes))
            }
            Self::LinkUp {
                cluster,
                link,
                addresses,
                priority,
            } => {
                write!(f, "link {link} of {cluster} connects {}", row(addresses.keys()))?;
                priority.map_or(Ok(()), |priority| write!(f, ", with priority {priority}"))
            }
            Self::Off { node, seen_by, .. } => {
                write!(f, "{node} does not answer, and {} see it offline", row(seen_by))
            }
            Self::CleanedUp {
                removed,
                on,
                keep_folder: true,
                ..
            } => write!(f, "no key of {removed} is left in /etc/pve on {on}"),
            Self::CleanedUp { removed, on, .. } => write!(f, "nothing of {removed} is left in /etc/pve on {on}"),
            Self::Qdevice {
                cluster,
                host: Some(host),
                ..
            } => {
                write!(f, "the QDevice at {host} votes in {cluster}, seen by each member")
            }
            Self::Qdevice {
                cluster, host: None, ..
            } => write!(f, "{cluster} has no QDevice"),
            Self::QdeviceDue { cluster, via, .. } => write!(
                f,
                "all members of {cluster} that {via} counts are online, at rest and ready for a QDevice"
            ),
            Self::QdeviceBack { cluster, via, host, .. } => write!(
                f,
                "the QDevice at {host} votes in {cluster}, seen by each member that {via} counts, or their number is odd"
            ),
            Self::NotTwoVotes { cluster, node } => {
                write!(
                    f,
                    "{cluster} does not hang on two votes without a third, seen by {node}"
                )
            }
            Self::Installed { node, packages } => write!(f, "{} installed on {node}", row(packages)),
            Self::KeysAdmitted { node, cluster, keys } if keys.is_empty() => {
                write!(f, "no key of {cluster} may log in on {node}")
            }
            Self::KeysAdmitted { node, cluster, .. } => write!(f, "{cluster}'s key may log in on {node}"),
            Self::HaDisarmed { nodes, .. } => write!(f, "no watchdog is armed on {}", row(nodes)),
            Self::HaArmed { nodes, .. } => write!(f, "HA is not disarmed any more on {}", row(nodes)),
            Self::HaService { node, service, running } => {
                let state = if *running { "runs" } else { "is stopped" };
                write!(f, "{} {state} on {node}", service.unit())
            }
            Self::HaServiceOrOut { node, service, .. } => {
                write!(f, "{} runs on {node}, or {node} is off or out", service.unit())
            }
            Self::AgentsAllowed { node, passages, from } => {
                write!(f, "{node}'s firewall lets {} through to {}", row(from), row(passages))
            }
            Self::DisksFree { node, layout } => {
                let names = layout.all_disks().map(|disk| disk.link.as_str());
                write!(
                    f,
                    "{} of {node} carry nothing, and are the disks that were planned",
                    row(names)
                )
            }
            Self::PoolMade { node, layout } => {
                write!(
                    f,
                    "pool {} of {node} is ONLINE, with each disk in its place",
                    layout.name
                )
            }
            Self::DiskCarries { node, disk, carries } => {
                write!(
                    f,
                    "{} of {node} carries nothing but {}, and nobody uses it",
                    disk.link,
                    row(carries)
                )
            }
            Self::DiskEmpty { node, disk } => write!(f, "{} of {node} carries nothing", disk.link),
            Self::PoolCanGrow { node, layout } => {
                let names = layout.all_disks().map(|disk| disk.link.as_str());
                write!(
                    f,
                    "pool {} of {node} is ONLINE, and {} carry nothing",
                    layout.name,
                    row(names)
                )
            }
            Self::PoolHas { node, layout } => {
                let names = layout.all_disks().map(|disk| disk.link.as_str());
                write!(f, "pool {} of {node} is ONLINE with {}", layout.name, row(names))
            }
            Self::DiskCanReplace {
                node, pool, old, with, ..
            } => {
                write!(f, "pool {pool} of {node} has {old}, and {} carries nothing", with.link)
            }
            Self::DiskReplaced { node, pool, old, with } => {
                write!(f, "pool {pool} of {node} has {} for {old}", with.link)
            }
            Self::AgentRuns { node, version, cluster } => {
                write!(f, "the agent of {node} answers, as version {version}")?;
                cluster
                    .as_ref()
                    .map_or(Ok(()), |cluster| write!(f, ", and {node} is quorate in {cluster}"))
            }
            Self::CopyMade { node, guest, target } => {
                write!(
                    f,
                    "guest {guest} of {node} has a copy on {target}, and no run failed since"
                )
            }
            Self::ReplicationSet {
                job,
                other,
                schedule,
                rate,
                returning_node,
                enabled,
                ..
            } => {
                write!(f, "replication job {job} to {other} runs at {schedule}")?;
                if let Some(rate) = rate {
                    write!(f, " with at most {rate} MB/s")?;
                }
                let on = if *enabled { ", and is on" } else { "" };
                write!(f, ", says {returning_node} of a server that returns{on}")
            }
            Self::CopyGone { node, guest, target } => {
                write!(f, "{node} copies guest {guest} to {target} no more")
            }
            Self::MigrationSet { node, migration } => {
                write!(f, "the setting for migration is {migration}, as {node} sees it")
            }
            Self::HaResourceSet {
                service,
                max_restart,
                max_relocate,
                group,
                no_failback,
                ..
            } => {
                write!(f, "{service} is under HA")?;
                let numbers = [("max_restart", max_restart), ("max_relocate", max_relocate)];
                for (what, number) in numbers
                    .iter()
                    .filter_map(|(what, number)| Some((what, number.as_ref()?)))
                {
                    write!(f, ", {what} {number}")?;
                }
                if let Some(group) = group {
                    write!(f, ", in the group {group}")?;
                }
                if *no_failback {
                    f.write_str(", without failback")
                } else {
                    Ok(())
                }
            }
            Self::HaBound {
                name, service, nodes, ..
            } => {
                let what = service.map_or_else(|| "group".to_owned(), |service| format!("{service} by the rule"));
                write!(f, "{what} {name} is bound strictly to {}, none preferred", row(nodes))
            }
            Self::StorageReady { storage, nodes } => {
                write!(
                    f,
                    "storage {} is defined so, and active on {}",
                    storage.name,
                    row(nodes)
                )
            }
            Self::GuestAt {
                guest,
                node,
                running,
                managed,
                ..
            } => {
                let state = if *running { "runs" } else { "is stopped" };
                let by_ha = if *managed { ", also by HA" } else { "" };
                write!(f, "guest {guest} {state} on {node}{by_ha}, and nothing holds it")
            }
            Self::Maintenance { node, on: true, .. } => write!(f, "HA has {node} in maintenance, and nothing on it"),
            Self::Maintenance { node, .. } => write!(f, "HA may use {node} again"),
            Self::Drained { node } => write!(f, "no guest runs on {node}"),
            Self::Spare { cluster, node, .. } => write!(
                f,
                "{cluster} can do without {node}: votes, fresh copies, HA at rest, memory"
            ),
            Self::VolumesKept { node, volumes, .. } => {
                write!(f, "{} of {node} is kept aside under another name", row(volumes))
            }
            Self::VolumeGone { node, volume } => write!(f, "there is no {volume} on {node} any more"),
            Self::Canary {
                guest,
                node,
                there: true,
                ..
            } => write!(f, "guest {guest} runs on {node} as a canary of ours"),
            Self::Canary { guest, .. } => write!(f, "there is no guest {guest} any more"),
            Self::Rebooted { cluster, node, .. } => {
                write!(f, "{node} has started anew, and is quorate in {cluster}")
            }
            Self::NothingWorse { cluster, .. } => write!(f, "nothing of {cluster} is worse than when this was planned"),
        }
    }
}
