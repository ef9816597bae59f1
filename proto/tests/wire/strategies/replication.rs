//! Replication: jobs and how they went.

use proptest::prelude::*;
use quorate_model::observation::replication::{ReplicationJob, ReplicationState};

use super::types::time;
use super::{maybe, text};

prop_compose! {
    pub(super) fn job()(
        (id, target, schedule) in (text(), text(), text()),
        guest: u32,
        (source, rate, removal) in (maybe(text()), maybe(text()), maybe(text())),
        disabled: bool,
        comment in maybe(text()),
    ) -> ReplicationJob {
        ReplicationJob { id, guest, target, source, schedule, rate, disabled, removal, comment }
    }
}

prop_compose! {
    pub(super) fn state()(
        (guest, failures) in any::<(u32, u32)>(),
        target in text(),
        (last_sync, last_try) in (maybe(time()), maybe(time())),
        took_millis in maybe(any::<u64>()),
        error in maybe(text()),
        running: bool,
        held_since in maybe(time()),
    ) -> ReplicationState {
        ReplicationState { guest, target, last_sync, last_try, failures, took_millis, error, running, held_since }
    }
}
