//! The cluster files that the guide shows can be planned.

use quorate_model::Code;

use super::{sound, told};
use crate::testkit::{Servers, parse};

#[test]
fn three_full_nodes() {
    let file = parse(include_str!("../../../../docs/examples/three-full-nodes.toml"));
    let plan = sound(&file, &Servers::bare(3));
    assert!(!plan.refused() && !plan.is_empty(), "{}", told(&plan));
}

#[test]
fn two_nodes_and_a_qdevice() {
    let file = parse(include_str!("../../../../docs/examples/two-nodes-and-a-qdevice.toml"));
    let plan = sound(&file, &Servers::bare(2));
    // These servers are in other networks than the guide's, and nobody has enrolled box1.
    assert!(plan.refused(), "{}", told(&plan));
    assert!(
        plan.findings.iter().all(|f| f.code != Code::SpecNotSupported),
        "{}",
        told(&plan)
    );
}
