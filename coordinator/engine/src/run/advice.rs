//! What to look at and what to type when a step did not come to its end: a row for each kind of action.

use quorate_model::observation::GuestKind;
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Plan, Step};

/// What to look at, and what to type then.
pub(super) fn next(step: &Step) -> String {
    let Advice { look, mend } = of(step);
    format!("look: {look}; then: {mend}")
}

struct Advice {
    look: String,
    mend: String,
}

/// Applying again finds what is left to do, also of a half-done change.
const AGAIN: &str = "quorate apply FILE";

fn of(step: &Step) -> Advice {
    let node = &step.node;
    let (look, mend) = match &step.action {
        Action::CreateCluster { .. } => (
            format!("on {node}: pvecm status, ls /etc/corosync /etc/pve/corosync.conf"),
            AGAIN.to_owned(),
        ),
        Action::JoinCluster { member, .. } => (
            format!("on {member}: pvecm nodes; on {node}: pvecm status, systemctl status corosync pve-cluster"),
            format!("{AGAIN} (a half-done join is finished by it, or undone with --undo-join {node})"),
        ),
        Action::FinishJoin { member, .. } => (
            format!("on {node}: systemctl status corosync pve-cluster; on {member}: pvecm nodes"),
            format!("{AGAIN}, or take the join back: {AGAIN} --undo-join {node}"),
        ),
        Action::AbandonJoin { .. } => (
            format!("on {node}: systemctl status pve-cluster, ls /etc/corosync"),
            format!("{AGAIN} --undo-join {node}"),
        ),
        Action::AddLink { link, .. } => (
            format!("on every member: corosync-cfgtool -n; link {link} counts when each has it connected"),
            AGAIN.to_owned(),
        ),
        Action::ExpectVotes { .. } => (format!("on {node}: pvecm status"), AGAIN.to_owned()),
        Action::RemoveMember { removed, .. } => (
            format!("on {node}: pvecm nodes; {removed} must stay off whatever it says"),
            format!("{AGAIN} --remove {removed}"),
        ),
        Action::CleanUpAfter { removed, .. } => (
            format!("on {node}: ls /etc/pve/nodes/{removed}, grep root@{removed} /etc/pve/priv/authorized_keys"),
            format!("{AGAIN} --remove {removed}"),
        ),
        Action::PowerOff { .. } => (
            format!("on the console of {node}: whether it is off"),
            format!("when it is off: {AGAIN} --remove {node} --is-off {node}"),
        ),
        Action::InstallPackages { packages } => {
            let names: Vec<&str> = packages.iter().map(|p| p.as_str()).collect();
            (
                format!("on {node}: dpkg --audit, apt-cache policy {}", names.join(" ")),
                AGAIN.to_owned(),
            )
        }
        Action::AdmitKeys { .. } | Action::WithdrawKeys { .. } => (
            format!("on {node}: the lines of /root/.ssh/authorized_keys that are marked as Quorate's"),
            AGAIN.to_owned(),
        ),
        // One that is set up and was not answered gets its vote by itself.
        Action::SetUpQdevice { host, .. } => (
            format!(
                "on {node}: pvecm status, systemctl status corosync-qdevice; on {host}: systemctl status corosync-qnetd"
            ),
            format!(
                "{AGAIN}, when corosync-qnetd runs on {host}; if the vote does not come then, on {node}: pvecm qdevice remove, and: {AGAIN}"
            ),
        ),
        Action::RemoveQdevice { .. } => (format!("on {node}: pvecm status"), AGAIN.to_owned()),
        Action::DisarmHa { .. } => (
            format!("on {node}: ha-manager status"),
            format!("on {node}: ha-manager crm-command arm-ha; then: {AGAIN}"),
        ),
        Action::ArmHa { .. } => (
            format!("on {node}: ha-manager status, pvecm status"),
            format!("on {node}: ha-manager crm-command arm-ha"),
        ),
        Action::StopHa { service, .. } => (
            format!("on {node}: systemctl status {}", service.unit()),
            format!("on {node}: systemctl start {}; then: {AGAIN}", service.unit()),
        ),
        Action::StartHa { service, .. } => (
            format!("on {node}: systemctl status {}", service.unit()),
            format!("on {node}: systemctl start {}", service.unit()),
        ),
        // What is left on the disks is told, and goes only by a word for each of them.
        Action::CreatePool { layout } => (
            format!(
                "on {node}: zpool status {0}, zpool import, lsblk -f; from here: quorate disks {node}",
                layout.name
            ),
            AGAIN.to_owned(),
        ),
        Action::GrowPool { layout } => (
            format!(
                "on {node}: zpool status {}; from here: quorate disks {node}",
                layout.name
            ),
            AGAIN.to_owned(),
        ),
        Action::ReplaceDisk { pool, .. } => (
            format!("on {node}: zpool status {pool}; from here: quorate disks {node}"),
            AGAIN.to_owned(),
        ),
        Action::WipeDisk { disk, .. } => (
            format!(
                "on {node}: lsblk -f /dev/disk/by-id/{}; who holds it: ls /sys/block/*/holders, cat /proc/mounts",
                disk.link
            ),
            AGAIN.to_owned(),
        ),
        Action::AddStorage { storage, .. } | Action::ExtendStorage { storage, .. } => (
            format!(
                "on {node}: pvesm status, and {0} in /etc/pve/storage.cfg; from here: quorate storage {0}",
                storage.name
            ),
            AGAIN.to_owned(),
        ),
        Action::CreateReplication { job, .. }
        | Action::ChangeReplication { job, .. }
        | Action::RemoveReplication { job, .. }
        | Action::SyncReplication { job, .. } => (
            format!("from here: quorate replication; on {node}: tail /var/log/pve/replicate/{job}"),
            AGAIN.to_owned(),
        ),
        Action::TakeGuest { guest, lost, .. } => (
            format!(
                "on {node}: ls /etc/pve/nodes/*/*/{guest}.conf, and the jobs of {guest} in /etc/pve/replication.cfg; from here: quorate guests"
            ),
            format!("quorate recover --lost {lost}"),
        ),
        Action::FreeCanaryDisc {
            guest, storage, volume, ..
        } => {
            let name = volume.as_str().rsplit('/').next().unwrap_or_default();
            (
                format!("on {node}: zfs list {volume}; from here: quorate guests {guest}"),
                format!("quorate guest clear-canary {guest}; by hand, on {node}: pvesm free {storage}:{name}"),
            )
        }
        Action::KeepVolumes { guest, .. } => (
            format!("on {node}: zfs list -r -t filesystem,volume; from here: quorate replication {guest}"),
            format!("quorate replication resolve {guest} --keep"),
        ),
        Action::SetMigrationNetwork { .. } => (format!("on {node}: cat /etc/pve/datacenter.cfg"), AGAIN.to_owned()),
        Action::AddHaResource { service, .. } | Action::ChangeHaResource { service, .. } => (
            format!("on {node}: ha-manager config, ha-manager status; {service} is what it is about"),
            AGAIN.to_owned(),
        ),
        Action::SetHaRule { rule: name, .. } | Action::SetHaGroup { group: name, .. } => (
            format!("on {node}: {name} in /etc/pve/ha/rules.cfg (PVE 9) or groups.cfg (PVE 8)"),
            AGAIN.to_owned(),
        ),
        Action::UpgradeAgent { .. } => (
            format!("on {node}: dpkg --audit, systemctl status quorate-agent, journalctl -u quorate-agent"),
            format!("on {node}: dpkg --configure --pending; then: {AGAIN}"),
        ),
        Action::MigrateGuest {
            guest,
            kind,
            target,
            managed,
            ..
        } => {
            let tool = if *kind == GuestKind::Vm { "qm" } else { "pct" };
            let by_ha = if *managed {
                "; by HA: ha-manager status, and on its master: journalctl -u pve-ha-crm"
            } else {
                ""
            };
            (
                format!(
                    "where guest {guest} is: quorate guests {guest}; on {node} and {target}: {tool} config {guest}, pvenode task list --vmid {guest}{by_ha}"
                ),
                format!(
                    "a lock that no task holds any more goes by: {tool} unlock {guest}; then: quorate migrate {guest} {target}"
                ),
            )
        }
        Action::RunGuest { guest, kind, run, .. } => {
            let tool = if *kind == GuestKind::Vm { "qm" } else { "pct" };
            let verb = if *run { "start" } else { "shutdown" };
            (
                format!("on {node}: {tool} status {guest}, pvenode task list --vmid {guest}"),
                format!("on {node}: {tool} {verb} {guest}"),
            )
        }
        Action::SetMaintenance { node: which, on, .. } => {
            let verb = if *on { "enable" } else { "disable" };
            (
                format!("on {node}: ha-manager status; on the HA master: journalctl -u pve-ha-crm"),
                format!("on {node}: ha-manager crm-command node-maintenance {verb} {which}"),
            )
        }
        Action::RebootNode { .. } => (
            format!("on the console of {node}: whether it starts; then from here: quorate status"),
            format!("when it is back: quorate node undrain {node}, then: quorate reboot --rolling"),
        ),
        Action::InjectFault { .. } => (
            format!("on {node}: quorate-agent heal --look"),
            format!("on the console of {node}: quorate-agent heal"),
        ),
        Action::CreateCanary { guest, source, .. } => {
            let tool = if source.kind() == GuestKind::Vm { "qm" } else { "pct" };
            (
                format!("on {node}: {tool} status {guest}, pvenode task list --vmid {guest}"),
                format!("the same again goes on with what is there; or: quorate guest remove-canary {guest}"),
            )
        }
        Action::DestroyCanary { guest, kind, .. } => {
            let tool = if *kind == GuestKind::Vm { "qm" } else { "pct" };
            (
                format!(
                    "on {node}: {tool} config {guest}, ha-manager status, pvesr status --guest {guest}, pvenode task list --vmid {guest}"
                ),
                format!("quorate guest remove-canary {guest} --destroy guest:{guest}"),
            )
        }
        Action::AllowAgents { .. } => (
            format!("on {node}: the rules marked as Quorate's in /etc/pve/firewall/cluster.fw"),
            AGAIN.to_owned(),
        ),
    };
    Advice { look, mend }
}

/// What stays behind when a restoring step did not come to its end.
pub(super) struct LeftBehind {
    /// In words.
    pub(super) what: String,
    /// What to type.
    pub(super) mend: String,
}

/// With two votes and no third, HA armed has the server that is left reset itself when the other one fails.
fn third_vote_first(step: &Step) -> String {
    let needed = step.gate.iter().any(|c| matches!(c, Condition::NotTwoVotes { .. }));
    if needed {
        format!("first bring the third vote back, if pvecm status shows two votes and no Qdevice: {AGAIN}; then ")
    } else {
        String::new()
    }
}

pub(super) fn left_behind(plan: &Plan, step: &Step) -> LeftBehind {
    let node = &step.node;
    match &step.action {
        Action::ArmHa { cluster } => LeftBehind {
            what: format!("HA is still disarmed in {cluster}: no guest is restarted elsewhere when a server fails"),
            mend: format!(
                "{}on {node}, or on any other member, type: ha-manager crm-command arm-ha",
                third_vote_first(step)
            ),
        },
        Action::StartHa { service, .. } => LeftBehind {
            what: format!(
                "{} is still stopped on {node}: HA does not look after its guests",
                service.unit()
            ),
            mend: format!(
                "{}on {node} type: systemctl start {}",
                third_vote_first(step),
                service.unit()
            ),
        },
        Action::SetMaintenance { node: which, .. } => LeftBehind {
            what: format!("{which} is still in maintenance by HA: no guest under HA is put there"),
            mend: format!(
                "on {node}, or on any other member, type: ha-manager crm-command node-maintenance disable {which}"
            ),
        },
        Action::WithdrawKeys { cluster } => LeftBehind {
            what: format!("root of {cluster} may still log in on {node}, until the key's time is over"),
            mend: format!("on {node}: delete the lines marked as Quorate's from /root/.ssh/authorized_keys"),
        },
        Action::SetUpQdevice { cluster, host, .. } => LeftBehind {
            what: format!("{cluster} is still without the third vote of {host}"),
            mend: format!("on {node} type: pvecm status; then: {AGAIN}"),
        },
        _ => {
            let restored = step.restores.as_ref();
            let title = restored
                .and_then(|id| plan.step(id))
                .map_or("an earlier step", |s| s.title.as_str());
            let Advice { mend, .. } = of(step);
            LeftBehind {
                what: format!("what was done for the time of the rollout only is still so: {title}"),
                mend,
            }
        }
    }
}
