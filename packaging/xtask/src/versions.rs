//! docs/versions.md: what the tests stand on, from the list of fixtures; and what of PVE's releases is known, from the planner's own table.

use std::collections::BTreeSet;

use quorate_model::releases::{Knowledge, RELEASES};

use crate::fixtures::{self, Case, Kind, List};
use crate::pages::{MADE, row};

const TOOLS: &str = include_str!("../../../tests/fixtures/tools.toml");

/// The whole page.
pub(crate) fn page() -> String {
    let mut page = format!("# What is tested, and what is only read\n\n{MADE}");
    releases(&mut page);
    match fixtures::read(TOOLS) {
        Ok(list) => tools(&list, &mut page),
        // The check of the fixtures says what is wrong with it.
        Err(error) => page.push_str(&format!("\nThe list of fixtures can't be read: {error}\n")),
    }
    page
}

fn releases(page: &mut String) {
    page.push_str(
        "## Releases of PVE\n\nThe planner goes by this very table: a release that is in no row counts as unknown, also a newer minor one.\n\n\
         | PVE | known | plans that change such a server are | tested | read in the source | unknown |\n|---|---|---|---|---|---|\n",
    );
    for release in &RELEASES {
        let known = match release.knowledge {
            Knowledge::Captured => "captured",
            Knowledge::ReadFromSource => "from source",
            Knowledge::Unknown => "unknown",
        };
        let consequence = release.knowledge.consequence();
        let cells = [
            &release.name(),
            known,
            consequence,
            release.tested,
            release.read,
            release.unknown,
        ];
        row(page, &cells);
    }
    let all = [
        "all others",
        "unknown",
        Knowledge::Unknown.consequence(),
        "–",
        "–",
        "everything",
    ];
    row(page, &all);
}

fn tools(list: &List, page: &mut String) {
    page.push_str(
        "\n## Tools and files\n\nWhat every tool that the agent calls prints, and what every file that it reads holds, is kept in \
         [tests/fixtures](../tests/fixtures/README.md): *captured* of the real tool, or written *from its source* and never seen printed. \
         Every parser, and every simulated tool of the lab, is held to them. A dash: there can be none, and the list says why.\n\n\
         | tool or file | captured | from source | answers | empty ones | errors | versions |\n|---|---|---|---|---|---|---|\n",
    );
    let mut sums = [0_usize; 5];
    for tool in &list.tool {
        let count = |pick: &dyn Fn(&Case) -> bool| tool.cases.iter().filter(|case| pick(case)).count();
        let of_kind = |kind| count(&move |case: &Case| case.kind == kind);
        let [answers, empty, errors] = Kind::ALL.map(of_kind);
        let counts = [
            count(&|case| case.captured.is_some()),
            count(&|case| case.source.is_some()),
            answers,
            empty,
            errors,
        ];
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count;
        }
        let versions: BTreeSet<&str> = tool.cases.iter().map(Case::version).collect();
        let versions: Vec<&str> = versions.into_iter().collect();
        let shown = |kind: Kind, count: usize| match tool.without.contains_key(&kind) {
            true => "–".to_owned(),
            false => count.to_string(),
        };
        row(
            page,
            &[
                &tool.name,
                &counts[0].to_string(),
                &counts[1].to_string(),
                &shown(Kind::Success, answers),
                &shown(Kind::Empty, empty),
                &shown(Kind::Error, errors),
                &versions.join(", "),
            ],
        );
    }
    let [captured, source, answers, empty, errors] = sums.map(|sum| sum.to_string());
    let name = format!("all {}", list.tool.len());
    row(page, &[&name, &captured, &source, &answers, &empty, &errors, ""]);
}
