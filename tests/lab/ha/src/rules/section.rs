//! PVE's section config, the form of `rules.cfg` and `groups.cfg`: a head `type: name`, indented lines `key value`, an empty line.

use std::fmt;

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    /// Where its head stands, from 1.
    pub(crate) line: usize,
    /// What stands before the colon, in small letters.
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
    /// Its lines.
    pub(crate) properties: Vec<Property>,
}

/// One line of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Property {
    /// Where it stands, from 1.
    pub(crate) line: usize,
    /// The key.
    pub(crate) key: String,
    /// The rest; empty for a key alone.
    pub(crate) value: String,
}

/// What is wrong with a configuration. PVE warns and passes over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Where, from 1.
    pub line: usize,
    /// What.
    pub reason: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Reads sections; what is none is complained about.
pub(crate) fn sections(text: &str) -> (Vec<Section>, Vec<Complaint>) {
    let mut sections: Vec<Section> = Vec::new();
    let mut complaints = Vec::new();
    let mut open = false;
    for (index, raw) in text.lines().enumerate() {
        let line = index + 1;
        let trimmed = raw.trim();
        if trimmed.is_empty() {
            open = false;
            continue;
        }
        if trimmed.starts_with('#') {
            continue;
        }
        let indented = raw.starts_with([' ', '\t']);
        let mut complain = |reason: String| complaints.push(Complaint { line, reason });
        match sections.last_mut() {
            Some(section) if open && indented => {
                let (key, value) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
                section.properties.push(Property {
                    line,
                    key: key.to_owned(),
                    value: value.trim().to_owned(),
                });
            }
            _ => match head(raw) {
                Some((kind, name)) => {
                    open = true;
                    sections.push(Section {
                        line,
                        kind,
                        name,
                        properties: Vec::new(),
                    });
                }
                None if indented => complain("a property that belongs to no section".to_owned()),
                None => complain(format!("'{trimmed}' is no head of a section: 'type: name' is expected")),
            },
        }
    }
    (sections, complaints)
}

fn head(line: &str) -> Option<(String, String)> {
    if line.starts_with([' ', '\t']) {
        return None;
    }
    let (kind, name) = line.split_once(':')?;
    let name = name.trim();
    let plain = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    (plain(kind) && plain(name)).then(|| (kind.to_lowercase(), name.to_owned()))
}

/// The words of a list: separated by commas, semicolons or blanks.
pub(crate) fn list(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(|c: char| c == ',' || c == ';' || c.is_whitespace())
        .filter(|word| !word.is_empty())
}

/// `1`, `yes`, `on`, `true` and their opposites.
pub(crate) fn truth(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "1" | "yes" | "on" | "true" => Some(true),
        "0" | "no" | "off" | "false" => Some(false),
        _ => None,
    }
}

/// A node with its priority: `node2:3`, or `node2`.
pub(crate) fn node_priority(word: &str) -> Option<(String, Option<i64>)> {
    let name = |node: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        (!node.is_empty() && node.chars().all(fits)).then(|| node.to_owned())
    };
    match word.split_once(':') {
        None => Some((name(word)?, None)),
        Some((node, priority)) => {
            let priority: u16 = priority.parse().ok()?;
            Some((name(node)?, (priority <= 1000).then(|| i64::from(priority))?.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_end_at_an_empty_line() {
        let text = "# of the cluster\none: a\n\tkey some value\n\tflag\n\nTwo: b\n";
        let (sections, complaints) = sections(text);
        assert_eq!(complaints, []);
        let seen: Vec<_> = sections
            .iter()
            .map(|s| (s.line, s.kind.as_str(), s.name.as_str()))
            .collect();
        assert_eq!(seen, [(2, "one", "a"), (6, "two", "b")]);
        let keys: Vec<_> = sections[0]
            .properties
            .iter()
            .map(|p| (p.key.as_str(), p.value.as_str()))
            .collect();
        assert_eq!(keys, [("key", "some value"), ("flag", "")]);
    }

    #[test]
    fn what_belongs_nowhere_is_named_with_its_line() {
        let (_, complaints) = sections("one: a\n\n\tkey value\nnonsense\n: b\n");
        let lines: Vec<_> = complaints.iter().map(|c| c.line).collect();
        assert_eq!(lines, [3, 4, 5]);
        assert!(complaints[1].to_string().starts_with("line 4: 'nonsense' is no head"));
    }

    #[test]
    fn a_priority_stands_behind_a_node() {
        assert_eq!(node_priority("n1"), Some(("n1".to_owned(), None)));
        assert_eq!(node_priority("n1:20"), Some(("n1".to_owned(), Some(20))));
        for bad in ["", ":1", "n1:", "n1:x", "n1:-1", "n1:1001", "n 1"] {
            assert_eq!(node_priority(bad), None, "{bad}");
        }
    }
}
