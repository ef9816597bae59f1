//! What really became of a drill, by the world's own log. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::happened::Happened;
use super::scenario::{Breaks, GUEST};

/// A moment in true wall time, in microseconds since 1970: between these two ends.
pub type Moment = (i64, i64);

/// The log has milliseconds.
const TO_THE_MILLISECOND: i64 = 1000;

/// What the drill was about.
#[derive(Debug, Clone)]
pub struct About {
    /// The server that it was done to.
    pub victim: String,
    /// What was broken.
    pub breaks: Breaks,
    /// corosync's numbers of all members.
    pub ids: BTreeMap<String, u32>,
}

/// A time in which nobody outside heard the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Since when.
    pub from: Moment,
    /// Until when; `None`: to the end of the log.
    pub to: Option<Moment>,
}

/// The truth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    /// When the fault was made; `None`: it was not.
    pub fault: Option<Moment>,
    /// The same in simulated milliseconds.
    pub fault_ms: Option<u64>,
    /// When nothing of it was left, in wall time and in simulated milliseconds.
    pub gone: Option<(Moment, u64)>,
    /// By the names that the record has for them: when each phase really began.
    pub phases: BTreeMap<&'static str, Moment>,
    /// Phases that are as the record tells them only from then on.
    pub not_before: BTreeMap<&'static str, i64>,
    /// Times in which the guest did not answer outside, from the fault on.
    pub silences: Vec<Silence>,
    /// The last number that the guest told somebody outside before it was started anew.
    pub told: Option<u64>,
    /// The number that the run after the fault found when it began.
    pub resumed: Option<u64>,
    /// The last number that the old run wrote.
    pub written: Option<u64>,
    /// The guest ran on two servers at once: when, and where.
    pub twice: Vec<String>,
    /// Calls of tools that the world does not know.
    pub unknown: BTreeSet<String>,
    /// The log tells of HA's decisions.
    pub tells_of_ha: bool,
}

impl Silence {
    /// How long, in microseconds: at least and at most.
    #[must_use]
    pub fn length(&self) -> Option<(i64, i64)> {
        let to = self.to?;
        Some((to.0 - self.from.1, to.1 - self.from.0))
    }
}

fn moment(entry: &Happened) -> Moment {
    (entry.at, entry.at + TO_THE_MILLISECOND)
}

/// `vm:900 at 243` or `900 up to 243`: of our guest, and the number.
fn number_of(detail: &str) -> Option<u64> {
    let own = [format!("vm:{GUEST} "), format!("ct:{GUEST} "), format!("{GUEST} ")];
    let rest = own.iter().find_map(|own| detail.strip_prefix(own.as_str()))?;
    rest.rsplit(' ').next()?.parse().ok()
}

fn is_ours(entry: &Happened) -> bool {
    number_of(&entry.detail).is_some()
}

/// Reads the log. `began`: the place in it at which the drill began.
#[must_use]
pub fn truth(log: &[Happened], began: usize, about: &About) -> Truth {
    let since = log.get(began..).unwrap_or_default();
    let mut found = Truth {
        twice: twice(log),
        unknown: since
            .iter()
            .filter(|entry| entry.what == "UNKNOWN INVOCATION")
            .map(|entry| entry.detail.clone())
            .collect(),
        tells_of_ha: log
            .iter()
            .any(|entry| entry.what == "ha-node-changed" || entry.what == "ha-started"),
        ..Truth::default()
    };
    let Some((place, fault)) = fault(since, about) else {
        found.silences = silences(log, began, about);
        return found;
    };
    let made = since.get(place).map_or(0, |entry| entry.ms);
    found.fault = Some(fault);
    found.fault_ms = Some(made);
    found.phases.insert("fault", fault);
    let after = since.get(place..).unwrap_or_default();
    found.gone = gone(after, about);
    found.silences = silences(log, began + place, about);
    let started = phases(after, about, &mut found);
    found.told = after
        .iter()
        .find(|entry| entry.what == "numbers-told" && is_ours(entry))
        .and_then(|entry| number_of(&entry.detail));
    found.resumed = started.and_then(|entry| number_of(&entry.detail));
    found.written = after
        .iter()
        .find(|entry| entry.is("guest-stopped", &about.victim) && is_ours(entry))
        .and_then(|entry| number_of(&entry.detail));
    found
}

fn is_call(entry: &Happened, what: &str, node: &str, words: &[&str]) -> bool {
    entry.is(what, node) && words.iter().all(|word| entry.detail.contains(word))
}

/// When the fault was made: its place in the log, and the moment.
fn fault(since: &[Happened], about: &About) -> Option<(usize, Moment)> {
    let victim = about.victim.as_str();
    let first = |is: &dyn Fn(&Happened) -> bool| {
        let place = since.iter().position(is)?;
        Some((place, moment(since.get(place)?)))
    };
    // From a tool's call to its end.
    let called = |words: &[&str]| {
        let place = since
            .iter()
            .position(|entry| is_call(entry, "tool-called", victim, words))?;
        let begun = since.get(place)?;
        let rest = since.get(place..)?;
        let ended = rest.iter().find(|entry| is_call(entry, "tool-ended", victim, words))?;
        Some((place, (begun.at, moment(ended).1)))
    };
    match about.breaks {
        Breaks::Network => first(&|entry| entry.is("cut", victim)),
        Breaks::ClusterNetwork | Breaks::Link(_) => {
            first(&|entry| entry.is("corosync-cut", victim)).or_else(|| called(&["nft", "-f"]))
        }
        Breaks::Corosync => first(&|entry| entry.is("corosync-stopped", victim)),
        Breaks::Pmxcfs => first(&|entry| entry.is("pmxcfs-unmounted", victim)),
        Breaks::Guest => first(&|entry| entry.is("guest-stopped", victim) && is_ours(entry)),
        Breaks::PowerReset | Breaks::PowerOff => first(&|entry| entry.is("powered-off", victim)),
        Breaks::PowerShutdown => {
            first(&|entry| entry.is("shutting-down", victim)).or_else(|| called(&["systemctl", "poweroff"]))
        }
        Breaks::Lrm => first(&|entry| entry.is("ha-ended", victim) && entry.detail == "pve-ha-lrm")
            .or_else(|| called(&["systemctl", "stop", "pve-ha-lrm"])),
        Breaks::Disk => first(&|entry| entry.is("disk-offline", victim)).or_else(|| called(&["zpool", "offline"])),
    }
}

/// When nothing was left of it. Without power nothing is left but the missing power.
fn gone(after: &[Happened], about: &About) -> Option<(Moment, u64)> {
    let victim = about.victim.as_str();
    let power = matches!(
        about.breaks,
        Breaks::PowerReset | Breaks::PowerOff | Breaks::PowerShutdown
    );
    let mut ports: BTreeSet<(bool, &str)> = BTreeSet::new();
    for entry in after.iter().filter(|entry| entry.node == victim) {
        let over = match (about.breaks, entry.what.as_str()) {
            (_, "powered-on") if power => true,
            (_, "powered-off") if !power => true,
            (Breaks::Network, "cut" | "corosync-cut") | (Breaks::ClusterNetwork | Breaks::Link(_), "corosync-cut") => {
                ports.insert((entry.what == "cut", &entry.detail));
                false
            }
            (Breaks::Network, "healed" | "corosync-healed")
            | (Breaks::ClusterNetwork | Breaks::Link(_), "corosync-healed") => {
                ports.remove(&(entry.what == "healed", entry.detail.as_str()));
                ports.is_empty()
            }
            (Breaks::Corosync, "corosync-started")
            | (Breaks::Pmxcfs, "pmxcfs-mounted")
            | (Breaks::Disk, "disk-online") => true,
            (Breaks::Guest, "guest-started") => is_ours(entry),
            (Breaks::Lrm, "ha-started") => entry.detail == "pve-ha-lrm",
            (Breaks::Lrm, "tool-ended") => {
                entry.detail.contains("systemctl") && entry.detail.contains("start pve-ha-lrm")
            }
            (Breaks::Disk, "tool-ended") => entry.detail.starts_with("zpool online"),
            _ => false,
        };
        if over {
            return Some((moment(entry), entry.ms));
        }
    }
    None
}

/// corosync's members, as the log has them: `2 3`.
fn has_member(entry: &Happened, id: u32) -> bool {
    entry.detail.split(' ').any(|word| word.parse() == Ok(id))
}

/// Fills in the phases; returns the guest's first start after the fault, wherever that was.
fn phases<'l>(after: &'l [Happened], about: &About, found: &mut Truth) -> Option<&'l Happened> {
    let victim = about.victim.as_str();
    let id = about.ids.get(victim).copied().unwrap_or(0);
    let other = |entry: &Happened| !entry.node.is_empty() && entry.node != victim;
    let mut note = |phase: &'static str, entry: Option<&Happened>| {
        if let Some(entry) = entry {
            found.phases.entry(phase).or_insert(moment(entry));
        }
    };
    let first = |is: &dyn Fn(&Happened) -> bool| after.iter().find(|entry| is(entry));
    let host = format!("host: {id} ");
    note(
        "link_lost",
        first(&|entry| entry.what == "link-down" && (entry.node == victim || entry.detail.starts_with(&host))),
    );
    let lost = after
        .iter()
        .position(|entry| entry.what == "membership-changed" && other(entry) && !has_member(entry, id));
    note("membership_lost", lost.and_then(|place| after.get(place)));
    let later = lost.and_then(|place| after.get(place..)).unwrap_or_default();
    let back = later
        .iter()
        .find(|entry| entry.what == "membership-changed" && other(entry) && has_member(entry, id));
    note("node_back", back);
    note("quorum_lost", first(&|entry| entry.is("quorum-lost", victim)));
    note("reset", first(&|entry| entry.is("powered-off", victim)));
    note(
        "fence_decided",
        first(&|entry| entry.what == "fence-decided" && entry.detail.contains(victim)),
    );
    note(
        "lock_taken",
        first(&|entry| entry.what == "lock-taken" && entry.detail.contains(victim)),
    );
    let is_start = |entry: &Happened| entry.what == "guest-started" && is_ours(entry);
    let here = about.breaks == Breaks::Guest;
    // A victim that is back before its lock has run out starts it itself: that is no recovery.
    note(
        "guest_started",
        first(&|entry| is_start(entry) && (other(entry) || here)),
    );
    let started = after.iter().position(is_start);
    let start = started.and_then(|place| after.get(place));
    if let Some(gone) = found.gone {
        found.phases.insert("fault_gone", gone.0);
    }
    if let Some(start) = start {
        let open = |silence: &&Silence| silence.to.is_some_and(|to| to.1 >= start.at);
        if let Some(to) = found.silences.iter().find(open).and_then(|silence| silence.to) {
            found.phases.insert("first_answer", to);
            found.not_before.insert("steady", to.0);
        }
    }
    let from = started.and_then(|place| after.get(place..)).unwrap_or_default();
    if let Some(synced) = in_sync(from, about) {
        found.not_before.insert("in_sync", synced);
    }
    let settled = ["fault_gone", "node_back", "first_answer"];
    let settled = settled.into_iter().filter_map(|phase| found.phases.get(phase));
    if let Some(last) = settled.map(|moment| moment.0).max() {
        found.not_before.insert("normal", last);
    }
    start
}

/// When each of the others had a run of its own that ended well since the guest was started.
fn in_sync(from: &[Happened], about: &About) -> Option<i64> {
    let owner = &from.first()?.node;
    let mut wanting: BTreeSet<&str> = about
        .ids
        .keys()
        .map(String::as_str)
        .filter(|name| name != owner)
        .collect();
    for entry in from.iter().filter(|entry| entry.what == "replicated") {
        if let Some(target) = entry.detail.split(' ').nth(2) {
            wanting.remove(target);
        }
        if wanting.is_empty() {
            return Some(entry.at);
        }
    }
    None
}

/// Where the guest is heard outside, by what the log tells of it itself, or by what makes it so.
fn silences(log: &[Happened], fault: usize, about: &About) -> Vec<Silence> {
    let own = GUEST.to_string();
    let tells = log.iter().any(|entry| entry.what == "guest-answers");
    let mut heard = true;
    let (mut on, mut cut) = (about.victim.clone(), false);
    let mut all: Vec<Silence> = Vec::new();
    for (place, entry) in log.iter().enumerate() {
        let now = if tells {
            match entry.what.as_str() {
                "guest-answers" if entry.detail == own => true,
                "guest-silent" if entry.detail == own => false,
                _ => continue,
            }
        } else {
            match entry.what.as_str() {
                "guest-started" | "guest-moved" if is_ours(entry) => {
                    on.clone_from(&entry.node);
                    true
                }
                "guest-stopped" if is_ours(entry) && entry.node == on => false,
                "cut" if entry.node == on => {
                    cut = true;
                    false
                }
                "healed" | "powered-off" if entry.node == on && cut => {
                    cut = false;
                    entry.what == "healed"
                }
                _ => continue,
            }
        };
        // Where it goes over alive it is silent for a moment, which is before the fault.
        if place < fault {
            heard = now;
            continue;
        }
        if heard && !now {
            all.push(Silence {
                from: moment(entry),
                to: None,
            });
        } else if !heard
            && now
            && let Some(last) = all.last_mut()
        {
            last.to.get_or_insert(moment(entry));
        }
        heard = now;
    }
    all
}

/// A guest that runs on two servers at once. One that goes over alive stands still on one of them.
fn twice(log: &[Happened]) -> Vec<String> {
    let mut runs: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for entry in log.iter().filter(|entry| is_ours(entry)) {
        match entry.what.as_str() {
            "guest-started" => {
                runs.insert(&entry.node);
            }
            "guest-stopped" => {
                runs.remove(entry.node.as_str());
            }
            // `vm:900 from prox1 at 243`
            "guest-moved" => {
                if let Some(from) = entry.detail.split(' ').nth(2)
                    && runs.remove(from)
                {
                    runs.insert(&entry.node);
                }
            }
            _ => continue,
        }
        if runs.len() > 1 {
            let all: Vec<&str> = runs.iter().copied().collect();
            found.push(format!("at {} ms it ran on {}", entry.ms, all.join(" and on ")));
        }
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn at(ms: u64, node: &str, what: &str, detail: &str) -> Happened {
        Happened {
            at: i64::try_from(ms).unwrap() * 100,
            ms,
            node: node.to_owned(),
            what: what.to_owned(),
            detail: detail.to_owned(),
        }
    }

    pub(crate) fn about(breaks: Breaks) -> About {
        About {
            victim: "prox1".to_owned(),
            breaks,
            ids: [("prox1", 1), ("prox2", 2), ("prox3", 3)]
                .map(|(name, id)| (name.to_owned(), id))
                .into(),
        }
    }

    /// A server is cut off, as it happens in a lab at speed 10.
    pub(crate) fn story() -> Vec<Happened> {
        vec![
            at(1000, "prox1", "guest-started", "vm:900 at 0"),
            at(1000, "prox1", "guest-answers", "900"),
            at(100_000, "prox1", "cut", "eno1"),
            at(100_000, "prox1", "cut", "eno2"),
            at(100_010, "prox1", "guest-silent", "900"),
            at(101_500, "prox2", "link-down", "host: 3 link: 0"),
            at(101_600, "prox2", "link-down", "host: 1 link: 0"),
            at(108_000, "prox1", "membership-changed", "1"),
            at(108_000, "prox2", "membership-changed", "2 3"),
            at(108_000, "prox1", "quorum-lost", "1 of 3 votes, 2 needed"),
            at(168_000, "prox1", "watchdog-reset", ""),
            at(168_000, "prox1", "guest-stopped", "vm:900 at 1670"),
            at(168_000, "prox1", "powered-off", ""),
            at(210_000, "prox2", "fence-decided", "prox1"),
            at(225_000, "prox2", "lock-taken", "prox1"),
            at(235_000, "prox2", "numbers-told", "900 up to 989"),
            at(235_000, "prox2", "guest-started", "vm:900 at 600"),
            at(235_020, "prox2", "guest-answers", "900"),
            at(260_000, "prox2", "replicated", "900-1 to prox3 up to 800"),
            at(348_000, "prox1", "powered-on", ""),
            at(352_000, "prox3", "membership-changed", "1 2 3"),
            at(380_000, "prox2", "replicated", "900-0 to prox1 up to 1900"),
        ]
    }

    #[test]
    fn a_cut_server_is_followed_from_the_fault_to_the_last_copy() {
        let truth = truth(&story(), 2, &about(Breaks::Network));
        let of = |ms: i64| (ms * 100, ms * 100 + 1000);
        assert_eq!((truth.fault, truth.fault_ms), (Some(of(100_000)), Some(100_000)));
        assert_eq!(
            truth.gone,
            Some((of(168_000), 168_000)),
            "without power nothing is left"
        );
        let phases = [
            ("fault", 100_000),
            ("fault_gone", 168_000),
            ("fence_decided", 210_000),
            ("first_answer", 235_020),
            ("guest_started", 235_000),
            ("link_lost", 101_600),
            ("lock_taken", 225_000),
            ("membership_lost", 108_000),
            ("node_back", 352_000),
            ("quorum_lost", 108_000),
            ("reset", 168_000),
        ];
        assert_eq!(truth.phases, phases.map(|(phase, ms)| (phase, of(ms))).into());
        assert_eq!(
            truth.not_before,
            [("in_sync", 38_000_000), ("normal", 35_200_000), ("steady", 23_502_000)].into()
        );
        let silence = Silence {
            from: of(100_010),
            to: Some(of(235_020)),
        };
        assert_eq!(truth.silences, [silence]);
        assert_eq!(silence.length(), Some((13_500_000, 13_502_000)));
        assert_eq!(
            (truth.told, truth.resumed, truth.written),
            (Some(989), Some(600), Some(1670))
        );
        assert!(truth.twice.is_empty() && truth.unknown.is_empty());
    }

    #[test]
    fn a_log_that_does_not_tell_who_is_heard_says_it_by_what_makes_it_so() {
        let mut log = story();
        log.retain(|entry| !matches!(entry.what.as_str(), "guest-answers" | "guest-silent"));
        let truth = truth(&log, 1, &about(Breaks::Network));
        let [silence] = truth.silences.as_slice() else {
            panic!("{truth:?}")
        };
        assert_eq!(silence.length(), Some((13_499_000, 13_501_000)));
    }

    #[test]
    fn a_guest_on_two_servers_is_seen_and_one_that_goes_over_is_not() {
        let mut log = story();
        log.retain(|entry| entry.what != "guest-stopped");
        assert_eq!(twice(&log), ["at 235000 ms it ran on prox1 and on prox2"]);
        let moved = [
            at(1000, "prox1", "guest-started", "vm:900 at 0"),
            at(2000, "prox2", "guest-moved", "vm:900 from prox1 at 10"),
        ];
        assert!(twice(&moved).is_empty());
    }

    #[test]
    fn what_was_never_made_has_no_phases() {
        let mut log = story();
        log.truncate(2);
        log.push(at(5000, "prox1", "UNKNOWN INVOCATION", "qm dance"));
        let truth = truth(&log, 2, &about(Breaks::Network));
        assert_eq!((truth.fault, truth.gone), (None, None));
        assert!(truth.phases.is_empty() && truth.silences.is_empty());
        assert_eq!(truth.unknown, BTreeSet::from(["qm dance".to_owned()]));
    }
}
