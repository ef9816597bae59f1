//! The steps: what is independent side by side, and what touches membership or corosync strictly one after another.
//!
//! The order: preparations; HA to rest; what is off or half in; the QDevice off; servers out; servers in; links; the QDevice on;
//! HA awake. Nothing is taken apart before what puts it together again is there.

mod join;
mod line;
mod prepare;
mod qdevice;
mod remove;
mod rest;
mod unfinished;

use quorate_model::ids::NodeName;
use quorate_model::plan::Step;
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use super::firewall::Opening;
use super::ha::Ha;
use super::left::Left;
use super::links::Links;
use super::members::Standing;
use super::preflight::Founder;
use super::qdevice::Qdevice;
use super::removal::{Removal, State};
use line::Line;

/// All that is to be done, decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Intent<'a> {
    pub(super) file: &'a ClusterFile,
    pub(super) view: &'a View,
    pub(super) standing: &'a Standing<'a>,
    pub(super) links: &'a Links<'a>,
    pub(super) founder: Founder<'a>,
    /// The member (or founder) that does what one has to do for all.
    pub(super) via: &'a NodeName,
    pub(super) removals: &'a [Removal],
    pub(super) qdevice: &'a Qdevice,
    pub(super) ha: &'a Ha,
    pub(super) left: &'a Left,
    pub(super) firewall: Option<&'a Opening>,
}

/// The steps; `None` if one of them can't be told, which is not the same as that there is nothing to do.
pub(super) fn build(intent: &Intent<'_>) -> Option<Vec<Step>> {
    let mut line = Line::new(intent);
    all(&mut line)?;
    Some(line.into_steps())
}

fn all(line: &mut Line<'_>) -> Option<()> {
    let intent = *line.intent;
    let in_state = |wanted: fn(State) -> bool| intent.removals.iter().filter(move |r| wanted(r.state));
    prepare::packages(line)?;
    let rested = rest::begin(line)?;
    unfinished::settle(line)?;
    for removal in in_state(|s| matches!(s, State::Dead { .. } | State::Bare)) {
        remove::take_out(line, removal)?;
    }
    let device = qdevice::off(line)?;
    for removal in in_state(|s| s == State::Alive) {
        remove::power_off(line, removal)?;
        remove::take_out(line, removal)?;
    }
    for removal in in_state(|s| s == State::Gone) {
        remove::clean_up(line, &removal.node)?;
    }
    join::create(line)?;
    prepare::firewall(line)?;
    join::others(line)?;
    join::links(line)?;
    qdevice::on(line, device)?;
    rest::end(line, &rested)?;
    rest::wake(line)
}
