//! A canary is made where it was asked for, under an id that nobody has; and only what bears our tag is destroyed, by a word for it.

use quorate_model::canary::is_tagged;
use quorate_model::canary_discs::is_disc_of;
use quorate_model::finding::Code;
use quorate_model::moves::Moves;
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step};

use super::Checker;

impl Checker<'_> {
    pub(super) fn makes_canary(&mut self, step: &Step) {
        let Action::CreateCanary {
            guest,
            source,
            storage,
            program,
            ..
        } = &step.action
        else {
            return;
        };
        let asked = match &self.wish.moves {
            Some(Moves::CreateCanary(new)) => {
                new.node == step.node
                    && new.source == *source
                    && new.storage == *storage
                    && new.program.as_ref() == Some(program)
                    && new.guest.is_none_or(|id| id == *guest)
            }
            _ => false,
        };
        self.demand(step, asked, "nobody asked for this canary");
        let config = self.config(&step.node).and_then(|config| config.guests.get().ok());
        let free = config.is_some_and(|guests| guests.iter().all(|one| one.guest.vmid != *guest));
        self.demand(step, free, "its id is not seen to be free");
        self.seen_as_canary(step, *guest, true);
    }

    pub(super) fn destroys_canary(&mut self, step: &Step, guest: u32) {
        let (asked, consented) = match &self.wish.moves {
            Some(Moves::RemoveCanary { guest: id, destroy }) => (*id == guest, *destroy),
            _ => (false, false),
        };
        let findings = &self.plan.findings;
        let refused = findings
            .iter()
            .any(|f| f.refuses() && f.code == Code::DestroyNotConsented);
        self.demand(
            step,
            asked && (consented || refused),
            "nobody said that this guest may go",
        );
        let config = self.config(&step.node).and_then(|config| config.guests.get().ok());
        let own = config.and_then(|guests| guests.iter().find(|one| one.guest.vmid == guest));
        let ours = own.is_some_and(|one| one.guest.node == step.node.as_str() && is_tagged(one) == Some(true));
        self.demand(step, ours, "it is not seen to be a canary of ours on this server");
        self.demand(step, !step.destroys.is_empty(), "it does not say what it destroys");
        self.seen_as_canary(step, guest, false);
    }

    /// What is left of a canary's disc for cloud-init goes where nobody uses it: of a guest of ours, which another server has.
    pub(super) fn frees_disc(&mut self, step: &Step) {
        let Action::FreeCanaryDisc {
            guest, owner, volume, ..
        } = &step.action
        else {
            return;
        };
        let (guest, owner) = (*guest, owner.clone());
        let asked = match &self.wish.moves {
            Some(Moves::ClearCanary { guest: id } | Moves::RemoveCanary { guest: id, .. }) => *id == guest,
            Some(Moves::Migrate { guest: id, target }) => *id == guest && *target == step.node,
            _ => false,
        };
        self.demand(step, asked, "nobody asked to clear up after this canary");
        let config = self.config(&step.node).and_then(|config| config.guests.get().ok());
        let there = config.and_then(|guests| guests.iter().find(|one| one.guest.vmid == guest));
        let ours = there.is_some_and(|one| one.guest.node == owner.as_str() && is_tagged(one) == Some(true));
        self.demand(
            step,
            ours && owner != step.node,
            "it is not seen to be a canary of ours on another server",
        );
        self.demand(step, is_disc_of(volume, guest), "it is another volume");
        let local = self.view.facet(&step.node, |o| &o.storages);
        let local = local.is_ok_and(|storages| storages.local_of(&step.node, volume).is_some());
        self.demand(step, local, "it lies on no storage of this server alone");
        self.demand(step, !step.destroys.is_empty(), "it does not say what it destroys");
        let gone = Condition::VolumeGone {
            node: step.node.clone(),
            volume: volume.clone(),
        };
        self.demand(step, step.done_when == gone, "it is done without being seen so");
        let gated = step.gate.iter().any(|gate| {
            matches!(gate, Condition::GuestAt { guest: id, node, seen_by, .. }
                if *id == guest && *node == owner && seen_by.contains(&step.node))
        });
        self.demand(step, gated, "its gate does not see where the guest is");
    }

    fn seen_as_canary(&mut self, step: &Step, guest: u32, there: bool) {
        let seen = matches!(
            &step.done_when,
            Condition::Canary { guest: id, node, there: so, .. } if *id == guest && *node == step.node && *so == there
        );
        self.demand(step, seen, "it is done without being seen so");
        let quorate = step
            .gate
            .iter()
            .any(|gate| matches!(gate, Condition::Quorate { node, .. } if *node == step.node));
        self.demand(step, quorate, "it does not wait for quorum where it is done");
    }
}
