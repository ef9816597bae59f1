//! What there is to say about what is seen. Pure: findings from sightings.

mod backups;
mod canaries;
mod copies;
mod disks;
mod health;
mod protection;
mod storage;
mod storages;
#[cfg(test)]
mod tests;

pub(crate) use self::backups::backups;
pub(crate) use self::canaries::canaries;
pub(crate) use self::disks::{DisksOf, Turn};
pub(crate) use self::health::health;
pub(crate) use self::protection::protection;
