//! Any value that a type of the model can have.

mod config;
mod guests;
mod ha;
pub(crate) mod lost;
pub(crate) mod measurement;
pub(crate) mod observation;
pub(crate) mod operation;
pub(crate) mod plan;
mod pools;
mod protection;
mod readiness;
mod replication;
pub(crate) mod rollout;
mod storages;
pub(crate) mod types;
pub(crate) mod view;

use std::collections::BTreeMap;
use std::fmt::Debug;

use proptest::prelude::*;

/// Any printable text, also empty, also not ASCII.
pub(crate) fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}"
}

pub(crate) fn maybe<T: Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::of(of)
}

/// None, one, or some.
pub(crate) fn some<T: Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(of, 0..4)
}

pub(crate) fn one_of<T: Debug + Clone + 'static>(values: impl Into<Vec<T>>) -> impl Strategy<Value = T> {
    prop::sample::select(values.into())
}

/// A map with texts for keys.
pub(crate) fn by_text<T: Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = BTreeMap<String, T>> {
    prop::collection::btree_map(text(), of, 0..4)
}
