//! `rules.cfg` and `groups.cfg` as `ha-manager` edits them: sections with a head and indented lines.

use std::collections::BTreeMap;

/// One section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Section {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) keys: BTreeMap<String, String>,
}

pub(super) fn parse(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(words) = line.strip_prefix(['\t', ' ']) {
            let (key, value) = words.trim().split_once(' ').unwrap_or((words.trim(), "1"));
            if let Some(section) = sections.last_mut() {
                section.keys.insert(key.to_owned(), value.trim().to_owned());
            }
        } else if let Some((kind, name)) = line.split_once(':') {
            sections.push(Section {
                kind: kind.trim().to_owned(),
                name: name.trim().to_owned(),
                keys: BTreeMap::new(),
            });
        }
    }
    sections
}

pub(super) fn render(sections: &[Section]) -> String {
    let mut text = String::new();
    for section in sections {
        text.push_str(&format!("{}: {}\n", section.kind, section.name));
        for (key, value) in &section.keys {
            text.push_str(&format!("\t{key} {value}\n"));
        }
        text.push('\n');
    }
    text
}

impl Section {
    /// The words of a list, without the priorities of nodes.
    pub(super) fn list(&self, key: &str) -> Vec<&str> {
        let words = self.keys.get(key).map_or("", String::as_str).split([',', ';', ' ']);
        words
            .filter(|word| !word.is_empty())
            .map(|word| match key {
                "nodes" => word.split(':').next().unwrap_or(word),
                _ => word,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_written_as_they_were_read() {
        let text =
            "node-affinity: keep\n\tnodes prox1:1,prox2:1\n\tresources vm:100\n\tstrict 1\n\ngroup: g\n\tnodes a\n\n";
        let sections = parse(text);
        assert_eq!(render(&sections), text);
        assert_eq!(sections[0].list("nodes"), ["prox1", "prox2"]);
        assert_eq!(sections[0].list("resources"), ["vm:100"]);
    }
}
