//! The planner, with what the agent really sees and an imagined cluster around it.

use quorate_model::observation::{Disks, Observation};
use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::pool_layout::PoolLayout;
use quorate_model::spec::ClusterFile;
use quorate_model::{Facet, Wish};
use quorate_planner::testkit::{NOW, Servers};

use crate::fleet::NODE;

const LINK: &str = "192.168.1.0/24";

/// The plan of a cluster that is as it should be, for these pools on the machine's disks.
pub(crate) fn plan(seen: &Observation, pools: &str) -> Plan {
    plan_with(seen, pools, &Wish::default())
}

/// The same, with what the operator says beside the file.
pub(crate) fn plan_with(seen: &Observation, pools: &str, wish: &Wish) -> Plan {
    let mut text = format!("[cluster]\nname = \"hk1\"\nlinks = [\"{LINK}\"]\n");
    for n in 1..=3 {
        text.push_str(&format!("[nodes.prox{n}]\naddress = \"192.168.1.{}\"\n", 10 + n));
    }
    let file = ClusterFile::parse("hk1.toml", &(text + pools)).unwrap();
    let mut servers = Servers::bare(3).members("hk1", &["prox1", "prox2", "prox3"], &[LINK]);
    for node in ["prox1", "prox2", "prox3"] {
        servers = servers.with(node, |around| {
            around.disks = if node == NODE {
                seen.disks.clone()
            } else {
                alike(&seen.disks, node)
            };
            around.pools = seen.pools.clone();
        });
    }
    quorate_planner::plan(&file, wish, &servers.view)
}

/// Disks that are like these, and others.
fn alike(disks: &Facet<Disks>, node: &str) -> Facet<Disks> {
    let mut disks = disks.get().unwrap().clone();
    for disk in &mut disks.disks {
        let names = [&mut disk.serial, &mut disk.wwn]
            .into_iter()
            .flatten()
            .chain(&mut disk.by_id);
        names.for_each(|name| name.push_str(node));
    }
    Facet::known(disks, NOW)
}

/// A pool on disks that are chosen by what they are like. Its storage would be PVE's, which is not there.
pub(crate) fn wanted(name: &str, raid: &str, selector: &str) -> String {
    format!("[zfs.{name}]\nraid = \"{raid}\"\ndisks = {selector}\nstorage = false\n")
}

/// The machine's step of a plan without refusals, and the layout that it makes.
pub(crate) fn only_step(plan: &Plan) -> (Action, PoolLayout) {
    let action = only_action(plan);
    let Action::CreatePool { layout } = &action else {
        panic!("{action:#?}")
    };
    let layout = layout.clone();
    (action, layout)
}

/// What the machine's step of a plan without refusals does.
pub(crate) fn only_action(plan: &Plan) -> Action {
    match of_it(plan).as_slice() {
        [action] => action.clone(),
        _ => panic!("{:#?}", plan.steps),
    }
}

/// What the machine's steps of a plan without refusals do, in their order.
pub(crate) fn of_it(plan: &Plan) -> Vec<Action> {
    let refusals: Vec<_> = plan.findings.iter().filter(|finding| finding.refuses()).collect();
    assert!(refusals.is_empty(), "{refusals:#?}");
    let of_it = plan.steps.iter().filter(|step| step.node.as_str() == NODE);
    of_it.map(|step| step.action.clone()).collect()
}
