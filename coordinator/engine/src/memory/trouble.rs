//! What can go wrong in the world, planned by a test for a server or for one step on it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use quorate_model::finding::Code;
use quorate_model::ids::NodeName;
use quorate_model::operation::Action;

use super::world::Inner;

/// How an operation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// Well.
    Works,
    /// It fails without a trace, for this reason.
    FailsClean(Code),
    /// It fails half-way, and leaves something behind.
    FailsHalfWay,
    /// It comes about, and the agent says that it failed.
    WorksButSaysFailed,
    /// It comes about, and the agent can't tell.
    WorksUnseen,
    /// Nothing comes about, and the agent can't tell.
    VanishesUnseen,
    /// It gets half-way, and the agent can't tell.
    HalfWayUnseen,
    /// Nothing comes about, and the agent says done.
    SaysDone,
    /// Nothing is seen to come about, the agent can't tell, and the tool may still run.
    LosesSight,
    /// It gets half-way, and never ends; the agent says ever more rarely that it is overdue.
    Hangs,
}

impl Conduct {
    /// All that end otherwise than well.
    pub const BAD: [Conduct; 8] = [
        Self::FailsClean(Code::NodeHasGuests),
        Self::FailsHalfWay,
        Self::WorksButSaysFailed,
        Self::WorksUnseen,
        Self::VanishesUnseen,
        Self::HalfWayUnseen,
        Self::SaysDone,
        Self::LosesSight,
    ];
}

/// How an agent answers a request to begin something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It takes it.
    Taken,
    /// It is not reached.
    NotReached,
    /// It is not reached, and from now on nobody sees it either.
    GoesDark,
    /// It takes it, and the answer is lost.
    TakenUnanswered,
    /// The request is lost, and nobody can tell.
    Lost,
    /// It takes it, and the stream ends at once.
    TakenSilently,
    /// It takes it, and the stream says nothing for an hour, until its connection is found to be dead.
    TakenMute,
    /// It says no, for this reason.
    Refuses(Code),
}

/// What goes wrong with the operations of a server, or of one action on it.
#[derive(Debug)]
pub(super) struct Trouble {
    node: NodeName,
    action: Option<Action>,
    pub(super) conduct: VecDeque<Conduct>,
    pub(super) replies: VecDeque<Reply>,
    /// Streams break before the event of these numbers, once each.
    pub(super) breaks: BTreeSet<u64>,
    pub(super) cut_for: Option<Duration>,
}

impl Trouble {
    pub(super) fn new(node: NodeName, action: Option<Action>) -> Self {
        Self {
            node,
            action,
            conduct: VecDeque::new(),
            replies: VecDeque::new(),
            breaks: BTreeSet::new(),
            cut_for: None,
        }
    }
}

impl Inner {
    /// The next piece of trouble of a kind that is planned for an action on a node.
    pub(super) fn next_trouble<T>(
        &mut self,
        node: &NodeName,
        action: &Action,
        take: impl FnMut(&mut Trouble) -> Option<T>,
    ) -> Option<T> {
        self.troubles
            .iter_mut()
            .filter(|t| t.node == *node && t.action.as_ref().is_none_or(|a| a == action))
            .find_map(take)
    }
}
