//! What the nodes that are left have to carry.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::NodeName;
use crate::observation::config::PveConfig;
use crate::observation::{Guest, GuestConfig, GuestRun};
use crate::size::ByteSize;
use crate::view::View;
use serde::{Deserialize, Serialize};

use super::{Answer, Fate};

/// Beyond this part of its memory a node has no reserve for what the system itself needs, or for a guest that grows: percent.
pub(super) const FULL_ENOUGH: u64 = 75;

/// What a node has to carry once the guests of the lost one run on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// Its memory; `None`: not known.
    pub memory: Option<ByteSize>,
    /// What its own guests that run may use (`memory` of their configurations); `None`: not known.
    pub own: Option<ByteSize>,
    /// What those that come may use. Of guests that may go to one of several nodes, each node counts them.
    pub comes: ByteSize,
    /// Its hardware threads; `None`: not known.
    pub threads: Option<u32>,
    /// Processors of the guests that run and of those that come; `None`: not known.
    pub cpus: Option<u32>,
    /// Is it enough?
    pub answer: Answer,
}

pub(super) fn rooms(
    view: &View,
    config: &PveConfig,
    guests: &[Guest],
    online: &BTreeSet<NodeName>,
    lost: &NodeName,
    fates: &[(&Guest, Fate)],
) -> BTreeMap<NodeName, Room> {
    let settings = |vmid: u32| -> Result<&GuestConfig, String> {
        super::readiness::settings(config, vmid).map_err(|unknown| unknown.reason.clone())
    };
    online
        .iter()
        .filter(|node| *node != lost)
        .map(|node| {
            let system = view.facet(node, |o| &o.system).ok();
            let own = own(view, node, guests, settings);
            let comes: Vec<Result<&GuestConfig, String>> = fates
                .iter()
                .filter(|(_, fate)| !matches!(fate, Fate::MovedOff { .. }) && fate.nodes().contains(node))
                .map(|(guest, _)| settings(guest.vmid))
                .collect();
            let unknown = comes.iter().find_map(|one| one.as_ref().err().cloned());
            let known: Vec<&GuestConfig> = comes.into_iter().flatten().collect();
            let came = ByteSize(known.iter().map(|one| one.memory.0).sum());
            let memory = system.map(|system| system.memory.total);
            let cpus = own
                .as_ref()
                .ok()
                .map(|own| own.cpus + known.iter().filter_map(|one| one.cpus).sum::<u32>());
            let answer = match (memory, &own, unknown) {
                (_, _, Some(reason)) => Answer::Unproven(reason),
                (None, _, _) => Answer::Unproven("its memory is not known".to_owned()),
                (_, Err(reason), _) => Answer::Unproven(reason.clone()),
                (Some(memory), Ok(own), None) => judge(memory, own.memory, came),
            };
            let room = Room {
                memory,
                own: own.as_ref().ok().map(|own| own.memory),
                comes: came,
                threads: system.map(|system| system.cpu.threads),
                cpus,
                answer,
            };
            (node.clone(), room)
        })
        .collect()
}

struct Own {
    memory: ByteSize,
    cpus: u32,
}

/// Its own guests that run.
fn own<'a>(
    view: &View,
    node: &NodeName,
    guests: &[Guest],
    settings: impl Fn(u32) -> Result<&'a GuestConfig, String>,
) -> Result<Own, String> {
    let running = view.facet(node, |o| &o.running).map_err(|unknown| unknown.reason)?;
    let mut sum = Own {
        memory: ByteSize(0),
        cpus: 0,
    };
    for guest in guests.iter().filter(|guest| guest.node == node.as_str()) {
        let runs = running
            .iter()
            .any(|one| one.vmid == guest.vmid && one.run != GuestRun::Stopped);
        if runs {
            let settings = settings(guest.vmid)?;
            sum.memory.0 += settings.memory.0;
            sum.cpus += settings.cpus.unwrap_or(0);
        }
    }
    Ok(sum)
}

fn judge(memory: ByteSize, own: ByteSize, comes: ByteSize) -> Answer {
    let after = own.0.saturating_add(comes.0);
    let percent = u128::from(after) * 100 / u128::from(memory.0.max(1));
    let text = format!(
        "guests of {} on {} of memory, {percent} %",
        ByteSize(after).binary(),
        memory.binary()
    );
    if percent > 100 {
        Answer::No(text)
    } else if percent > u128::from(FULL_ENOUGH) {
        Answer::Unproven(format!("{text}: more than {FULL_ENOUGH} %"))
    } else {
        Answer::Yes(text)
    }
}
