//! The phases of a drill, in the order in which they come.

use serde::{Deserialize, Serialize};

use super::lasting::DrillKind;
use crate::fault::{Fault, PowerCut};

/// A phase begins with what it is named after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The fault is made.
    Fault,
    /// knet calls the victim's links down.
    LinkLost,
    /// The victim is out of the membership, by the others' word.
    MembershipLost,
    /// The victim itself has no quorum any more.
    QuorumLost,
    /// The watchdog resets the victim.
    Reset,
    /// HA's master decides to fence it.
    FenceDecided,
    /// The master has the victim's lock: from here on its guests are the others'.
    LockTaken,
    /// The guest is started by its new owner.
    GuestStarted,
    /// The first answer of a run that does not break off again.
    FirstAnswer,
    /// So many answers in a row that it is no chance.
    Steady,
    /// The fault is gone.
    FaultGone,
    /// The victim is a member again.
    NodeBack,
    /// The copies of the guest are in sync again.
    InSync,
    /// All is as it should be.
    Normal,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 14] = [
        Self::Fault,
        Self::LinkLost,
        Self::MembershipLost,
        Self::QuorumLost,
        Self::Reset,
        Self::FenceDecided,
        Self::LockTaken,
        Self::GuestStarted,
        Self::FirstAnswer,
        Self::Steady,
        Self::FaultGone,
        Self::NodeBack,
        Self::InSync,
        Self::Normal,
    ];

    /// In a few words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::LinkLost => "link lost",
            Self::MembershipLost => "membership lost",
            Self::QuorumLost => "quorum lost on the victim",
            Self::Reset => "watchdog reset",
            Self::FenceDecided => "fence decided",
            Self::LockTaken => "lock taken",
            Self::GuestStarted => "guest started",
            Self::FirstAnswer => "first answer",
            Self::Steady => "steady",
            Self::FaultGone => "fault gone",
            Self::NodeBack => "node back",
            Self::InSync => "copies in sync",
            Self::Normal => "normal",
        }
    }

    /// Who tells of it.
    #[must_use]
    pub fn told_by(self) -> &'static str {
        match self {
            Self::Fault | Self::FaultGone => "the victim's agent and the coordinator",
            Self::LinkLost => "corosync's log on any node",
            Self::MembershipLost | Self::NodeBack => "corosync on the other nodes",
            Self::QuorumLost | Self::Reset => "the victim's agent, once it can be asked again",
            Self::FenceDecided | Self::LockTaken => "HA's manager status on the other nodes",
            Self::GuestStarted => "the new owner's agent",
            Self::FirstAnswer | Self::Steady => "the probes",
            Self::InSync => "the new owner's replication state",
            Self::Normal => "the coordinator's last look",
        }
    }

    /// Those that have to come before it, if both are seen.
    #[must_use]
    pub fn after(self) -> &'static [Phase] {
        match self {
            Self::Fault => &[],
            Self::LinkLost | Self::Reset | Self::FaultGone | Self::QuorumLost | Self::MembershipLost => &[Self::Fault],
            Self::FenceDecided => &[Self::MembershipLost],
            Self::LockTaken => &[Self::FenceDecided],
            Self::GuestStarted => &[Self::LockTaken, Self::Fault],
            Self::FirstAnswer => &[Self::GuestStarted],
            Self::Steady => &[Self::FirstAnswer],
            Self::NodeBack => &[Self::MembershipLost],
            Self::InSync => &[Self::NodeBack],
            Self::Normal => &[Self::Steady, Self::NodeBack, Self::FaultGone],
        }
    }

    /// Is it one by which another server takes the victim's guests over?
    #[must_use]
    pub fn takes_over(self) -> bool {
        matches!(self, Self::FenceDecided | Self::LockTaken | Self::GuestStarted)
    }

    /// Those that a drill must show. Others may be seen beside them: a short cut may pass without a link being called down.
    #[must_use]
    pub fn expected(fault: &Fault, kind: DrillKind) -> Vec<Self> {
        let failover = |phases: &[Self]| -> Vec<Self> {
            let mut all = vec![Self::Fault];
            all.extend_from_slice(phases);
            all.extend([
                Self::FenceDecided,
                Self::LockTaken,
                Self::GuestStarted,
                Self::FirstAnswer,
                Self::Steady,
                Self::FaultGone,
                Self::NodeBack,
                Self::InSync,
                Self::Normal,
            ]);
            all
        };
        match (fault, kind) {
            (_, DrillKind::Blip) => vec![Self::Fault, Self::FaultGone, Self::Normal],
            (Fault::Network | Fault::ClusterNetwork, _) => {
                failover(&[Self::LinkLost, Self::MembershipLost, Self::QuorumLost, Self::Reset])
            }
            (Fault::Corosync, _) => failover(&[Self::MembershipLost, Self::QuorumLost, Self::Reset]),
            (Fault::Pmxcfs, _) => failover(&[Self::MembershipLost, Self::Reset]),
            (
                Fault::Power {
                    how: PowerCut::Reset | PowerCut::Off,
                    ..
                },
                _,
            ) => failover(&[Self::LinkLost, Self::MembershipLost]),
            (
                Fault::Power {
                    how: PowerCut::Shutdown,
                    ..
                },
                _,
            ) => failover(&[Self::MembershipLost]),
            (Fault::Guest { .. }, _) => vec![
                Self::Fault,
                Self::GuestStarted,
                Self::FirstAnswer,
                Self::Steady,
                Self::Normal,
            ],
            (Fault::Link { .. }, _) => vec![Self::Fault, Self::LinkLost, Self::FaultGone, Self::Normal],
            _ => vec![Self::Fault, Self::FaultGone, Self::Normal],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FORMS;

    #[test]
    fn what_comes_before_another_stands_before_it() {
        for phase in Phase::ALL {
            assert!(phase.after().iter().all(|before| *before < phase), "{phase:?}");
        }
        for form in FORMS {
            let fault = Fault::of_drill(form, 100).unwrap();
            for kind in DrillKind::ALL {
                let expected = Phase::expected(&fault, kind);
                assert!(expected.is_sorted(), "{fault}");
                assert_eq!(
                    (expected.first(), expected.last()),
                    (Some(&Phase::Fault), Some(&Phase::Normal))
                );
            }
        }
    }
}
