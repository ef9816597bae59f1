//! What HA's master makes of a command that was left with it. The command ends well in any case; a refusal stands in the master's log alone,
//! and a failure shows only in that nothing has come about after some rounds.

use std::time::Duration;

use quorate_model::observation::ha::ManagerStatus;

/// Three rounds of ten seconds: the queue is read, the LRM acts, its result is read. And half as much again.
pub(super) const ROUNDS: Duration = Duration::from_secs(45);
/// How long HA may not be visible before it is given up: longer than it takes another node to become master.
pub(super) const UNSEEN: Duration = Duration::from_secs(300);
/// An old master's word says nothing.
const STALE: Duration = Duration::from_secs(30);

/// How far it is, as one look shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// It has come about.
    There,
    /// It goes on; in words.
    Moving(String),
    /// Nothing is under way.
    Idle,
    /// It can't go on: HA will do nothing more by itself.
    Broken(String),
    /// It can't be seen.
    Hidden(String),
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
    said: Option<String>,
}

impl Rounds {
    /// Takes a look into account. `now`: since the command was given; `patience` and `unseen` as [`ROUNDS`] and [`UNSEEN`], at the pace.
    pub(super) fn after(&mut self, seen: Seen, now: Duration, (patience, unseen): (Duration, Duration)) -> Next {
        if !matches!(seen, Seen::Hidden(_)) {
            self.hidden_since = None;
        }
        if !matches!(seen, Seen::Idle) {
            self.idle_since = None;
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
            Seen::Hidden(why) => {
                let since = *self.hidden_since.get_or_insert(now);
                if now.saturating_sub(since) >= unseen {
                    return Next::Failed(format!("what HA does can't be seen: {why}"));
                }
                let news = self.said.as_ref() != Some(&why);
                self.said = Some(why.clone());
                Next::Wait(news.then_some(why))
            }
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
        return Seen::Moving(format!("HA: {sid} is about to {command}"));
    }
    match (state, place.node.as_str()) {
        ("started" | "stopped", node) if node == to => Seen::There,
        ("started" | "stopped", node) if node == from => Seen::Idle,
        ("error" | "fence" | "recovery", node) => Seen::Broken(format!("HA: {sid} is in state {state} on {node}")),
        (_, node) => Seen::Moving(format!("HA: {sid} {state} on {node}")),
    }
}

/// What the master says of a node's maintenance.
pub(super) fn of_maintenance(manager: &ManagerStatus, node: &str, on: bool) -> Seen {
    let asked = manager.maintenance.contains(node);
    let state = manager.nodes.get(node).map_or("unknown", String::as_str);
    if !on {
        return match (asked, state) {
            (true, _) => Seen::Idle,
            (false, "maintenance") => Seen::Moving(format!("HA: {node} leaves maintenance")),
            (false, _) => Seen::There,
        };
    }
    if !asked {
        return Seen::Idle;
    }
    if state != "maintenance" {
        return match state {
            "online" => Seen::Moving(format!("HA: maintenance of {node} is asked for")),
            other => Seen::Broken(format!("HA: {node} is {other}")),
        };
    }
    let there = manager.services.iter().filter(|(_, place)| place.node == node);
    let mut left = there.filter(|(_, place)| !matches!(place.state.as_str(), "stopped" | "ignored"));
    let mut stays = None;
    for (sid, place) in left.by_ref() {
        let moves = place.target.is_some() || place.command.is_some();
        if moves || !matches!(place.state.as_str(), "started" | "error") {
            return Seen::Moving(format!("HA: {sid} {} on {node}", place.state));
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

/// The master's word, unless it is old.
pub(super) fn fresh(manager: &ManagerStatus, now: quorate_model::Timestamp) -> Result<&ManagerStatus, String> {
    let age = manager.at.age(now);
    if age > STALE {
        return Err(format!(
            "the HA master {} has written nothing for {} s",
            manager.master,
            age.as_secs()
        ));
    }
    Ok(manager)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quorate_model::Timestamp;
    use quorate_model::observation::ha::HaPlace;

    use super::*;

    const LIMITS: (Duration, Duration) = (ROUNDS, UNSEEN);

    fn place(node: &str, state: &str, target: Option<&str>) -> HaPlace {
        HaPlace {
            node: node.to_owned(),
            state: state.to_owned(),
            target: target.map(str::to_owned),
            command: None,
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
        let manager = manager(place("prox1", "started", None));
        assert!(fresh(&manager, Timestamp::from_seconds(31)).is_err());
        assert!(fresh(&manager, Timestamp::from_seconds(30)).is_ok());
    }

    #[test]
    fn maintenance_is_there_when_the_node_is_in_it_and_empty() {
        let mut manager = manager(place("prox1", "started", None));
        assert_eq!(of_maintenance(&manager, "prox1", true), Seen::Idle, "not taken up");
        manager.maintenance.insert("prox1".to_owned());
        assert!(matches!(of_maintenance(&manager, "prox1", true), Seen::Moving(_)));
        manager.nodes.insert("prox1".to_owned(), "maintenance".to_owned());
        assert_eq!(
            of_maintenance(&manager, "prox1", true),
            Seen::Idle,
            "it finds no place for the guest"
        );
        manager
            .services
            .insert("vm:100".to_owned(), place("prox1", "migrate", Some("prox2")));
        assert!(matches!(of_maintenance(&manager, "prox1", true), Seen::Moving(_)));
        manager
            .services
            .insert("vm:100".to_owned(), place("prox2", "started", None));
        assert_eq!(of_maintenance(&manager, "prox1", true), Seen::There);
        assert_eq!(of_maintenance(&manager, "prox1", false), Seen::Idle);
        manager.maintenance.clear();
        assert!(matches!(of_maintenance(&manager, "prox1", false), Seen::Moving(_)));
        manager.nodes.insert("prox1".to_owned(), "online".to_owned());
        assert_eq!(of_maintenance(&manager, "prox1", false), Seen::There);
    }
}
