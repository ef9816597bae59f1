//! The daemons in a world with PVE's own rounds, in which work takes time: what they need from it is enough, and what they do takes as
//! long as on real servers (facts C.4, C.5).

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic; this world is part of one"
)]
#![expect(unreachable_pub, reason = "two files of one test")]

mod world;

use quorate_lab_ha::model::{Requested, ServiceState};
use world::{World, sid};

/// Three nodes, with the first one as master, and a guest on the third.
fn three() -> World {
    let mut world = World::new(3, &[("vm:101", "n1"), ("vm:102", "n3")]);
    world.until(200);
    assert_eq!(world.manager.master_node.as_deref(), Some("n1"));
    assert_eq!(world.runs_on("vm:102").as_deref(), Some("n3"));
    world
}

#[test]
fn a_guest_is_there_again_two_minutes_after_its_node_lost_its_power() {
    // The phase of the rounds at the moment of the failure decides; all are tried.
    for begin in 0..10 {
        let mut world = three();
        world.until(200 + begin);
        let failed = world.now;
        world.power_off("n3");
        let back = world.until_so(failed + 300, |w| w.runs_on("vm:102").is_some()) - failed;
        assert!((111..=151 + 5).contains(&back), "{back} s after the failure");
        assert_eq!(world.runs_on("vm:102").as_deref(), Some("n2"));
        assert_eq!(world.resets, []);
    }
}

#[test]
fn without_the_master_it_takes_three_minutes() {
    for begin in 0..10 {
        let mut world = three();
        world.until(200 + begin);
        let failed = world.now;
        world.power_off("n1");
        let back = world.until_so(failed + 300, |w| w.runs_on("vm:101").is_some()) - failed;
        assert!((171..=215 + 5).contains(&back), "{back} s after the failure");
    }
}

#[test]
fn a_node_that_is_cut_off_is_reset_before_its_guest_starts_elsewhere() {
    for begin in 0..10 {
        let mut world = three();
        world.until(200 + begin);
        let failed = world.now;
        world.cut("n3");
        world.until_so(failed + 300, |w| w.runs_on("vm:102").as_deref() == Some("n2"));
        let [(at, node)] = world.resets.as_slice() else {
            panic!("{:?}", world.resets);
        };
        assert_eq!(node, "n3");
        assert!(
            (51..=62).contains(&(at - failed)),
            "reset {} s after the cut",
            at - failed
        );
        assert!(
            world.now - at >= 40,
            "only {} s between reset and start",
            world.now - at
        );
    }
}

#[test]
fn a_short_cut_moves_nothing() {
    let mut world = three();
    world.cut("n3");
    world.until(225);
    world.rejoined("n3");
    world.until(500);
    assert_eq!(world.runs_on("vm:102").as_deref(), Some("n3"));
    assert_eq!(world.resets, []);
    assert_eq!(world.state("vm:102"), Some(ServiceState::Started));
}

#[test]
fn after_a_quick_reboot_the_guest_waits_for_the_end_of_the_old_lock() {
    let mut world = three();
    let failed = world.now;
    world.power_off("n3");
    world.until(failed + 30);
    world.power_on("n3");
    let back = world.until_so(failed + 300, |w| w.runs_on("vm:102").is_some()) - failed;
    assert_eq!(world.runs_on("vm:102").as_deref(), Some("n3"));
    assert!((111..=140).contains(&back), "{back} s after the failure");
}

#[test]
fn many_slow_starts_go_on_side_by_side_and_endanger_nobody() {
    let names: Vec<String> = (101..111).map(|number| format!("vm:{number}")).collect();
    let services: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "n1")).collect();
    let mut world = World::new(3, &services);
    world.effort = 95;
    let done = world.until_so(600, |w| names.iter().all(|name| w.runs_on(name).is_some()));
    assert_eq!(world.most_at_work, 4);
    assert!((3 * 95..3 * 95 + 60).contains(&done), "done at {done}");
    assert_eq!(world.resets, []);
}

#[test]
fn a_slow_migration_is_waited_for() {
    let mut world = three();
    world.effort = 45;
    world.commands.push("migrate vm:102 n2".to_owned());
    let began = world.until_so(230, |w| w.state("vm:102") == Some(ServiceState::Migrate));
    world.until(began + 40);
    assert_eq!(world.state("vm:102"), Some(ServiceState::Migrate));
    assert_eq!(world.runs_on("vm:102").as_deref(), Some("n3"));
    world.until_so(began + 80, |w| w.state("vm:102") == Some(ServiceState::Started));
    assert_eq!(world.runs_on("vm:102").as_deref(), Some("n2"));
    assert_eq!(world.resets, []);
}

#[test]
fn a_guest_that_crashed_is_started_again_where_it_was() {
    let mut world = three();
    world.nodes.get_mut("n3").unwrap().running.clear();
    let crashed = world.now;
    let back = world.until_so(crashed + 60, |w| w.runs_on("vm:102").is_some()) - crashed;
    assert!(back <= 30, "{back} s after the crash");
    assert_eq!(world.runs_on("vm:102").as_deref(), Some("n3"));
    assert!(world.manager.service_status[&sid("vm:102")].failed_nodes.is_empty());
}

#[test]
fn an_emptied_node_has_no_watchdog_any_more() {
    let mut world = three();
    assert!(world.is_armed("n3"));
    world.effort = 25;
    world.commands.push("enable-node-maintenance n3".to_owned());
    world.until_so(260, |w| w.runs_on("vm:102").as_deref() != Some("n3"));
    world.until_so(300, |w| !w.is_armed("n3"));
    world.commands.push("disable-node-maintenance n3".to_owned());
    world.until_so(500, |w| {
        w.runs_on("vm:102").as_deref() == Some("n3") && w.is_armed("n3")
    });
    assert_eq!(world.resets, []);
}

#[test]
fn what_is_to_be_off_is_kept_off_even_without_a_master() {
    let mut world = three();
    world.services.get_mut(&sid("vm:102")).unwrap().state = Requested::Stopped;
    world.until_so(260, |w| {
        w.state("vm:102") == Some(ServiceState::Stopped) && w.runs_on("vm:102").is_none()
    });
    world.power_off("n1");
    for _ in 0..2 {
        world.until(world.now + 12);
        world.nodes.get_mut("n3").unwrap().running.insert(sid("vm:102"));
        world.until_so(world.now + 25, |w| w.runs_on("vm:102").is_none());
    }
    assert!(world.now < 320, "a new master may be there by now");
}
