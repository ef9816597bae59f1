//! Files of /etc/pve that belong to PVE, each as far as a change of the cluster touches it.

pub mod ceph;
pub mod certificate;
pub mod datacenter;
pub mod guest;
pub mod guest_config;
pub mod ha;
pub mod pci;
pub mod replication;
mod sections;
pub mod storage;
pub mod tfa;
pub mod user;
