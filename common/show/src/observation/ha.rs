//! HA as one node sees it.

use quorate_model::observation::Ha;
use quorate_model::observation::readiness::ServiceState;
use quorate_model::time::spoken;
use quorate_model::{Facet, Timestamp};

use crate::table::table;

/// `now` is by the clock of the node that looked. What a master on another node dated is by that one's clock, and its age is not told by this one.
pub(super) fn ha(ha: &Ha, node: &str, now: Timestamp) -> String {
    let version = match ha.version.get() {
        Ok(version) => format!("pve-ha-manager {version}"),
        Err(unknown) => format!("pve-ha-manager {unknown}"),
    };
    let watchdog = if ha.watchdog_armed {
        "watchdog ARMED: without quorum this server is reset"
    } else {
        "watchdog not armed"
    };
    let mut text = format!(
        "{version}, {watchdog}\npve-ha-lrm {}, pve-ha-crm {}\n",
        service(&ha.lrm),
        service(&ha.crm)
    );
    text.push_str(&match ha.lrm_status.get() {
        Ok(Some(lrm)) => format!(
            "LRM: {}, mode {}, told {} ago\n",
            lrm.state,
            lrm.mode,
            spoken(lrm.at.age(now))
        ),
        Ok(None) => "LRM: has never told its state\n".to_owned(),
        Err(unknown) => format!("LRM: {unknown}\n"),
    });
    match ha.manager.get() {
        Ok(Some(manager)) => {
            let told = if manager.master == node {
                format!("told {} ago", spoken(manager.at.age(now)))
            } else {
                format!("told at {} by its clock", manager.at)
            };
            text.push_str(&format!("master {}, {told}\n", manager.master));
            if let Some(disarm) = &manager.disarm {
                text.push_str(&format!("HA is {} ({})\n", disarm.state, disarm.mode));
            }
            for (node, state) in manager.nodes.iter().filter(|(_, state)| *state != "online") {
                text.push_str(&format!("{node} is {state}\n"));
            }
        }
        Ok(None) => text.push_str("there has never been a master\n"),
        Err(unknown) => text.push_str(&format!("master {unknown}\n")),
    }
    text.push_str(&resources(ha));
    text
}

fn resources(ha: &Ha) -> String {
    let resources = match ha.resources.get() {
        Ok(resources) if resources.is_empty() => return "no guest is under HA\n".to_owned(),
        Ok(resources) => resources,
        Err(unknown) => return format!("guests under HA {unknown}\n"),
    };
    let manager = ha.manager.get().ok().and_then(Option::as_ref);
    let row = |(id, resource): (&String, &quorate_model::observation::ha::HaResource)| {
        let place = manager.and_then(|manager| manager.services.get(id));
        let cell = |text: Option<&String>| text.map_or_else(|| "-".to_owned(), Clone::clone);
        vec![
            id.clone(),
            resource.state.clone(),
            cell(place.map(|place| &place.state)),
            cell(place.map(|place| &place.node)),
            cell(resource.group.as_ref()),
        ]
    };
    let rows: Vec<Vec<String>> = resources.iter().map(row).collect();
    table(&["GUEST", "WANTED", "IS", "NODE", "GROUP"], &rows)
}

/// `running`, `inactive (dead)`, `not installed`.
pub(super) fn service(state: &Facet<ServiceState>) -> String {
    match state.get() {
        Ok(state) if !state.is_installed() => "not installed".to_owned(),
        Ok(state) if state.load == "masked" => "MASKED".to_owned(),
        Ok(state) if state.is_running() => state.sub.clone(),
        Ok(state) if state.active == state.sub => state.active.clone(),
        Ok(state) => format!("{} ({})", state.active, state.sub),
        Err(unknown) => unknown.to_string(),
    }
}
