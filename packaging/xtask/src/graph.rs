//! The crates that are built and who uses whom, reduced to what the rules ask.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, Package};

/// All crates, by an id of no other meaning.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    crates: BTreeMap<String, Crate>,
}

#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: Option<String>,
    pub(crate) source: Source,
    pub(crate) uses: Vec<Use>,
}

/// Where a crate comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A member of this workspace.
    Workspace,
    /// A folder outside the workspace.
    Folder,
    /// A registry or repository, as Cargo names it.
    Remote(String),
}

/// One edge.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) id: String,
    pub(crate) kind: Kind,
}

/// What a dependency is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Test,
}

impl Graph {
    pub(crate) fn crates(&self) -> impl Iterator<Item = &Crate> {
        self.crates.values()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Crate> {
        self.crates().filter(|found| found.source == Source::Workspace)
    }

    /// The crates that `user` names in its manifest.
    pub(crate) fn used_by<'a>(&'a self, user: &'a Crate) -> impl Iterator<Item = (&'a Crate, Kind)> {
        user.uses
            .iter()
            .filter_map(|edge| Some((self.crates.get(&edge.id)?, edge.kind)))
    }

    /// The crates that name `used` in their manifests.
    pub(crate) fn users_of<'a>(&'a self, used: &'a Crate) -> impl Iterator<Item = &'a Crate> {
        self.crates()
            .filter(move |user| self.used_by(user).any(|(found, _)| std::ptr::eq(found, used)))
    }

    /// A chain of names from `start` to a crate called `name` along what is linked into a program; `None` if it is
    /// not in there.
    pub(crate) fn chain(&self, start: &Crate, name: &str) -> Option<Vec<String>> {
        let mut seen: BTreeSet<*const Crate> = BTreeSet::new();
        let mut chains: Vec<(&Crate, Vec<String>)> = vec![(start, vec![start.name.clone()])];
        while let Some((at, chain)) = chains.pop() {
            for (next, _) in self.used_by(at).filter(|(_, kind)| *kind == Kind::Normal) {
                let mut longer = chain.clone();
                longer.push(next.name.clone());
                if next.name == name {
                    return Some(longer);
                }
                if seen.insert(next) {
                    chains.push((next, longer));
                }
            }
        }
        None
    }
}

impl From<&Metadata> for Graph {
    fn from(metadata: &Metadata) -> Self {
        let members: BTreeSet<_> = metadata.workspace_members.iter().collect();
        let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
        let crates = nodes.filter_map(|node| {
            let package = metadata.packages.iter().find(|package| package.id == node.id)?;
            let uses = node.deps.iter().flat_map(|dep| {
                dep.dep_kinds.iter().map(|info| Use {
                    id: dep.pkg.repr.clone(),
                    kind: info.kind.into(),
                })
            });
            let member = members.contains(&node.id);
            Some((node.id.repr.clone(), Crate::new(package, member, uses.collect())))
        });
        Self {
            crates: crates.collect(),
        }
    }
}

impl Crate {
    fn new(package: &Package, member: bool, uses: Vec<Use>) -> Self {
        let source = match &package.source {
            _ if member => Source::Workspace,
            Some(source) => Source::Remote(source.repr.clone()),
            None => Source::Folder,
        };
        let (name, version) = (package.name.to_string(), package.version.to_string());
        Self {
            name,
            version,
            licence: package.license.clone(),
            source,
            uses,
        }
    }
}

impl From<DependencyKind> for Kind {
    fn from(kind: DependencyKind) -> Self {
        match kind {
            DependencyKind::Build => Self::Build,
            DependencyKind::Development => Self::Test,
            _ => Self::Normal,
        }
    }
}

/// Graphs for the tests of the rules.
#[cfg(test)]
pub(crate) mod planted {
    use super::*;

    pub(crate) const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

    /// A graph of workspace members, each `name: used used …`; a used name with `?` in front is for tests only.
    /// Names that are no member become crates of the registry.
    pub(crate) fn graph(lines: &[&str]) -> Graph {
        let mut graph = Graph::default();
        for line in lines {
            let (name, used) = line.split_once(':').unwrap();
            let edge = |word: &str| match word.strip_prefix('?') {
                Some(id) => Use {
                    id: id.to_owned(),
                    kind: Kind::Test,
                },
                None => Use {
                    id: word.to_owned(),
                    kind: Kind::Normal,
                },
            };
            let uses: Vec<_> = used.split_whitespace().map(edge).collect();
            for Use { id, .. } in &uses {
                graph
                    .crates
                    .entry(id.clone())
                    .or_insert_with(|| external(id, "1.0.0", Some("MIT")));
            }
            let member = Crate {
                source: Source::Workspace,
                uses,
                ..external(name, "0.1.0", Some("MIT"))
            };
            graph.crates.insert(name.to_owned(), member);
        }
        graph
    }

    pub(crate) fn external(name: &str, version: &str, licence: Option<&str>) -> Crate {
        Crate {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.map(str::to_owned),
            source: Source::Remote(REGISTRY.to_owned()),
            uses: Vec::new(),
        }
    }

    impl Graph {
        pub(crate) fn with(mut self, found: Crate) -> Self {
            self.crates.insert(format!("{}@{}", found.name, found.version), found);
            self
        }

        pub(crate) fn linking(mut self, user: &str, used: &str) -> Self {
            self.crates.get_mut(user).unwrap().uses.push(Use {
                id: used.to_owned(),
                kind: Kind::Normal,
            });
            self
        }
    }
}
