//! Whatever the model can say arrives as it was said.

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use prost::Message;
use quorate_model::Observation;
use quorate_model::observation::FacetName;
use quorate_proto::{ConvertError, Wire, v1};

use crate::strategies::{lost, measurement, observation, operation, plan, rollout, types, view};

fn there_and_back<M, W>(model: M) -> Result<(), TestCaseError>
where
    M: Clone + PartialEq + Debug + TryFrom<W, Error = ConvertError>,
    W: Message + Default + PartialEq + Debug + From<M>,
{
    let wire = W::from(model.clone());
    let bytes = wire.encode_to_vec();
    let arrived = W::decode(bytes.as_slice()).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&arrived, &wire);
    // Equal messages have equal bytes: digests are made of them.
    prop_assert_eq!(arrived.encode_to_vec(), bytes);
    prop_assert_eq!(M::try_from(arrived), Ok(model));
    Ok(())
}

/// One property for each message that travels as a whole; the strategies reach all that is inside.
macro_rules! identity {
    ($($name:ident: $wire:path = $strategy:expr;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
            $(
                #[test]
                fn $name(model in $strategy) {
                    there_and_back::<_, $wire>(model)?;
                }
            )*
        }
    };
}

identity! {
    driver: v1::Driver = types::driver();
    finding: v1::Finding = types::finding();
    failure: v1::FailureDetail = types::failure();
    whole_observation: v1::Observation = observation::observation();
    operation: v1::Operation = operation::operation();
    operation_event: v1::OperationEvent = operation::event();
    outcome: v1::Outcome = operation::outcome();
    ledger_entry: v1::LedgerEntry = operation::ledger_entry();
    met_fault: v1::MetFault = operation::met_fault();
    condition: v1::Condition = plan::condition();
    step: v1::Step = plan::step();
    whole_plan: v1::Plan = plan::plan();
    journal_entry: v1::JournalEntry = rollout::entry();
    summary: v1::RolloutSummary = rollout::summary();
    progress: v1::RolloutProgress = rollout::progress();
    node_view: v1::NodeView = view::sighting();
    baseline: v1::Baseline = measurement::baseline();
    survivor: v1::LostSurvivor = lost::survivor();
}

#[test]
fn facet_names() {
    let wire: Vec<i32> = FacetName::ALL.to_vec().into_wire();
    assert_eq!(Vec::<FacetName>::from_wire(wire), Ok(FacetName::ALL.to_vec()));
}

#[test]
fn what_was_not_asked_for_may_be_missing() {
    let wire = v1::Observation {
        hostname: "prox1".to_owned(),
        observed_at: Some(v1::Time { unix_micros: 5 }),
        ..Default::default()
    };
    let expected = Observation::empty("prox1", quorate_model::Timestamp(5));
    assert_eq!(Observation::try_from(wire), Ok(expected));
}
