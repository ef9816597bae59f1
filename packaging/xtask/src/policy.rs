//! The repository's policy: the parts of `deny.toml` that are checked here. The file is cargo-deny's own, so that
//! whoever has that tool can check the same rules, and the advisories besides.

use std::path::Path;

use serde::Deserialize;

use crate::report::Stop;

#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    graph: Targets,
    pub(crate) licenses: Licences,
    pub(crate) bans: Bans,
    pub(crate) sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Targets {
    targets: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Licences {
    pub(crate) allow: Vec<String>,
    #[serde(default)]
    pub(crate) exceptions: Vec<Exception>,
}

/// A licence allowed for one crate only.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    #[serde(rename = "crate")]
    pub(crate) name: String,
    pub(crate) allow: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Bans {
    pub(crate) deny: Vec<Ban>,
}

/// A crate that must not be there; or only below the named ones; or only once.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Ban {
    #[serde(rename = "crate")]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) wrappers: Vec<String>,
    #[serde(default)]
    pub(crate) deny_multiple_versions: bool,
    #[serde(default)]
    pub(crate) reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Sources {
    pub(crate) allow_registry: Vec<String>,
}

impl Policy {
    pub(crate) fn read(path: &Path) -> Result<Self, Stop> {
        let text = std::fs::read_to_string(path).map_err(Stop::file(path))?;
        toml::from_str(&text).map_err(|source| Stop::Policy {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// The targets that we build for.
    pub(crate) fn targets(&self) -> &[String] {
        &self.graph.targets
    }

    #[cfg(test)]
    pub(crate) fn parse(text: &str) -> Self {
        let frame = "graph.targets = []\nlicenses.allow = ['MIT']\nbans.deny = []\n";
        let sources = format!("sources.allow-registry = ['{}']\n", crate::graph::planted::REGISTRY);
        let mut table: toml::Table = toml::from_str(&format!("{frame}{sources}")).unwrap();
        table.extend(toml::from_str::<toml::Table>(text).unwrap());
        table.try_into().unwrap()
    }
}
