//! A guest goes to another server. What can be known beforehand is asked beforehand: PVE itself finds out half-way, with the guest locked.

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::moves::{MoveKind, service_id};
use quorate_model::observation::guest_config::{Backing, ConfiguredGuest};
use quorate_model::observation::{FacetName, GuestKind, GuestRun, ReplicationJob};
use quorate_model::plan::{Condition, Verdict};
use quorate_model::{Code, Finding, Observation};
use quorate_tools::{CallError, guest as tool};

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::MigrateGuest`].
pub(super) struct MigrateGuest<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) guest: u32,
    pub(super) kind: GuestKind,
    pub(super) target: &'a NodeName,
    pub(super) how: MoveKind,
    pub(super) managed: bool,
}

impl Act for MigrateGuest<'_> {
    fn facets(&self) -> &'static [FacetName] {
        if self.managed {
            &[FacetName::Guests, FacetName::Running, FacetName::Config, FacetName::Ha]
        } else {
            &[FacetName::Guests, FacetName::Running, FacetName::Config]
        }
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster, FacetName::Ha]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut against = match local::quorate_member(node, seen, self.cluster) {
            Err(findings) => findings,
            Ok(member) => {
                let online = member.online().any(|name| name == self.target.as_str());
                let message = format!("{} is no member that is online", self.target);
                let refusal = (!online).then(|| self.refuse(Code::MigrationTarget, message, "quorate status"));
                refusal.into_iter().collect()
            }
        };
        against.extend(self.as_planned(node, seen));
        against.extend(self.bound(node, seen));
        against.extend(self.by_ha(node, seen));
        against
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let unseen = |what: &str, why: &str| State::Between(format!("{what} can be seen ({why})"));
        let owner = match seen.guests.get() {
            Err(unknown) => return unseen("the list of guests", &unknown.reason),
            Ok(guests) => guests.iter().find(|guest| guest.vmid == self.guest),
        };
        let Some(owner) = owner.map(|guest| guest.node.as_str()) else {
            return State::Between(format!("guest {} is there", self.guest));
        };
        let lock = match self.configured(seen) {
            Err(why) => return unseen("its configuration", &why),
            Ok(configured) => match configured.config.get() {
                Err(unknown) => return unseen("its configuration", &unknown.reason),
                Ok(config) => config.lock.clone(),
            },
        };
        if let Some(lock) = lock {
            return State::Between(format!(
                "nothing holds guest {} on {owner}; so far it is locked ({lock})",
                self.guest
            ));
        }
        if let Err(moving) = self.ha_is_at_rest(owner, seen) {
            return State::Between(moving);
        }
        if owner == self.target.as_str() {
            return State::Reached(format!("guest {} belongs to {}", self.guest, self.target));
        }
        if owner == node.as_str() {
            State::Untouched
        } else {
            State::Between(format!(
                "guest {} belongs to {}; it belongs to {owner}",
                self.guest, self.target
            ))
        }
    }

    /// HA moves it there already: the command needs not to be given again.
    fn is_begun(&self, _node: &NodeName, seen: &Observation) -> bool {
        let ha = seen.ha.get().ok().filter(|_| self.managed);
        let manager = ha.and_then(|ha| ha.manager.get().ok()?.as_ref());
        let place = manager.and_then(|manager| manager.services.get(&service_id(self.kind, self.guest)));
        place.is_some_and(|place| place.target.as_deref() == Some(self.target.as_str()))
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    /// What failed is told by its kind: where the guest is then, and what is to be done, is another matter for each.
    fn read(&self, node: &NodeName, output: &Output) -> Said {
        let mut said = local::read_task(node, output);
        for finding in &mut said.findings {
            let code = tool::trouble(&format!("{}\n{}", output.stderr, output.stdout));
            let next = match code {
                Code::GuestLocked => format!(
                    "wait until backup or replication is done: pvenode task list --vmid {0}; a lock that no task holds: {1} unlock {0}",
                    self.guest,
                    tool::name(self.kind)
                ),
                Code::HaCommandLost => {
                    "on the HA master: journalctl -u pve-ha-crm; on any member: ha-manager status".to_owned()
                }
                Code::MigrationHalfway => format!("where it is now: quorate guests {}", self.guest),
                _ => format!(
                    "when the reason is gone: quorate migrate {} {}",
                    self.guest, self.target
                ),
            };
            *finding = Finding::new(code, format!("guest {}", self.guest), finding.message.clone(), next);
        }
        said
    }

    fn stays_here(&self) -> bool {
        false
    }
}

impl MigrateGuest<'_> {
    fn refuse(&self, code: Code, message: String, next: impl Into<String>) -> Finding {
        Finding::new(code, format!("guest {}", self.guest), message, next)
    }

    fn configured<'o>(&self, seen: &'o Observation) -> Result<&'o ConfiguredGuest, String> {
        let config = seen.config.get().map_err(|unknown| unknown.reason.clone())?;
        let guests = config.guests.get().map_err(|unknown| unknown.reason.clone())?;
        let found = guests.iter().find(|configured| configured.guest.vmid == self.guest);
        found.ok_or_else(|| format!("there is no configuration of guest {}", self.guest))
    }

    /// It is here, of the kind and in the state that were planned with, and nothing holds it.
    fn as_planned(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let here = Condition::GuestAt {
            cluster: self.cluster.clone(),
            guest: self.guest,
            kind: self.kind,
            node: node.clone(),
            seen_by: [].into(),
            running: self.how.runs(),
            managed: self.managed,
        };
        if let Ok(running) = seen.running.get()
            && let Some(status) = running.iter().find(|status| status.vmid == self.guest)
            && let Some(lock) = &status.lock
        {
            let message = format!("it is locked ({lock})");
            let next = format!(
                "wait until that is done; a lock that no task holds any more: {} unlock {}",
                tool::name(self.kind),
                self.guest
            );
            return vec![self.refuse(Code::GuestLocked, message, next)];
        }
        if let Ok(running) = seen.running.get()
            && let Some(status) = running.iter().find(|status| status.vmid == self.guest)
            && let GuestRun::Held(word) = &status.run
        {
            let message = format!("it is {word}, neither running nor stopped");
            return vec![self.refuse(Code::GuestCantMove, message, "let it go on, or stop it; then again")];
        }
        match local::condition(node, seen, &here) {
            Verdict::Holds(_) => vec![],
            Verdict::NotYet(why) => vec![self.refuse(Code::PlanChanged, why, "plan again")],
            Verdict::Unknown(why) => vec![self.refuse(Code::FacetUnknown, why, format!("look on {node}"))],
        }
    }

    /// What binds it to this server, and copies that a running machine may only go to.
    fn bound(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let config = match self.configured(seen) {
            Ok(configured) => match configured.config.get() {
                Ok(config) => config,
                Err(unknown) => return vec![precheck::unknown(node, "config", unknown)],
            },
            Err(why) => {
                return vec![self.refuse(
                    Code::FacetUnknown,
                    why,
                    format!("look on {node}: quorate-agent observe config"),
                )];
            }
        };
        let stop = "shut it down and leave it, or take that away from it";
        let mut against = Vec::new();
        if !config.bound_by.is_empty() {
            let message = format!("it is bound to its server by {}", config.bound_by.join(", "));
            against.push(self.refuse(Code::GuestCantMove, message, stop));
        }
        for disk in config.disks.iter().filter(|disk| !disk.is_unused() && !disk.shared) {
            let what = match &disk.backing {
                Backing::Volume { .. } => continue,
                Backing::Device(path) => format!("the device {path}"),
                Backing::Folder(path) => format!("the folder {path}"),
            };
            let message = format!("{} is {what} of its server", disk.key);
            against.push(self.refuse(Code::GuestCantMove, message, stop));
        }
        let jobs = seen.config.get().ok().and_then(|config| config.replication.get().ok());
        match jobs {
            None => against.push(self.refuse(
                Code::FacetUnknown,
                "whether it is replicated, and where to, can't be seen".to_owned(),
                format!("look on {node}: quorate-agent observe config"),
            )),
            Some(jobs) => {
                against.extend(self.held(jobs, seen));
                let mut own = jobs.iter().filter(|job| job.guest == self.guest).peekable();
                // PVE refuses it, and HA, which forces it, would leave the copies without a common base.
                let elsewhere = self.how == MoveKind::Live && own.peek().is_some();
                if elsewhere && !own.any(|job| job.target == self.target.as_str() && job.removal.is_none()) {
                    let message = format!(
                        "it is replicated, and not to {}: a running machine only goes where its copy is",
                        self.target
                    );
                    against.push(self.refuse(
                        Code::GuestCantMove,
                        message,
                        "quorate replication; choose a server that has a copy",
                    ));
                }
            }
        }
        against
    }

    /// What the target wrote before it was lost, to it or to guests that HA moves along with it. PVE copies there whether a job is on or off.
    fn held(&self, jobs: &[ReplicationJob], seen: &Observation) -> Vec<Finding> {
        // What can't be seen of HA's rules is told with what HA does.
        let ha = seen.ha.get().ok().filter(|_| self.managed);
        let along = ha.and_then(|ha| ha.moved_along(&service_id(self.kind, self.guest)).ok());
        let all = std::iter::once(self.guest).chain(along.unwrap_or_default());
        let held = all.filter(|id| jobs.iter().any(|job| job.keeps_on(*id, self.target.as_str())));
        held.map(|id| {
            let along = if id == self.guest {
                String::new()
            } else {
                format!("HA moves guest {id} along: ")
            };
            let message = format!(
                "{along}what {} wrote before it was lost is held there, and would be overwritten",
                self.target
            );
            self.refuse(Code::CopyHeld, message, format!("quorate replication resolve {id}"))
        })
        .collect()
    }

    /// Whoever moves it must be who was planned with: PVE hands a guest that is under HA over to HA, and says that all is well.
    fn by_ha(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let resources = match seen.ha.get().and_then(|ha| ha.resources.get()) {
            Ok(resources) => resources,
            Err(unknown) => return vec![precheck::unknown(node, "ha", unknown)],
        };
        let sid = service_id(self.kind, self.guest);
        let managed = resources.get(&sid).is_some_and(|resource| resource.state != "ignored");
        if managed == self.managed {
            return self.sent_back(node, seen, &sid).into_iter().collect();
        }
        let word = if managed { "is" } else { "is not" };
        vec![self.refuse(Code::PlanChanged, format!("it {word} under HA by now"), "plan again")]
    }

    /// HA takes the command whatever its rules say, and moves the guest back as soon as it runs on the target.
    fn sent_back(&self, node: &NodeName, seen: &Observation, sid: &str) -> Option<Finding> {
        if !self.managed {
            return None;
        }
        let ha = seen.ha.get().ok()?;
        let manager = ha.manager.get().ok().and_then(Option::as_ref);
        let nodes = manager.into_iter().flat_map(|manager| &manager.nodes);
        let online = nodes.filter(|(name, _)| !manager.is_some_and(|manager| manager.spares(name)));
        let online = online.map(|(name, _)| name.as_str()).collect();
        match ha.sends_back(sid, self.target.as_str(), &online) {
            Ok(None) => None,
            Ok(Some(why)) => Some(self.refuse(Code::PlanChanged, why, "plan again")),
            Err(unknown) => Some(precheck::unknown(node, "ha", &unknown)),
        }
    }

    fn ha_is_at_rest(&self, owner: &str, seen: &Observation) -> Result<(), String> {
        if !self.managed {
            return Ok(());
        }
        let sid = service_id(self.kind, self.guest);
        let manager = seen.ha.get().and_then(|ha| ha.manager.get());
        let manager = manager.map_err(|unknown| format!("HA can be seen ({})", unknown.reason))?;
        let place = manager.as_ref().and_then(|manager| manager.services.get(&sid));
        let place = place.ok_or_else(|| format!("{sid} is known to the HA master"))?;
        let calm = place.target.is_none() && place.command.is_none();
        let calm = calm && place.node == owner && matches!(place.state.as_str(), "started" | "stopped");
        if calm {
            return Ok(());
        }
        let to = place
            .target
            .as_ref()
            .map(|target| format!(" to {target}"))
            .unwrap_or_default();
        Err(format!(
            "HA has {sid} at rest on {}; so far it is {} on {}{to}",
            self.target, place.state, place.node
        ))
    }
}

#[cfg(test)]
#[path = "migrate_guest_tests.rs"]
mod tests;
