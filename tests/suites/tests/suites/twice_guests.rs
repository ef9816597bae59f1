//! The kinds of actions that are about guests arrive twice, as the others do beside this file.

use std::collections::BTreeSet;

use quorate_lab::{Lab, What};
use quorate_model::moves::MoveKind;
use quorate_model::observation::{FacetName, GuestKind};
use quorate_model::operation::{Action, ActionKind, Operation};
use quorate_model::spec::ReturningNode;
use quorate_proto::{Wire, v1};
use quorate_suites::Fleet;
use quorate_suites::hand::ONE_LINK;

use super::protection::three;
use super::twice::{Driving, assert_done, fleet_name, seen};

/// All of them.
pub(crate) const KINDS: [ActionKind; 12] = [
    ActionKind::CreateReplication,
    ActionKind::ChangeReplication,
    ActionKind::RemoveReplication,
    ActionKind::SetMigrationNetwork,
    ActionKind::AddHaResource,
    ActionKind::ChangeHaResource,
    ActionKind::SetHaRule,
    ActionKind::SetHaGroup,
    ActionKind::MigrateGuest,
    ActionKind::RunGuest,
    ActionKind::SetMaintenance,
    ActionKind::RebootNode,
];

/// How often a line that begins so was called.
fn begun(line: &'static str) -> impl Fn(&Fleet) -> usize {
    move |fleet| {
        let calls = fleet.world().into_iter().filter(|entry| entry.what == What::ToolCalled);
        calls.filter(|entry| entry.argv.join(" ").starts_with(line)).count()
    }
}

fn nodes(names: &[&str]) -> BTreeSet<quorate_model::NodeName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn twice_copies_moves_and_ha() {
    let (fleet, _) = three(true).await;
    let hk1 = || fleet_name("hk1");
    let mut driving = Driving::of(fleet).await;

    let settings = driving.fleet.read("prox1", "/etc/pve/datacenter.cfg");
    let before = settings.lines().find_map(|line| line.strip_prefix("migration:"));
    let network = Action::SetMigrationNetwork {
        cluster: hk1(),
        migration: "type=secure,network=10.10.10.0/24".to_owned(),
        before: before.map(|value| value.trim().to_owned()),
    };
    driving
        .twice("prox1", network, begun("pvesh set /cluster/options"))
        .await;

    let create = Action::CreateReplication {
        cluster: hk1(),
        job: "100-0".parse().unwrap(),
        target: "prox2".parse().unwrap(),
        schedule: "5m".parse().unwrap(),
        rate: None,
        returning_node: ReturningNode::Hold,
    };
    driving.twice("prox1", create, begun("pvesr create-local-job")).await;
    let fleet = &driving.fleet;
    fleet
        .until("the first copy is made", async || fleet.happened(What::Replicated) > 0)
        .await;
    let change = Action::ChangeReplication {
        cluster: hk1(),
        job: "100-0".parse().unwrap(),
        other: "prox2".parse().unwrap(),
        schedule: "1h".parse().unwrap(),
        rate: Some(50),
        returning_node: ReturningNode::Discard,
        enable: false,
    };
    driving.twice("prox1", change, begun("pvesr update")).await;

    let migrate = Action::MigrateGuest {
        cluster: hk1(),
        guest: 100,
        kind: GuestKind::Vm,
        target: "prox2".parse().unwrap(),
        how: MoveKind::Live,
        managed: false,
    };
    driving.twice("prox1", migrate, seen(What::GuestMoved)).await;
    for (run, happened) in [(false, What::GuestStopped), (true, What::GuestStarted)] {
        let action = Action::RunGuest {
            cluster: hk1(),
            guest: 100,
            kind: GuestKind::Vm,
            run,
        };
        driving.twice("prox2", action, seen(happened)).await;
    }

    let add = Action::AddHaResource {
        cluster: hk1(),
        service: "vm:100".parse().unwrap(),
        started: true,
        max_restart: None,
        max_relocate: None,
        group: None,
        no_failback: true,
    };
    driving.twice("prox2", add, begun("ha-manager add")).await;
    let rule = Action::SetHaRule {
        cluster: hk1(),
        rule: "quorate-vm-100".parse().unwrap(),
        service: "vm:100".parse().unwrap(),
        nodes: nodes(&["prox1", "prox2"]),
        exists: false,
    };
    driving.twice("prox2", rule, begun("ha-manager rules add")).await;
    let change = Action::ChangeHaResource {
        cluster: hk1(),
        service: "vm:100".parse().unwrap(),
        max_restart: Some(2),
        max_relocate: None,
        group: None,
        no_failback: true,
    };
    driving.twice("prox2", change, begun("ha-manager set")).await;
    for (on, line) in [
        (true, "ha-manager crm-command node-maintenance enable"),
        (false, "ha-manager crm-command node-maintenance disable"),
    ] {
        let maintenance = Action::SetMaintenance {
            cluster: hk1(),
            node: "prox3".parse().unwrap(),
            on,
        };
        driving.twice("prox1", maintenance, begun(line)).await;
    }

    // The move has turned the job round.
    let remove = Action::RemoveReplication {
        cluster: hk1(),
        job: "100-0".parse().unwrap(),
        target: "prox1".parse().unwrap(),
    };
    driving.twice("prox2", remove, begun("pvesr delete")).await;
    restarts_once(&mut driving).await;
    driving.fleet.nothing_twice();
    driving.fleet.nothing_unknown();

    let mut all: BTreeSet<ActionKind> = KINDS.into();
    all.remove(&ActionKind::SetHaGroup);
    assert_eq!(driving.kinds, all);
}

/// It can't be asked again before it is back: then neither the same id nor another one restarts it once more, since both name the boot that ended.
async fn restarts_once(driving: &mut Driving) {
    let seen = driving.look("prox3", FacetName::System).await;
    let reboot = Action::RebootNode {
        cluster: fleet_name("hk1"),
        boot: seen.system.get().unwrap().boot_id.clone(),
    };
    let (first, other) = (driving.id(), driving.id());
    let operation = Operation {
        id: first.parse().unwrap(),
        action: reboot.clone(),
    };
    let request = v1::ExecuteRequest {
        driver: Some(driving.driver.clone().into_wire()),
        operation: Some(operation.into_wire()),
        ..v1::ExecuteRequest::default()
    };
    drop(driving.client("prox3").execute(request).await.unwrap());
    let fleet = &driving.fleet;
    fleet
        .until("prox3 is back, with its agent", async || {
            let servers = fleet.lab.status().await.unwrap();
            let back = servers.iter().any(|s| s.name == "prox3" && s.quorate && s.writable);
            fleet.happened(What::PoweredOn) == 1 && back && fleet.lab.agent_pid("prox3").is_some()
        })
        .await;
    for id in [&first, &other] {
        let events = driving.execute("prox3", id, &reboot).await;
        assert_done(&events, ActionKind::RebootNode);
    }
    assert_eq!(
        (
            driving.fleet.happened(What::PoweredOn),
            driving.fleet.calls("systemctl", "reboot").len()
        ),
        (1, 1)
    );
    driving.kinds.insert(ActionKind::RebootNode);
}

#[tokio::test(flavor = "multi_thread")]
async fn twice_a_group_of_ha() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    fleet.made_by_hand(&["prox1", "prox2"], ONE_LINK).await;
    let mut driving = Driving::of(fleet).await;
    let group = Action::SetHaGroup {
        cluster: fleet_name("hk1"),
        group: "quorate-prox1-prox2".parse().unwrap(),
        nodes: nodes(&["prox1", "prox2"]),
        exists: false,
    };
    driving.twice("prox1", group, begun("ha-manager groupadd")).await;
    driving.fleet.nothing_unknown();
}
