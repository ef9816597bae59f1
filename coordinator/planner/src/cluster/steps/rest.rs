//! HA to rest before the first change and awake after the last one. Waking restores: it is carried out whatever happens between.

use std::collections::BTreeSet;

use quorate_model::ids::{NodeName, StepId};
use quorate_model::operation::{Action, HaService};
use quorate_model::plan::Condition;

use super::line::{Draft, Line};
use crate::cluster::ha::Ha;
use crate::cluster::has_coordinator;

/// What was put to rest: by which step, and on which node what.
pub(super) struct Rested {
    by: StepId,
    daemon: Option<(NodeName, HaService)>,
    /// Whose HA it is.
    nodes: BTreeSet<NodeName>,
}

/// Seen: within 20 s everywhere.
const DISARM_SECONDS: u64 = 20;
/// An LRM hands its services over to the master first, who looks every 10 s.
const STOP_SECONDS: u64 = 15;
const START_SECONDS: u64 = 3;

pub(super) fn begin(line: &mut Line<'_>) -> Option<Vec<Rested>> {
    match line.intent.ha {
        Ha::Idle => Some(Vec::new()),
        Ha::Disarm => disarm(line).map(|rested| vec![rested]),
        Ha::Stop { lrm, crm } => {
            let mut rested = Vec::new();
            for (service, nodes) in [(HaService::Lrm, lrm), (HaService::Crm, crm)] {
                // The server with the coordinator last, here and when they are started again.
                let mut nodes: Vec<&NodeName> = nodes.iter().collect();
                nodes.sort_by_key(|node| (has_coordinator(line.intent.view, node), *node));
                for node in nodes {
                    rested.push(stop(line, node, service)?);
                }
            }
            Some(rested)
        }
    }
}

fn disarm(line: &mut Line<'_>) -> Option<Rested> {
    let (via, cluster) = (line.via(), line.cluster());
    let nodes = if line.online.is_empty() {
        BTreeSet::from([via.clone()])
    } else {
        line.online.clone()
    };
    let gate = if line.online.is_empty() {
        vec![Condition::Standalone { node: via.clone() }]
    } else {
        vec![line.members()]
    };
    let by = line.next(Draft {
        id: "ha.disarm".to_owned(),
        node: via.clone(),
        action: Action::DisarmHa {
            cluster: cluster.clone(),
        },
        title: format!("disarm HA of {cluster}"),
        why: vec![
            "with an armed watchdog, a moment without quorum resets servers; guests go on running".to_owned(),
            "until it is armed again, guests of a server that fails are not restarted".to_owned(),
        ],
        gate,
        done_when: Condition::HaDisarmed {
            cluster,
            nodes: nodes.clone(),
        },
        seconds: DISARM_SECONDS,
        undo: format!("on {via}: ha-manager crm-command arm-ha"),
        destroys: vec![],
        restores: None,
    })?;
    Some(Rested {
        by,
        daemon: None,
        nodes,
    })
}

fn short(service: HaService) -> &'static str {
    match service {
        HaService::Lrm => "lrm",
        HaService::Crm => "crm",
    }
}

fn stop(line: &mut Line<'_>, node: &NodeName, service: HaService) -> Option<Rested> {
    let (unit, cluster) = (service.unit(), line.cluster());
    let gate = if line.online.contains(node) && line.quorate {
        vec![line.members()]
    } else if line.intent.standing.bare.contains_key(node) {
        vec![Condition::Standalone { node: node.clone() }]
    } else {
        vec![Condition::HaService {
            node: node.clone(),
            service,
            running: true,
        }]
    };
    let by = line.next(Draft {
        id: format!("ha.stop-{}/{node}", short(service)),
        node: node.clone(),
        action: Action::StopHa { cluster, service },
        title: format!("stop {unit} on {node}"),
        why: vec![if line.online.contains(node) {
            "this version of PVE can't disarm HA as a whole: its daemons are stopped, pve-ha-lrm everywhere first; services are frozen, \
             guests go on running"
                .to_owned()
        } else {
            format!("once {node} is in, its daemons would see the services under HA and arm the watchdog")
        }],
        gate,
        done_when: Condition::HaService {
            node: node.clone(),
            service,
            running: false,
        },
        seconds: STOP_SECONDS,
        undo: format!("on {node}: systemctl start {unit}"),
        destroys: vec![],
        restores: None,
    })?;
    Some(Rested {
        by,
        daemon: Some((node.clone(), service)),
        nodes: BTreeSet::from([node.clone()]),
    })
}

/// In the reverse order: the CRMs everywhere, then the LRMs.
pub(super) fn end(line: &mut Line<'_>, rested: &[Rested]) -> Option<()> {
    for what in rested.iter().filter(|r| r.daemon.is_none()) {
        arm(line, what)?;
    }
    for wanted in [HaService::Crm, HaService::Lrm] {
        for what in rested {
            match &what.daemon {
                Some((node, service)) if *service == wanted => start(line, what, node, *service)?,
                _ => {}
            }
        }
    }
    Some(())
}

/// What an earlier rollout left at rest. Nothing of this plan puts it to rest, so these are steps as any others.
pub(super) fn wake(line: &mut Line<'_>) -> Option<()> {
    let (left, standing) = (line.intent.left, line.intent.standing);
    let (via, cluster) = (line.via(), line.cluster());
    let why = "an earlier rollout put it to rest and did not come to wake it: until it is awake, guests of a server that fails are not \
               restarted";
    if left.whole {
        let nodes = standing.staying().map(|(node, _)| node.clone());
        let nodes = nodes.filter(|node| line.online.contains(node)).collect();
        line.next(Draft {
            id: "ha.arm".to_owned(),
            node: via.clone(),
            action: Action::ArmHa {
                cluster: cluster.clone(),
            },
            title: format!("arm HA of {cluster}, which was left disarmed"),
            why: vec![why.to_owned()],
            gate: vec![line.quorate_via()],
            done_when: Condition::HaArmed {
                cluster: cluster.clone(),
                nodes,
            },
            seconds: DISARM_SECONDS,
            undo: format!("on {via}: ha-manager crm-command disarm-ha freeze"),
            destroys: vec![],
            restores: None,
        })?;
    }
    for wanted in [HaService::Crm, HaService::Lrm] {
        for (service, node) in left.daemons.iter().filter(|(service, _)| *service == wanted) {
            let unit = service.unit();
            line.next(Draft {
                id: format!("ha.start-{}/{node}", short(*service)),
                node: node.clone(),
                action: Action::StartHa {
                    cluster: cluster.clone(),
                    service: *service,
                },
                title: format!("start {unit} on {node}, which was left stopped"),
                why: vec![why.to_owned()],
                gate: vec![line.quorate_via()],
                done_when: Condition::HaService {
                    node: node.clone(),
                    service: *service,
                    running: true,
                },
                seconds: START_SECONDS,
                undo: format!("on {node}: systemctl stop {unit}"),
                destroys: vec![],
                restores: None,
            })?;
        }
    }
    for node in &left.maintenance {
        line.next(Draft {
            id: format!("ha.maintenance-off/{node}"),
            node: via.clone(),
            action: Action::SetMaintenance {
                cluster: cluster.clone(),
                node: node.clone(),
                on: false,
            },
            title: format!("end the maintenance of {node}, in which it was left"),
            why: vec![
                "an earlier rollout asked for it and did not come to end it: until then HA puts no guest there"
                    .to_owned(),
            ],
            gate: vec![line.quorate_via()],
            done_when: Condition::Maintenance {
                cluster: cluster.clone(),
                node: node.clone(),
                on: false,
                seen_by: via.clone(),
            },
            seconds: DISARM_SECONDS,
            undo: format!("on {via}: ha-manager crm-command node-maintenance enable {node}"),
            destroys: vec![],
            restores: None,
        })?;
    }
    Some(())
}

fn arm(line: &mut Line<'_>, rested: &Rested) -> Option<()> {
    let (via, cluster) = (line.via(), line.cluster());
    // Those that were in before and still are: what became of the others must not keep HA asleep.
    let nodes: BTreeSet<NodeName> = rested.nodes.intersection(&line.online).cloned().collect();
    line.next(Draft {
        id: "ha.arm".to_owned(),
        node: via.clone(),
        action: Action::ArmHa {
            cluster: cluster.clone(),
        },
        title: format!("arm HA of {cluster} again"),
        why: vec!["it was disarmed for the time of the change; this is done whatever became of that".to_owned()],
        gate: not_alone(line, &via),
        done_when: Condition::HaArmed { cluster, nodes },
        seconds: DISARM_SECONDS,
        undo: format!("on {via}: ha-manager crm-command disarm-ha freeze"),
        destroys: vec![],
        restores: Some(rested.by.clone()),
    })?;
    Some(())
}

fn start(line: &mut Line<'_>, rested: &Rested, node: &NodeName, service: HaService) -> Option<()> {
    let unit = service.unit();
    let via = line.via();
    // Of one that is switched off there is nothing to start; of one that could not be, there is.
    let leaves = line.intent.removals.iter().any(|r| r.node == *node);
    line.next(Draft {
        id: format!("ha.start-{}/{node}", short(service)),
        node: node.clone(),
        action: Action::StartHa {
            cluster: line.cluster(),
            service,
        },
        title: format!("start {unit} on {node} again"),
        why: vec!["it was stopped for the time of the change; this is done whatever became of that".to_owned()],
        // Of one that is off, nobody can be asked but the others.
        gate: not_alone(line, if leaves { &via } else { node }),
        done_when: if leaves {
            Condition::HaServiceOrOut {
                cluster: line.cluster(),
                node: node.clone(),
                service,
                seen_by: via.clone(),
            }
        } else {
            Condition::HaService {
                node: node.clone(),
                service,
                running: true,
            }
        },
        seconds: START_SECONDS,
        undo: format!("on {node}: systemctl stop {unit}"),
        destroys: vec![],
        restores: Some(rested.by.clone()),
    })?;
    Some(())
}

/// If the QDevice that was taken off could not be set up again, two servers are left with two votes: HA armed there has the healthy one
/// reset itself when the other fails. It stays asleep then, and that is told.
fn not_alone(line: &Line<'_>, node: &NodeName) -> Vec<Condition> {
    let device = line.intent.qdevice;
    if device.off && device.on.is_some() {
        vec![not_two_votes(line, node)]
    } else {
        vec![]
    }
}

fn not_two_votes(line: &Line<'_>, node: &NodeName) -> Condition {
    Condition::NotTwoVotes {
        cluster: line.cluster(),
        node: node.clone(),
    }
}
