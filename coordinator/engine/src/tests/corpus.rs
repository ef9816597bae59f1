//! Plans in few words, in a world where every agent and tool can misbehave: each thing that an agent can change, alone and with
//! others, in the planner's order and for one cluster. What the planner itself makes, word for word and as its checker accepts it, is
//! tried in `planned`.

use quorate_model::operation::HaService::{Crm, Lrm};
use quorate_model::plan::{Plan, Step};

use crate::memory::World;
use crate::memory::plans::{
    abandon_join, add_link, admit, admit_again, allow_agents, arm, clean_up, create, disarm, expect_votes, finish_join,
    install, join, plan, power_off, remove, remove_qdevice, set_up_qdevice, set_up_qdevice_again, start_ha, stop_ha,
    withdraw,
};

/// A plan with the world that it begins in, and how its clusters look when all went well.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) plan: Plan,
    pub(super) world: fn() -> World,
    pub(super) becomes: &'static [&'static str],
}

fn case(name: &'static str, world: fn() -> World, steps: Vec<Step>, becomes: &'static [&'static str]) -> Case {
    Case {
        name,
        plan: plan(steps),
        world,
        becomes,
    }
}

const ONE: &[&str] = &["prox1"];
const TWO: &[&str] = &["prox1", "prox2"];
const THREE: &[&str] = &["prox1", "prox2", "prox3"];
const FOUR: &[&str] = &["prox1", "prox2", "prox3", "prox4"];

pub(super) fn bare() -> World {
    World::of(&["prox1", "prox2", "prox3", "prox4", "prox5", "prox6"])
}

fn of_two() -> World {
    bare().with_cluster("hk1", TWO)
}

fn of_three() -> World {
    bare().with_cluster("hk1", THREE)
}

fn of_four() -> World {
    bare().with_cluster("hk1", FOUR)
}

fn guarded() -> World {
    of_three().with_ha("hk1")
}

fn one_dead() -> World {
    of_four().with_off("prox4")
}

pub(super) fn three() -> Case {
    let steps = vec![
        create("hk1", "prox1"),
        join("hk1", "prox2", ONE, &["create/hk1"]),
        join("hk1", "prox3", TWO, &["join/prox2"]),
    ];
    case("three bare servers", bare, steps, &["hk1: prox1 prox2 prox3"])
}

/// HA disarmed as a whole, a join, HA armed.
pub(super) fn guarded_join() -> Case {
    let steps = vec![
        disarm("hk1", THREE, &[]),
        join("hk1", "prox4", THREE, &["ha/disarm"]),
        arm("hk1", THREE, &["join/prox4"]),
    ];
    case(
        "a join into a cluster with HA",
        guarded,
        steps,
        &["hk1: prox1 prox2 prox3 prox4"],
    )
}

/// The third vote from nothing: packages side by side, a key in and out.
pub(super) fn qdevice_from_nothing() -> Case {
    let steps = vec![
        install("prox1", &[]),
        install("prox2", &[]),
        install("prox6", &[]),
        admit("hk1", "prox6", &["packages/prox6"]),
        set_up_qdevice("hk1", "prox6", TWO, &["packages/prox1", "packages/prox2", "admit/hk1"]),
        withdraw("hk1", "prox6", &["qdevice/on"]),
    ];
    case("a QDevice from nothing", of_two, steps, &["hk1: prox1 prox2"])
}

/// HA disarmed by stopping its daemons: LRMs, then CRMs, then the change, then the same backwards.
fn by_daemons(change: impl FnOnce(&[&str]) -> Step) -> Vec<Step> {
    let mut steps = Vec::new();
    let name = |verb: &str, unit: &str, node: &str| format!("{verb}/pve-ha-{unit}/{node}");
    let all = |verb, unit| THREE.iter().map(|n| name(verb, unit, n)).collect::<Vec<_>>();
    let lrms = all("stop", "lrm");
    let crms = all("stop", "crm");
    steps.extend(THREE.iter().map(|n| stop_ha("hk1", Lrm, n, &[])));
    steps.extend(THREE.iter().map(|n| stop_ha("hk1", Crm, n, &texts(&lrms))));
    let change = change(&texts(&crms));
    let after = change.id.to_string();
    steps.push(change);
    steps.extend(THREE.iter().map(|n| start_ha("hk1", Crm, n, &[&after])));
    let started = all("start", "crm");
    steps.extend(THREE.iter().map(|n| start_ha("hk1", Lrm, n, &texts(&started))));
    steps
}

fn texts(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

/// A node out and another in, under HA.
pub(super) fn whole_life() -> Case {
    let steps = vec![
        disarm("hk1", FOUR, &[]),
        power_off("hk1", "prox4", THREE, &["ha/disarm"]),
        remove("hk1", ("prox4", 4), THREE, &[], &["off/prox4"]),
        clean_up("hk1", "prox4", "prox1", &["remove/prox4"]),
        join("hk1", "prox5", THREE, &["clean/prox4"]),
        arm("hk1", THREE, &["join/prox5"]),
    ];
    case(
        "a node for another, with HA",
        || of_four().with_ha("hk1"),
        steps,
        &["hk1: prox1 prox2 prox3 prox5"],
    )
}

/// HA off, QDevice off, two nodes in, QDevice on, HA on. The key that the set-up needs is let in when it is due, however long the
/// joins took.
fn qdevice_around_joins() -> Case {
    let steps = vec![
        disarm("hk1", TWO, &[]),
        remove_qdevice("hk1", TWO, &["ha/disarm"]),
        join("hk1", "prox3", TWO, &["qdevice/off"]),
        join("hk1", "prox4", THREE, &["join/prox3"]),
        admit_again("hk1", "prox6", &["join/prox4"]),
        set_up_qdevice_again("hk1", "prox6", FOUR, &["admit/hk1"]),
        withdraw("hk1", "prox6", &["qdevice/on"]),
        arm("hk1", TWO, &["withdraw/hk1"]),
    ];
    let world = || {
        of_two()
            .with_ha("hk1")
            .with_qdevice("hk1")
            .with_packages(&["prox1", "prox2", "prox3", "prox4", "prox6"])
    };
    case(
        "a QDevice off and on around two joins under HA",
        world,
        steps,
        &["hk1: prox1 prox2 prox3 prox4"],
    )
}

fn left_over_key() -> Vec<Step> {
    let mut step = withdraw("hk1", "prox6", &[]);
    step.restores = None;
    vec![step]
}

pub(super) fn corpus() -> Vec<Case> {
    let mut all = creating();
    all.extend(around_members());
    all.extend(guarding());
    all
}

/// Clusters that come about and grow.
fn creating() -> Vec<Case> {
    vec![
        case("nothing to do", bare, vec![], &[]),
        case("one server", bare, vec![create("hk1", "prox1")], &["hk1: prox1"]),
        case(
            "two servers",
            bare,
            vec![create("hk1", "prox1"), join("hk1", "prox2", ONE, &["create/hk1"])],
            &["hk1: prox1 prox2"],
        ),
        three(),
        case(
            "one of three is in",
            || bare().with_cluster("hk1", &["prox2"]),
            vec![
                join("hk1", "prox1", &["prox2"], &[]),
                join("hk1", "prox3", &["prox1", "prox2"], &["join/prox1"]),
            ],
            &["hk1: prox1 prox2 prox3"],
        ),
        case(
            "five bare servers",
            bare,
            vec![
                create("hk1", "prox1"),
                join("hk1", "prox2", ONE, &["create/hk1"]),
                join("hk1", "prox3", TWO, &["join/prox2"]),
                join("hk1", "prox4", THREE, &["join/prox3"]),
                join("hk1", "prox5", FOUR, &["join/prox4"]),
            ],
            &["hk1: prox1 prox2 prox3 prox4 prox5"],
        ),
        case(
            "a firewall that must let the agents through before a join",
            of_two,
            vec![
                allow_agents("hk1", "prox1", &[]),
                join("hk1", "prox3", TWO, &["firewall/prox1"]),
            ],
            &["hk1: prox1 prox2 prox3"],
        ),
        case(
            "two more links, one after the other",
            of_three,
            vec![add_link("hk1", 1, THREE, &[]), add_link("hk1", 2, THREE, &["link/1"])],
            &["hk1: prox1 prox2 prox3"],
        ),
    ]
}

/// Half-done joins, removals, replacements.
fn around_members() -> Vec<Case> {
    vec![
        case(
            "a half-done join that is finished",
            || of_two().with_half_join("hk1", "prox3"),
            vec![finish_join("hk1", "prox3", TWO, &[])],
            &["hk1: prox1 prox2 prox3"],
        ),
        case(
            "a half-done join that is undone",
            || of_two().with_half_join("hk1", "prox3"),
            vec![
                remove("hk1", ("prox3", 3), TWO, &[], &[]),
                clean_up("hk1", "prox3", "prox1", &["remove/prox3"]),
                abandon_join("hk1", "prox3", &["remove/prox3"]),
            ],
            &["hk1: prox1 prox2"],
        ),
        case(
            "a node is removed",
            of_four,
            vec![
                power_off("hk1", "prox4", THREE, &[]),
                remove("hk1", ("prox4", 4), THREE, &[], &["off/prox4"]),
                clean_up("hk1", "prox4", "prox1", &["remove/prox4"]),
            ],
            &["hk1: prox1 prox2 prox3"],
        ),
        case(
            "a dead node is removed",
            one_dead,
            vec![
                remove("hk1", ("prox4", 4), THREE, &[], &[]),
                clean_up("hk1", "prox4", "prox1", &["remove/prox4"]),
            ],
            &["hk1: prox1 prox2 prox3"],
        ),
        case(
            "a dead node is replaced",
            one_dead,
            vec![
                remove("hk1", ("prox4", 4), THREE, &[], &[]),
                clean_up("hk1", "prox4", "prox1", &["remove/prox4"]),
                join("hk1", "prox5", THREE, &["clean/prox4"]),
            ],
            &["hk1: prox1 prox2 prox3 prox5"],
        ),
        case(
            "two of four are dead",
            || of_four().with_off("prox3").with_off("prox4"),
            vec![
                expect_votes("hk1", "prox1", 2, &[]),
                // The removal undoes the expectation, and two of three are a majority.
                remove("hk1", ("prox3", 3), TWO, &["prox4"], &["expect/prox1"]),
                remove("hk1", ("prox4", 4), TWO, &[], &["remove/prox3"]),
                clean_up("hk1", "prox3", "prox1", &["remove/prox4"]),
                clean_up("hk1", "prox4", "prox1", &["remove/prox4"]),
            ],
            &["hk1: prox1 prox2"],
        ),
    ]
}

/// What must be taken back: HA, keys, QDevice.
fn guarding() -> Vec<Case> {
    vec![
        guarded_join(),
        case(
            "a link in a cluster with HA",
            guarded,
            vec![
                disarm("hk1", THREE, &[]),
                add_link("hk1", 1, THREE, &["ha/disarm"]),
                arm("hk1", THREE, &["link/1"]),
            ],
            &["hk1: prox1 prox2 prox3"],
        ),
        case(
            "two joins under one disarming",
            guarded,
            vec![
                disarm("hk1", THREE, &[]),
                join("hk1", "prox4", THREE, &["ha/disarm"]),
                join("hk1", "prox5", FOUR, &["join/prox4"]),
                arm("hk1", THREE, &["join/prox5"]),
            ],
            &["hk1: prox1 prox2 prox3 prox4 prox5"],
        ),
        case(
            "a join with the HA daemons stopped",
            guarded,
            by_daemons(|needs| join("hk1", "prox4", THREE, needs)),
            &["hk1: prox1 prox2 prox3 prox4"],
        ),
        case(
            "a node is removed from a cluster with HA",
            || of_four().with_ha("hk1"),
            vec![
                disarm("hk1", FOUR, &[]),
                power_off("hk1", "prox4", THREE, &["ha/disarm"]),
                remove("hk1", ("prox4", 4), THREE, &[], &["off/prox4"]),
                arm("hk1", THREE, &["remove/prox4"]),
                clean_up("hk1", "prox4", "prox1", &["remove/prox4"]),
            ],
            &["hk1: prox1 prox2 prox3"],
        ),
        qdevice_from_nothing(),
        case(
            "a QDevice is taken off",
            || of_two().with_qdevice("hk1"),
            vec![remove_qdevice("hk1", TWO, &[])],
            &["hk1: prox1 prox2"],
        ),
        qdevice_around_joins(),
        case(
            "a key that was left behind",
            || bare().with_key("hk1", "prox6"),
            left_over_key(),
            &[],
        ),
        whole_life(),
    ]
}

/// All plans that are tried at every record.
pub(super) fn everything() -> Vec<Case> {
    let mut all = corpus();
    all.extend(beside_each_other());
    all
}

/// Plans that the planner does not make, about what the engine does with any plan: what is independent goes side by side.
pub(super) fn beside_each_other() -> Vec<Case> {
    vec![
        case(
            "two clusters beside each other",
            bare,
            vec![
                create("hk1", "prox1"),
                join("hk1", "prox2", ONE, &["create/hk1"]),
                create("hk2", "prox3"),
                join("hk2", "prox4", &["prox3"], &["create/hk2"]),
            ],
            &["hk1: prox1 prox2", "hk2: prox3 prox4"],
        ),
        case(
            "packages everywhere, side by side",
            bare,
            ["prox1", "prox2", "prox3", "prox4", "prox5", "prox6"]
                .map(|n| install(n, &[]))
                .into(),
            &[],
        ),
        case(
            "a cluster, its second link, and packages beside it",
            bare,
            vec![
                create("hk1", "prox1"),
                join("hk1", "prox2", ONE, &["create/hk1"]),
                add_link("hk1", 1, TWO, &["join/prox2"]),
                install("prox5", &[]),
                install("prox6", &[]),
            ],
            &["hk1: prox1 prox2"],
        ),
        case(
            "two joins under one disarming, and packages beside them",
            guarded,
            vec![
                disarm("hk1", THREE, &[]),
                join("hk1", "prox4", THREE, &["ha/disarm"]),
                join("hk1", "prox5", FOUR, &["join/prox4"]),
                arm("hk1", THREE, &["join/prox5"]),
                install("prox6", &[]),
            ],
            &["hk1: prox1 prox2 prox3 prox4 prox5"],
        ),
    ]
}
