//! A guest is taken from a server of which nobody has heard anything, by the server that has what the plan says of it.

use std::collections::BTreeSet;

use quorate_model::guest_ids::JobId;
use quorate_model::ids::NodeName;
use quorate_model::lost::{Fate, LostCopy, Survivor, Verdict};
use quorate_model::moves::Moves;
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step};

use super::Checker;

impl<'a> Checker<'a> {
    pub(super) fn takes_guest(&mut self, step: &Step) {
        let Action::TakeGuest {
            guest,
            lost,
            jobs,
            copy,
            seen_off,
            ..
        } = &step.action
        else {
            return;
        };
        let Some(Moves::Recover {
            lost: asked,
            guests,
            seen_off: said,
            ..
        }) = &self.wish.moves
        else {
            return self.demand(step, false, "nobody asked for it");
        };
        self.demand(
            step,
            asked == lost && (guests.is_empty() || guests.contains(guest)),
            "nobody asked for this guest, or of this server",
        );
        self.demand(step, seen_off == said, "it says what nobody has seen");
        self.demand(step, step.node != *lost, "the lost server itself is to do it");
        let answers = self.view.nodes.get(lost).is_some_and(|seen| seen.observation.is_ok());
        let verdicts: Vec<Verdict> = self.survivors(lost).map(|(_, one)| one.evidence.verdict()).collect();
        let lives = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Alive(_)));
        self.demand(step, !answers && !lives, "the server lives");
        let down = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Down(_)));
        self.demand(step, down || *said, "nothing proves that the server is off");
        let holds = self.holds(&step.node, lost, *guest, jobs, *copy);
        self.demand(
            step,
            holds,
            "its server does not say that it could be started there from that copy",
        );
        let newer = self.survivors(lost).any(|(_, one)| {
            let guests = one.guests.get().map(Vec::as_slice).unwrap_or_default();
            guests.iter().any(|there| {
                let better = matches!(&there.fate, Fate::Recoverable { copy: has, .. } if has.is_better_than(*copy));
                there.vmid == *guest && better
            })
        });
        self.demand(step, !newer, "another server could start it from a newer copy");
        let quorate = |gate: &Condition| matches!(gate, Condition::Quorate { node, .. } if *node == step.node);
        self.demand(
            step,
            step.gate.iter().any(quorate),
            "it does not wait for quorum where it is done",
        );
        let here = matches!(
            &step.done_when,
            Condition::GuestAt { guest: id, node, running: false, .. } if id == guest && *node == step.node
        );
        self.demand(step, here, "it is done without being seen there");
        let same = |other: &&Step| matches!(&other.action, Action::TakeGuest { guest: id, .. } if id == guest);
        let once = self.plan.steps.iter().filter(same).count() == 1;
        self.demand(step, once, "a guest would be taken to two servers");
    }

    /// A guest of a lost server is started where it was taken to, or brought to before.
    pub(super) fn starts_taken(&mut self, step: &Step, guest: u32) {
        let plan = self.plan;
        let taken = plan.steps.iter().any(|other| {
            let takes = matches!(&other.action, Action::TakeGuest { guest: id, .. } if *id == guest);
            takes && other.node == step.node && self.order.is_after(step, &other.id)
        });
        let brought = match &self.wish.moves {
            Some(Moves::Recover { lost, .. }) => self
                .survivors(lost)
                .any(|(node, one)| *node == step.node && one.unfinished.contains(&guest)),
            _ => false,
        };
        self.demand(step, taken || brought, "it was not taken over there");
    }

    fn survivors(&self, lost: &NodeName) -> impl Iterator<Item = (&'a NodeName, &'a Survivor)> + use<'a> {
        let search = self.view.lost.as_ref().filter(|search| search.node == *lost);
        let all = search.into_iter().flat_map(|search| &search.survivors);
        all.filter_map(|(node, one)| Some((node, one.as_ref().ok()?)))
    }

    fn holds(&self, on: &NodeName, lost: &NodeName, guest: u32, jobs: &BTreeSet<JobId>, copy: LostCopy) -> bool {
        self.survivors(lost).filter(|(node, _)| *node == on).any(|(_, one)| {
            let guests = one.guests.get().map(Vec::as_slice).unwrap_or_default();
            guests.iter().filter(|there| there.vmid == guest).any(|there| {
                let Fate::Recoverable {
                    copy: has, jobs: own, ..
                } = &there.fate
                else {
                    return false;
                };
                *has == copy && own.iter().collect::<BTreeSet<_>>() == jobs.iter().collect()
            })
        })
    }
}
