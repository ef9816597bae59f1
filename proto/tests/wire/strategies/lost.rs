//! What those that are left say of a server that is said to be lost.

use proptest::prelude::*;
use quorate_model::Facet;
use quorate_model::guest_ids::JobId;
use quorate_model::lost::{Evidence, Fate, LostCopy, LostGuest, Sign, Survivor, Trace, Way, Witness};

use super::operation::guest_kind;
use super::types::{address, time, unknown};
use super::{maybe, one_of, some, text};

pub(crate) fn job() -> impl Strategy<Value = JobId> {
    (100..999_999_999_u32, 0..999_999_999_u32).prop_map(|(guest, number)| JobId { guest, number })
}

pub(crate) fn copy() -> impl Strategy<Value = LostCopy> {
    prop_oneof![
        Just(LostCopy::Whole),
        time().prop_map(LostCopy::Of),
        time().prop_map(LostCopy::Uneven)
    ]
}

fn trace() -> impl Strategy<Value = Trace> {
    (text(), one_of([Sign::Alive, Sign::Silent, Sign::Unproven]), text()).prop_map(|(about, sign, said)| Trace {
        about,
        sign,
        said,
    })
}

fn way() -> impl Strategy<Value = Way> {
    let witness = prop_oneof![
        text().prop_map(Witness::Heard),
        some(text()).prop_map(Witness::Silent),
        Just(Witness::Nobody)
    ];
    (text(), address(), some(trace()), witness).prop_map(|(name, address, traces, witness)| Way {
        name,
        address,
        traces,
        witness,
    })
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        (copy(), some(job()), any::<bool>()).prop_map(|(copy, jobs, starts)| Fate::Recoverable { copy, jobs, starts }),
        text().prop_map(Fate::Ha),
        Just(Fate::Template),
        text().prop_map(Fate::Not),
    ]
}

fn guest() -> impl Strategy<Value = LostGuest> {
    (
        any::<u32>(),
        guest_kind(),
        maybe(text()),
        some(text()),
        fate(),
        maybe(copy()),
    )
        .prop_map(|(vmid, kind, name, elsewhere, fate, copy)| LostGuest {
            vmid,
            kind,
            name,
            elsewhere,
            fate,
            copy,
        })
}

pub(crate) fn survivor() -> impl Strategy<Value = Survivor> {
    let guests = prop_oneof![
        (some(guest()), time()).prop_map(|(guests, at)| Facet::known(guests, at)),
        unknown().prop_map(Facet::Unknown),
    ];
    (some(trace()), some(way()), guests, some(any::<u32>())).prop_map(|(cluster, ways, guests, unfinished)| Survivor {
        evidence: Evidence { cluster, ways },
        guests,
        unfinished,
    })
}
