//! What was measured between servers.

use proptest::prelude::*;
use quorate_model::measurement::{Baseline, Ends, Pair, PairMeasurement};

use super::types::{address, facet, node};
use super::{maybe, some};

prop_compose! {
    fn measurement()(
        (local, remote) in (address(), address()),
        (sent, received, late) in any::<(u32, u32, u32)>(),
        (rtt_p50, rtt_p99, rtt_max, jitter) in any::<(u64, u64, u64, u64)>(),
        path_mtu in facet(any::<u32>()),
        (local_mtu, remote_mtu) in (maybe(any::<u32>()), maybe(any::<u32>())),
    ) -> PairMeasurement {
        PairMeasurement {
            local, remote, sent, received, late, rtt_p50, rtt_p99, rtt_max, jitter, path_mtu, local_mtu, remote_mtu,
        }
    }
}

prop_compose! {
    fn pair()(
        (link, from, to) in (any::<u8>(), node(), node()),
        measured in facet(measurement()),
    ) -> Pair {
        Pair { ends: Ends { link, from, to }, measured }
    }
}

pub(crate) fn baseline() -> impl Strategy<Value = Baseline> {
    some(pair()).prop_map(|pairs| Baseline { pairs })
}
