//! Messages, and their conversion to the model: what is understood is written again as it was.

use prost::Message;
use quorate_model::failure::Failure;
use quorate_model::measurement::Baseline;
use quorate_model::observation::Observation;
use quorate_model::operation::{LedgerEntry, Operation, OperationEvent, Outcome};
use quorate_model::plan::{Condition, Plan, Step};
use quorate_model::rollout::{Entry, Progress, Summary};
use quorate_model::{Finding, Hold, JournalAnchor, RolloutId, Wish, ids::Driver};
use quorate_proto::{ConvertError, Sighting, v1};
use tonic::{Code, Status};

use crate::{Target, Told};

/// Decodes a message and takes it over into the model; what arrives there is sent again, and must arrive as the same.
fn there_and_back<W, M>(bytes: &[u8]) -> Told
where
    W: Message + Default + From<M>,
    M: TryFrom<W, Error = ConvertError> + Clone + std::fmt::Debug + 'static,
{
    let wire = match W::decode(bytes) {
        Ok(wire) => wire,
        Err(error) => return Box::new(error),
    };
    let model = M::try_from(wire);
    if let Ok(model) = &model {
        let sent = W::from(model.clone()).encode_to_vec();
        let arrived = W::decode(&*sent)
            .map_err(|error| ConvertError::new(error.to_string()))
            .and_then(M::try_from);
        // By bytes: a number that is none is not equal to itself.
        let again = arrived.map(|arrived| W::from(arrived).encode_to_vec());
        assert_eq!(again, Ok(sent));
    }
    Box::new(model)
}

/// Decodes as each of these messages; their parts have targets of their own.
macro_rules! decodes {
    ($bytes:expr; $($message:ident),* $(,)?) => {
        Box::new([$(v1::$message::decode($bytes).map(|m| m.encoded_len()).ok()),*])
    };
}

pub(crate) const TARGETS: &[Target] = &[
    Target::new("wire-baseline", there_and_back::<v1::Baseline, Baseline>),
    Target::new("wire-condition", there_and_back::<v1::Condition, Condition>),
    Target::new("wire-driver", there_and_back::<v1::Driver, Driver>),
    Target::new("wire-failure", there_and_back::<v1::FailureDetail, Failure>),
    Target::new("wire-finding", there_and_back::<v1::Finding, Finding>),
    Target::new("wire-hold", there_and_back::<v1::Hold, Hold>),
    Target::new(
        "wire-journal-anchor",
        there_and_back::<v1::JournalAnchor, JournalAnchor>,
    ),
    Target::new("wire-journal-entry", there_and_back::<v1::JournalEntry, Entry>),
    Target::new("wire-ledger-entry", there_and_back::<v1::LedgerEntry, LedgerEntry>),
    Target::new("wire-node-view", there_and_back::<v1::NodeView, Sighting>),
    Target::new("wire-observation", there_and_back::<v1::Observation, Observation>),
    Target::new("wire-operation", there_and_back::<v1::Operation, Operation>),
    Target::new(
        "wire-operation-event",
        there_and_back::<v1::OperationEvent, OperationEvent>,
    ),
    Target::new("wire-outcome", there_and_back::<v1::Outcome, Outcome>),
    Target::new("wire-plan", there_and_back::<v1::Plan, Plan>),
    Target::new(
        "wire-progress",
        there_and_back::<v1::RolloutProgress, (RolloutId, Progress)>,
    ),
    Target::new("wire-requests", |bytes| {
        decodes!(bytes; ObserveRequest, WatchHealthRequest, DriveRequest, ExecuteRequest, AttachRequest, LedgerRequest, SnapshotRequest,
            HoldRequest, KeepSpecRequest, JoinTicketRequest, RenewalRequestRequest, InstallCertificateRequest, OpenEchoRequest,
            MeasureRequest, CloseEchoRequest, RevokeRequest, EnrolRequest, ApplyRequest, FreezeRequest, AppliedRequest, NetworkRequest)
    }),
    Target::new("wire-status", |bytes| {
        let status = Status::with_details(Code::FailedPrecondition, "refused", bytes.to_vec().into());
        let failure = quorate_proto::to_failure(&status);
        // Whatever arrived can be passed on.
        let passed_on = quorate_proto::to_failure(&quorate_proto::to_status(failure.clone()));
        Box::new((failure, passed_on))
    }),
    Target::new("wire-step", there_and_back::<v1::Step, Step>),
    Target::new("wire-summary", there_and_back::<v1::RolloutSummary, Summary>),
    Target::new("wire-wish", there_and_back::<v1::Wish, Wish>),
];
