//! What an agent saw.

mod cluster;
mod config;
mod disks;
mod guests;
mod ha;
mod network;
mod pools;
mod readiness;
mod replication;
mod storages;
mod system;
mod values;

use quorate_model::observation::{FacetName, Observation};

use super::{ConvertError, Wire, field};
use crate::v1;

choice!(
    FacetName = v1::FacetName {
        System,
        Disks,
        Network,
        Cluster,
        Guests,
        Ha,
        Config,
        Readiness,
        Pools,
        Storages,
        Running,
        Replication,
        Strays,
        Backups,
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
        guests,
        ha,
        config,
        readiness,
        pools,
        storages,
        running,
        replication,
        strays,
        backups,
    }
);
