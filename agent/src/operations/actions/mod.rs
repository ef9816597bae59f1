//! What the agent can do: each action has a file that says how it is called, when it is there, and how its tool's words
//! are to be read. What is common to all stands here and beside them.

mod abandon_join;
mod add_link;
mod allow_agents;
mod canary;
mod clean_up_after;
mod create_cluster;
mod create_pool;
mod diagnose;
mod disks;
mod expect_votes;
mod finish_join;
mod free_canary_disc;
mod grow_pool;
mod ha;
mod ha_config;
mod inject_fault;
mod join_cluster;
mod keep_volumes;
mod keys;
mod local;
mod maintenance;
mod member;
mod migrate_guest;
mod options;
mod own_word;
mod packages;
mod power_off;
mod precheck;
mod qdevice;
mod reboot;
mod remove_member;
mod replace_disk;
mod replication;
mod run_guest;
mod said;
mod storage;
mod take_guest;
#[cfg(test)]
pub(crate) mod testing;
mod upgrade;
mod wipe_disk;

use quorate_exec::{Invocation, Tools};
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::operation::Action;
use quorate_model::{Finding, Observation};
use quorate_tools::CallError;

use super::context::Context;
use super::follow::Output;
use super::passed::{Passed, PassedKind};
use crate::host::Host;
use crate::observe::{observe, observe_to_act};

pub(super) use diagnose::diagnose;
pub(super) use upgrade::UNTRUSTED;

/// What every action says about itself.
pub(super) trait Act: Send + Sync {
    /// What must be looked at to tell how far it is.
    fn facets(&self) -> &'static [FacetName];

    /// What must be looked at besides, in the instant before.
    fn precheck_facets(&self) -> &'static [FacetName] {
        &[]
    }

    /// What stands against it in the instant before. All of it at once.
    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding>;

    /// How far the node is.
    fn state(&self, node: &NodeName, seen: &Observation) -> State;

    /// Was it begun before, so that it may still come about by itself, while trying again would be refused?
    fn is_begun(&self, _node: &NodeName, _seen: &Observation) -> bool {
        false
    }

    /// The guest whose run decides, if it is one. The list of guests says of a machine only that its process is there; so it is asked itself in the
    /// instant before.
    fn hangs_on(&self) -> Option<u32> {
        None
    }

    /// What must be passed beside the operation.
    fn needs(&self) -> Option<PassedKind> {
        None
    }

    /// How it is done.
    ///
    /// # Errors
    /// A tool is not installed.
    fn how(&self, tools: &Tools, passed: Option<&Passed>) -> Result<How, CallError>;

    /// What the tool's output says.
    fn read(&self, node: &NodeName, output: &Output) -> Said;

    /// Does the tool, by what it printed so far, do nothing any more but wait without a limit, so that it can be ended and what would
    /// come after it be done by another operation?
    fn only_waits(&self, _output: &Output) -> bool {
        false
    }

    /// If it is seen to have left no trace on this node, has it left none elsewhere?
    fn stays_here(&self) -> bool {
        true
    }

    /// Where the tool's word is all that can be had: what it means. The coordinator sees the rest from elsewhere.
    fn takes_its_word(&self) -> Option<&'static str> {
        None
    }
}

/// How an action is done.
#[derive(Debug)]
pub(super) enum How {
    /// By one tool. What it must be passed goes to its stdin.
    Tool(Invocation),
    /// By several, one after another, in a process of our own that is supervised like a tool.
    Task,
}

/// What is found in the instant before the tool is started.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing stands against it.
    Ready,
    /// What is wanted is there already.
    Reached(String),
    /// What is wanted was begun before and may still come about by itself; running the tool again would refuse.
    Begun,
    /// It would go wrong, or do harm.
    Refused(Vec<Finding>),
}

/// What a node shows of what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It is there; with what was seen.
    Reached(String),
    /// Nothing of it is there, and no trace of a try.
    Untouched,
    /// Neither; with what is missing, so that it reads on after "waiting until".
    Between(String),
}

/// What a tool's output says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// It claims success.
    pub(super) success: bool,
    /// What it complained about.
    pub(super) findings: Vec<Finding>,
    /// It came far enough to have changed something, here or elsewhere.
    pub(super) changed: bool,
    /// How far it came, in words.
    pub(super) stage: String,
}

/// The one who knows about this action.
pub(super) fn of(action: &Action) -> Box<dyn Act + '_> {
    match action {
        Action::CreateCluster {
            cluster,
            links,
            priorities,
        } => Box::new(create_cluster::CreateCluster {
            cluster,
            links,
            priorities,
        }),
        Action::JoinCluster {
            cluster,
            member,
            member_address,
            links,
        } => Box::new(join_cluster::JoinCluster {
            cluster,
            member,
            member_address: *member_address,
            links,
        }),
        Action::FinishJoin { cluster, .. } => Box::new(finish_join::FinishJoin { cluster }),
        Action::AbandonJoin { cluster } => Box::new(abandon_join::AbandonJoin { cluster }),
        Action::AddLink {
            cluster,
            link,
            addresses,
            ..
        } => Box::new(add_link::AddLink {
            cluster,
            link: *link,
            addresses,
        }),
        Action::ExpectVotes { cluster, votes } => Box::new(expect_votes::ExpectVotes { cluster, votes: *votes }),
        Action::RemoveMember { cluster, removed, id } => Box::new(remove_member::RemoveMember {
            cluster,
            removed,
            id: *id,
        }),
        Action::CleanUpAfter {
            cluster,
            removed,
            keep_folder,
        } => Box::new(clean_up_after::CleanUpAfter {
            cluster,
            removed,
            keep_folder: *keep_folder,
        }),
        Action::PowerOff { .. } => Box::new(power_off::PowerOff),
        Action::InstallPackages { packages } => Box::new(packages::InstallPackages { packages }),
        Action::AdmitKeys {
            cluster, keys, minutes, ..
        } => Box::new(keys::Keys {
            cluster,
            keys: Some(keys),
            minutes: *minutes,
        }),
        Action::WithdrawKeys { cluster } => Box::new(keys::Keys {
            cluster,
            keys: None,
            minutes: 0,
        }),
        Action::SetUpQdevice { cluster, address, .. } => Box::new(qdevice::SetUp {
            cluster,
            address: *address,
        }),
        Action::RemoveQdevice { cluster } => Box::new(qdevice::Remove { cluster }),
        Action::DisarmHa { cluster } => Box::new(ha::Disarm { cluster }),
        Action::ArmHa { cluster } => Box::new(ha::Arm { cluster }),
        Action::StopHa { service, .. } => Box::new(ha::Daemon {
            service: *service,
            run: false,
        }),
        Action::StartHa { service, .. } => Box::new(ha::Daemon {
            service: *service,
            run: true,
        }),
        Action::AllowAgents { passages, from, .. } => Box::new(allow_agents::AllowAgents { passages, from }),
        Action::CreatePool { layout } => Box::new(create_pool::CreatePool { layout }),
        Action::WipeDisk { disk, carries } => Box::new(wipe_disk::WipeDisk { disk, carries }),
        Action::GrowPool { layout } => Box::new(grow_pool::GrowPool { layout }),
        Action::ReplaceDisk {
            pool,
            old,
            with,
            accepted,
        } => Box::new(replace_disk::ReplaceDisk {
            pool,
            old,
            with,
            accepted,
        }),
        Action::AddStorage {
            cluster,
            storage,
            password_file,
        } => Box::new(storage::AddStorage {
            cluster,
            storage,
            with_password: password_file.is_some(),
        }),
        Action::ExtendStorage { cluster, storage } => Box::new(storage::ExtendStorage { cluster, storage }),
        Action::UpgradeAgent { version, .. } => Box::new(upgrade::UpgradeAgent { version: *version }),
        Action::CreateReplication {
            cluster,
            job,
            target,
            schedule,
            rate,
            returning_node,
        } => Box::new(replication::Create(replication::Job {
            cluster,
            id: job,
            other: target,
            schedule,
            rate: *rate,
            returning_node: *returning_node,
        })),
        Action::ChangeReplication {
            cluster,
            job,
            other,
            schedule,
            rate,
            returning_node,
            enable,
        } => Box::new(replication::Change {
            job: replication::Job {
                cluster,
                id: job,
                other,
                schedule,
                rate: *rate,
                returning_node: *returning_node,
            },
            enable: *enable,
        }),
        Action::RemoveReplication { cluster, job, target } => Box::new(replication::Remove {
            cluster,
            id: job,
            target,
        }),
        Action::SyncReplication {
            cluster,
            job,
            other,
            since,
        } => Box::new(replication::Sync {
            cluster,
            id: job,
            other,
            since: *since,
        }),
        Action::SetMigrationNetwork {
            cluster,
            migration,
            before,
        } => Box::new(options::SetMigrationNetwork {
            cluster,
            migration,
            before: before.as_deref(),
        }),
        Action::AddHaResource {
            cluster,
            service,
            started,
            max_restart,
            max_relocate,
            group,
            no_failback,
        } => Box::new(ha_config::Add {
            resource: ha_config::Resource {
                cluster,
                service: *service,
                max_restart: *max_restart,
                max_relocate: *max_relocate,
                group: group.as_ref(),
                no_failback: *no_failback,
            },
            started: *started,
        }),
        Action::ChangeHaResource {
            cluster,
            service,
            max_restart,
            max_relocate,
            group,
            no_failback,
        } => Box::new(ha_config::Change(ha_config::Resource {
            cluster,
            service: *service,
            max_restart: *max_restart,
            max_relocate: *max_relocate,
            group: group.as_ref(),
            no_failback: *no_failback,
        })),
        Action::SetHaRule {
            cluster,
            rule,
            service,
            nodes,
            exists,
        } => Box::new(ha_config::Bind {
            cluster,
            name: rule,
            service: Some(*service),
            nodes,
            exists: *exists,
        }),
        Action::SetHaGroup {
            cluster,
            group,
            nodes,
            exists,
        } => Box::new(ha_config::Bind {
            cluster,
            name: group,
            service: None,
            nodes,
            exists: *exists,
        }),
        Action::MigrateGuest {
            cluster,
            guest,
            kind,
            target,
            how,
            managed,
        } => Box::new(migrate_guest::MigrateGuest {
            cluster,
            guest: *guest,
            kind: *kind,
            target,
            how: *how,
            managed: *managed,
        }),
        Action::RunGuest {
            cluster,
            guest,
            kind,
            run,
        } => Box::new(run_guest::RunGuest {
            cluster,
            guest: *guest,
            kind: *kind,
            run: *run,
        }),
        Action::SetMaintenance { cluster, node, on } => Box::new(maintenance::SetMaintenance {
            cluster,
            of: node,
            on: *on,
        }),
        Action::RebootNode { cluster, boot } => Box::new(reboot::RebootNode { cluster, boot }),
        Action::KeepVolumes {
            cluster,
            guest,
            volumes,
            since,
        } => Box::new(keep_volumes::KeepVolumes {
            cluster,
            guest: *guest,
            volumes,
            since: *since,
        }),
        Action::InjectFault {
            cluster,
            fault,
            seconds,
            boot,
        } => Box::new(inject_fault::InjectFault {
            cluster,
            fault,
            seconds: *seconds,
            boot,
        }),
        Action::CreateCanary {
            cluster, guest, source, ..
        } => Box::new(canary::Create {
            cluster,
            guest: *guest,
            kind: source.kind(),
        }),
        Action::DestroyCanary { cluster, guest, kind } => Box::new(canary::Destroy {
            cluster,
            guest: *guest,
            kind: *kind,
        }),
        Action::FreeCanaryDisc {
            cluster,
            guest,
            owner,
            storage,
            volume,
        } => Box::new(free_canary_disc::FreeCanaryDisc {
            cluster,
            guest: *guest,
            owner,
            storage,
            volume,
        }),
        Action::TakeGuest {
            cluster,
            guest,
            kind,
            lost,
            jobs,
            ..
        } => Box::new(take_guest::TakeGuest {
            cluster,
            guest: *guest,
            kind: *kind,
            lost,
            jobs,
        }),
    }
}

/// What is seen, and what of it stands against an action on this server, once more: for tasks that had to wait for a lock.
pub(super) async fn against(host: &Host, action: &Action, node: &NodeName) -> (Observation, Vec<Finding>) {
    let act = of(action);
    let mut facets = act.facets().to_vec();
    facets.extend(act.precheck_facets());
    let seen = observe_to_act(host, &facets).await;
    let findings = act.precheck(node, &seen);
    (seen, findings)
}

/// Looks at everything that matters, in the instant before.
pub(super) async fn before(ctx: &Context<'_>) -> Before {
    let act = of(&ctx.operation.action);
    let mut facets = act.facets().to_vec();
    facets.extend(act.precheck_facets());
    let mut seen = observe_to_act(ctx.host, &facets).await;
    if let Some(guest) = act.hangs_on() {
        own_word::taken(ctx.host, ctx.node, guest, &mut seen).await;
    }
    match act.state(ctx.node, &seen) {
        State::Reached(evidence) => return Before::Reached(evidence),
        State::Between(_) if act.is_begun(ctx.node, &seen) => return Before::Begun,
        State::Between(_) | State::Untouched => {}
    }
    let findings = act.precheck(ctx.node, &seen);
    if findings.is_empty() {
        Before::Ready
    } else {
        Before::Refused(findings)
    }
}

/// Looks afresh, and says how far the node is.
pub(super) async fn look(ctx: &Context<'_>) -> State {
    let act = of(&ctx.operation.action);
    let seen = observe(ctx.host, act.facets()).await;
    act.state(ctx.node, &seen)
}

/// Does its tool do nothing but wait?
pub(super) fn only_waits(ctx: &Context<'_>, output: &Output) -> bool {
    of(&ctx.operation.action).only_waits(output)
}

/// Reads what the tool printed.
pub(super) fn read(ctx: &Context<'_>, output: &Output) -> Said {
    of(&ctx.operation.action).read(ctx.node, output)
}
