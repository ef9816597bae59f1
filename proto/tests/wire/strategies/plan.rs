//! Plans.

use std::time::Duration;

use proptest::prelude::*;
use quorate_model::finding::KnownFinding;
use quorate_model::ids::DiskRef;
use quorate_model::plan::{Condition, Plan, Step, Undo};

use super::operation::{
    accepted, action, disk_identity, disk_mark, guest_kind, ha_service, key, package, pool_layout, pool_name,
};
use super::storages::definition;
use super::types::{address, cluster, finding, node, passage, step_id};
use super::{maybe, some, text};

fn of_the_cluster() -> impl Strategy<Value = Condition> {
    let nodes = || prop::collection::btree_set(node(), 0..4);
    prop_oneof![
        node().prop_map(|node| Condition::Standalone { node }),
        (cluster(), nodes(), nodes()).prop_map(|(cluster, nodes, offline)| Condition::Members {
            cluster,
            nodes,
            offline
        }),
        (cluster(), node()).prop_map(|(cluster, node)| Condition::Quorate { cluster, node }),
        (cluster(), nodes()).prop_map(|(cluster, nodes)| Condition::LinksUp { cluster, nodes }),
        (
            cluster(),
            any::<u8>(),
            prop::collection::btree_map(node(), address(), 0..4),
            maybe(any::<u8>())
        )
            .prop_map(|(cluster, link, addresses, priority)| Condition::LinkUp {
                cluster,
                link,
                addresses,
                priority
            }),
        (cluster(), node(), nodes()).prop_map(|(cluster, node, seen_by)| Condition::Off { cluster, node, seen_by }),
        (cluster(), node(), node(), any::<bool>()).prop_map(|(cluster, removed, on, keep_folder)| {
            Condition::CleanedUp {
                cluster,
                removed,
                on,
                keep_folder,
            }
        }),
        (cluster(), node(), ha_service(), node()).prop_map(|(cluster, node, service, seen_by)| {
            Condition::HaServiceOrOut {
                cluster,
                node,
                service,
                seen_by,
            }
        }),
        (cluster(), nodes(), maybe(address())).prop_map(|(cluster, nodes, host)| Condition::Qdevice {
            cluster,
            nodes,
            host
        }),
        (cluster(), node(), nodes()).prop_map(|(cluster, via, nodes)| Condition::QdeviceDue { cluster, via, nodes }),
        (cluster(), node(), nodes(), address()).prop_map(|(cluster, via, nodes, host)| Condition::QdeviceBack {
            cluster,
            via,
            nodes,
            host
        }),
        (cluster(), node()).prop_map(|(cluster, node)| Condition::NotTwoVotes { cluster, node }),
    ]
}

fn of_the_host() -> impl Strategy<Value = Condition> {
    let nodes = || prop::collection::btree_set(node(), 0..4);
    use prop::collection::btree_set as set;
    prop_oneof![
        (node(), set(package(), 0..3)).prop_map(|(node, packages)| Condition::Installed { node, packages }),
        (node(), cluster(), set(key(), 0..3)).prop_map(|(node, cluster, keys)| Condition::KeysAdmitted {
            node,
            cluster,
            keys
        }),
        (cluster(), nodes()).prop_map(|(cluster, nodes)| Condition::HaDisarmed { cluster, nodes }),
        (cluster(), nodes()).prop_map(|(cluster, nodes)| Condition::HaArmed { cluster, nodes }),
        (node(), ha_service(), any::<bool>()).prop_map(|(node, service, running)| Condition::HaService {
            node,
            service,
            running
        }),
        (
            node(),
            prop::collection::btree_set(passage(), 0..3),
            prop::collection::btree_set(address(), 0..3)
        )
            .prop_map(|(node, passages, from)| Condition::AgentsAllowed { node, passages, from }),
    ]
}

fn of_disks() -> impl Strategy<Value = Condition> {
    use prop::collection::btree_set as set;
    prop_oneof![
        (node(), pool_layout()).prop_map(|(node, layout)| Condition::DisksFree { node, layout }),
        (node(), pool_layout()).prop_map(|(node, layout)| Condition::PoolMade { node, layout }),
        (node(), disk_identity(), set(disk_mark(), 0..3)).prop_map(|(node, disk, carries)| Condition::DiskCarries {
            node,
            disk,
            carries
        }),
        (node(), disk_identity()).prop_map(|(node, disk)| Condition::DiskEmpty { node, disk }),
        (node(), pool_layout()).prop_map(|(node, layout)| Condition::PoolCanGrow { node, layout }),
        (node(), pool_layout()).prop_map(|(node, layout)| Condition::PoolHas { node, layout }),
        (node(), pool_name(), text(), disk_identity(), accepted()).prop_map(|(node, pool, old, with, accepted)| {
            Condition::DiskCanReplace {
                node,
                pool,
                old,
                with,
                accepted,
            }
        }),
        (node(), pool_name(), text(), disk_identity()).prop_map(|(node, pool, old, with)| Condition::DiskReplaced {
            node,
            pool,
            old,
            with
        }),
        (definition(), prop::collection::btree_set(node(), 0..4))
            .prop_map(|(storage, nodes)| Condition::StorageReady { storage, nodes }),
        (node(), maybe(cluster())).prop_map(|(node, cluster)| Condition::AgentRuns {
            node,
            version: "0.3.1".parse().unwrap(),
            cluster
        }),
    ]
}

fn of_moves() -> impl Strategy<Value = Condition> {
    use prop::collection::btree_set as set;
    let flags = || (any::<bool>(), any::<bool>());
    prop_oneof![
        (
            cluster(),
            any::<u32>(),
            guest_kind(),
            node(),
            set(node(), 0..3),
            flags()
        )
            .prop_map(
                |(cluster, guest, kind, node, seen_by, (running, managed))| Condition::GuestAt {
                    cluster,
                    guest,
                    kind,
                    node,
                    seen_by,
                    running,
                    managed
                }
            ),
        (cluster(), node(), any::<bool>(), node()).prop_map(|(cluster, node, on, seen_by)| Condition::Maintenance {
            cluster,
            node,
            on,
            seen_by
        }),
        node().prop_map(|node| Condition::Drained { node }),
        (cluster(), node(), set(node(), 0..3)).prop_map(|(cluster, node, others)| Condition::Spare {
            cluster,
            node,
            others
        }),
        (cluster(), node(), text()).prop_map(|(cluster, node, boot)| Condition::Rebooted { cluster, node, boot }),
        (cluster(), set(node(), 0..3), some(finding())).prop_map(|(cluster, nodes, findings)| {
            Condition::NothingWorse {
                cluster,
                nodes,
                known: findings.iter().map(KnownFinding::from).collect(),
            }
        }),
        (cluster(), any::<u32>(), guest_kind(), node(), any::<bool>()).prop_map(
            |(cluster, guest, kind, node, there)| {
                Condition::Canary {
                    cluster,
                    guest,
                    kind,
                    node,
                    there,
                }
            }
        ),
    ]
}

pub(crate) fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        of_the_cluster(),
        of_the_host(),
        of_disks(),
        of_moves(),
        super::protection::condition()
    ]
}

fn disk() -> impl Strategy<Value = DiskRef> {
    (node(), "[a-z]{3}-[0-9a-zA-Z:_.+-]{1,20}").prop_filter_map("a disk's name", |(node, disk)| {
        Some(DiskRef {
            node,
            disk: disk.parse().ok()?,
        })
    })
}

prop_compose! {
    pub(crate) fn step()(
        (id, node, action) in (step_id(), node(), action()),
        (title, why, needs) in (text(), some(text()), some(step_id())),
        (gate, done_when) in (some(condition()), condition()),
        (destroys, disks) in (some(text()), prop::collection::btree_set(disk(), 0..3)),
        estimate in any::<u64>().prop_map(Duration::from_secs),
        undo in text().prop_map(|how| Undo::Operator { how }),
        restores in maybe(step_id()),
    ) -> Step {
        Step { id, node, action, title, why, needs, gate, done_when, destroys, disks, estimate, undo, restores }
    }
}

prop_compose! {
    pub(crate) fn plan()(
        cluster in cluster(),
        spec_digest in text(),
        steps in some(step()),
        findings in some(finding()),
    ) -> Plan {
        Plan { cluster, spec_digest, steps, findings }
    }
}
