//! The QDevice off before the membership changes, and on after it.

use std::collections::BTreeSet;

use quorate_model::ids::{NodeName, StepId};
use quorate_model::operation::{Action, Package};
use quorate_model::plan::Condition;

use super::line::{Draft, Line};

/// Seen: 3.3 s off, 6.6 to 7.5 s on, and some until every member has its vote.
const OFF_SECONDS: u64 = 4;
const ON_SECONDS: u64 = 10;

/// As long as a set-up may take at the most, with its gates, rounded up: then sshd forgets the key by itself.
const ADMITTED_MINUTES: u32 = 15;

/// Takes it off; with the step that has to be taken back, if it is to come again.
pub(super) fn off(line: &mut Line<'_>) -> Option<Option<StepId>> {
    if !line.intent.qdevice.off {
        return Some(None);
    }
    let (via, cluster) = (line.via(), line.cluster());
    let back = line.intent.qdevice.on.is_some();
    let off = line.next(Draft {
        id: "qdevice.remove".to_owned(),
        node: via.clone(),
        action: Action::RemoveQdevice {
            cluster: cluster.clone(),
        },
        title: format!("take the QDevice of {cluster} off"),
        why: vec![if back {
            "members would disagree about the votes if others came or went beside it; it is set up again at the end, whatever became of \
             the change"
                .to_owned()
        } else {
            "its host is to be taken out, and the cluster file does not name it any more".to_owned()
        }],
        gate: vec![line.members(), line.at_rest()],
        done_when: Condition::Qdevice {
            cluster,
            nodes: line.online.clone(),
            host: None,
        },
        seconds: OFF_SECONDS,
        undo: format!("on {via}: pvecm qdevice setup ADDRESS"),
        destroys: vec!["the QDevice's vote and certificates".to_owned()],
        restores: None,
    })?;
    Some(back.then_some(off))
}

/// Sets it up. What was taken off comes back however the steps between ended, for whoever is in by then.
pub(super) fn on(line: &mut Line<'_>, off: Option<StepId>) -> Option<()> {
    let intent = *line.intent;
    let (via, cluster) = (line.via(), line.cluster());
    if let Some(host) = &intent.qdevice.withdraw {
        line.next(withdraw(line, host, None))?;
    }
    let Some(set_up) = &intent.qdevice.on else {
        return Some(());
    };
    let (host, address) = (&set_up.host, set_up.address);
    let admitted = Condition::KeysAdmitted {
        node: host.clone(),
        cluster: cluster.clone(),
        keys: set_up.keys.clone(),
    };
    let installed = |node: &NodeName, package| Condition::Installed {
        node: node.clone(),
        packages: BTreeSet::from([package]),
    };
    let admit = line.next(Draft {
        id: format!("qdevice.admit/{host}"),
        node: host.clone(),
        action: Action::AdmitKeys {
            cluster: cluster.clone(),
            keys: set_up.keys.clone(),
            from: set_up.from.clone(),
            minutes: ADMITTED_MINUTES,
        },
        title: format!("let {via}'s root key in on {host}"),
        why: vec![format!(
            "{via} sets the QDevice up by ssh as root; the key is taken out again after it, and is no longer good after {ADMITTED_MINUTES} \
             minutes by itself"
        )],
        gate: vec![installed(host, Package::CorosyncQnetd)],
        done_when: admitted.clone(),
        seconds: 1,
        undo: format!("on {host}: take the line of {cluster} out of /root/.ssh/authorized_keys"),
        destroys: vec![],
        restores: off.clone(),
    })?;
    // Whose step failed may be in or not.
    let nodes: BTreeSet<NodeName> = line.at_first.union(&line.online).cloned().collect();
    let (gate, done_when) = if off.is_some() {
        let due = Condition::QdeviceDue {
            cluster: cluster.clone(),
            via: via.clone(),
            nodes: nodes.clone(),
        };
        let back = Condition::QdeviceBack {
            cluster: cluster.clone(),
            via: via.clone(),
            nodes,
            host: address,
        };
        (vec![due, admitted, installed(host, Package::CorosyncQnetd)], back)
    } else {
        let device = |host| Condition::Qdevice {
            cluster: cluster.clone(),
            nodes: line.online.clone(),
            host,
        };
        let mut gate = vec![
            line.members(),
            line.at_rest(),
            device(None),
            admitted,
            installed(host, Package::CorosyncQnetd),
        ];
        gate.extend(line.online.iter().map(|node| installed(node, Package::CorosyncQdevice)));
        (gate, device(Some(address)))
    };
    line.next(Draft {
        id: "qdevice.set-up".to_owned(),
        node: via.clone(),
        action: Action::SetUpQdevice {
            cluster: cluster.clone(),
            host: host.clone(),
            address,
            host_keys: set_up.host_keys.clone(),
        },
        title: format!("set up the third vote of {cluster} on {host}"),
        why: vec![
            format!("with an even number of servers, the vote of {host} decides which half goes on"),
            "a set-up that breaks off leaves certificates that refuse the next one; it is never tried twice blindly"
                .to_owned(),
        ],
        gate,
        done_when,
        seconds: ON_SECONDS,
        undo: format!("on {via}: pvecm qdevice remove"),
        destroys: vec![],
        restores: off,
    })?;
    let draft = withdraw(line, host, Some(admit));
    line.next(draft)?;
    Some(())
}

fn withdraw(line: &Line<'_>, host: &NodeName, restores: Option<StepId>) -> Draft {
    let cluster = line.cluster();
    Draft {
        id: format!("qdevice.withdraw/{host}"),
        node: host.clone(),
        action: Action::WithdrawKeys {
            cluster: cluster.clone(),
        },
        title: format!("take {cluster}'s key out of {host} again"),
        why: vec![if restores.is_some() {
            "it is needed for the set-up only; this is done whatever became of that".to_owned()
        } else {
            "it was let in for a set-up that is over".to_owned()
        }],
        gate: vec![],
        done_when: Condition::KeysAdmitted {
            node: host.clone(),
            cluster,
            keys: BTreeSet::new(),
        },
        seconds: 1,
        undo: "nothing to undo: the next set-up lets it in again".to_owned(),
        destroys: vec![],
        restores,
    }
}
