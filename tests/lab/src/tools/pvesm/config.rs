//! storage.cfg as pvesm reads and writes it, and what it takes for each kind.

use crate::world::random;

/// All definitions, in the file's order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sections(Vec<Section>);

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) kind: String,
    pub(crate) id: String,
    values: Vec<(String, String)>,
}

impl Sections {
    pub(super) fn read(text: &str) -> Self {
        let mut found: Vec<Section> = Vec::new();
        for line in text.lines() {
            let inside = line.starts_with([' ', '\t']);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let (true, Some(section)) = (inside, found.last_mut()) {
                let (key, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
                section.values.push((key.to_owned(), value.trim().to_owned()));
            } else if let Some((kind, id)) = line.split_once(':') {
                found.push(Section {
                    kind: kind.trim().to_owned(),
                    id: id.trim().to_owned(),
                    values: Vec::new(),
                });
            }
        }
        // PVE always has it.
        if !found.iter().any(|section| section.id == "local") {
            let values = [("path", "/var/lib/vz"), ("content", "backup,vztmpl,iso")];
            found.push(Section {
                kind: "dir".to_owned(),
                id: "local".to_owned(),
                values: values.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            });
        }
        Self(found)
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Section> {
        self.0.iter().find(|section| section.id == id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Section> {
        self.0.iter()
    }

    pub(super) fn put(&mut self, section: Section) {
        match self.0.iter_mut().find(|there| there.id == section.id) {
            Some(there) => *there = section,
            None => self.0.push(section),
        }
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.0.retain(|section| section.id != id);
    }

    pub(super) fn text(&self) -> String {
        self.0.iter().map(Section::text).collect::<Vec<_>>().join("\n")
    }
}

impl Section {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }

    /// Enabled on the node of this name.
    pub(crate) fn is_for(&self, node: &str) -> bool {
        let nodes = self.get("nodes").unwrap_or_default();
        self.get("disable").is_none() && (nodes.is_empty() || nodes.split(',').any(|name| name == node))
    }

    /// Lists come out in the order of a hash.
    fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.kind, self.id);
        for (key, value) in &self.values {
            let value = match key.as_str() {
                "content" | "nodes" => shuffled(value),
                _ => value.clone(),
            };
            text.push_str(&format!("\t{key} {value}\n"));
        }
        text
    }
}

fn shuffled(list: &str) -> String {
    let mut words: Vec<(u64, &str)> = list.split(',').map(|word| (random(), word)).collect();
    words.sort_unstable();
    words.into_iter().map(|(_, word)| word).collect::<Vec<_>>().join(",")
}

/// What a kind needs, can have besides, and may keep.
struct Plugin {
    needs: &'static [&'static str],
    takes: &'static [&'static str],
    content: &'static [&'static str],
    usual: &'static str,
}

const ANYWHERE: [&str; 4] = ["nodes", "content", "disable", "bwlimit"];
const WORDS: [&str; 8] = [
    "images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none",
];

fn plugin(kind: &str) -> Option<Plugin> {
    Some(match kind {
        "zfspool" => Plugin {
            needs: &["pool"],
            takes: &["blocksize", "sparse", "mountpoint"],
            content: &["images", "rootdir"],
            usual: "images,rootdir",
        },
        "dir" => Plugin {
            needs: &["path"],
            takes: &["shared", "is_mountpoint", "prune-backups"],
            content: &WORDS,
            usual: "images,rootdir",
        },
        "nfs" => Plugin {
            needs: &["server", "export"],
            takes: &["options", "prune-backups"],
            content: &["images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import"],
            usual: "images",
        },
        "pbs" => Plugin {
            needs: &["server", "datastore"],
            takes: &["username", "fingerprint", "namespace", "port", "prune-backups"],
            content: &["backup", "none"],
            usual: "backup",
        },
        "rbd" => Plugin {
            needs: &[],
            takes: &["monhost", "pool", "data-pool", "namespace", "username", "krbd"],
            content: &["images", "rootdir"],
            usual: "images",
        },
        _ => return None,
    })
}

/// A definition from its options, and what is only warned of.
pub(super) fn checked(kind: &str, id: &str, options: Vec<(String, String)>) -> Result<(Section, String), String> {
    let wrong =
        |what: String| format!("400 Parameter verification failed.\n{what}\n\npvesm add <type> <storage> [OPTIONS]\n");
    let plugin =
        plugin(kind).ok_or_else(|| wrong(format!("type: value '{kind}' does not have a value in the enumeration")))?;
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if id.len() < 2 || !id.starts_with(|c: char| c.is_ascii_alphabetic()) || !id.chars().all(fine) {
        return Err(wrong(format!("storage: storage ID '{id}' contains illegal characters")));
    }
    let mut values = Vec::new();
    let mut warnings = String::new();
    for (key, value) in options {
        let known = plugin
            .needs
            .iter()
            .chain(plugin.takes)
            .chain(&ANYWHERE)
            .any(|known| *known == key);
        if !known {
            return Err(format!("create storage failed: unexpected property '{key}'\n"));
        }
        if key == "content" {
            let value = content(&plugin, &value, &mut warnings).map_err(wrong)?;
            values.push((key, value));
        } else {
            values.push((key, value));
        }
    }
    if let Some(missing) = plugin
        .needs
        .iter()
        .find(|need| !values.iter().any(|(key, _)| key == *need))
    {
        return Err(format!(
            "create storage failed: missing value for required option '{missing}'\n"
        ));
    }
    let mut more = Vec::new();
    if !values.iter().any(|(key, _)| key == "content") {
        more.push(("content".to_owned(), plugin.usual.to_owned()));
    }
    let of = |key: &str| {
        values
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.clone())
    };
    if let (true, Some(pool), None) = (kind == "zfspool", of("pool"), of("mountpoint")) {
        more.push(("mountpoint".to_owned(), format!("/{pool}")));
    }
    if let (true, None) = (kind == "nfs", of("path")) {
        more.push(("path".to_owned(), format!("/mnt/pve/{id}")));
    }
    values.extend(more);
    // What a kind needs comes first, the rest by name.
    values.sort_by_key(|(key, _)| (!plugin.needs.contains(&key.as_str()), key.clone()));
    Ok((
        Section {
            kind: kind.to_owned(),
            id: id.to_owned(),
            values,
        },
        warnings,
    ))
}

/// A word that the kind does not keep is dropped with a warning; one that nobody knows is an error.
fn content(plugin: &Plugin, value: &str, warnings: &mut String) -> Result<String, String> {
    let mut kept = Vec::new();
    for word in value.split(',') {
        if !WORDS.contains(&word) {
            return Err(format!("content: invalid format - invalid content type '{word}'"));
        }
        if plugin.content.contains(&word) {
            kept.push(word);
        } else {
            warnings.push_str(&format!("storage does not support content type '{word}'\n"));
        }
    }
    Ok(kept.join(","))
}

/// `pvesm set`.
pub(super) fn change(section: &mut Section, options: &[(String, String)]) -> Result<(), String> {
    let plugin = plugin(&section.kind).ok_or_else(|| format!("unsupported type '{}'", section.kind))?;
    for (key, value) in options {
        if key == "delete" {
            section.values.retain(|(known, _)| known != value);
            continue;
        }
        if plugin.needs.contains(&key.as_str()) {
            return Err(format!("can't change value of fixed parameter '{key}'"));
        }
        if !plugin.takes.iter().chain(&ANYWHERE).any(|known| known == key) {
            return Err(format!("unexpected property '{key}'"));
        }
        section.values.retain(|(known, _)| known != key);
        section.values.push((key.clone(), value.clone()));
    }
    Ok(())
}
