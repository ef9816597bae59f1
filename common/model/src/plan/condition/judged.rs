//! Which module judges which condition.

use super::{Condition, Verdict, disks, ha, host, links, membership, moves, pools, protection, qdevice, storages};
use crate::view::View;

impl Condition {
    /// Judges it on what is known. Unknown wins over "not yet", and "not yet" over "holds".
    #[must_use]
    pub fn judge(&self, view: &View) -> Verdict {
        match self {
            Self::Standalone { node } => membership::standalone(view, node),
            Self::Members {
                cluster,
                nodes,
                offline,
            } => membership::members(view, cluster, nodes, offline),
            Self::Quorate { cluster, node } => membership::quorate(view, cluster, node),
            Self::Off { cluster, node, seen_by } => membership::off(view, cluster, node, seen_by),
            Self::LinksUp { cluster, nodes } => links::all_up(view, cluster, nodes),
            Self::LinkUp {
                cluster,
                link,
                addresses,
                priority,
            } => links::up(view, cluster, *link, addresses, *priority),
            Self::Qdevice { cluster, nodes, host } => qdevice::is(view, cluster, nodes, *host),
            Self::QdeviceDue { cluster, via, .. } => qdevice::due(view, cluster, via),
            Self::QdeviceBack { cluster, via, host, .. } => qdevice::back(view, cluster, via, *host),
            Self::NotTwoVotes { cluster, node } => qdevice::not_two_votes(view, cluster, node),
            Self::HaDisarmed { nodes, .. } => ha::disarmed(view, nodes),
            Self::HaArmed { nodes, .. } => ha::armed(view, nodes),
            Self::HaService { node, service, running } => ha::service(view, node, *service, *running),
            Self::HaServiceOrOut {
                cluster,
                node,
                service,
                seen_by,
            } => ha::service_or_out(view, cluster, node, *service, seen_by),
            Self::CleanedUp {
                removed,
                on,
                keep_folder,
                ..
            } => host::cleaned_up(view, removed, on, *keep_folder),
            Self::Installed { node, packages } => host::installed(view, node, packages),
            Self::KeysAdmitted { node, cluster, keys } => host::keys_admitted(view, node, cluster, keys),
            Self::AgentsAllowed { node, passages, from } => host::agents_allowed(view, node, passages, from),
            Self::DisksFree { node, layout } => pools::disks_free(view, node, layout),
            Self::PoolMade { node, layout } => pools::made(view, node, layout),
            Self::DiskCarries { node, disk, carries } => disks::carries(view, node, disk, carries),
            Self::DiskEmpty { node, disk } => disks::empty(view, node, disk),
            Self::PoolCanGrow { node, layout } => pools::can_grow(view, node, layout),
            Self::PoolHas { node, layout } => pools::has(view, node, layout),
            Self::DiskCanReplace {
                node,
                pool,
                old,
                with,
                accepted,
            } => pools::can_replace(view, node, (pool, old), with, accepted),
            Self::DiskReplaced { node, pool, old, with } => pools::replaced(view, node, (pool, old), with),
            Self::StorageReady { storage, nodes } => storages::ready(view, storage, nodes),
            Self::AgentRuns { node, version, cluster } => host::agent_runs(view, node, *version, cluster.as_ref()),
            Self::CopyMade { node, guest, target } => protection::copy_made(view, node, *guest, target),
            Self::ReplicationSet {
                node,
                job,
                other,
                schedule,
                rate,
                returning_node,
                enabled,
            } => protection::job_set(
                view,
                node,
                job,
                &protection::Wanted {
                    other,
                    schedule,
                    rate: *rate,
                    returning_node: *returning_node,
                    enabled: *enabled,
                },
            ),
            Self::CopyGone { node, guest, target } => protection::copy_gone(view, node, *guest, target),
            Self::MigrationSet { node, migration } => protection::migration_set(view, node, migration),
            Self::HaResourceSet {
                node,
                service,
                max_restart,
                max_relocate,
                group,
                no_failback,
            } => protection::resource_set(
                view,
                node,
                *service,
                (*max_restart, *max_relocate),
                group.as_ref(),
                *no_failback,
            ),
            Self::HaBound {
                node,
                name,
                service,
                nodes,
            } => protection::bound(view, node, name, *service, nodes),
            Self::VolumesKept { node, volumes, since } => pools::volumes_kept(view, node, volumes, *since),
            Self::VolumeGone { node, volume } => pools::volume_gone(view, node, volume),
            Self::GuestAt { .. }
            | Self::Maintenance { .. }
            | Self::Drained { .. }
            | Self::Spare { .. }
            | Self::Rebooted { .. }
            | Self::NothingWorse { .. }
            | Self::Canary { .. } => moves::judge(self, view),
        }
    }
}
