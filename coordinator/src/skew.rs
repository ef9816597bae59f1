//! Agents of other versions: what is one minor version apart works together, and what is further apart is told and not driven.

use quorate_model::release::apart;
use quorate_model::{ClusterName, Code, Finding, NodeRef, Release, View};

/// The finding about an agent that is too far apart.
pub(crate) fn finding(node: &NodeRef, why: String) -> Finding {
    let next = "upgrade by one minor version at a time, coordinator and agents: quorate node upgrade; an agent that is too old by hand, on its \
                server: dpkg --install FILE.deb";
    Finding::new(Code::AgentVersionApart, node.to_string(), why, next)
}

/// Of all agents that are seen, those that are too far apart from a coordinator of this version.
pub(crate) fn findings(ours: &str, cluster: &ClusterName, view: &View) -> Vec<Finding> {
    let seen = view.nodes.keys().filter_map(|node| {
        let theirs = &view.facet(node, |o| &o.system).ok()?.agent.version;
        let why = apart(ours, theirs)?;
        Some(finding(&NodeRef::new(cluster.clone(), node.clone()), why))
    });
    seen.collect()
}

/// A package that would take agents out of reach of a coordinator of this version.
pub(crate) fn of_package(ours: &str, cluster: &ClusterName, wanted: Release) -> Option<Finding> {
    let ours: Release = ours.parse().ok()?;
    (!ours.goes_with(wanted)).then(|| {
        let why = format!(
            "the package is of version {wanted}, and this coordinator of {ours}: it could not drive such an agent"
        );
        let next = "upgrade the coordinator first: by one minor version at a time, and the agents after it";
        Finding::new(Code::AgentVersionApart, cluster.as_str(), why, next)
    })
}

#[cfg(test)]
mod tests {
    use quorate_planner::testkit::{Servers, known};

    use super::*;

    #[test]
    fn one_step_apart_is_driven_and_two_are_not() {
        let of = |version: &str| {
            let servers = Servers::bare(2);
            let servers = servers.with("prox2", |seen| {
                known(&mut seen.system).agent.version = version.to_owned()
            });
            let servers = servers.with("prox1", |seen| {
                known(&mut seen.system).agent.version = "0.3.0".to_owned()
            });
            findings("0.3.0", &"hk1".parse().unwrap(), &servers.view)
        };
        assert!(of("0.2.9").is_empty() && of("0.4.0").is_empty() && of("0.3.5").is_empty());
        let (old, new) = (of("0.1.0"), of("0.5.0"));
        assert_eq!((old.len(), old[0].subject.as_str()), (1, "hk1/prox2"));
        assert!(old[0].message.contains("too old") && new[0].message.contains("too new"));
        assert!(old[0].refuses());
    }

    #[test]
    fn a_package_that_this_coordinator_could_not_drive_is_told() {
        let of = |wanted: &str| of_package("0.3.0", &"hk1".parse().unwrap(), wanted.parse().unwrap());
        assert!(of("0.4.2").is_none() && of("0.3.1").is_none());
        assert!(of("0.5.0").is_some_and(|finding| finding.refuses() && finding.message.contains("0.5.0")));
    }
}
