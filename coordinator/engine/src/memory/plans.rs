//! Plans in few words: a step for every action, with the gate and the outcome that the planner would give it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use quorate_model::Passage;
use quorate_model::ids::{ClusterName, NodeName, SshPublicKey, StepId};
use quorate_model::operation::{Action, HaService, Package};
use quorate_model::plan::{Condition, Plan, Step, Undo};

/// A plan of these steps for cluster `hk1`.
#[must_use]
pub fn plan(steps: Vec<Step>) -> Plan {
    Plan {
        cluster: cluster("hk1"),
        spec_digest: "0".repeat(64),
        steps,
        findings: vec![],
    }
}

/// The same step, which takes back what another one did.
#[must_use]
pub fn restoring(mut step: Step, restores: &str) -> Step {
    step.restores = Some(step_id(restores));
    step
}

/// `create/CLUSTER`: this node creates it.
#[must_use]
pub fn create(name: &str, on: &str) -> Step {
    let action = Action::CreateCluster {
        cluster: cluster(name),
        links: links(),
        priorities: BTreeMap::new(),
    };
    let gate = vec![Condition::Standalone { node: node(on) }];
    step(
        format!("create/{name}"),
        on,
        action,
        gate,
        members(name, &[on], &[]),
        &[],
    )
}

/// `join/NODE`: this node joins those that are in the cluster, through the first of them, after these steps.
#[must_use]
pub fn join(name: &str, joiner: &str, inside: &[&str], needs: &[&str]) -> Step {
    let action = Action::JoinCluster {
        cluster: cluster(name),
        member: node(first(inside)),
        member_address: address(1),
        links: links(),
    };
    let gate = vec![members(name, inside, &[]), Condition::Standalone { node: node(joiner) }];
    let done = members(name, &with(inside, joiner), &[]);
    step(format!("join/{joiner}"), joiner, action, gate, done, needs)
}

/// `finish/NODE`: the join that it has begun is finished.
#[must_use]
pub fn finish_join(name: &str, joiner: &str, inside: &[&str], needs: &[&str]) -> Step {
    let action = Action::FinishJoin {
        cluster: cluster(name),
        member: node(first(inside)),
    };
    let gate = vec![members(name, inside, &[joiner])];
    let done = members(name, &with(inside, joiner), &[]);
    step(format!("finish/{joiner}"), joiner, action, gate, done, needs)
}

/// `abandon/NODE`: the join that it has begun is undone on it.
#[must_use]
pub fn abandon_join(name: &str, joiner: &str, needs: &[&str]) -> Step {
    let action = Action::AbandonJoin { cluster: cluster(name) };
    let done = Condition::Standalone { node: node(joiner) };
    step(format!("abandon/{joiner}"), joiner, action, vec![], done, needs)
}

/// `link/N`: a link between all members.
#[must_use]
pub fn add_link(name: &str, link: u8, all: &[&str], needs: &[&str]) -> Step {
    let addresses: BTreeMap<NodeName, IpAddr> = all.iter().map(|n| (node(n), address(100 + link))).collect();
    let action = Action::AddLink {
        cluster: cluster(name),
        link,
        addresses: addresses.clone(),
        priority: None,
    };
    let done = Condition::LinkUp {
        cluster: cluster(name),
        link,
        addresses,
        priority: None,
    };
    let gate = vec![members(name, all, &[])];
    step(format!("link/{link}"), first(all), action, gate, done, needs)
}

/// `expect/NODE`: quorum by fiat.
#[must_use]
pub fn expect_votes(name: &str, on: &str, votes: u32, needs: &[&str]) -> Step {
    let action = Action::ExpectVotes {
        cluster: cluster(name),
        votes,
    };
    let done = Condition::Quorate {
        cluster: cluster(name),
        node: node(on),
    };
    step(format!("expect/{on}"), on, action, vec![], done, needs)
}

/// `off/NODE`: it is switched off.
#[must_use]
pub fn power_off(name: &str, off: &str, rest: &[&str], needs: &[&str]) -> Step {
    let action = Action::PowerOff { cluster: cluster(name) };
    let gate = vec![members(name, &with(rest, off), &[])];
    let done = Condition::Off {
        cluster: cluster(name),
        node: node(off),
        seen_by: nodes(rest),
    };
    step(format!("off/{off}"), off, action, gate, done, needs)
}

/// `reboot/NODE`: it starts anew, for the first time in this world.
#[must_use]
pub fn reboot(name: &str, on: &str, needs: &[&str]) -> Step {
    let boot = "boot-0".to_owned();
    let action = Action::RebootNode {
        cluster: cluster(name),
        boot: boot.clone(),
    };
    let done = Condition::Rebooted {
        cluster: cluster(name),
        node: node(on),
        boot,
    };
    step(format!("reboot/{on}"), on, action, vec![quorate(name, on)], done, needs)
}

/// `remove/NODE`: the first of the rest takes out the one with this id; the others that are off stay.
#[must_use]
pub fn remove(name: &str, removed: (&str, u32), rest: &[&str], off: &[&str], needs: &[&str]) -> Step {
    let (removed, id) = removed;
    let action = Action::RemoveMember {
        cluster: cluster(name),
        removed: node(removed),
        id,
    };
    let gate = vec![members(name, rest, &with(off, removed))];
    step(
        format!("remove/{removed}"),
        first(rest),
        action,
        gate,
        members(name, rest, off),
        needs,
    )
}

/// `clean/NODE`: what its removal left behind.
#[must_use]
pub fn clean_up(name: &str, removed: &str, on: &str, needs: &[&str]) -> Step {
    let action = Action::CleanUpAfter {
        cluster: cluster(name),
        removed: node(removed),
        keep_folder: false,
    };
    let done = Condition::CleanedUp {
        cluster: cluster(name),
        removed: node(removed),
        on: node(on),
        keep_folder: false,
    };
    step(format!("clean/{removed}"), on, action, vec![], done, needs)
}

/// `packages/NODE`: both packages.
#[must_use]
pub fn install(on: &str, needs: &[&str]) -> Step {
    let packages: BTreeSet<Package> = Package::ALL.into();
    let action = Action::InstallPackages {
        packages: packages.clone(),
    };
    let done = Condition::Installed {
        node: node(on),
        packages,
    };
    step(format!("packages/{on}"), on, action, vec![], done, needs)
}

/// `admit/CLUSTER`: its key may log in on this host.
#[must_use]
pub fn admit(name: &str, host: &str, needs: &[&str]) -> Step {
    let keys = BTreeSet::from([key()]);
    let action = Action::AdmitKeys {
        cluster: cluster(name),
        keys: keys.clone(),
        from: BTreeSet::from([address(1)]),
        minutes: 30,
    };
    let done = Condition::KeysAdmitted {
        node: node(host),
        cluster: cluster(name),
        keys,
    };
    step(format!("admit/{name}"), host, action, vec![], done, needs)
}

/// `admit/CLUSTER`, for the set-up that takes back `qdevice/off`.
#[must_use]
pub fn admit_again(name: &str, host: &str, needs: &[&str]) -> Step {
    restoring(admit(name, host, needs), "qdevice/off")
}

/// `withdraw/CLUSTER`: takes back `admit/CLUSTER`.
#[must_use]
pub fn withdraw(name: &str, host: &str, needs: &[&str]) -> Step {
    let action = Action::WithdrawKeys { cluster: cluster(name) };
    let done = Condition::KeysAdmitted {
        node: node(host),
        cluster: cluster(name),
        keys: BTreeSet::new(),
    };
    let step = step(format!("withdraw/{name}"), host, action, vec![], done, needs);
    restoring(step, &format!("admit/{name}"))
}

/// `qdevice/on`.
#[must_use]
pub fn set_up_qdevice(name: &str, host: &str, all: &[&str], needs: &[&str]) -> Step {
    let action = Action::SetUpQdevice {
        cluster: cluster(name),
        host: node(host),
        address: address(9),
        host_keys: BTreeSet::from([key()]),
    };
    let admitted = Condition::KeysAdmitted {
        node: node(host),
        cluster: cluster(name),
        keys: BTreeSet::from([key()]),
    };
    let gate = vec![members(name, all, &[]), qdevice(name, all, None), admitted];
    let done = qdevice(name, all, Some(address(9)));
    step("qdevice/on".to_owned(), first(all), action, gate, done, needs)
}

/// `qdevice/on`, which takes back `qdevice/off`: for whoever of these is in by then, however the steps between ended.
#[must_use]
pub fn set_up_qdevice_again(name: &str, host: &str, all: &[&str], needs: &[&str]) -> Step {
    let mut step = set_up_qdevice(name, host, all, needs);
    let (cluster, via, nodes) = (cluster(name), node(first(all)), nodes(all));
    step.gate
        .retain(|condition| matches!(condition, Condition::KeysAdmitted { .. }));
    step.gate.insert(
        0,
        Condition::QdeviceDue {
            cluster: cluster.clone(),
            via: via.clone(),
            nodes: nodes.clone(),
        },
    );
    step.done_when = Condition::QdeviceBack {
        cluster,
        via,
        nodes,
        host: address(9),
    };
    restoring(step, "qdevice/off")
}

/// `qdevice/off`.
#[must_use]
pub fn remove_qdevice(name: &str, all: &[&str], needs: &[&str]) -> Step {
    let action = Action::RemoveQdevice { cluster: cluster(name) };
    let gate = vec![members(name, all, &[])];
    step(
        "qdevice/off".to_owned(),
        first(all),
        action,
        gate,
        qdevice(name, all, None),
        needs,
    )
}

/// `ha/disarm`, by the first of them.
#[must_use]
pub fn disarm(name: &str, all: &[&str], needs: &[&str]) -> Step {
    let action = Action::DisarmHa { cluster: cluster(name) };
    let done = Condition::HaDisarmed {
        cluster: cluster(name),
        nodes: nodes(all),
    };
    step(
        "ha/disarm".to_owned(),
        first(all),
        action,
        vec![quorate(name, first(all))],
        done,
        needs,
    )
}

/// `ha/arm`: takes back `ha/disarm`, for those who were disarmed and stay.
#[must_use]
pub fn arm(name: &str, all: &[&str], needs: &[&str]) -> Step {
    let action = Action::ArmHa { cluster: cluster(name) };
    let done = Condition::HaArmed {
        cluster: cluster(name),
        nodes: nodes(all),
    };
    let gate = vec![quorate(name, first(all))];
    restoring(
        step("ha/arm".to_owned(), first(all), action, gate, done, needs),
        "ha/disarm",
    )
}

/// `stop/DAEMON/NODE`.
#[must_use]
pub fn stop_ha(name: &str, service: HaService, on: &str, needs: &[&str]) -> Step {
    let action = Action::StopHa {
        cluster: cluster(name),
        service,
    };
    let done = daemon(service, on, false);
    step(format!("stop/{}/{on}", service.unit()), on, action, vec![], done, needs)
}

/// `start/DAEMON/NODE`: takes back `stop/DAEMON/NODE`.
#[must_use]
pub fn start_ha(name: &str, service: HaService, on: &str, needs: &[&str]) -> Step {
    let action = Action::StartHa {
        cluster: cluster(name),
        service,
    };
    let unit = service.unit();
    let step = step(
        format!("start/{unit}/{on}"),
        on,
        action,
        vec![],
        daemon(service, on, true),
        needs,
    );
    restoring(step, &format!("stop/{unit}/{on}"))
}

/// `firewall/NODE`.
#[must_use]
pub fn allow_agents(name: &str, on: &str, needs: &[&str]) -> Step {
    let from = BTreeSet::from([address(1), address(2)]);
    let action = Action::AllowAgents {
        cluster: cluster(name),
        passages: BTreeSet::from([Passage::tcp_in(7443)]),
        from: from.clone(),
    };
    let done = Condition::AgentsAllowed {
        node: node(on),
        passages: BTreeSet::from([Passage::tcp_in(7443)]),
        from,
    };
    step(
        format!("firewall/{on}"),
        on,
        action,
        vec![quorate(name, on)],
        done,
        needs,
    )
}

fn step(id: String, on: &str, action: Action, gate: Vec<Condition>, done_when: Condition, needs: &[&str]) -> Step {
    Step {
        title: id.replace('/', " "),
        id: step_id(&id),
        node: node(on),
        action,
        why: vec!["a test wants it".to_owned()],
        needs: needs.iter().map(|n| step_id(n)).collect(),
        gate,
        done_when,
        destroys: vec![],
        disks: BTreeSet::new(),
        estimate: Duration::from_secs(10),
        undo: Undo::Operator {
            how: "forget it".to_owned(),
        },
        restores: None,
    }
}

fn members(name: &str, online: &[&str], offline: &[&str]) -> Condition {
    Condition::Members {
        cluster: cluster(name),
        nodes: nodes(online),
        offline: nodes(offline),
    }
}

fn quorate(name: &str, on: &str) -> Condition {
    Condition::Quorate {
        cluster: cluster(name),
        node: node(on),
    }
}

fn qdevice(name: &str, all: &[&str], host: Option<IpAddr>) -> Condition {
    Condition::Qdevice {
        cluster: cluster(name),
        nodes: nodes(all),
        host,
    }
}

fn daemon(service: HaService, on: &str, running: bool) -> Condition {
    Condition::HaService {
        node: node(on),
        service,
        running,
    }
}

fn links() -> BTreeMap<u8, IpAddr> {
    BTreeMap::from([(0, address(1))])
}

fn first<'n>(names: &[&'n str]) -> &'n str {
    names.first().copied().unwrap_or_default()
}

fn with<'n>(names: &[&'n str], one: &'n str) -> Vec<&'n str> {
    names.iter().copied().chain([one]).collect()
}

fn nodes(names: &[&str]) -> BTreeSet<NodeName> {
    names.iter().map(|n| node(n)).collect()
}

pub(super) fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// The address of a node on a link that it came in on.
pub(super) fn address_of(node: &NodeName) -> IpAddr {
    let digits: String = node.as_str().chars().filter(char::is_ascii_digit).collect();
    address(digits.parse().unwrap_or(0))
}

#[expect(clippy::expect_used, reason = "what tests write down is valid, or the test is wrong")]
pub(super) fn key() -> SshPublicKey {
    SshPublicKey::new(format!("ssh-ed25519 {}", "AAAAC3NzaC1lZDI1NTE5AAAAIJ".repeat(3))).expect("a valid key")
}

#[expect(clippy::expect_used, reason = "what tests write down is valid, or the test is wrong")]
pub(super) fn node(name: &str) -> NodeName {
    NodeName::new(name).expect("a valid node name")
}

#[expect(clippy::expect_used, reason = "what tests write down is valid, or the test is wrong")]
pub(super) fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name).expect("a valid cluster name")
}

#[expect(clippy::expect_used, reason = "what tests write down is valid, or the test is wrong")]
fn step_id(id: &str) -> StepId {
    StepId::new(id).expect("a valid step id")
}
