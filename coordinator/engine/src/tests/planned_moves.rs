//! A server that restarts without its guests: by HA, by hand, and shut down by the operator's word.

use quorate_model::moves::Moves;
use quorate_planner::testkit::{Servers, Vm, file, name};

use super::{FAST, Scene, THREE, scene, wanting};

pub(super) fn scenes() -> Vec<Scene> {
    let managed = Vm::running(100, "prox1");
    let mut bound = Vm::running(102, "prox1");
    bound.config.bound_by = vec!["hostpci0".to_owned()];
    let guests = [managed.clone(), Vm::running(101, "prox1"), bound];
    let servers = Servers::bare(3)
        .members("hk1", THREE, FAST)
        .housing(&guests)
        .managed(&[&managed], "prox3");
    let roll = scene("a server restarts without its guests", file(3, FAST), servers);
    vec![wanting(roll, |wish| {
        wish.moves = Some(Moves::Reboot {
            nodes: [name("prox1")].into(),
            stop: [102].into(),
        });
    })]
}
