//! PVE's section files (storage.cfg, replication.cfg, the files of ha, domains.cfg): `TYPE: ID` at the beginning of a line,
//! below it indented lines of `KEY VALUE`, an empty line ends the section, `#` begins a comment line.

use std::collections::BTreeMap;

use crate::ParseError;

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// Such as `zfspool`, `vm`, `local`.
    pub(super) kind: String,
    /// What stands behind the colon.
    pub(super) id: String,
    /// Properties; a word alone (`disable`) has an empty value.
    pub(super) values: BTreeMap<String, String>,
}

impl Section {
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// All of it in one order, to compare it.
    pub(super) fn to_text(&self) -> String {
        let values = self.values.iter().map(|(key, value)| format!("\t{key} {value}\n"));
        format!("{}: {}\n{}", self.kind, self.id, values.collect::<String>())
    }

    /// A list with whatever PVE takes between its parts.
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        let parts = self
            .value(key)
            .unwrap_or_default()
            .split([',', ';', ' ', '\t', '\0'])
            .filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    }
}

/// Reads all sections of a file of this name.
///
/// # Errors
/// At a line that is none of those above, a property outside of a section, or one that stands twice.
pub(super) fn read(name: &'static str, text: &str) -> Result<Vec<Section>, ParseError> {
    let mut found: Vec<Section> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let bad = |what| ParseError::at(name, line, what);
        if line.trim_start().starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            open = false;
            continue;
        }
        if line.starts_with([' ', '\t']) {
            let section = found.last_mut().filter(|_| open);
            let section = section.ok_or_else(|| bad("a property that belongs to no section"))?;
            let line = line.trim();
            let (key, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
            let before = section.values.insert(key.to_owned(), value.trim().to_owned());
            if before.is_some() {
                return Err(bad("this property stands twice"));
            }
        } else {
            let header = line.split_once(':').map(|(kind, id)| (kind, id.trim()));
            let (kind, id) = header.ok_or_else(|| bad("expected `TYPE: ID`"))?;
            let word = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
            if !word(kind) || !word(id) {
                return Err(bad("expected `TYPE: ID`"));
            }
            found.push(Section {
                kind: kind.to_owned(),
                id: id.to_owned(),
                values: BTreeMap::new(),
            });
            open = true;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_their_properties() {
        let text =
            "# ours\ndir: local\n\tdisable\n\tpath /var/lib/vz  \n\tnodes a, b;c\n\nvm:100\n  comment two words\n";
        let sections = read("storage.cfg", text).unwrap();
        assert_eq!(sections.len(), 2);
        assert_eq!((sections[0].kind.as_str(), sections[0].id.as_str()), ("dir", "local"));
        assert_eq!(sections[0].value("disable"), Some(""));
        assert_eq!(sections[0].value("path"), Some("/var/lib/vz"));
        assert_eq!(sections[0].list("nodes"), ["a", "b", "c"]);
        assert_eq!((sections[1].kind.as_str(), sections[1].id.as_str()), ("vm", "100"));
        assert_eq!(sections[1].value("comment"), Some("two words"));
        assert_eq!(read("storage.cfg", "\n\n").unwrap(), []);
    }

    #[test]
    fn what_is_no_section_is_an_error_with_its_line() {
        for (text, said) in [
            (
                "\tpath /x\n",
                "storage.cfg: a property that belongs to no section: `\tpath /x`",
            ),
            (
                "dir: a\n\n\tpath /x\n",
                "storage.cfg: a property that belongs to no section: `\tpath /x`",
            ),
            (
                "dir: a\n\tpath /x\n\tpath /y\n",
                "storage.cfg: this property stands twice: `\tpath /y`",
            ),
            ("dir\n", "storage.cfg: expected `TYPE: ID`: `dir`"),
            ("dir: a b\n", "storage.cfg: expected `TYPE: ID`: `dir: a b`"),
            ("<<<<<<< HEAD\n", "storage.cfg: expected `TYPE: ID`: `<<<<<<< HEAD`"),
        ] {
            let said = said.replace('\t', "\u{fffd}");
            assert_eq!(read("storage.cfg", text).unwrap_err().to_string(), said);
        }
    }
}
