//! HA switched off by `disarm-ha`: services are frozen or forgotten, and all LRMs give up lock and watchdog (facts C.10, E.2).

use std::collections::BTreeSet;

use super::{Manager, Round};
use crate::log::Level;
use crate::model::{Disarm, DisarmMode, DisarmState, LrmMode, ServiceState, ServiceStatus, Sid};

/// Services that are on their way, and have to arrive first.
pub(super) type Deferring = BTreeSet<Sid>;

impl Manager {
    /// Goes on with the way to "off". Nothing, when that was all for this round; else the services it has to wait for.
    pub(super) fn go_on_disarming(&mut self, round: &mut Round<'_>, disarm: Disarm) -> Option<Deferring> {
        let waiting = self.wait_for(round);
        if !waiting.is_empty() {
            return Some(waiting);
        }
        for (sid, status) in &mut self.services {
            match disarm.mode {
                DisarmMode::Freeze if may_freeze(status.state) => {
                    round.info(&format!("disarm: freezing service '{sid}' (was '{}')", status.state));
                    strip(status);
                    status.state = ServiceState::Freeze;
                    status.uid = Some(round.env.fresh_uid());
                }
                DisarmMode::Freeze => {}
                DisarmMode::Ignore => strip(status),
            }
        }
        let followed = |node: &String| round.modes.get(node) == Some(&LrmMode::Disarm);
        let mut state = disarm.state;
        if state == DisarmState::Disarming && self.nodes.online().iter().all(followed) {
            round.info("all LRMs disarmed, HA stack is now fully disarmed");
            state = DisarmState::Disarmed;
        }
        self.disarm = Some(Disarm { state, ..disarm });
        // It stays off even if a node comes back whose LRM does not know of it yet.
        self.fully_disarmed = state == DisarmState::Disarmed;
        None
    }

    fn wait_for(&self, round: &mut Round<'_>) -> Deferring {
        let mut waiting = Deferring::new();
        for (sid, status) in &self.services {
            let level = match status.state {
                ServiceState::Fence | ServiceState::Recovery => Level::Warning,
                ServiceState::Migrate | ServiceState::Relocate => Level::Info,
                _ => continue,
            };
            round.log(
                level,
                &format!("deferring disarm - service '{sid}' is in '{}' state", status.state),
            );
            waiting.insert(sid.clone());
        }
        waiting
    }
}

fn may_freeze(state: ServiceState) -> bool {
    matches!(
        state,
        ServiceState::Started
            | ServiceState::Stopped
            | ServiceState::RequestStop
            | ServiceState::RequestStart
            | ServiceState::RequestStartBalance
    )
}

/// Leaves what a service needs to begin anew: where it is, in which state, and where its home is.
fn strip(status: &mut ServiceStatus) {
    status.target = None;
    status.timeout = None;
    status.running = false;
    status.failed_nodes.clear();
    status.cmd = None;
}
