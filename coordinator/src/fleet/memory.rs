//! What an agent remembers of those who drove it.

use quorate_model::ids::Driver;
use quorate_model::operation::Action;
use quorate_model::view::Rest;
use quorate_model::{Hold, JournalAnchor, NodeName, OperationId, Timestamp};
use quorate_proto::{ConvertError, Wire, field, v1};

use super::call::{CallError, within};
use super::peer::Peer;
use crate::recovery::Remembered;

/// An agent's ledger, as far as it matters to find out what was done.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    /// Who drove it last.
    pub(crate) driver: Option<Driver>,
    /// Where that one's journal ended.
    pub(crate) anchor: Option<JournalAnchor>,
    /// What holds its cluster up, as it was told last.
    pub(crate) hold: Hold,
    /// What it was asked to do, oldest first. Of the actions only those of HA matter: others may be of a later version.
    pub(crate) operations: Vec<Remembered>,
}

impl Peer {
    /// Asks the agent what it remembers.
    pub(crate) async fn memory(&self) -> Result<Memory, CallError> {
        let request = v1::LedgerRequest::default();
        let reply = within(self.quick(), &self.name, self.client().ledger(request)).await?;
        read(&self.name.node, reply).map_err(|error| CallError::garbled(&error))
    }
}

fn read(node: &NodeName, reply: v1::LedgerReply) -> Result<Memory, ConvertError> {
    let operation = |entry: v1::LedgerEntry| {
        let operation = entry.operation.unwrap_or_default();
        let action: Option<Action> = operation.action.and_then(|action| field("action", action).ok());
        let id: OperationId = field("operation", operation.id)?;
        let accepted_at: Timestamp = field("accepted_at", entry.accepted_at)?;
        Ok(Remembered {
            operation: id,
            accepted_at,
            ended_at: field("ended_at", entry.ended_at)?,
            outcome: field("outcome", entry.outcome)?,
            // A server may have been drained for good, and a ledger does not tell whether it was.
            ha: action
                .and_then(|action| Rest::by(node, &action))
                .filter(|(rest, _)| !matches!(rest, Rest::Maintenance { .. })),
        })
    };
    Ok(Memory {
        driver: Wire::from_wire(reply.driver)?,
        anchor: field("anchor", reply.anchor)?,
        hold: reply
            .hold
            .map(|hold| field("hold", hold))
            .transpose()?
            .unwrap_or_default(),
        operations: reply
            .entries
            .into_iter()
            .map(operation)
            .collect::<Result<_, ConvertError>>()?,
    })
}
