//! Membership: who is in the cluster, who is to join it, over which addresses, and what stands against it.

mod clocks;
mod health;
mod links;
mod members;
mod preflight;
mod speed;
mod steps;
mod versions;

use quorate_model::plan::Step;
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use crate::report::{Report, Weight};

pub(crate) fn plan(file: &ClusterFile, view: &View, report: &mut Report) -> Vec<Step> {
    let standing = members::standing(file, view, report);
    let changes = Weight::needed_if(!standing.bare.is_empty());

    clocks::compare(file, view, &standing, changes, report);
    versions::compare(file, view, &standing, changes, report);
    health::members(view, &standing, changes, report);
    speed::of_first_link(file, view, &standing, report);
    let addresses = links::choose(file, view, &standing, report);
    let creator = preflight::check(file, view, &standing, report);
    health::shape(file, &standing, report);

    match (standing.clear && !report.blind(), addresses, creator) {
        (true, Some(addresses), Some(founder)) => steps::build(file, &standing, &addresses, founder),
        _ => Vec::new(),
    }
}
