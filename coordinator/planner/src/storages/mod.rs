//! Storages: defined once for the cluster. One that is there is only added to; what else differs is told and left to people.

mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{NodeName, StepId};
use quorate_model::observation::storages::{DefinedStorage, StorageState, Storages};
use quorate_model::observation::{FacetName, Membership};
use quorate_model::operation::{Action, GIVEN_AT_APPLY};
use quorate_model::plan::{Condition, Step, Undo};
use quorate_model::spec::{ClusterFile, NodeRole};
use quorate_model::storage::{Difference, Property, Remedy, StorageDefinition, StorageKind};
use quorate_model::{View, Wish};

use crate::report::{Report, Weight, in_a_row};

pub(crate) use wanted::{Wanted, all};

/// pvesm takes a third of a second, and a backup server or an NFS server is asked.
const TAKES: Duration = Duration::from_secs(3);

/// PVE always has it, whatever is written.
const BUILT_IN: &str = "local";

/// What the file wants of storages, held against what is there. `steps`: those of the cluster and of pools, after which they come.
pub(crate) fn plan(file: &ClusterFile, wish: &Wish, view: &View, steps: &[Step], report: &mut Report) -> Vec<Step> {
    let wanted = all(file);
    let Some(speaker) = speaker(file, view, steps).filter(|_| !wanted.is_empty()) else {
        return Vec::new();
    };
    let Some(there) = report.facet(view, speaker, FacetName::Storages, Weight::Needed, |o| &o.storages) else {
        return Vec::new();
    };
    let planner = Planner {
        file,
        wish,
        view,
        steps,
        speaker,
        there,
    };
    wanted.iter().filter_map(|one| planner.one(one, report)).collect()
}

/// How each storage that the file asks for differs from what is defined, in words; nothing where it does not. A storage of which that
/// can't be told is left out.
#[must_use]
pub fn drift(file: &ClusterFile, view: &View) -> BTreeMap<String, Vec<String>> {
    let Some(speaker) = speaker(file, view, &[]) else {
        return BTreeMap::new();
    };
    let Ok(there) = view.facet(speaker, |o| &o.storages) else {
        return BTreeMap::new();
    };
    let differs = |one: &Wanted<'_>| match there.defined(one.name.as_str()) {
        None => vec!["it is not defined".to_owned()],
        Some(defined) => {
            let on = one.pool().and_then(|pool| seen_with(file, view, pool));
            let all = one.against(defined, on.as_ref()).differences(defined);
            all.iter().map(Difference::to_string).collect()
        }
    };
    all(file)
        .iter()
        .map(|one| (one.name.to_string(), differs(one)))
        .collect()
}

/// The members of the file that are seen to have this pool; `None`: of one of them that can't be told, and so not on which it should be.
fn seen_with(file: &ClusterFile, view: &View, pool: &str) -> Option<BTreeSet<NodeName>> {
    let mut with = BTreeSet::new();
    for (node, _) in file.members() {
        let pools = view.facet(node, |o| &o.pools).ok()?;
        if pools.iter().any(|seen| seen.name == pool) {
            with.insert(node.clone());
        }
    }
    Some(with)
}

/// By whose word storages are defined: whoever founds the cluster keeps its own; after that, a member that is quorate.
pub(crate) fn speaker<'v>(file: &'v ClusterFile, view: &View, steps: &'v [Step]) -> Option<&'v NodeName> {
    let founds = |step: &&Step| matches!(step.action, Action::CreateCluster { .. });
    if let Some(step) = steps.iter().find(founds) {
        return Some(&step.node);
    }
    let quorate = |node: &NodeName| {
        view.facet(node, |o| &o.cluster)
            .is_ok_and(|cluster| match &cluster.membership {
                Membership::Member(member) => member.quorate && member.cluster == file.cluster.name.value.as_str(),
                Membership::Standalone => false,
            })
    };
    file.members().map(|(node, _)| node).find(|node| quorate(node))
}

struct Planner<'a> {
    file: &'a ClusterFile,
    wish: &'a Wish,
    view: &'a View,
    steps: &'a [Step],
    speaker: &'a NodeName,
    there: &'a Storages,
}

impl Planner<'_> {
    fn one(&self, one: &Wanted<'_>, report: &mut Report) -> Option<Step> {
        let with_pool = match one.pool() {
            Some(pool) => Some(self.with_pool(one, pool, report)?),
            None => None,
        };
        let everywhere = || self.file.members().map(|(node, _)| node.clone()).collect();
        let on: BTreeSet<NodeName> = one.nodes.or(with_pool.as_ref()).cloned().unwrap_or_else(everywhere);
        match self.there.defined(one.name.as_str()) {
            Some(there) => self.hold_against(one, there, with_pool.as_ref(), &on, report),
            None => self.add(one, with_pool.as_ref(), on, report),
        }
    }

    /// The nodes that have the pool, or get it by a step before.
    fn with_pool(&self, one: &Wanted<'_>, pool: &str, report: &mut Report) -> Option<BTreeSet<NodeName>> {
        let planned = self.file.pools.iter().find(|(name, _)| name.as_str() == pool);
        let mut with = BTreeSet::new();
        for (node, spec) in self.file.members() {
            let named = one.nodes.is_some_and(|nodes| nodes.contains(node));
            if one.nodes.is_some() && !named {
                continue;
            }
            let gets = spec.role == NodeRole::Member && planned.is_some_and(|(_, pool)| pool.disks.of(node).is_some());
            if gets {
                with.insert(node.clone());
                continue;
            }
            let pools = report.facet(self.view, node, FacetName::Pools, Weight::Needed, |o| &o.pools)?;
            if pools.iter().any(|seen| seen.name == pool) {
                with.insert(node.clone());
            } else if named {
                let message = format!("storage {} is to be on {node}, which has no pool {pool}", one.name);
                let next = format!("take {node} out of `nodes`, or make the pool: [zfs.{pool}]");
                report.tell(told(one, Code::StorageNoPool, message, &next));
            }
        }
        if with.is_empty() {
            let message = format!("storage {} is to lie on the pool {pool}, which no server has", one.name);
            let next = format!("write the pool's name as `zpool list` shows it, or make it: [zfs.{pool}]");
            report.tell(told(one, Code::StorageNoPool, message, &next));
            return None;
        }
        Some(with)
    }

    fn add(
        &self,
        one: &Wanted<'_>,
        with_pool: Option<&BTreeSet<NodeName>>,
        on: BTreeSet<NodeName>,
        report: &mut Report,
    ) -> Option<Step> {
        if one.name.as_str() == BUILT_IN {
            let message = "`local` is a storage that PVE always has: /var/lib/vz".to_owned();
            report.tell(told(one, Code::StorageTaken, message, "give the storage another name"));
            return None;
        }
        self.pool_once(one, report);
        let given = self.wish.passwords.contains(&one.name);
        if one.kind == StorageKind::Pbs && one.password_file.is_none() && !given {
            let message = format!("storage {} is to be added, and no password is named for it", one.name);
            let next = format!(
                "write the password or the token's secret into a file in /etc/quorate/secrets on the coordinator's host that only its \
                 owner may read, and name it by `password_file`; or give it when you apply: --password {}",
                one.name
            );
            report.tell(told(one, Code::StorageNoSecret, message, &next));
        }
        let storage = one.anew(with_pool);
        let mut why = vec![format!(
            "there is no storage {}; it is defined once for the cluster",
            one.name
        )];
        if let (None, Some(with)) = (one.nodes, with_pool) {
            why.push(format!("on {}, which have its pool", in_a_row(with)));
        }
        if given {
            why.push("its password is given with the word to apply".to_owned());
        }
        let cluster = self.file.cluster.name.value.clone();
        let action = Action::AddStorage {
            cluster,
            storage: storage.clone(),
            password_file: if given { Some(GIVEN_AT_APPLY) } else { one.password_file }.map(str::to_owned),
        };
        let title = format!("add storage {} ({})", one.name, one.kind);
        self.step("storage.add", (action, title, why), storage, on, one)
    }

    /// Two ids over one pool show the same disks.
    fn pool_once(&self, one: &Wanted<'_>, report: &mut Report) {
        let Some(pool) = one.properties.get(&Property::Pool).filter(|_| one.pool().is_some()) else {
            return;
        };
        let same = |other: &&DefinedStorage| {
            other.kind == StorageKind::Zfspool.as_str()
                && other.id != one.name.as_str()
                && other.properties.get("pool") == Some(pool)
        };
        if let Some(other) = self.there.defined.iter().find(same) {
            let message = format!(
                "the pool {pool} is registered already, as storage {}; {} would be a second one over the same disks",
                other.id, one.name
            );
            let next = format!(
                "use {} (and `storage = false` in [zfs.{pool}], if that is the pool), or take it out when nothing refers to it: \
                 pvesm remove {}",
                other.id, other.id
            );
            report.tell(told(one, Code::StoragePoolTwice, message, &next));
        }
    }

    fn hold_against(
        &self,
        one: &Wanted<'_>,
        there: &DefinedStorage,
        with_pool: Option<&BTreeSet<NodeName>>,
        on: &BTreeSet<NodeName>,
        report: &mut Report,
    ) -> Option<Step> {
        let wanted = one.against(there, with_pool);
        let all = wanted.differences(there);
        let of = |remedy| {
            let some = all.iter().filter(|difference| difference.remedy == remedy);
            some.collect::<Vec<&Difference>>()
        };
        let (never, by_hand, extend) = (of(Remedy::Never), of(Remedy::ByHand), of(Remedy::Extend));
        if !never.is_empty() {
            let message = format!(
                "storage {} is another one than is meant: {}",
                one.name,
                in_words(&never)
            );
            let next = "give it another name, or make the file say what is there; PVE can't change that, and guests may have disks there";
            report.tell(told(one, Code::StorageTaken, message, next));
            return None;
        }
        // What is switched off is never seen active: until it is on again, nothing is added to it.
        let off = there.is_disabled();
        if !by_hand.is_empty() {
            let differs: Vec<&Difference> = if off { all.iter().collect() } else { by_hand.clone() };
            let message = format!(
                "storage {} differs from the cluster file: {}",
                one.name,
                in_words(&differs)
            );
            let next = format!(
                "make the file say what is there; or, if nothing there depends on it, on {}: pvesm set {} {}",
                self.speaker,
                one.name,
                by_hand
                    .iter()
                    .map(|difference| option(difference))
                    .collect::<Vec<_>>()
                    .join(" ")
            );
            report.tell(told(one, Code::StorageDiffers, message, &next));
        }
        if off {
            return None;
        }
        if extend.is_empty() {
            self.where_it_is_not(one, there, on, report);
            return None;
        }
        let (storage, on) = extended(one, there, &wanted, &extend, on)?;
        let why = extend.iter().map(|difference| format!("its {difference}")).collect();
        let cluster = self.file.cluster.name.value.clone();
        let action = Action::ExtendStorage {
            cluster,
            storage: storage.clone(),
        };
        let title = format!("extend storage {} ({})", one.name, one.kind);
        self.step("storage.set", (action, title, why), storage, on, one)
    }

    /// A storage that is as it should be and can't be used: no step mends that.
    fn where_it_is_not(&self, one: &Wanted<'_>, there: &DefinedStorage, on: &BTreeSet<NodeName>, report: &mut Report) {
        for node in on.iter().filter(|node| there.is_for(node)) {
            let Ok(storages) = self.view.facet(node, |o| &o.storages) else {
                continue;
            };
            let Ok(status) = storages.status.get() else { continue };
            let row = status.iter().find(|status| status.id == one.name.as_str());
            if let Some(row) = row.filter(|row| row.state == StorageState::Inactive) {
                let why = row
                    .complaint
                    .as_ref()
                    .map_or_else(String::new, |why| format!(": {why}"));
                let message = format!("storage {} is not active on {node}{why}", one.name);
                let next = format!("on {node}: pvesm status --storage {}", one.name);
                report.weigh(Weight::Told, told(one, Code::StorageInactive, message, &next));
            }
        }
    }

    /// `what`: the action, its title, and why.
    fn step(
        &self,
        verb: &str,
        what: (Action, String, Vec<String>),
        storage: StorageDefinition,
        on: BTreeSet<NodeName>,
        one: &Wanted<'_>,
    ) -> Option<Step> {
        let (action, title, why) = what;
        // PVE tries it where it is added, if it is to be there.
        let node = if on.contains(self.speaker) {
            self.speaker
        } else {
            on.first()?
        };
        let undo = match &action {
            Action::AddStorage { .. } => format!("on {node}: pvesm remove {}; what lies on it stays", one.name),
            _ => format!(
                "on {node}: pvesm set {} with its nodes and content from before",
                one.name
            ),
        };
        Some(Step {
            id: StepId::new(format!("{verb}/{}", one.name)).ok()?,
            node: node.clone(),
            title: format!("{title} on {}", in_a_row(&on)),
            why,
            needs: self.before(node, &on, one.pool()),
            gate: vec![Condition::Quorate {
                cluster: self.file.cluster.name.value.clone(),
                node: node.clone(),
            }],
            done_when: Condition::StorageReady { storage, nodes: on },
            action,
            destroys: vec![],
            disks: BTreeSet::new(),
            estimate: TAKES,
            undo: Undo::Operator { how: undo },
            restores: None,
        })
    }

    /// Whoever is to have it is in the cluster, and has its pool.
    fn before(&self, runs: &NodeName, on: &BTreeSet<NodeName>, pool: Option<&str>) -> Vec<StepId> {
        let comes_before = |step: &&Step| match &step.action {
            Action::CreateCluster { .. } | Action::JoinCluster { .. } | Action::FinishJoin { .. } => {
                step.node == *runs || on.contains(&step.node)
            }
            Action::CreatePool { layout } => on.contains(&step.node) && Some(layout.name.as_str()) == pool,
            _ => false,
        };
        let found = self.steps.iter().filter(comes_before);
        found.map(|step| step.id.clone()).collect()
    }
}

/// The storage with what is added to it, and the nodes on which that is to be seen; all else as it is there.
fn extended(
    one: &Wanted<'_>,
    there: &DefinedStorage,
    wanted: &StorageDefinition,
    extend: &[&Difference],
    on: &BTreeSet<NodeName>,
) -> Option<(StorageDefinition, BTreeSet<NodeName>)> {
    let has = |what: &str| extend.iter().any(|difference| difference.what == what);
    let nodes = if has("nodes") {
        wanted.nodes.clone()
    } else {
        let names = there.nodes().into_iter().map(NodeName::new);
        let names = names.collect::<Result<BTreeSet<_>, _>>().ok()?;
        (!names.is_empty()).then_some(names)
    };
    let content = if has("content") {
        wanted.content.clone()
    } else {
        BTreeSet::new()
    };
    let fixed = |property: &Property| one.kind.required().contains(property);
    let storage = StorageDefinition {
        name: one.name.clone(),
        kind: one.kind,
        properties: one
            .properties
            .iter()
            .filter(|(property, _)| fixed(property))
            .map(|(property, value)| (*property, value.clone()))
            .collect(),
        content,
        nodes,
    };
    let on = on.iter().filter(|node| storage.is_on(node)).cloned().collect();
    Some((storage, on))
}

fn told(one: &Wanted<'_>, code: Code, message: String, next: &str) -> Finding {
    Finding::new(code, one.name.as_str(), message, next).at(Some(one.place.clone()))
}

fn in_words(differences: &[&Difference]) -> String {
    let words: Vec<String> = differences.iter().map(ToString::to_string).collect();
    words.join("; ")
}

/// What pvesm is told to make it so.
fn option(difference: &Difference) -> String {
    let known = difference.what.parse::<Property>().map(Property::of_pve);
    match (difference.what, difference.wanted.as_str()) {
        ("nodes", "all") => "--delete nodes".to_owned(),
        (what, wanted) => format!("--{} {wanted}", known.unwrap_or(what)),
    }
}
