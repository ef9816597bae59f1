//! Virtual guests. They take no time, and fail only when their name says so or somebody locked them.
//!
//! The number of a service of type `fa` is read digit by digit: any, failing starts, failing moves, whether it cannot be stopped,
//! whether it exists, and the only node on which it fails (0: all) (facts C.12).

use super::world::World;
use crate::env::{Act, Progress};
use crate::log::Level;
use crate::model::Sid;
use crate::scenario::Daemon;

/// The types of services there are.
pub(super) const KINDS: [&str; 3] = ["vm", "ct", "fa"];

/// How a service fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Failing {
    starts: u32,
    moves: u32,
    stop: bool,
    only_on: u32,
}

impl Failing {
    fn of(sid: &Sid) -> Self {
        let digits: Vec<u32> = sid.number().chars().filter_map(|c| c.to_digit(10)).collect();
        if sid.kind() != "fa" || digits.len() < 3 {
            return Self::default();
        }
        let digit = |at: usize| digits.get(at).copied().unwrap_or(0);
        Self {
            starts: digit(1),
            moves: digit(2),
            stop: digit(3) != 0,
            only_on: digit(5),
        }
    }

    fn concerns(self, node: &str) -> bool {
        self.only_on == 0 || node == format!("node{}", self.only_on)
    }
}

/// A guest on the node where something is done to it.
pub(super) struct Guest<'a> {
    pub(super) world: &'a mut World,
    pub(super) node: &'a str,
    pub(super) sid: &'a Sid,
}

impl Guest<'_> {
    pub(super) fn act(mut self, act: &Act) -> Progress {
        match act {
            Act::Start => self.start(),
            Act::Stop { .. } => self.stop(),
            Act::Move { target, online } => return self.leave(target, *online),
        }
        Progress::Ended { done: true }
    }

    fn runs(&self) -> bool {
        self.world
            .running
            .get(self.node)
            .is_some_and(|running| running.contains(self.sid))
    }

    fn set_running(&mut self, runs: bool) {
        let running = self.world.running.entry(self.node.to_owned()).or_default();
        if runs {
            running.insert(self.sid.clone());
        } else {
            running.remove(self.sid);
        }
    }

    fn say(&mut self, level: Level, text: &str) {
        let time = self.world.time_of(self.node, Daemon::Lrm);
        self.world.say(level, time, format!("{}/lrm", self.node), text);
    }

    /// Says so, if the guest is locked.
    fn is_locked(&mut self, action: &str) -> bool {
        let lock = self
            .world
            .services
            .get(self.sid)
            .and_then(|service| service.lock.clone());
        if let Some(lock) = &lock {
            let line = format!("service '{}' locked ({lock}), unable to {action}!", self.sid);
            self.say(Level::Error, &line);
        }
        lock.is_some()
    }

    fn start(&mut self) {
        let failing = Failing::of(self.sid);
        let fails = failing.concerns(self.node) && still_fails(&mut self.world.start_tries, self.sid, failing.starts);
        if !fails {
            self.world.start_tries.remove(self.sid);
            if !self.is_locked("start") {
                self.set_running(true);
            }
        }
    }

    fn stop(&mut self) {
        if !Failing::of(self.sid).stop && !self.is_locked("shutdown") {
            self.set_running(false);
        }
    }

    fn leave(&mut self, target: &str, mut online: bool) -> Progress {
        let stays = Progress::Ended { done: false };
        let failing = Failing::of(self.sid);
        if failing.concerns(self.node) && still_fails(&mut self.world.move_tries, self.sid, failing.moves) {
            return stays;
        }
        self.world.move_tries.remove(self.sid);
        if online && self.sid.kind() == "ct" && self.runs() {
            self.say(
                Level::Warning,
                "unable to live migrate running container, fallback to relocate",
            );
            online = false;
        }
        let sid = self.sid;
        let how = if online { "migrate" } else { "relocate" };
        self.say(Level::Info, &format!("service {sid} - start {how} to node '{target}'"));
        if self.is_locked(how) {
            return stays;
        }
        if !online && self.runs() {
            self.say(Level::Info, &format!("stopping service {sid} (relocate)"));
            self.stop();
            self.say(Level::Info, &format!("service status {sid} stopped"));
        }
        if let Err(error) = self.world.move_config(sid, self.node, target) {
            self.say(Level::Error, &error.to_string());
            return Progress::Failed;
        }
        self.say(Level::Info, &format!("service {sid} - end {how} to node '{target}'"));
        self.set_running(false);
        Progress::Ended { done: true }
    }
}

fn still_fails(tries: &mut std::collections::BTreeMap<Sid, u32>, sid: &Sid, failing: u32) -> bool {
    let tries = tries.entry(sid.clone()).or_insert(0);
    *tries += 1;
    *tries <= failing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_how_a_service_fails() {
        let failing = |sid: &str| Failing::of(&Sid::parse(sid).unwrap());
        assert_eq!(failing("vm:123"), Failing::default());
        assert_eq!(failing("fa:12"), Failing::default());
        let all = failing("fa:120011");
        assert_eq!((all.starts, all.moves, all.stop, all.only_on), (2, 0, false, 1));
        assert!(all.concerns("node1") && !all.concerns("node2"));
        assert!(failing("fa:1001").stop);
        assert!(failing("fa:101").concerns("node7"));
    }
}
