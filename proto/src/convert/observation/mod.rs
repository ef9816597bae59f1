//! What an agent saw.

mod cluster;
mod disks;
mod guests;
mod network;
mod system;

use quorate_model::observation::{FacetName, Observation};

use super::{ConvertError, Wire, field};
use crate::v1;

choice!(
    FacetName = v1::FacetName {
        System,
        Disks,
        Network,
        Cluster,
        Guests
    }
);
message!(
    Observation = v1::Observation {
        hostname,
        observed_at,
        system,
        disks,
        network,
        cluster,
        guests
    }
);
