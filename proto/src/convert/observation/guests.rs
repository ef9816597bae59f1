//! The list of guests.

use quorate_model::observation::guests::{Guest, GuestKind};

use super::{ConvertError, Wire, field};
use crate::v1;

facet!(Vec<Guest> = v1::GuestsFacet: v1::guests_facet::State);
list!(Guest = v1::Guests { guests });
choice!(GuestKind = v1::guest::Kind { Vm, Container });
message!(Guest = v1::Guest { vmid, node, kind });
