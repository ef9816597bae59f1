//! Whatever befalls a cluster: no guest ever runs on two nodes, and none starts on a node before the one it ran on is reset.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests; a panic is the report"
)]

use std::collections::{BTreeMap, BTreeSet};

use quorate_lab_ha::LogLine;
use quorate_lab_ha::model::{ManagerStatus, Requested, Sid};
use quorate_lab_ha::scenario::{Command, DatacenterFile, Hardware, Scenario, ServiceFile};
use quorate_lab_ha::sim::Simulation;

/// Numbers that look random and come again for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

fn scenario(seed: u64) -> (Scenario, Vec<Vec<String>>) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let nodes: Vec<String> = (1..=3 + dice.roll(3)).map(|n| format!("node{n}")).collect();
    let names = ["vm:101", "ct:102", "vm:103", "fa:110", "fa:1201", "vm:106"];
    let off = Hardware {
        power: false,
        network: false,
        maxcpu: None,
        maxmem: None,
        version: None,
    };
    let services: BTreeMap<Sid, ServiceFile> = names
        .iter()
        .map(|name| {
            let node = nodes[dice.roll(nodes.len())].clone();
            (Sid::parse(name).unwrap(), ServiceFile::new(&node, Requested::Started))
        })
        .collect();
    let mut slots = vec![nodes.iter().map(|node| format!("power {node} on")).collect::<Vec<_>>()];
    for _ in 0..2 + dice.roll(6) {
        let count = dice.roll(4);
        slots.push((0..count).map(|_| command(&mut dice, &nodes, &names)).collect());
    }
    let rules = dice.one(&[
        "",
        "node-affinity: a\n\tresources vm:101,ct:102\n\tnodes node1:2,node2:1\n",
        "node-affinity: a\n\tresources vm:101\n\tnodes node2\n\tstrict 1\n",
        "resource-affinity: b\n\taffinity negative\n\tresources vm:101,vm:103,fa:110\n",
        "resource-affinity: b\n\taffinity positive\n\tresources vm:101,ct:102,vm:106\n",
    ]);
    let policy = dice.one(&["conditional", "freeze", "failover", "migrate"]);
    let scenario = Scenario {
        hardware: nodes.into_iter().map(|node| (node, off.clone())).collect(),
        services,
        manager_status: ManagerStatus::default(),
        running: BTreeMap::new(),
        rules: rules.to_owned(),
        groups: String::new(),
        datacenter: datacenter(policy),
        stats: BTreeMap::new(),
        slots: slots
            .iter()
            .map(|slot| slot.iter().map(|text| Command::parse(text).unwrap()).collect())
            .collect(),
    };
    (scenario, slots)
}

fn datacenter(policy: &str) -> DatacenterFile {
    serde_json::from_value(serde_json::json!({ "ha": { "shutdown_policy": policy } })).unwrap()
}

fn command(dice: &mut Dice, nodes: &[String], services: &[&str]) -> String {
    let node = nodes[dice.roll(nodes.len())].clone();
    let target = nodes[dice.roll(nodes.len())].clone();
    let service = services[dice.roll(services.len())];
    match dice.roll(14) {
        0 | 1 => format!("network {node} off"),
        2 => format!("network {node} on"),
        3 => format!("power {node} off"),
        4 | 5 => format!("power {node} on"),
        6 => format!("reboot {node}"),
        7 => format!("shutdown {node}"),
        8 => format!("service {service} {} {target}", dice.one(&["migrate", "relocate"])),
        9 => format!("service {service} {}", dice.one(&["started", "stopped", "disabled"])),
        10 => format!(
            "crm {node} {}",
            dice.one(&["enable-node-maintenance", "disable-node-maintenance"])
        ),
        11 => format!("crm {node} {}", dice.one(&["disarm-ha freeze", "arm-ha", "arm-ha"])),
        12 => format!("skip-round {} {}", dice.one(&["crm", "lrm"]), 1 + dice.roll(3)),
        _ => format!("delay {}", 10 * (1 + dice.roll(9))),
    }
}

/// Where guests run, as the log tells it; an error where one starts while it runs somewhere else.
fn look_for_two(log: &[LogLine]) -> Result<(), String> {
    let mut running: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in log {
        let node = line.source.split_once('/').map_or("", |(node, _)| node);
        if let Some(off) = line
            .text
            .strip_prefix("execute power ")
            .and_then(|rest| rest.strip_suffix(" off"))
        {
            for nodes in running.values_mut() {
                nodes.remove(off);
            }
        } else if let Some((sid, state)) = line
            .text
            .strip_prefix("service status ")
            .and_then(|r| r.split_once(' '))
        {
            let nodes = running.entry(sid).or_default();
            if state == "started" {
                nodes.insert(node);
            } else {
                nodes.remove(node);
            }
            if nodes.len() > 1 {
                return Err(format!("{line}\n  runs on {nodes:?}"));
            }
        } else if let Some((sid, _)) = line.text.strip_prefix("service ").and_then(|r| r.split_once(" - end ")) {
            running.entry(sid).or_default().remove(node);
        }
    }
    Ok(())
}

#[test]
fn no_guest_runs_twice() {
    let mut starts = 0;
    for seed in 1..=100 {
        let (scenario, slots) = scenario(seed);
        // Some of what may befall is more than the simulator plays: it says so, and that is no answer here.
        let Ok(log) = Simulation::new(&scenario).play() else {
            continue;
        };
        starts += log.iter().filter(|line| line.text.ends_with(" started")).count();
        if let Err(twice) = look_for_two(&log) {
            panic!("seed {seed}: {slots:#?}\n{twice}");
        }
    }
    assert!(starts > 400, "only {starts} starts: nothing was tried");
}

#[test]
fn two_are_seen_where_two_are() {
    let line = |text: &str| LogLine::parse(text).unwrap();
    let log = [
        line("info     21    node1/lrm: service status vm:101 started"),
        line("info     43    node2/lrm: service status vm:101 started"),
    ];
    assert!(look_for_two(&log).is_err());
    let off = line("info     40      cmdlist: execute power node1 off");
    assert!(look_for_two(&[log[0].clone(), off, log[1].clone()]).is_ok());
}
