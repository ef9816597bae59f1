//! The QDevice off before the membership changes, and on after it.

use std::collections::BTreeSet;

use quorate_model::operation::{Action, Package};
use quorate_model::plan::Condition;

use super::line::{Draft, Line};

/// Seen: 3.3 s off, 6.6 to 7.5 s on, and some until every member has its vote.
const OFF_SECONDS: u64 = 4;
const ON_SECONDS: u64 = 10;

/// As long as a set-up may take at the most, with its gates, rounded up: then sshd forgets the key by itself.
const ADMITTED_MINUTES: u32 = 15;

pub(super) fn off(line: &mut Line<'_>) -> Option<()> {
    if !line.intent.qdevice.off {
        return Some(());
    }
    let (via, cluster) = (line.via(), line.cluster());
    let back = line.intent.qdevice.on.is_some();
    line.next(Draft {
        id: "qdevice.remove".to_owned(),
        node: via.clone(),
        action: Action::RemoveQdevice {
            cluster: cluster.clone(),
        },
        title: format!("take the QDevice of {cluster} off"),
        why: vec![if back {
            "members would disagree about the votes if others came or went beside it; it is set up again at the end"
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
    Some(())
}

pub(super) fn on(line: &mut Line<'_>) -> Option<()> {
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
    let installed = |node: &quorate_model::NodeName, package| Condition::Installed {
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
        restores: None,
    })?;
    let mut gate = vec![
        line.members(),
        line.at_rest(),
        Condition::Qdevice {
            cluster: cluster.clone(),
            nodes: line.online.clone(),
            host: None,
        },
        admitted,
    ];
    gate.extend(line.online.iter().map(|node| installed(node, Package::CorosyncQdevice)));
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
        done_when: Condition::Qdevice {
            cluster,
            nodes: line.online.clone(),
            host: Some(address),
        },
        seconds: ON_SECONDS,
        undo: format!("on {via}: pvecm qdevice remove"),
        destroys: vec![],
        restores: None,
    })?;
    let draft = withdraw(line, host, Some(admit));
    line.next(draft)?;
    Some(())
}

fn withdraw(line: &Line<'_>, host: &quorate_model::NodeName, restores: Option<quorate_model::StepId>) -> Draft {
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
