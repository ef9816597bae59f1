//! What disturbs nothing and must be there before anything is taken apart.

use std::collections::BTreeSet;

use quorate_model::ids::NodeName;
use quorate_model::operation::{Action, Package};
use quorate_model::plan::Condition;

use super::line::{Draft, Line};

/// A download and a dpkg run; up to the line and the mirror.
const INSTALL_SECONDS: u64 = 40;

pub(super) fn packages(line: &mut Line<'_>) -> Option<()> {
    let intent = *line.intent;
    for (node, package) in &intent.qdevice.packages {
        let packages = BTreeSet::from([*package]);
        line.beside(Draft {
            id: format!("packages.install/{node}"),
            node: node.clone(),
            action: Action::InstallPackages {
                packages: packages.clone(),
            },
            title: format!("install {package} on {node}"),
            why: vec![match package {
                Package::CorosyncQdevice => {
                    "the third vote needs it on every member; a set-up that finds it missing leaves the cluster's private key behind"
                        .to_owned()
                }
                Package::CorosyncQnetd => "it is the third vote itself".to_owned(),
            }],
            gate: steady(line, node),
            done_when: Condition::Installed {
                node: node.clone(),
                packages,
            },
            seconds: INSTALL_SECONDS,
            undo: format!("on {node}: apt purge {package}"),
            destroys: vec![],
            restores: None,
        })?;
    }
    Some(())
}

/// Nothing is installed while the node is in trouble. Of a host outside, and of one half in, nothing like that can be asked.
fn steady(line: &Line<'_>, node: &NodeName) -> Vec<Condition> {
    let standing = line.intent.standing;
    if standing.inside.contains_key(node) && line.quorate {
        vec![Condition::Quorate {
            cluster: line.cluster(),
            node: node.clone(),
        }]
    } else if standing.bare.contains_key(node) {
        vec![Condition::Standalone { node: node.clone() }]
    } else {
        vec![]
    }
}

pub(super) fn firewall(line: &mut Line<'_>) -> Option<()> {
    let Some(opening) = line.intent.firewall else {
        return Some(());
    };
    let via = line.via();
    line.next(Draft {
        id: "firewall.allow-agents".to_owned(),
        node: via.clone(),
        action: Action::AllowAgents {
            cluster: line.cluster(),
            passages: opening.passages.clone(),
            from: opening.from.clone(),
        },
        title: format!("let the agents in through the firewall of {}", line.cluster()),
        why: vec![
            "a server that joins gets this firewall, and could not be reached any more".to_owned(),
            "the rules are marked as Quorate's; no other rule is touched".to_owned(),
        ],
        gate: vec![line.quorate_via()],
        done_when: Condition::AgentsAllowed {
            node: via.clone(),
            passages: opening.passages.clone(),
            from: opening.from.clone(),
        },
        seconds: 1,
        undo: format!("on {via}: take the rules marked as Quorate's out of /etc/pve/firewall/cluster.fw"),
        destroys: vec![],
        restores: None,
    })?;
    Some(())
}
