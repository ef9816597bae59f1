//! The steps of a recovery: quorum where it is forced, and each guest taken and started before the next one.

use std::collections::BTreeSet;

use quorate_model::ids::{NodeName, StepId};
use quorate_model::observation::GuestKind;
use quorate_model::operation::Action;
use quorate_model::plan::Condition;

use super::guests::{Chosen, called};
use crate::draft::Draft;
use crate::moves::steps::Row;

/// Pings on each network, each address asked on its ports, and a rename.
const TAKE_SECONDS: u64 = 20;
const START_SECONDS: u64 = 10;

impl Row<'_> {
    /// What is left gets by with these votes.
    pub(super) fn expect(
        &mut self,
        (via, lost): (&NodeName, &NodeName),
        votes: u32,
        online: &BTreeSet<NodeName>,
    ) -> Option<StepId> {
        let cluster = self.cluster().clone();
        self.put(Draft {
            id: format!("recover.expect/{lost}"),
            node: via.clone(),
            action: Action::ExpectVotes {
                cluster: cluster.clone(),
                votes,
            },
            title: format!("give {via} quorum with {votes} of the votes"),
            why: vec![format!(
                "without {lost} there is no quorum, and without quorum no guest can be taken over; with {lost} back, both votes count again"
            )],
            gate: vec![Condition::HaDisarmed {
                cluster,
                nodes: online.clone(),
            }],
            done_when: self.quorate(via),
            seconds: 2,
            undo: format!("on {via}: systemctl restart corosync"),
            destroys: vec![],
            restores: None,
        })
    }

    /// A guest comes to a server that has a copy of it.
    pub(super) fn take(&mut self, guest: &Chosen<'_>, (lost, seen_off): (&NodeName, bool)) -> Option<StepId> {
        let (id, kind, on) = (guest.vmid, guest.kind, guest.on);
        let called = called(kind, id, guest.name);
        let folder = match kind {
            GuestKind::Vm => "qemu-server",
            GuestKind::Container => "lxc",
        };
        let mut why = vec![match guest.copy.at() {
            None => "its disks are those that it had".to_owned(),
            Some(at) => {
                format!(
                    "its disks on {on} are what {lost} sent at {at}, by its clock; what was written later is on {lost} alone"
                )
            }
        }];
        why.extend(guest.jobs.iter().map(|job| {
            format!(
                "the job {job} is switched off first, or it would overwrite what {lost} wrote last, when {lost} returns"
            )
        }));
        if !guest.starts {
            why.push("it is not started, for it does not start at boot: --guest names it".to_owned());
        }
        let mut undo = format!(
            "as long as it has not been started, on {on}: mv /etc/pve/nodes/{on}/{folder}/{id}.conf /etc/pve/nodes/{lost}/{folder}/{id}.conf"
        );
        for job in &guest.jobs {
            undo.push_str(&format!("; pvesr enable {job}"));
        }
        self.put(Draft {
            id: format!("recover.take/{id}"),
            node: on.clone(),
            action: Action::TakeGuest {
                cluster: self.cluster().clone(),
                guest: id,
                kind,
                lost: lost.clone(),
                jobs: guest.jobs.clone(),
                copy: guest.copy,
                starts: guest.starts,
                seen_off,
            },
            title: format!("take {called} over from {lost} to {on}"),
            why,
            gate: vec![self.quorate(on)],
            done_when: self.stands(id, kind, on, false),
            seconds: TAKE_SECONDS,
            undo,
            destroys: vec![],
            restores: None,
        })
    }

    /// It is started there. `again`: an earlier try brought it there.
    pub(super) fn start_taken(
        &mut self,
        kind: GuestKind,
        id: u32,
        name: Option<&str>,
        (on, lost): (&NodeName, &NodeName),
        again: bool,
    ) -> Option<StepId> {
        let called = called(kind, id, name);
        let mut why = vec![format!(
            "from then on it writes on {on}; what {lost} wrote last stays there until somebody decides: quorate replication resolve {id}"
        )];
        if again {
            why.push("it was taken over before, and does not run".to_owned());
        }
        self.put(Draft {
            id: format!("recover.start/{id}"),
            node: on.clone(),
            action: Action::RunGuest {
                cluster: self.cluster().clone(),
                guest: id,
                kind,
                run: true,
            },
            title: format!("start {called} on {on}"),
            why,
            gate: vec![self.quorate(on), self.stands(id, kind, on, false)],
            done_when: self.stands(id, kind, on, true),
            seconds: START_SECONDS,
            undo: "NOT reversible: what it writes from then on is there alone".to_owned(),
            destroys: vec![],
            restores: None,
        })
    }

    fn stands(&self, guest: u32, kind: GuestKind, node: &NodeName, running: bool) -> Condition {
        Condition::GuestAt {
            cluster: self.cluster().clone(),
            guest,
            kind,
            node: node.clone(),
            seen_by: BTreeSet::new(),
            running,
            managed: false,
        }
    }
}
