//! What there is to say about what is seen. Pure: findings from sightings.

mod health;
mod storage;
mod storages;
#[cfg(test)]
mod tests;

pub(crate) use self::health::health;
