//! Facets of what has no message of its own.

use std::collections::BTreeSet;

use quorate_model::ByteSize;
use quorate_model::ids::SshPublicKey;

use super::{ConvertError, Wire, field};
use crate::v1;

facet!(bool = v1::FlagFacet: v1::flag_facet::State);
facet!(u32 = v1::CountFacet: v1::count_facet::State);
facet!(ByteSize = v1::SizeFacet: v1::size_facet::State);
facet!(String = v1::TextFacet: v1::text_facet::State);
facet!(Vec<String> = v1::TextsFacet: v1::texts_facet::State);
list!(String = v1::Texts { texts });
facet!(BTreeSet<SshPublicKey> = v1::TextsFacet: v1::texts_facet::State);
wrapped!(BTreeSet<SshPublicKey> = v1::Texts { texts });
