//! What HA's master makes of a command that was left with it. The command ends well in any case; a refusal stands in the master's log alone,
//! and a failure shows only in that nothing has come about after some rounds, or in that it is tried again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_model::Timestamp;
use quorate_model::observation::ha::ManagerStatus;
use quorate_model::time::spoken;

/// Three rounds of ten seconds: the queue is read, the LRM acts, its result is read. And half as much again.
pub(super) const ROUNDS: Duration = Duration::from_secs(45);
/// How long HA may not be visible before it is given up: longer than it takes another node to become master.
pub(super) const UNSEEN: Duration = Duration::from_secs(300);
/// Tries of one move in a maintenance that fail before it is given up. HA itself tries in every round, without end, and a container is down
/// for all of them; but the first may have met a run of replication or a backup, which hold the guest's lock for a while.
const TRIES: u32 = 3;

/// How far it is, as one look shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// It has come about.
    There,
    /// A guest is on its way, which takes as long as it takes; in words.
    Moving(String),
    /// Something is to come that takes a round or two; in words.
    Coming(String),
    /// Nothing is under way.
    Idle,
    /// It can't go on: HA will do nothing more by itself.
    Broken(String),
    /// It can't be seen.
    Hidden(String),
    /// Whether what is seen is how it is, only the master's next word shows; in words.
    Unheard(String),
}

/// What follows from a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// It is there.
    Done,
    /// Look again; with something to say, if it is news.
    Wait(Option<String>),
    /// It will not come: the master never took it up.
    NeverTaken,
    /// It will not come: it was taken up and is over.
    TakenBack,
    /// As [`Seen::Broken`], or hidden for too long.
    Failed(String),
}

/// Counts rounds. Durations are those since the command was given.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    moved: bool,
    idle_since: Option<Duration>,
    hidden_since: Option<Duration>,
    coming_since: Option<Duration>,
    said: Option<String>,
}

impl Rounds {
    fn hidden_for(&mut self, now: Duration) -> Duration {
        now.saturating_sub(*self.hidden_since.get_or_insert(now))
    }

    /// Takes a look into account. `now`: since the command was given; `patience` and `unseen` as [`ROUNDS`] and [`UNSEEN`], at the pace.
    pub(super) fn after(&mut self, seen: Seen, now: Duration, (patience, unseen): (Duration, Duration)) -> Next {
        if !matches!(seen, Seen::Hidden(_) | Seen::Unheard(_)) {
            self.hidden_since = None;
        }
        if !matches!(seen, Seen::Idle) {
            self.idle_since = None;
        }
        if !matches!(&seen, Seen::Coming(what) if self.said.as_ref() == Some(what)) {
            self.coming_since = None;
        }
        match seen {
            Seen::There => Next::Done,
            Seen::Broken(why) => Next::Failed(why),
            Seen::Moving(what) => {
                self.moved = true;
                let news = self.said.as_ref() != Some(&what);
                self.said = Some(what.clone());
                Next::Wait(news.then_some(what))
            }
            Seen::Coming(what) => {
                self.moved = true;
                let since = *self.coming_since.get_or_insert(now);
                if now.saturating_sub(since) >= unseen {
                    return Next::Failed(format!("{what}, and so for {}", spoken(now.saturating_sub(since))));
                }
                let news = self.said.as_ref() != Some(&what);
                self.said = Some(what.clone());
                Next::Wait(news.then_some(what))
            }
            Seen::Idle => {
                let since = *self.idle_since.get_or_insert(now);
                if now.saturating_sub(since) < patience {
                    Next::Wait(None)
                } else if self.moved {
                    Next::TakenBack
                } else {
                    Next::NeverTaken
                }
            }
            Seen::Hidden(why) if self.hidden_for(now) >= unseen => {
                Next::Failed(format!("what HA does can't be seen: {why}"))
            }
            // Its word has whole seconds, at any pace.
            Seen::Unheard(why) if self.hidden_for(now) >= unseen.max(ManagerStatus::SILENT) => {
                Next::Failed(format!("what HA does can't be seen: {why}"))
            }
            // It comes within a round, and is no news before.
            Seen::Unheard(_) => Next::Wait(None),
            Seen::Hidden(why) => {
                let news = self.said.as_ref() != Some(&why);
                self.said = Some(why.clone());
                Next::Wait(news.then_some(why))
            }
        }
    }
}

/// Whether HA's master still writes, by looks one after the other: `manager_status` bears the time of the master's clock, which this server's own
/// says nothing about, and stays as it is when the master falls silent. A master writes in every round of ten seconds (facts C.4, C.6), so what
/// counts is that the time moves, measured by this server's monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The last word: whose, and of when by its clock.
    last: Option<(String, Timestamp)>,
    /// When it was first seen.
    since: Duration,
    /// It has moved while it was looked at.
    moved: bool,
}

impl Heard {
    /// What a look comes to. `wall`, `now`: this server's clock, and the time since the command was given. `own`: this server is the master
    /// itself, and the time that of its own clock.
    pub(super) fn look(
        &mut self,
        manager: &ManagerStatus,
        seen: Seen,
        (wall, now): (Timestamp, Duration),
        own: bool,
    ) -> Seen {
        let word = (manager.master.clone(), manager.at);
        if self.last.as_ref() != Some(&word) {
            self.moved |= self.last.is_some();
            (self.last, self.since) = (Some(word), now);
        }
        let silent = if own {
            manager.at.age(wall)
        } else {
            now.saturating_sub(self.since)
        };
        if silent > ManagerStatus::SILENT {
            return Seen::Hidden(ManagerStatus::silence(&manager.master, silent));
        }
        match seen {
            // Something is under way, and is waited for in any case.
            Seen::Moving(_) | Seen::Coming(_) => seen,
            seen if own || self.moved => seen,
            _ => Seen::Unheard(format!(
                "the HA master {} has written nothing since it was looked at",
                manager.master
            )),
        }
    }
}

/// What the master says of a service that is to go to a node.
pub(super) fn of_service(manager: &ManagerStatus, sid: &str, from: &str, to: &str) -> Seen {
    let Some(place) = manager.services.get(sid) else {
        return Seen::Broken(format!("{sid} is not under HA any more"));
    };
    let state = place.state.as_str();
    if let Some(target) = &place.target {
        return Seen::Moving(format!("HA: {sid} {state} from {} to {target}", place.node));
    }
    if let Some(command) = &place.command {
        return Seen::Coming(format!("HA: {sid} is about to {command}"));
    }
    match (state, place.node.as_str()) {
        ("started" | "stopped", node) if node == to => Seen::There,
        ("started" | "stopped", node) if node == from => Seen::Idle,
        ("started" | "stopped", node) => Seen::Broken(format!("HA has {sid} on {node}: its rules may want it there")),
        ("error" | "fence" | "recovery", node) => Seen::Broken(format!("HA: {sid} is in state {state} on {node}")),
        (_, node) => Seen::Coming(format!("HA: {sid} {state} on {node}")),
    }
}

/// Moves away from a node in maintenance that were begun. A try that fails goes back to `started`, and to the next one in the same round of the
/// master: nobody sees it but by the request's name.
#[derive(Debug, Default)]
pub(super) struct Tries(BTreeMap<String, (Option<String>, u32)>);

impl Tries {
    /// Takes a look into account: what has failed too often, in words.
    pub(super) fn failed(&mut self, manager: &ManagerStatus, node: &str) -> Option<String> {
        let moves = |state: &str| matches!(state, "migrate" | "relocate");
        self.0
            .retain(|sid, _| manager.services.get(sid).is_some_and(|place| place.node == node));
        for (sid, place) in &manager.services {
            if place.node != node || !moves(&place.state) || place.uid.is_none() {
                continue;
            }
            let (uid, failed) = self.0.entry(sid.clone()).or_default();
            if uid.is_some() && *uid != place.uid {
                *failed += 1;
            }
            uid.clone_from(&place.uid);
            if *failed >= TRIES {
                let id = sid.split_once(':').map_or(sid.as_str(), |(_, id)| id);
                let down = if place.state == "relocate" {
                    ", and it is down meanwhile"
                } else {
                    ""
                };
                return Some(format!(
                    "HA could not move {sid} away from {node}, {failed} times; it goes on trying as long as the maintenance lasts{down}; why \
                     stands in the task's log on {node}: pvenode task list --vmid {id}"
                ));
            }
        }
        None
    }
}

/// What the master says of a node's maintenance. `offline`: the members do not see the node.
pub(super) fn of_maintenance(manager: &ManagerStatus, node: &str, on: bool, offline: bool) -> Seen {
    let asked = manager.maintenance.contains(node);
    let state = manager.nodes.get(node).map_or("unknown", String::as_str);
    if !on {
        return match (asked, state) {
            (true, _) => Seen::Idle,
            // The request is gone, which is all that can be done: the state of a node that is off stays as its LRM left it.
            (false, "maintenance") if offline => Seen::There,
            (false, "maintenance") => Seen::Coming(format!("HA: {node} leaves maintenance")),
            (false, _) => Seen::There,
        };
    }
    if !asked {
        return Seen::Idle;
    }
    if state != "maintenance" {
        return match state {
            "online" => Seen::Coming(format!("HA: maintenance of {node} is asked for")),
            other => Seen::Broken(format!("HA: {node} is {other}")),
        };
    }
    let there = manager.services.iter().filter(|(_, place)| place.node == node);
    let mut left = there.filter(|(_, place)| !matches!(place.state.as_str(), "stopped" | "ignored"));
    let mut stays = None;
    for (sid, place) in left.by_ref() {
        let what = || format!("HA: {sid} {} on {node}", place.state);
        if place.target.is_some() {
            return Seen::Moving(what());
        }
        if place.command.is_some() || !matches!(place.state.as_str(), "started" | "error") {
            return Seen::Coming(what());
        }
        stays.get_or_insert((sid, place));
    }
    match stays {
        None => Seen::There,
        Some((sid, place)) if place.state == "error" => Seen::Broken(format!("HA: {sid} is in state error on {node}")),
        // For a round or two it may not have been told to go yet; longer, and HA finds no place for it.
        Some(_) => Seen::Idle,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quorate_model::observation::ha::HaPlace;

    use super::*;

    const LIMITS: (Duration, Duration) = (ROUNDS, UNSEEN);

    fn place(node: &str, state: &str, target: Option<&str>) -> HaPlace {
        HaPlace {
            node: node.to_owned(),
            state: state.to_owned(),
            target: target.map(str::to_owned),
            command: None,
            uid: None,
        }
    }

    fn manager(place: HaPlace) -> ManagerStatus {
        ManagerStatus {
            master: "prox3".to_owned(),
            at: Timestamp(0),
            nodes: BTreeMap::from([("prox1".to_owned(), "online".to_owned())]),
            services: BTreeMap::from([("vm:100".to_owned(), place)]),
            disarm: None,
            maintenance: [].into(),
        }
    }

    fn maintenance(manager: &ManagerStatus, on: bool) -> Seen {
        of_maintenance(manager, "prox1", on, false)
    }

    fn service(place: HaPlace) -> Seen {
        of_service(&manager(place), "vm:100", "prox1", "prox2")
    }

    /// What comes of looks every five seconds.
    fn ended(looks: impl Iterator<Item = Seen>) -> (u64, Next) {
        let mut rounds = Rounds::default();
        for (number, seen) in (0u64..).zip(looks) {
            let next = rounds.after(seen, Duration::from_secs(number * 5), LIMITS);
            if !matches!(next, Next::Wait(_)) {
                return (number * 5, next);
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn a_command_that_the_master_refused_in_its_log_alone_is_known_after_three_rounds() {
        let nothing = std::iter::repeat_with(|| service(place("prox1", "started", None)));
        assert_eq!(ended(nothing), (45, Next::NeverTaken));
    }

    #[test]
    fn a_migration_that_failed_is_back_to_started_on_its_source() {
        let moving = std::iter::repeat_with(|| service(place("prox1", "migrate", Some("prox2")))).take(10);
        let back = std::iter::repeat_with(|| service(place("prox1", "started", None)));
        assert_eq!(ended(moving.chain(back)), (95, Next::TakenBack));
    }

    #[test]
    fn one_that_is_queued_or_moves_for_long_is_waited_for() {
        let queued = std::iter::repeat_with(|| service(place("prox1", "started", None))).take(8);
        let moving = std::iter::repeat_with(|| service(place("prox1", "migrate", Some("prox2")))).take(1000);
        let there = std::iter::once(service(place("prox2", "started", None)));
        assert_eq!(ended(queued.chain(moving).chain(there)).1, Next::Done);
    }

    #[test]
    fn a_service_in_error_ends_it_at_once() {
        let error = service(place("prox1", "error", None));
        assert!(matches!(error, Seen::Broken(_)), "{error:?}");
    }

    #[test]
    fn a_master_that_is_silent_is_waited_for_until_another_one_could_have_come() {
        let hidden = std::iter::repeat_with(|| Seen::Hidden("no word".to_owned()));
        let (after, next) = ended(hidden);
        assert_eq!(after, 300);
        assert!(matches!(next, Next::Failed(why) if why.contains("no word")));
    }

    /// What looks every five seconds come to at a master that writes every ten seconds for so long, its clock so many minutes ahead of ours.
    fn heard(writes_for: i64, minutes: i64, own: bool) -> Vec<Seen> {
        let mut heard = Heard::default();
        let look = |second: i64| {
            let mut manager = manager(place("prox1", "started", None));
            let written = second.min(writes_for).div_euclid(10) * 10;
            manager.at = Timestamp::from_seconds(written + minutes * 60);
            let now = Duration::from_secs(second.unsigned_abs());
            let seen = of_service(&manager, "vm:100", "prox1", "prox2");
            heard.look(&manager, seen, (Timestamp::from_seconds(second), now), own)
        };
        (0..20).map(|number| number * 5).map(look).collect()
    }

    #[test]
    fn a_master_speaks_if_the_time_of_its_word_moves_whatever_its_clock_shows() {
        for minutes in [-5, 0, 5] {
            let seen = heard(1000, minutes, false);
            assert!(matches!(seen[..2], [Seen::Unheard(_), Seen::Unheard(_)]), "{seen:?}");
            assert!(seen[2..].iter().all(|seen| *seen == Seen::Idle), "{seen:?}");
        }
        // It wrote for the last time after 20 s.
        let seen = heard(20, 5, false);
        assert_eq!(
            (&seen[10], &seen[11]),
            (
                &Seen::Idle,
                &Seen::Hidden(ManagerStatus::silence("prox3", Duration::from_secs(35)))
            )
        );
        let dead = heard(0, 0, false);
        assert!(
            dead[..7].iter().all(|seen| matches!(seen, Seen::Unheard(_))),
            "{dead:?}"
        );
        assert!(
            matches!(&dead[7], Seen::Hidden(why) if why.contains("written nothing for 35 s")),
            "{dead:?}"
        );
        // By its own clock a master knows at the first look.
        assert_eq!(heard(1000, 0, true)[0], Seen::Idle);
        assert!(matches!(heard(1000, -5, true)[0], Seen::Hidden(_)));
    }

    #[test]
    fn what_an_old_word_says_is_no_end_and_is_given_up_without_a_new_one() {
        let mut heard = Heard::default();
        let there = manager(place("prox2", "started", None));
        let seen = heard.look(&there, Seen::There, (Timestamp(0), Duration::ZERO), false);
        assert!(matches!(seen, Seen::Unheard(_)), "{seen:?}");
        let mut next = there.clone();
        next.at = Timestamp::from_seconds(10);
        assert_eq!(
            heard.look(&next, Seen::There, (Timestamp(0), Duration::from_secs(10)), false),
            Seen::There
        );
        let (after, given_up) = ended(std::iter::repeat_with(|| Seen::Unheard("not a word".to_owned())));
        assert!(after == 300 && matches!(given_up, Next::Failed(why) if why.contains("not a word")));
    }

    #[test]
    fn maintenance_is_there_when_the_node_is_in_it_and_empty() {
        let mut manager = manager(place("prox1", "started", None));
        assert_eq!(maintenance(&manager, true), Seen::Idle, "not taken up");
        manager.maintenance.insert("prox1".to_owned());
        assert!(matches!(maintenance(&manager, true), Seen::Coming(_)));
        manager.nodes.insert("prox1".to_owned(), "maintenance".to_owned());
        assert_eq!(
            maintenance(&manager, true),
            Seen::Idle,
            "it finds no place for the guest"
        );
        manager
            .services
            .insert("vm:100".to_owned(), place("prox1", "migrate", Some("prox2")));
        assert!(matches!(maintenance(&manager, true), Seen::Moving(_)));
        manager
            .services
            .insert("vm:100".to_owned(), place("prox2", "started", None));
        assert_eq!(maintenance(&manager, true), Seen::There);
        assert_eq!(maintenance(&manager, false), Seen::Idle);
        manager.maintenance.clear();
        assert!(matches!(maintenance(&manager, false), Seen::Coming(_)));
        manager.nodes.insert("prox1".to_owned(), "online".to_owned());
        assert_eq!(maintenance(&manager, false), Seen::There);
    }

    #[test]
    fn a_server_that_is_lost_in_maintenance_holds_nobody_up() {
        let mut manager = manager(place("prox2", "started", None));
        // Its LRM left it so, and nobody is there to change it.
        manager.nodes.insert("prox1".to_owned(), "maintenance".to_owned());
        assert_eq!(of_maintenance(&manager, "prox1", false, true), Seen::There);
        manager.maintenance.insert("prox1".to_owned());
        assert_eq!(
            of_maintenance(&manager, "prox1", false, true),
            Seen::Idle,
            "the request is ours to take back"
        );
    }

    #[test]
    fn what_is_to_come_and_does_not_is_given_up() {
        let mut asked = manager(place("prox1", "started", None));
        asked.maintenance.insert("prox1".to_owned());
        // Nobody switches its mode: its LRM does not run.
        let (after, next) = ended(std::iter::repeat_with(|| maintenance(&asked, true)));
        assert_eq!(after, 300);
        assert!(matches!(next, Next::Failed(why) if why.contains("is asked for")));
        let frozen = std::iter::repeat_with(|| service(place("prox1", "freeze", None)));
        assert!(matches!(ended(frozen), (300, Next::Failed(why)) if why.contains("freeze")));
        let mut commanded = place("prox1", "started", None);
        commanded.command = Some("migrate".to_owned());
        assert!(matches!(
            ended(std::iter::repeat_with(|| service(commanded.clone()))).1,
            Next::Failed(_)
        ));
        // Each piece of news counts anew.
        let freeze = std::iter::repeat_with(|| service(place("prox1", "freeze", None))).take(50);
        let stop = std::iter::repeat_with(|| service(place("prox1", "request_stop", None))).take(50);
        let there = std::iter::once(service(place("prox2", "started", None)));
        assert_eq!(ended(freeze.chain(stop).chain(there)).1, Next::Done);
    }

    #[test]
    fn one_that_ha_sends_to_a_third_server_did_not_get_where_it_should() {
        let third = service(place("prox3", "started", None));
        assert!(matches!(third, Seen::Broken(why) if why.contains("on prox3")));
    }

    #[test]
    fn a_move_that_fails_again_and_again_is_known_by_the_requests_names() {
        let look = |node: &str, state: &str, uid: &str| {
            let mut place = place(node, state, (state != "started").then_some("prox2"));
            place.uid = Some(uid.to_owned());
            manager(place)
        };
        let mut tries = Tries::default();
        // The first may take as long as it likes.
        for _ in 0..1000 {
            assert_eq!(tries.failed(&look("prox1", "migrate", "a"), "prox1"), None);
        }
        assert_eq!(tries.failed(&look("prox1", "migrate", "b"), "prox1"), None);
        // What lies between two tries is hardly ever seen.
        assert_eq!(tries.failed(&look("prox1", "started", "c"), "prox1"), None);
        assert_eq!(tries.failed(&look("prox1", "migrate", "d"), "prox1"), None);
        let why = tries.failed(&look("prox1", "relocate", "e"), "prox1").unwrap();
        assert!(
            why.contains("could not move vm:100 away from prox1, 3 times") && why.contains("it is down meanwhile"),
            "{why}"
        );
        // One that got away and is moved on later has failed at nothing here.
        let mut tries = Tries::default();
        for (node, uid) in [
            ("prox1", "a"),
            ("prox2", "b"),
            ("prox1", "c"),
            ("prox2", "d"),
            ("prox1", "e"),
        ] {
            assert_eq!(tries.failed(&look(node, "migrate", uid), "prox1"), None);
        }
    }
}
