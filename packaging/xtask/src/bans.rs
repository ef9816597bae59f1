//! Crates that must not be there, or only below certain others, or only once; and where crates come from.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Crate, Graph, Source};
use crate::policy::{Ban, Policy};
use crate::report::Report;

pub(crate) fn check(graph: &Graph, policy: &Policy) -> Report {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for found in graph.crates() {
        versions.entry(&found.name).or_default().insert(&found.version);
    }
    let several = |name: &str| versions.get(name).filter(|versions| versions.len() > 1);
    let list = |versions: &BTreeSet<&str>| versions.iter().copied().collect::<Vec<_>>().join(", ");

    let mut violations = Vec::new();
    for ban in &policy.bans.deny {
        match (ban.deny_multiple_versions, several(&ban.name)) {
            (true, Some(all)) => violations.push(format!("{} is there in several versions: {}", ban.name, list(all))),
            (true, None) => {}
            (false, _) => violations.extend(presence(graph, ban)),
        }
    }
    violations.extend(graph.crates().filter_map(|found| foreign(found, policy)));

    let only_once = |name: &str| {
        policy
            .bans
            .deny
            .iter()
            .any(|ban| ban.deny_multiple_versions && ban.name == name)
    };
    let twice = versions
        .iter()
        .filter(|(name, versions)| versions.len() > 1 && !only_once(name));
    let notes = twice.map(|(name, versions)| format!("{name} is there in several versions: {}", list(versions)));
    let checked = format!("{} crates, {} rules", graph.crates().count(), policy.bans.deny.len());
    Report {
        name: "bans",
        checked,
        notes: notes.collect(),
        violations,
    }
}

/// Who uses a banned crate without being allowed to.
fn presence(graph: &Graph, ban: &Ban) -> Vec<String> {
    let mut wrong = Vec::new();
    for found in graph.crates().filter(|found| found.name == ban.name) {
        let users: BTreeSet<&str> = graph.users_of(found).map(|user| user.name.as_str()).collect();
        let refused = users
            .into_iter()
            .filter(|user| !ban.wrappers.iter().any(|wrapper| wrapper == user));
        wrong.extend(refused.map(|user| format!("{user} may not use {}: {}", ban.name, ban.reason)));
    }
    wrong
}

/// What is wrong with where a crate comes from.
fn foreign(found: &Crate, policy: &Policy) -> Option<String> {
    let Crate { name, version, .. } = found;
    match &found.source {
        Source::Workspace => None,
        Source::Folder => Some(format!("{name} {version} comes from a folder outside the workspace")),
        Source::Remote(remote) => {
            let registry = remote
                .strip_prefix("registry+")
                .or_else(|| remote.strip_prefix("sparse+"));
            let known = |url: &str| {
                policy
                    .sources
                    .allow_registry
                    .iter()
                    .any(|allowed| allowed.ends_with(url))
            };
            (!registry.is_some_and(known)).then(|| format!("{name} {version} comes from {remote}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::planted::{external, graph};

    fn violations(graph: &Graph, bans: &str) -> Vec<String> {
        check(graph, &Policy::parse(&format!("bans.deny = [{bans}]"))).violations
    }

    #[test]
    fn a_banned_crate_is_named_with_its_user_and_the_reason() {
        let house = graph(&["agent: openssl", "lab: ?openssl"]);
        let seen = violations(&house, "{ crate = 'openssl', reason = 'one provider' }");
        assert_eq!(
            seen,
            [
                "agent may not use openssl: one provider",
                "lab may not use openssl: one provider"
            ]
        );
    }

    #[test]
    fn a_wrapped_crate_is_for_its_wrappers_alone() {
        let ban = "{ crate = 'sled', wrappers = ['quorate'], reason = 'the store' }";
        assert_eq!(violations(&graph(&["quorate: sled"]), ban), Vec::<String>::new());
        let seen = violations(&graph(&["quorate: sled", "engine: sled"]), ban);
        assert_eq!(seen, ["engine may not use sled: the store"]);
    }

    #[test]
    fn a_second_version_is_wrong_where_told_and_noted_elsewhere() {
        let house = || {
            graph(&["agent: rustls syn"])
                .with(external("rustls", "0.9.0", Some("MIT")))
                .with(external("syn", "3.0.0", Some("MIT")))
        };
        let rule = "{ crate = 'rustls', deny-multiple-versions = true }";
        assert_eq!(
            violations(&house(), rule),
            ["rustls is there in several versions: 0.9.0, 1.0.0"]
        );
        let report = check(&house(), &Policy::parse(&format!("bans.deny = [{rule}]")));
        assert_eq!(report.notes, ["syn is there in several versions: 1.0.0, 3.0.0"]);
    }

    #[test]
    fn only_known_registries_and_members_are_sources() {
        let from = |source| {
            graph(&["agent: serde"]).with(Crate {
                source,
                ..external("odd", "1.0.0", None)
            })
        };
        let git = Source::Remote("git+https://example.invalid/odd#abc".to_owned());
        assert_eq!(
            violations(&from(git), ""),
            ["odd 1.0.0 comes from git+https://example.invalid/odd#abc"]
        );
        let registry = Source::Remote("registry+https://example.invalid/index".to_owned());
        assert_eq!(
            violations(&from(registry), ""),
            ["odd 1.0.0 comes from registry+https://example.invalid/index"]
        );
        let folder = violations(&from(Source::Folder), "");
        assert_eq!(folder, ["odd 1.0.0 comes from a folder outside the workspace"]);
    }
}
