//! A server that joins gets the cluster's firewall: does that let the coordinator and the other agents in?

use std::collections::BTreeSet;
use std::net::IpAddr;

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::observation::config::Firewall;
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use super::links::{self, Links};
use super::members::Standing;
use super::preflight::Founder;
use crate::report::{Report, Weight, in_a_row};

/// Where agents listen.
pub(super) const AGENT_PORT: u16 = 7443;

/// Who has to be let in.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) from: BTreeSet<IpAddr>,
}

/// What has to be opened before servers join, if anything.
pub(super) fn check(
    file: &ClusterFile,
    view: &View,
    standing: &Standing<'_>,
    links: Option<&Links<'_>>,
    via: Option<&NodeName>,
    founder: Option<Founder<'_>>,
    report: &mut Report,
) -> Option<Opening> {
    let via = via?;
    let joiners = links::joining(standing)
        .into_iter()
        .filter(|node| !founder.is_some_and(|f| f.is(node)));
    let joiners: Vec<&NodeName> = joiners.collect();
    if joiners.is_empty() {
        return None;
    }
    let config = report.facet(view, via, FacetName::Config, Weight::Needed, |o| &o.config)?;
    let firewall = match config.firewall.get() {
        Ok(firewall) => firewall,
        Err(unknown) => {
            let finding = crate::report::facet_unknown(via, FacetName::Config, "firewall", unknown);
            report.weigh(Weight::Needed, finding);
            return None;
        }
    };
    // What is in the member's own host.fw does not come to the joiner.
    let theirs = Firewall {
        host_enabled: true,
        host_rules: Vec::new(),
        ..firewall.clone()
    };
    let from = callers(file, view, standing, links);
    let kept_out: Vec<&IpAddr> = from
        .iter()
        .filter(|address| !theirs.lets_in(AGENT_PORT, **address))
        .collect();
    if kept_out.is_empty() {
        return None;
    }
    report.tell(Finding::new(
        Code::FirewallKeepsOut,
        file.cluster.name.value.as_str(),
        format!(
            "pve-firewall is on in /etc/pve/firewall/cluster.fw on {via} (policy {}), and may keep {} out of port {AGENT_PORT}; {} would get \
             it by joining, and could not be reached any more",
            firewall.policy_in,
            in_a_row(kept_out),
            in_a_row(&joiners),
        ),
        format!(
            "let the plan add rules for the agents first: --accept {}; or add them yourself: IN ACCEPT -p tcp -dport {AGENT_PORT}",
            Code::FirewallKeepsOut.as_str()
        ),
    ));
    Some(Opening { from })
}

/// The coordinator, and every address that an agent may call another one from.
fn callers(file: &ClusterFile, view: &View, standing: &Standing<'_>, links: Option<&Links<'_>>) -> BTreeSet<IpAddr> {
    let own = file.members().map(|(_, spec)| spec.address.value);
    let configured = standing.any_member().into_iter().flat_map(|m| &m.configured);
    let on_links = configured
        .flat_map(|n| n.addresses.values())
        .filter_map(|a| a.parse().ok());
    let joiners = links
        .into_iter()
        .flat_map(|l| l.joiners.values())
        .flat_map(|l| l.values().copied());
    let new = links
        .into_iter()
        .flat_map(|l| l.new.values())
        .flat_map(|l| l.values().copied());
    let all = own.chain(on_links).chain(joiners).chain(new);
    all.chain(view.coordinator_addresses.iter().copied()).collect()
}
