//! Replication: the jobs of the cluster, and how those of a node's own guests went.

use quorate_model::observation::replication::{ReplicationJob, ReplicationState};

use super::{ConvertError, Wire, field};
use crate::v1;

facet!(Vec<ReplicationJob> = v1::ReplicationFacet: v1::replication_facet::State);
list!(ReplicationJob = v1::ReplicationJobs { jobs });
message!(
    ReplicationJob = v1::ReplicationJob {
        id,
        guest,
        target,
        source,
        schedule,
        rate,
        disabled,
        removal,
        comment
    }
);
facet!(Vec<ReplicationState> = v1::ReplicationStatesFacet: v1::replication_states_facet::State);
list!(ReplicationState = v1::ReplicationStates { states });
message!(
    ReplicationState = v1::ReplicationState {
        guest,
        target,
        last_sync,
        last_try,
        failures,
        took_millis,
        error,
        running,
        held_since
    }
);
