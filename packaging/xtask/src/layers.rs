//! Which crate of the workspace may use which, and what may never be linked into it.

use crate::graph::{Graph, Kind};
use crate::report::Report;

/// One row: a crate, the workspace crates that it may use, and those that its tests may use besides.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) name: &'static str,
    pub(crate) uses: &'static [&'static str],
    pub(crate) tests_use: &'static [&'static str],
}

const fn layer(name: &'static str, uses: &'static [&'static str], tests_use: &'static [&'static str]) -> Layer {
    Layer { name, uses, tests_use }
}

/// The house, from its ground up. What is not listed is not allowed.
pub(crate) const LAYERS: &[Layer] = &[
    layer("quorate-model", &[], &[]),
    layer("quorate-clock", &["quorate-model"], &[]),
    layer("quorate-exec", &["quorate-clock", "quorate-model"], &[]),
    layer("quorate-identity", &["quorate-clock", "quorate-model"], &[]),
    layer("quorate-reception", &["quorate-identity", "quorate-model"], &[]),
    layer("quorate-show", &["quorate-model"], &[]),
    layer("quorate-tally", &["quorate-clock"], &[]),
    layer("quorate-probe", &["quorate-identity", "quorate-tally"], &[]),
    layer("quorate-proto", &["quorate-model"], &[]),
    layer("quorate-tools", &["quorate-exec", "quorate-model"], &[]),
    layer("quorate-planner", &["quorate-model"], &[]),
    layer(
        "quorate-engine",
        &["quorate-clock", "quorate-model"],
        &["quorate-planner"],
    ),
    layer(
        "quorate-agent",
        &[
            "quorate-clock",
            "quorate-exec",
            "quorate-identity",
            "quorate-model",
            "quorate-probe",
            "quorate-proto",
            "quorate-reception",
            "quorate-show",
            "quorate-tally",
            "quorate-tools",
        ],
        &[],
    ),
    layer(
        "quorate",
        &[
            "quorate-clock",
            "quorate-engine",
            "quorate-exec",
            "quorate-identity",
            "quorate-model",
            "quorate-planner",
            "quorate-probe",
            "quorate-proto",
            "quorate-reception",
            "quorate-show",
            "quorate-tally",
        ],
        &[],
    ),
    // A fake that shared code with what it is there to test would share its mistakes.
    layer("quorate-lab-ha", &[], &[]),
    layer("quorate-lab", &["quorate-lab-ha"], &[]),
    layer(
        "quorate-suites",
        &["quorate-lab"],
        &[
            "quorate",
            "quorate-agent",
            "quorate-clock",
            "quorate-engine",
            "quorate-exec",
            "quorate-identity",
            "quorate-model",
            "quorate-planner",
            "quorate-proto",
            "quorate-reception",
            "quorate-show",
            "quorate-tally",
            "quorate-tools",
        ],
    ),
    layer(
        "quorate-reality",
        &["quorate-lab"],
        &[
            "quorate-clock",
            "quorate-identity",
            "quorate-model",
            "quorate-planner",
            "quorate-proto",
        ],
    ),
    // It asks the programs, as an operator would: what they say is looked at as JSON. What only a coordinator asks of an agent, it asks as one.
    layer(
        "quorate-reality-corosync",
        &["quorate-lab"],
        &["quorate-clock", "quorate-identity", "quorate-model", "quorate-proto"],
    ),
    layer("quorate-reality-postgres", &["quorate-lab"], &[]),
    layer(
        "quorate-bench",
        &[
            "quorate",
            "quorate-clock",
            "quorate-lab",
            "quorate-model",
            "quorate-planner",
            "quorate-suites",
        ],
        &[],
    ),
    layer("quorate-manuals", &["quorate", "quorate-agent"], &[]),
    // Everything that reads what others wrote, in one table.
    layer(
        "quorate-fuzz",
        &[
            "quorate",
            "quorate-agent",
            "quorate-identity",
            "quorate-model",
            "quorate-proto",
            "quorate-tally",
            "quorate-tools",
        ],
        &["quorate-planner"],
    ),
    // The generated documents come from the types and command lines that they describe; fixtures are recorded with the agent's own calls.
    layer(
        "xtask",
        &[
            "quorate",
            "quorate-agent",
            "quorate-clock",
            "quorate-exec",
            "quorate-model",
            "quorate-tools",
        ],
        &[],
    ),
];

/// What must not be in a crate's program, however deep below: purity is lost by a friend's friend, too.
pub(crate) const NEVER: &[(&str, &[&str])] = &[
    ("quorate-model", &["tokio", "tonic", "sled"]),
    ("quorate-planner", &["tokio", "tonic", "sled"]),
    ("quorate-probe", &["tonic", "sled", "tokio-postgres"]),
    ("quorate-show", &["tokio", "tonic", "sled"]),
    ("quorate-tally", &["tokio", "tonic", "sled"]),
    ("quorate-tools", &["tonic", "sled"]),
    ("quorate-engine", &["tonic", "sled"]),
    ("quorate-agent", &["sled", "tokio-postgres"]),
    ("quorate-lab", &["tonic", "sled"]),
    ("quorate-lab-ha", &["tokio", "tonic", "sled"]),
];

pub(crate) fn check(graph: &Graph, layers: &[Layer], never: &[(&str, &[&str])]) -> Report {
    let mut violations = Vec::new();
    let mut edges = 0;
    let is_member = |name: &str| graph.members().any(|member| member.name == name);
    for member in graph.members() {
        let Some(layer) = layers.iter().find(|layer| layer.name == member.name) else {
            violations.push(format!("{} stands in no row of the table of layers", member.name));
            continue;
        };
        for (used, kind) in graph.used_by(member).filter(|(used, _)| is_member(&used.name)) {
            edges += 1;
            let for_tests = kind == Kind::Test;
            let allowed = layer.uses.contains(&used.name.as_str())
                || for_tests && (layer.tests_use.contains(&used.name.as_str()) || used.name == member.name);
            if !allowed {
                let user = if for_tests {
                    format!("the tests of {}", member.name)
                } else {
                    member.name.clone()
                };
                violations.push(format!("{user} may not use {}", used.name));
            }
        }
    }
    for layer in layers.iter().filter(|layer| !is_member(layer.name)) {
        violations.push(format!(
            "{} has a row in the table of layers, but is not in the workspace",
            layer.name
        ));
    }
    let mut prohibitions = 0;
    for (name, forbidden) in never {
        for member in graph.members().filter(|member| member.name == *name) {
            prohibitions += forbidden.len();
            let chains = forbidden.iter().filter_map(|deep| graph.chain(member, deep));
            violations.extend(chains.map(|chain| format!("{name} must never contain this: {}", chain.join(" → "))));
        }
    }
    let members = graph.members().count();
    let checked = format!("{members} crates, {edges} dependencies between them, {prohibitions} prohibitions");
    Report {
        name: "layers",
        checked,
        violations,
        ..Report::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::planted::graph;

    const TABLE: &[Layer] = &[
        layer("model", &[], &[]),
        layer("planner", &["model"], &["lab"]),
        layer("lab", &[], &[]),
    ];
    const NONE: &[(&str, &[&str])] = &[];

    fn violations(lines: &[&str], never: &[(&str, &[&str])]) -> Vec<String> {
        check(&graph(lines), TABLE, never).violations
    }

    #[test]
    fn what_the_table_allows_passes() {
        let report = check(
            &graph(&["model: serde", "planner: model ?lab ?planner", "lab: tokio"]),
            TABLE,
            NONE,
        );
        assert_eq!(
            (report.violations, &*report.checked),
            (vec![], "3 crates, 3 dependencies between them, 0 prohibitions")
        );
    }

    #[test]
    fn an_edge_against_the_direction_is_named() {
        assert_eq!(
            violations(&["model: planner", "planner: model", "lab:"], NONE),
            ["model may not use planner"]
        );
        assert_eq!(
            violations(&["model: ?lab", "planner:", "lab:"], NONE),
            ["the tests of model may not use lab"]
        );
        assert_eq!(
            violations(&["model:", "planner: lab", "lab:"], NONE),
            ["planner may not use lab"]
        );
    }

    #[test]
    fn crates_and_rows_must_match() {
        let seen = violations(&["model:", "planner:", "cellar:"], NONE);
        assert_eq!(
            seen,
            [
                "cellar stands in no row of the table of layers",
                "lab has a row in the table of layers, but is not in the workspace"
            ]
        );
    }

    #[test]
    fn a_prohibition_holds_at_any_depth_but_not_for_tests() {
        let house = |lines: &[&str]| graph(lines).linking("serde", "tokio");
        let never: &[(&str, &[&str])] = &[("model", &["tokio"])];
        let deep = check(&house(&["model: serde", "planner: tokio", "lab:"]), TABLE, never).violations;
        assert_eq!(deep, ["model must never contain this: model → serde → tokio"]);
        let tests_only = check(&house(&["model: ?serde", "planner: tokio", "lab:"]), TABLE, never).violations;
        assert_eq!(tests_only, Vec::<String>::new());
    }
}
