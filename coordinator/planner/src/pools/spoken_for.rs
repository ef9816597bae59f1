//! Disks of a server that are spoken for, so that no disk goes to two. What is named goes before what is only described, wherever it stands.

use quorate_model::NodeName;
use quorate_model::observation::disks::Disks;
use quorate_model::spec::{ClusterFile, DiskName, Pick, PoolSpec};
use quorate_model::wish::DiskReplacement;

use crate::disks::Taken;

/// Disks of one server that are spoken for.
#[derive(Debug, Default)]
pub(super) struct SpokenFor {
    chosen: Taken,
    named: Taken,
}

impl SpokenFor {
    /// By the file and the operator, who name some.
    pub(super) fn by_name(
        file: &ClusterFile,
        replacement: Option<&DiskReplacement>,
        node: &NodeName,
        disks: Option<&Disks>,
    ) -> Self {
        let mut named = Taken::new();
        let mut name = |name: &DiskName, by: &str| {
            let meant = disks.into_iter().flat_map(|disks| &disks.disks);
            for disk in meant.filter(|disk| name.means(disk)) {
                if let Some(stable) = disk.stable_name() {
                    named.insert(stable.to_owned(), format!("is named {by}"));
                }
            }
        };
        for (pool, spec) in &file.pools {
            for disk in names_of(spec, node) {
                name(disk, &format!("for pool {pool} in the cluster file"));
            }
        }
        let with = replacement
            .filter(|what| what.node == *node)
            .and_then(|what| what.with.as_ref());
        if let Some(with) = with.and_then(|with| with.as_str().parse::<DiskName>().ok()) {
            name(&with, "to replace another one");
        }
        Self {
            chosen: Taken::new(),
            named,
        }
    }

    /// What a pick may not have. Of those that it names itself, only what is chosen already.
    pub(super) fn against(&self, pick: &Pick) -> Taken {
        let mut taken = self.chosen.clone();
        if matches!(pick, Pick::Matching(_)) {
            for (name, by) in &self.named {
                taken.entry(name.clone()).or_insert_with(|| by.clone());
            }
        }
        taken
    }

    pub(super) fn choose(&mut self, name: &str, what: &str) {
        self.chosen.insert(name.to_owned(), format!("is chosen for {what}"));
    }
}

fn names_of<'s>(spec: &'s PoolSpec, node: &NodeName) -> Vec<&'s DiskName> {
    let picks = [&spec.disks].into_iter().chain(spec.beside.values());
    let names = picks.filter_map(|choice| choice.of(node)).flat_map(|pick| match pick {
        Pick::Named(names) => names.as_slice(),
        Pick::Matching(_) => &[],
    });
    names.map(|name| &name.value).collect()
}
