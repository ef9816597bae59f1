//! Guests without a recent backup, in one finding for each cluster: where nobody makes backups there may be hundreds of them. Seen are the logs that
//! PVE's own vzdump keeps on the servers; a guest that has moved has some on each that it was on.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_model::observation::{BackupEnd, ConfiguredGuest, GuestBackup, GuestKind};
use quorate_model::time::spoken;
use quorate_model::{ClusterName, Code, Finding, NodeRef, Timestamp, UnknownKind, canary};
use quorate_proto::Sighting;

use super::health::stale;
use super::protection::{OLD as TOLD_LONG_AGO, guest_age};
use crate::fleet::known_guests::Told;

/// Backups are made each night, or each week: a week, and a day for the last one to run.
const OLD: Duration = Duration::from_secs(8 * 86_400);

/// A log without an end is that of a backup that runs; after so long, of one that was broken off.
const RUNS: Duration = Duration::from_secs(86_400);

/// So many guests are named of each kind; of the others there is their number.
const NAMED: usize = 5;

/// What is shown of a reason, in characters.
const SHOWN: usize = 120;

/// What there is to say of the backups of a cluster's guests. Old words about what is configured are told of elsewhere, as are servers that
/// can't tell it.
pub(crate) fn backups(now: Timestamp, cluster: &ClusterName, told: &Told, seen: &[Sighting]) -> Option<Finding> {
    let config = told.config.as_ref().ok()?;
    if told.at.age(now) > TOLD_LONG_AGO {
        return None;
    }
    let guests = match config.guests.get() {
        Ok(guests) => guests,
        Err(unknown) => {
            let message = format!(
                "whether the guests of {cluster} have recent backups can't be told: {}",
                unknown.reason
            );
            let next = format!("on {}: quorate-agent observe config", told.by);
            return Some(Finding::new(Code::GuestNoBackup, cluster.as_str(), message, next));
        }
    };
    let logs = Logs::of(now, cluster, told, seen);
    let mut lacking = Lacking::default();
    for guest in guests {
        lacking.take(guest.guest.vmid, logs.judge(guest, told));
    }
    lacking.finding(now, cluster)
}

/// What the servers of a cluster have logged.
struct Logs<'a> {
    now: Timestamp,
    /// Also what a server told that is away now: a backup that it made was made.
    known: Vec<(&'a str, &'a GuestBackup)>,
    /// Servers whose logs can't be seen now, and why.
    unseen: BTreeMap<&'a str, &'a str>,
    /// There is one that has not told of any yet: its agent has just begun, or is older and knows nothing of them.
    awaited: bool,
}

/// A guest's last backup.
enum Judged<'a> {
    /// It is recent, or there is nothing to say yet.
    Well,
    /// It failed, there.
    Failed { node: &'a str, last: &'a GuestBackup },
    /// It was made then.
    Old(Timestamp),
    /// No log tells of one.
    Never,
    /// There may be one that can't be seen.
    Untold(String),
}

impl<'a> Logs<'a> {
    fn of(now: Timestamp, cluster: &ClusterName, told: &'a Told, seen: &'a [Sighting]) -> Self {
        let mut logs = Self {
            now,
            known: Vec::new(),
            unseen: BTreeMap::new(),
            awaited: false,
        };
        for sighting in seen {
            let node = sighting.node.node.as_str();
            let backups = sighting.view.observation.as_ref().map(|seen| seen.backups.get());
            if let Ok(Ok(backups)) = backups {
                logs.known.extend(backups.iter().map(|backup| (node, backup)));
            }
            match backups {
                _ if stale(now, sighting) => {
                    logs.unseen.insert(node, "it does not answer");
                }
                Ok(Ok(_)) => {}
                Ok(Err(unknown)) if unknown.kind == UnknownKind::NotAsked => logs.awaited = true,
                Ok(Err(unknown)) | Err(unknown) => {
                    logs.unseen.insert(node, &unknown.reason);
                }
            }
        }
        let by = NodeRef::new(cluster.clone(), told.by.clone());
        let speaker = seen.iter().find(|sighting| sighting.node == by);
        let cluster = speaker.and_then(|own| own.view.observation.as_ref().ok()?.cluster.get().ok());
        let members = cluster.and_then(|cluster| cluster.member());
        for node in members.into_iter().flat_map(|member| &member.nodes) {
            if !seen.iter().any(|sighting| sighting.node.node.as_str() == node.name) {
                logs.unseen.insert(&node.name, "it is not enrolled");
            }
        }
        logs
    }

    fn judge(&self, guest: &ConfiguredGuest, told: &Told) -> Judged<'a> {
        let config = guest.config.get().ok();
        if config.is_some_and(|config| config.template) || canary::is_tagged(guest) == Some(true) {
            return Judged::Well;
        }
        let created = config.and_then(|config| config.created);
        // An id may have been another guest's before, and so may its log.
        let own = |backup: &GuestBackup| {
            backup.vmid == guest.guest.vmid
                && backup.kind == guest.guest.kind
                && created.is_none_or(|created| backup.at >= created)
        };
        let own: Vec<_> = self.known.iter().filter(|logged| own(logged.1)).copied().collect();
        let made = |(_, backup): &(&str, &GuestBackup)| (backup.end == BackupEnd::Finished).then_some(backup.at);
        let made = own.iter().filter_map(made).max();
        if let Some((node, last)) = own.into_iter().max_by_key(|(_, backup)| backup.at) {
            match last.end {
                BackupEnd::Finished => {}
                BackupEnd::Open if last.at.age(self.now) < RUNS => return Judged::Well,
                BackupEnd::Open | BackupEnd::Failed(_) => return Judged::Failed { node, last },
            }
        }
        if made.is_some_and(|made| made.age(self.now) < OLD) {
            return Judged::Well;
        }
        let young = || guest_age(self.now, told, guest, OLD).is_some_and(|age| age < OLD);
        if made.is_none() && young() {
            return Judged::Well;
        }
        if let Err(unknown) = guest.config.get() {
            return Judged::Untold(unknown.reason.clone());
        }
        if let Some((node, why)) = self.unseen.iter().next() {
            return Judged::Untold(format!("the logs of {node} can't be seen: {why}"));
        }
        match made {
            _ if self.awaited => Judged::Well,
            Some(made) => Judged::Old(made),
            None => Judged::Never,
        }
    }
}

/// The guests that lack one.
#[derive(Default)]
struct Lacking<'a> {
    failed: Vec<(u32, &'a str, &'a GuestBackup)>,
    old: Vec<(u32, Timestamp)>,
    never: Vec<u32>,
    untold: Vec<(u32, String)>,
}

impl<'a> Lacking<'a> {
    fn take(&mut self, guest: u32, judged: Judged<'a>) {
        match judged {
            Judged::Well => {}
            Judged::Failed { node, last } => self.failed.push((guest, node, last)),
            Judged::Old(made) => self.old.push((guest, made)),
            Judged::Never => self.never.push(guest),
            Judged::Untold(why) => self.untold.push((guest, why)),
        }
    }

    fn finding(self, now: Timestamp, cluster: &ClusterName) -> Option<Finding> {
        let mut parts = Vec::new();
        if !self.failed.is_empty() {
            let one = |(guest, node, last): &(u32, &str, &GuestBackup)| {
                let ago = spoken(last.at.age(now));
                match &last.end {
                    BackupEnd::Failed(why) => format!("{guest} ({ago} ago on {node}: {})", short(why)),
                    _ => format!("{guest} (it was broken off {ago} ago on {node})"),
                }
            };
            parts.push(format!("the last one failed of {}", named(&self.failed, one)));
        }
        if !self.old.is_empty() {
            let one = |(guest, made): &(u32, Timestamp)| format!("{guest} ({})", spoken(made.age(now)));
            parts.push(format!("the last one is old of {}", named(&self.old, one)));
        }
        if !self.never.is_empty() {
            parts.push(format!("no log tells of any of {}", named(&self.never, u32::to_string)));
        }
        if let Some((_, why)) = self.untold.first() {
            let one = |(guest, _): &(u32, String)| guest.to_string();
            let untold = named(&self.untold, one);
            parts.push(format!("it can't be told of {untold} ({})", short(why)));
        }
        if parts.is_empty() {
            return None;
        }
        let message = format!(
            "no recent backup is known of guests of {cluster}: {}. Seen is what PVE's own vzdump makes, also to a Proxmox Backup Server; of backups by \
             other programs nothing is known",
            parts.join("; ")
        );
        let next = match self.failed.first() {
            Some((guest, node, last)) => {
                let word = match last.kind {
                    GuestKind::Vm => "qemu",
                    GuestKind::Container => "lxc",
                };
                format!("on {node}: look at /var/log/vzdump/{word}-{guest}.log")
            }
            None => "on a member: pvesh get /cluster/backup shows which guests are backed up, and when".to_owned(),
        };
        Some(Finding::new(Code::GuestNoBackup, cluster.as_str(), message, next))
    }
}

/// The first of them, and how many there are beside.
fn named<T>(all: &[T], one: impl Fn(&T) -> String) -> String {
    let first: Vec<String> = all.iter().take(NAMED).map(one).collect();
    let first = first.join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn short(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use quorate_model::Facet;
    use quorate_model::observation::guest_config::GuestConfig;
    use quorate_planner::testkit::{self as kit, NOW, Servers};

    use super::*;
    use crate::fleet::known_guests::Since;

    const DAY: i64 = 86_400;

    fn ago(seconds: i64) -> Timestamp {
        Timestamp(NOW.0 - seconds * 1_000_000)
    }

    fn log(vmid: u32, seconds_ago: i64, end: BackupEnd) -> GuestBackup {
        GuestBackup {
            vmid,
            kind: GuestKind::Vm,
            at: ago(seconds_ago),
            end,
        }
    }

    fn failed() -> BackupEnd {
        BackupEnd::Failed("no space left".to_owned())
    }

    fn guest(vmid: u32, change: impl Fn(&mut GuestConfig)) -> ConfiguredGuest {
        let mut guest = kit::guest(vmid, "prox1", "data_zfs");
        change(kit::known(&mut guest.config));
        guest
    }

    /// Three members, of which these have logged something, and the others nothing.
    fn servers(guests: &[ConfiguredGuest], logs: &[(&str, GuestBackup)]) -> Servers {
        Servers::bare(3)
            .members("hk1", &["prox1", "prox2", "prox3"], &["10.10.10.0/24"])
            .with_guests(guests)
            .with_each(|seen| {
                let own = logs.iter().filter(|(node, _)| *node == seen.hostname);
                seen.backups = Facet::known(own.map(|(_, log)| log.clone()).collect(), NOW);
            })
    }

    fn told_of(servers: &Servers, since: &[(u32, Since)], away: &str) -> Option<Finding> {
        let cluster: ClusterName = "hk1".parse().unwrap();
        let seen: Vec<Sighting> = servers
            .view
            .nodes
            .iter()
            .map(|(node, view)| Sighting {
                node: NodeRef::new(cluster.clone(), node.clone()),
                view: view.clone(),
                received_at: Some(if node.as_str() == away { ago(60) } else { NOW }),
                connection: None,
            })
            .collect();
        let by = kit::name("prox3");
        let told = Told {
            config: servers.view.facet(&by, |o| &o.config).cloned(),
            by,
            at: NOW,
            since: since.iter().copied().collect(),
        };
        backups(NOW, &cluster, &told, &seen)
    }

    fn message(servers: &Servers) -> String {
        told_of(servers, &[], "").map(|found| found.message).unwrap_or_default()
    }

    #[test]
    fn the_newest_backup_of_all_servers_counts() {
        let guests = [guest(100, |_| ())];
        let both = [
            ("prox1", log(100, 9 * DAY, failed())),
            ("prox2", log(100, 7 * DAY, BackupEnd::Finished)),
        ];
        assert_eq!(message(&servers(&guests, &both)), "");
        let both = [
            ("prox1", log(100, 3600, failed())),
            ("prox2", log(100, 7 * DAY, BackupEnd::Finished)),
        ];
        let found = told_of(&servers(&guests, &both), &[], "").unwrap();
        assert_eq!((found.code, found.subject.as_str()), (Code::GuestNoBackup, "hk1"));
        assert_eq!(found.severity, quorate_model::Severity::Warning);
        assert!(
            found
                .message
                .contains("the last one failed of 100 (1 h ago on prox1: no space left)"),
            "{}",
            found.message
        );
        assert!(
            found.message.contains("by other programs nothing is known"),
            "{}",
            found.message
        );
        assert!(found.next.contains("qemu-100.log"), "{}", found.next);
        let old = servers(&guests, &[("prox2", log(100, 9 * DAY, BackupEnd::Finished))]);
        assert!(message(&old).contains("is old of 100 (9 d)"), "{}", message(&old));
    }

    #[test]
    fn one_that_runs_is_waited_for_and_one_that_was_broken_off_is_told() {
        let guests = [guest(100, |_| ())];
        let open = |seconds| servers(&guests, &[("prox1", log(100, seconds, BackupEnd::Open))]);
        assert_eq!(message(&open(3600)), "");
        let told = message(&open(2 * DAY));
        assert!(told.contains("100 (it was broken off 2 d ago on prox1)"), "{told}");
    }

    #[test]
    fn templates_canaries_and_young_guests_need_none_and_logs_of_others_do_not_count() {
        let guests = [
            guest(100, |config| config.template = true),
            guest(101, |config| config.tags = vec![canary::TAG.to_owned()]),
            guest(102, |config| config.created = Some(ago(2 * DAY))),
            guest(103, |_| ()),
            guest(104, |_| ()),
            // Whose ids were those of others before.
            guest(105, |config| config.created = Some(ago(10 * DAY))),
            guest(106, |_| ()),
        ];
        let container = GuestBackup {
            kind: GuestKind::Container,
            ..log(106, 60, BackupEnd::Finished)
        };
        let logs = [("prox1", log(105, 11 * DAY, BackupEnd::Finished)), ("prox1", container)];
        let since = |seconds, new| Since { at: ago(seconds), new };
        let since = [(103, since(60, true)), (104, since(60, false))];
        let found = told_of(&servers(&guests, &logs), &since, "").unwrap();
        assert!(
            found.message.contains("no log tells of any of 104, 105, 106."),
            "{}",
            found.message
        );
    }

    #[test]
    fn what_can_t_be_seen_is_not_absent() {
        let guests = [guest(100, |_| ()), guest(101, |_| ())];
        let logs = [("prox2", log(100, DAY, BackupEnd::Finished))];
        let all = servers(&guests, &logs);
        // What a server told that is away now still counts; whether it has made more since, nobody knows.
        let away = told_of(&all, &[], "prox2").unwrap().message;
        assert!(
            away.contains(": it can't be told of 101 (the logs of prox2 can't be seen: it does not answer)"),
            "{away}"
        );
        let blind = servers(&guests, &logs).with("prox1", |seen| seen.backups = kit::unseen());
        assert!(
            message(&blind).contains("it can't be told of 101 ("),
            "{}",
            message(&blind)
        );
        let silent = servers(&guests, &logs).with("prox1", |seen| seen.backups = Facet::not_asked());
        assert_eq!(message(&silent), "", "it has not told yet");
        let mut odd = guest(102, |_| ());
        odd.config = Facet::unknown(UnknownKind::Unparsable, "expected MiB");
        let told = message(&servers(&[odd], &[]));
        assert!(told.contains("it can't be told of 102 (expected MiB)"), "{told}");
    }

    #[test]
    fn hundreds_of_guests_are_one_finding() {
        let guests: Vec<_> = (100..400).map(|id| guest(id, |_| ())).collect();
        let told = message(&servers(&guests, &[]));
        assert!(
            told.contains("of any of 100, 101, 102, 103, 104 and 295 more."),
            "{told}"
        );
    }
}
