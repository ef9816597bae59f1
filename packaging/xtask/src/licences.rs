//! Every dependency's licence expression can be satisfied with licences that we allow.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::graph::{Crate, Graph, Source};
use crate::policy::Policy;
use crate::report::Report;
use crate::spdx;

pub(crate) fn check(graph: &Graph, policy: &Policy) -> Report {
    let seen = RefCell::new(BTreeSet::new());
    let dependencies: Vec<&Crate> = graph
        .crates()
        .filter(|found| found.source != Source::Workspace)
        .collect();
    let mut violations = Vec::new();
    for found in &dependencies {
        let excepted = policy
            .licenses
            .exceptions
            .iter()
            .filter(|exception| exception.name == found.name);
        let for_this: Vec<&String> = excepted.flat_map(|exception| &exception.allow).collect();
        let allowed = |licence: &str| {
            seen.borrow_mut().insert(licence.to_owned());
            policy
                .licenses
                .allow
                .iter()
                .chain(for_this.iter().copied())
                .any(|good| good == licence)
        };
        let Crate {
            name, version, licence, ..
        } = found;
        match licence
            .as_deref()
            .map(|expression| (expression, spdx::satisfied(expression, &allowed)))
        {
            Some((_, Ok(true))) => {}
            Some((expression, Ok(false))) => violations.push(format!("{name} {version}: {expression} is not allowed")),
            Some((expression, Err(error))) => {
                violations.push(format!(
                    "{name} {version}: {expression:?} is no licence expression: {error}"
                ));
            }
            None => violations.push(format!("{name} {version} states no licence")),
        }
    }
    let seen = seen.into_inner();
    let unused = policy.licenses.allow.iter().filter(|licence| !seen.contains(*licence));
    let notes = unused
        .map(|licence| format!("{licence} is allowed, but no dependency has it"))
        .collect();
    let checked = format!(
        "{} dependencies, {} licences among them",
        dependencies.len(),
        seen.len()
    );
    Report {
        name: "licences",
        checked,
        notes,
        violations,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::planted::{external, graph};

    fn violations(policy: &str, found: Crate) -> Vec<String> {
        check(&graph(&["model: serde"]).with(found), &Policy::parse(policy)).violations
    }

    #[test]
    fn a_licence_that_is_not_allowed_is_named_with_its_crate() {
        let seen = violations("", external("copyleft", "2.0.0", Some("GPL-3.0-only")));
        assert_eq!(seen, ["copyleft 2.0.0: GPL-3.0-only is not allowed"]);
        assert_eq!(
            violations("", external("free", "1.0.0", Some("GPL-3.0-only OR MIT"))),
            Vec::<String>::new()
        );
    }

    #[test]
    fn no_licence_and_no_expression_are_wrong() {
        assert_eq!(
            violations("", external("silent", "1.0.0", None)),
            ["silent 1.0.0 states no licence"]
        );
        let broken = violations("", external("odd", "1.0.0", Some("MIT OR")));
        assert!(
            broken
                .iter()
                .all(|text| text.starts_with("odd 1.0.0: \"MIT OR\" is no licence expression"))
        );
        assert_eq!(broken.len(), 1);
    }

    #[test]
    fn an_exception_holds_for_its_crate_alone() {
        let policy = "licenses = { allow = ['MIT'], exceptions = [{ crate = 'tables', allow = ['Unicode-3.0'] }] }";
        let unicode = |name| external(name, "1.0.0", Some("Unicode-3.0"));
        assert_eq!(violations(policy, unicode("tables")), Vec::<String>::new());
        assert_eq!(
            violations(policy, unicode("other")),
            ["other 1.0.0: Unicode-3.0 is not allowed"]
        );
    }
}
