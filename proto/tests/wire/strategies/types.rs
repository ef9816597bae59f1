//! Names, times, findings, failures, facets.

use std::fmt::Debug;
use std::net::IpAddr;

use proptest::prelude::*;
use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::finding::{CATALOGUE, Finding, Place, Severity};
use quorate_model::ids::{ClusterName, Driver, Generation, InstanceId, NodeName, OperationId, RolloutId, StepId};
use quorate_model::passage::{Direction, Passage, Protocol};
use quorate_model::{ByteSize, Timestamp};

use super::{maybe, one_of, some, text};

const LABEL: &str = "[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?";
const TOKEN: &str = "[a-zA-Z0-9_/:-]{1,20}";

/// Texts of a shape that the type accepts.
fn named<T: TryFrom<String> + Debug>(shape: &'static str) -> impl Strategy<Value = T> {
    shape.prop_filter_map("breaks the type's rules", |text| T::try_from(text).ok())
}

pub(crate) fn node() -> impl Strategy<Value = NodeName> {
    named(LABEL)
}

pub(crate) fn cluster() -> impl Strategy<Value = ClusterName> {
    named(LABEL)
}

pub(crate) fn step_id() -> impl Strategy<Value = StepId> {
    named(TOKEN)
}

pub(crate) fn operation_id() -> impl Strategy<Value = OperationId> {
    named("[a-zA-Z0-9_-]{1,20}")
}

pub(crate) fn rollout_id() -> impl Strategy<Value = RolloutId> {
    named(TOKEN)
}

pub(crate) fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp)
}

pub(crate) fn size() -> impl Strategy<Value = ByteSize> {
    any::<u64>().prop_map(ByteSize)
}

pub(crate) fn address() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>()
}

pub(crate) fn generation() -> impl Strategy<Value = Generation> {
    any::<u64>().prop_map(Generation)
}

prop_compose! {
    pub(crate) fn driver()(generation in generation(), instance in named::<InstanceId>(TOKEN)) -> Driver {
        Driver { generation, instance }
    }
}

prop_compose! {
    pub(crate) fn passage()(
        direction in one_of([Direction::In, Direction::Out]),
        protocol in one_of([Protocol::Tcp, Protocol::Udp]),
        (first, last) in any::<(u16, u16)>(),
    ) -> Passage {
        Passage { direction, protocol, first, last }
    }
}

prop_compose! {
    pub(crate) fn unknown()(
        kind in one_of([
            UnknownKind::NotAsked, UnknownKind::Unreachable, UnknownKind::TimedOut, UnknownKind::Failed,
            UnknownKind::ToolMissing, UnknownKind::Unparsable, UnknownKind::Stale, UnknownKind::NoAnswer,
        ]),
        reason in text(),
    ) -> Unknown {
        Unknown { kind, reason }
    }
}

pub(crate) fn facet<T: Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Facet<T>> {
    prop_oneof![
        3 => (of, time()).prop_map(|(value, collected_at)| Facet::Known { value, collected_at }),
        1 => unknown().prop_map(Facet::Unknown),
    ]
}

prop_compose! {
    fn place()(file in text(), numbers in any::<[u32; 4]>()) -> Place {
        let [line, column, offset, length] = numbers;
        Place { file, line, column, offset, length }
    }
}

prop_compose! {
    pub(crate) fn finding()(
        code in one_of(CATALOGUE.iter().map(|entry| entry.code).collect::<Vec<_>>()),
        severity in one_of([Severity::Note, Severity::Warning, Severity::Refusal, Severity::Critical]),
        subject in text(),
        message in text(),
        next in text(),
        place in maybe(place()),
    ) -> Finding {
        Finding { code, severity, subject, message, next, place }
    }
}

prop_compose! {
    pub(crate) fn failure()(
        exit in one_of(ExitCode::ALL.map(|(code, _)| code)),
        message in text(),
        causes in some(text()),
        hints in some(text()),
        findings in some(finding()),
    ) -> Failure {
        Failure { exit, message, causes, hints, findings }
    }
}
