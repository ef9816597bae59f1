//! What was measured between servers.

use quorate_model::measurement::{Baseline, Ends, Pair, PairMeasurement};

use super::{ConvertError, Wire, field};
use crate::v1;

message!(
    PairMeasurement = v1::PairMeasurement {
        local,
        remote,
        sent,
        received,
        late,
        rtt_p50,
        rtt_p99,
        rtt_max,
        jitter,
        path_mtu,
        local_mtu,
        remote_mtu
    }
);
facet!(PairMeasurement = v1::PairMeasurementFacet: v1::pair_measurement_facet::State);
facet!(u32 = v1::PathMtuFacet: v1::path_mtu_facet::State);
message!(Ends = v1::PairEnds { link, from, to });
message!(Pair = v1::MeasuredPair { ends, measured });
message!(Baseline = v1::Baseline { pairs });
