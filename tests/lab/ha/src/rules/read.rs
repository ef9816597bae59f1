//! Reads and writes `rules.cfg`.

use std::collections::{BTreeMap, BTreeSet};

use super::section::{Property, Section};
use super::{Complaint, Demand, Rule, Rules, list, node_priority, sections, truth};
use crate::model::Sid;

#[derive(Default)]
struct Read {
    resources: Option<BTreeSet<Sid>>,
    nodes: Option<BTreeMap<String, i64>>,
    strict: bool,
    together: Option<bool>,
    disabled: bool,
    comment: Option<String>,
}

impl Rules {
    /// Reads the text of `rules.cfg`. What cannot be read is left out, as PVE does, and complained about.
    #[must_use]
    pub fn parse(text: &str) -> (Self, Vec<Complaint>) {
        let (found, mut complaints) = sections(text);
        let mut all = BTreeMap::new();
        for section in found {
            let name = section.name.clone();
            match rule(&section) {
                Ok(rule) if !all.contains_key(&name) => {
                    all.insert(name, rule);
                }
                Ok(_) => complaints.push(Complaint {
                    line: section.line,
                    reason: format!("there is a rule '{name}' already"),
                }),
                Err(complaint) => complaints.push(complaint),
            }
        }
        complaints.sort_by_key(|complaint| complaint.line);
        (Self { all }, complaints)
    }

    /// The text of `rules.cfg` for these rules.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.all
            .iter()
            .map(|(name, rule)| section_text(name, rule))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn rule(section: &Section) -> Result<Rule, Complaint> {
    let complain = |reason: String| Complaint {
        line: section.line,
        reason,
    };
    let of_nodes = match section.kind.as_str() {
        "node-affinity" => true,
        "resource-affinity" => false,
        other => return Err(complain(format!("'{other}' is no type of rule"))),
    };
    let mut read = Read::default();
    for property in &section.properties {
        let known = property_of(&mut read, property, of_nodes).map_err(|reason| Complaint {
            line: property.line,
            reason,
        })?;
        if !known {
            return Err(Complaint {
                line: property.line,
                reason: format!("a rule of type '{}' has no '{}'", section.kind, property.key),
            });
        }
    }
    let missing = |key: &str| complain(format!("the rule '{}' has no '{key}'", section.name));
    let demand = if of_nodes {
        Demand::Nodes {
            nodes: read.nodes.ok_or_else(|| missing("nodes"))?,
            strict: read.strict,
        }
    } else if read.together.ok_or_else(|| missing("affinity"))? {
        Demand::Together
    } else {
        Demand::Apart
    };
    Ok(Rule {
        resources: read.resources.ok_or_else(|| missing("resources"))?,
        demand,
        disabled: read.disabled,
        comment: read.comment,
    })
}

/// Takes one line. False for a key that such a rule does not have.
fn property_of(read: &mut Read, property: &Property, of_nodes: bool) -> Result<bool, String> {
    let value = property.value.as_str();
    match property.key.as_str() {
        "resources" => {
            let resources: Result<BTreeSet<Sid>, _> = list(value).map(Sid::parse).collect();
            read.resources = Some(resources.map_err(|error| error.to_string())?);
        }
        // Its mere presence counts.
        "disable" => read.disabled = true,
        "comment" => read.comment = Some(value.to_owned()),
        "nodes" if of_nodes => {
            let mut nodes = BTreeMap::new();
            for word in list(value) {
                let (node, priority) =
                    node_priority(word).ok_or_else(|| format!("'{word}' is no node with its priority"))?;
                nodes.insert(node, priority.unwrap_or(0));
            }
            read.nodes = Some(nodes);
        }
        "strict" if of_nodes => {
            read.strict = truth(value).ok_or_else(|| format!("'{value}' is neither yes nor no"))?;
        }
        "affinity" if !of_nodes => {
            read.together = Some(match value {
                "positive" => true,
                "negative" => false,
                other => return Err(format!("'{other}' is neither positive nor negative")),
            });
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn section_text(name: &str, rule: &Rule) -> String {
    let kind = match rule.demand {
        Demand::Nodes { .. } => "node-affinity",
        Demand::Together | Demand::Apart => "resource-affinity",
    };
    let mut text = format!("{kind}: {name}\n");
    let mut line = |key: &str, value: &str| text.push_str(&format!("\t{key} {value}\n"));
    if let Some(comment) = &rule.comment {
        line("comment", comment);
    }
    if rule.disabled {
        line("disable", "1");
    }
    match &rule.demand {
        Demand::Nodes { nodes, strict } => {
            let word = |(node, priority): (&String, &i64)| match priority {
                0 => node.clone(),
                _ => format!("{node}:{priority}"),
            };
            line("nodes", &nodes.iter().map(word).collect::<Vec<_>>().join(","));
            if *strict {
                line("strict", "1");
            }
        }
        Demand::Together => line("affinity", "positive"),
        Demand::Apart => line("affinity", "negative"),
    }
    let resources: Vec<&str> = rule.resources.iter().map(Sid::as_str).collect();
    line("resources", &resources.join(","));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
node-affinity: near-storage
\tresources vm:101, vm:102
\tnodes n1:2;n2 n3:1
\tstrict 1

resource-affinity: web-apart
\taffinity negative
\tresources vm:101,ct:7
\tdisable 1
\tcomment two of the same

";

    #[test]
    fn both_kinds_of_rules_are_read() {
        let (rules, complaints) = Rules::parse(TEXT);
        assert_eq!(complaints, []);
        let near = &rules.all["near-storage"];
        let nodes = [("n1", 2), ("n2", 0), ("n3", 1)].map(|(node, priority)| (node.to_owned(), priority));
        assert_eq!(
            near.demand,
            Demand::Nodes {
                nodes: nodes.into(),
                strict: true
            }
        );
        assert_eq!(near.resources.len(), 2);
        let apart = &rules.all["web-apart"];
        assert_eq!((&apart.demand, apart.disabled), (&Demand::Apart, true));
    }

    #[test]
    fn rules_are_read_as_they_are_written() {
        let (rules, _) = Rules::parse(TEXT);
        let (again, complaints) = Rules::parse(&rules.to_text());
        assert_eq!(complaints, []);
        assert_eq!(again, rules);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, reason) in [
            ("planet: a\n\tresources vm:1\n", 1, "'planet' is no type of rule"),
            ("node-affinity: a\n\tresources vm:1\n", 1, "the rule 'a' has no 'nodes'"),
            ("node-affinity: a\n\tnodes n1\n", 1, "the rule 'a' has no 'resources'"),
            (
                "node-affinity: a\n\tresources vm\n\tnodes n1\n",
                2,
                "'vm' names no service",
            ),
            (
                "node-affinity: a\n\tresources vm:1\n\tnodes n1:x\n",
                3,
                "'n1:x' is no node",
            ),
            ("node-affinity: a\n\tstrict maybe\n", 2, "'maybe' is neither yes nor no"),
            ("node-affinity: a\n\taffinity positive\n", 2, "has no 'affinity'"),
            ("resource-affinity: a\n\taffinity strong\n", 2, "'strong' is neither"),
            ("resource-affinity: a\n\tresources vm:1\n", 1, "has no 'affinity'"),
        ] {
            let (rules, complaints) = Rules::parse(text);
            assert!(rules.all.is_empty(), "{text}");
            assert_eq!(complaints[0].line, line, "{text}");
            assert!(complaints[0].reason.contains(reason), "{}", complaints[0]);
        }
    }

    #[test]
    fn the_second_rule_of_a_name_is_left_out() {
        let one = "resource-affinity: a\n\taffinity positive\n\tresources vm:1,vm:2\n\n";
        let (rules, complaints) = Rules::parse(&format!("{one}{one}"));
        assert_eq!(rules.all.len(), 1);
        assert_eq!(complaints[0].to_string(), "line 5: there is a rule 'a' already");
    }
}
