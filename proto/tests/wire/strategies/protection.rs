//! Copies of guests, and guests under HA: actions and conditions.

use std::collections::BTreeSet;

use proptest::prelude::*;
use quorate_model::guest_ids::{HaName, JobId, Sid};
use quorate_model::held::GuestVolume;
use quorate_model::observation::GuestKind;
use quorate_model::operation::Action;
use quorate_model::plan::Condition;
use quorate_model::schedule::Schedule;
use quorate_model::spec::ReturningNode;

use super::types::{cluster, node, time};
use super::{maybe, one_of, text};

fn job() -> impl Strategy<Value = JobId> {
    (100..999_999_999_u32, 0..999_999_999_u32).prop_map(|(guest, number)| JobId { guest, number })
}

fn service() -> impl Strategy<Value = Sid> {
    (100..999_999_999_u32, one_of([GuestKind::Vm, GuestKind::Container])).prop_map(|(vmid, kind)| Sid { vmid, kind })
}

fn name() -> impl Strategy<Value = HaName> {
    service().prop_map(HaName::of)
}

fn schedule() -> impl Strategy<Value = Schedule> {
    one_of(["5m", "1h", "1d", "mon..fri 22:30"]).prop_map(|text| text.parse().unwrap())
}

fn number() -> impl Strategy<Value = Option<u32>> {
    maybe(any::<u32>())
}

fn returning() -> impl Strategy<Value = ReturningNode> {
    one_of(ReturningNode::ALL)
}

fn volumes() -> impl Strategy<Value = BTreeSet<GuestVolume>> {
    let volume = (100..999_999_999_u32, 0..9_u32)
        .prop_map(|(guest, disk)| format!("tank/vm-{guest}-disk-{disk}").parse().unwrap());
    prop::collection::btree_set(volume, 0..4)
}

/// The disc for cloud-init of some guest.
fn disc() -> impl Strategy<Value = GuestVolume> {
    (100..999_999_999_u32).prop_map(|guest| format!("tank/vm-{guest}-cloudinit").parse().unwrap())
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    let nodes = || prop::collection::btree_set(node(), 0..4);
    prop_oneof![
        (cluster(), job(), node(), schedule(), number(), returning()).prop_map(
            |(cluster, job, target, schedule, rate, returning_node)| Action::CreateReplication {
                cluster,
                job,
                target,
                schedule,
                rate,
                returning_node
            }
        ),
        (
            cluster(),
            job(),
            node(),
            schedule(),
            number(),
            returning(),
            any::<bool>()
        )
            .prop_map(|(cluster, job, other, schedule, rate, returning_node, enable)| {
                Action::ChangeReplication {
                    cluster,
                    job,
                    other,
                    schedule,
                    rate,
                    returning_node,
                    enable,
                }
            }),
        (cluster(), job(), node(), time()).prop_map(|(cluster, job, other, since)| Action::SyncReplication {
            cluster,
            job,
            other,
            since
        }),
        (cluster(), job(), node()).prop_map(|(cluster, job, target)| Action::RemoveReplication {
            cluster,
            job,
            target
        }),
        (cluster(), text(), maybe(text())).prop_map(|(cluster, migration, before)| Action::SetMigrationNetwork {
            cluster,
            migration,
            before
        }),
        (
            cluster(),
            service(),
            any::<(bool, bool)>(),
            number(),
            number(),
            maybe(name())
        )
            .prop_map(
                |(cluster, service, (started, no_failback), max_restart, max_relocate, group)| Action::AddHaResource {
                    cluster,
                    service,
                    started,
                    max_restart,
                    max_relocate,
                    group,
                    no_failback
                }
            ),
        (cluster(), service(), any::<bool>(), number(), number(), maybe(name())).prop_map(
            |(cluster, service, no_failback, max_restart, max_relocate, group)| Action::ChangeHaResource {
                cluster,
                service,
                max_restart,
                max_relocate,
                group,
                no_failback
            }
        ),
        (cluster(), name(), service(), nodes(), any::<bool>()).prop_map(|(cluster, rule, service, nodes, exists)| {
            Action::SetHaRule {
                cluster,
                rule,
                service,
                nodes,
                exists,
            }
        }),
        (cluster(), name(), nodes(), any::<bool>()).prop_map(|(cluster, group, nodes, exists)| Action::SetHaGroup {
            cluster,
            group,
            nodes,
            exists
        }),
        (cluster(), 100..999_999_999_u32, volumes(), time()).prop_map(|(cluster, guest, volumes, since)| {
            Action::KeepVolumes {
                cluster,
                guest,
                volumes,
                since,
            }
        }),
        (cluster(), 100..999_999_999_u32, node(), disc()).prop_map(|(cluster, guest, owner, volume)| {
            Action::FreeCanaryDisc {
                cluster,
                guest,
                owner,
                storage: "data_zfs".parse().unwrap(),
                volume,
            }
        }),
    ]
}

pub(crate) fn condition() -> impl Strategy<Value = Condition> {
    let nodes = || prop::collection::btree_set(node(), 0..4);
    let guest = || 100..999_999_999_u32;
    prop_oneof![
        (node(), guest(), node()).prop_map(|(node, guest, target)| Condition::CopyMade { node, guest, target }),
        (node(), job(), node(), schedule(), number(), returning(), any::<bool>()).prop_map(
            |(node, job, other, schedule, rate, returning_node, enabled)| Condition::ReplicationSet {
                node,
                job,
                other,
                schedule,
                rate,
                returning_node,
                enabled
            }
        ),
        (node(), guest(), node()).prop_map(|(node, guest, target)| Condition::CopyGone { node, guest, target }),
        (node(), volumes(), time()).prop_map(|(node, volumes, since)| Condition::VolumesKept { node, volumes, since }),
        (node(), disc()).prop_map(|(node, volume)| Condition::VolumeGone { node, volume }),
        (node(), text()).prop_map(|(node, migration)| Condition::MigrationSet { node, migration }),
        (node(), service(), number(), number(), maybe(name()), any::<bool>()).prop_map(
            |(node, service, max_restart, max_relocate, group, no_failback)| Condition::HaResourceSet {
                node,
                service,
                max_restart,
                max_relocate,
                group,
                no_failback
            }
        ),
        (node(), name(), maybe(service()), nodes()).prop_map(|(node, name, service, nodes)| Condition::HaBound {
            node,
            name,
            service,
            nodes
        }),
    ]
}
