//! What those that are left say of a server that is said to be lost.

use quorate_model::lost::{Evidence, Fate, LostCopy, LostGuest, Sign, Survivor, Trace, Way, Witness};

use super::{ConvertError, Wire, field};
use crate::v1;

message!(
    Survivor = v1::LostSurvivor {
        evidence,
        guests,
        unfinished
    }
);
message!(Evidence = v1::LostEvidence { cluster, ways });
message!(Trace = v1::LifeTrace { about, sign, said });
choice!(
    Sign = v1::life_trace::Sign {
        Alive,
        Silent,
        Unproven
    }
);
message!(
    Way = v1::LifeWay {
        name,
        address,
        traces,
        witness
    }
);
oneof!(Witness = v1::LifeWitness [witness: v1::life_witness::Witness] {
    nobody: Nobody { } = v1::LifeNobody,
} holding { heard: Heard, silent: Silent });
facet!(Vec<LostGuest> = v1::LostGuestsFacet: v1::lost_guests_facet::State);
list!(LostGuest = v1::LostGuests { guests });
message!(
    LostGuest = v1::LostGuest {
        vmid,
        kind,
        name,
        elsewhere,
        fate,
        copy
    }
);
oneof!(Fate = v1::LostFate [fate: v1::lost_fate::Fate] {
    recoverable: Recoverable { copy, jobs, starts } = v1::LostRecoverable,
    template: Template { } = v1::LostTemplate,
} holding { ha: Ha, not: Not });
oneof!(LostCopy = v1::LostCopy [copy: v1::lost_copy::Copy] {
    whole: Whole { } = v1::LostWhole,
} holding { of: Of, uneven: Uneven });
