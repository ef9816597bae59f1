//! A machine is asked itself how it runs: the list of guests says only that its process is there (see [`quorate_tools::pvesh::guests`]).

use quorate_model::Observation;
use quorate_model::facet::{Facet, Unknown};
use quorate_model::ids::NodeName;
use quorate_model::observation::{GuestKind, GuestRun, GuestStatus};
use quorate_tools::pvesh::guests;

use crate::host::{Host, unparsable};

/// How a machine runs that is listed as running: it may be paused, or just being restored.
pub(super) async fn taken(host: &Host, node: &NodeName, guest: u32, seen: &mut Observation) {
    if !is_listed_as_running(seen, guest) {
        return;
    }
    let answer = host.ask(guests::current(host.tools(), node.as_str(), guest)).await;
    let said = answer.and_then(|answer| guests::read_current(&answer).map_err(unparsable));
    take_its_word(seen, guest, said);
}

/// Is it a machine that the list has as running? Of containers there is nothing more to ask.
fn is_listed_as_running(seen: &Observation, guest: u32) -> bool {
    let listed = seen.running.get().ok().into_iter().flatten();
    listed
        .filter(|one| one.vmid == guest && one.kind == GuestKind::Vm)
        .any(|one| one.run == GuestRun::Running)
}

/// What it said stands for what the list says. Where it can't be told, the list is not believed either.
fn take_its_word(seen: &mut Observation, guest: u32, said: Result<GuestStatus, Unknown>) {
    match said {
        Ok(status) => {
            if let Facet::Known { value, .. } = &mut seen.running {
                for one in value.iter_mut().filter(|one| one.vmid == guest) {
                    one.run = status.run.clone();
                }
            }
        }
        Err(unknown) => {
            let reason = format!("guest {guest} was asked how it runs: {}", unknown.reason);
            seen.running = Facet::Unknown(Unknown::new(unknown.kind, reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::facet::UnknownKind;
    use quorate_model::{ByteSize, Timestamp};

    use super::*;

    fn status(kind: GuestKind, run: GuestRun) -> GuestStatus {
        GuestStatus {
            vmid: 100,
            kind,
            run,
            uptime_seconds: None,
            memory_used: None,
            memory: ByteSize(1),
            lock: None,
        }
    }

    fn listed(kind: GuestKind, run: GuestRun) -> Observation {
        let mut seen = Observation::empty("prox1", Timestamp(0));
        seen.running = Facet::known(vec![status(kind, run)], Timestamp(0));
        seen
    }

    fn run_of(seen: &Observation) -> Option<&GuestRun> {
        seen.running.get().ok()?.first().map(|one| &one.run)
    }

    #[test]
    fn a_machine_that_is_listed_as_running_is_asked_itself() {
        assert!(is_listed_as_running(&listed(GuestKind::Vm, GuestRun::Running), 100));
        assert!(!is_listed_as_running(&listed(GuestKind::Vm, GuestRun::Running), 101));
        assert!(!is_listed_as_running(&listed(GuestKind::Vm, GuestRun::Stopped), 100));
        assert!(!is_listed_as_running(
            &listed(GuestKind::Container, GuestRun::Running),
            100
        ));
        assert!(!is_listed_as_running(&Observation::empty("prox1", Timestamp(0)), 100));
        let paused = GuestRun::Held("paused".to_owned());
        let mut seen = listed(GuestKind::Vm, GuestRun::Running);
        take_its_word(&mut seen, 100, Ok(status(GuestKind::Vm, paused.clone())));
        assert_eq!(run_of(&seen), Some(&paused));
    }

    #[test]
    fn one_that_does_not_say_how_it_runs_is_not_taken_for_running() {
        let mut seen = listed(GuestKind::Vm, GuestRun::Running);
        let silent = Unknown::new(UnknownKind::TimedOut, "no answer within 30 s");
        take_its_word(&mut seen, 100, Err(silent));
        let why = &seen.running.get().unwrap_err().reason;
        assert_eq!(why, "guest 100 was asked how it runs: no answer within 30 s");
    }
}
