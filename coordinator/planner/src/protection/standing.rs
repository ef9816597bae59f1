//! How the jobs of a guest stand, seen from its owner.

use std::collections::BTreeMap;

use quorate_model::observation::replication::ReplicationJob;

/// The jobs of this guest by the node at their other end.
///
/// # Errors
/// Of one of them that can't be told: which one.
pub(super) fn by_other_end<'j>(
    jobs: &'j [ReplicationJob],
    guest: u32,
    owner: &str,
) -> Result<BTreeMap<&'j str, &'j ReplicationJob>, &'j str> {
    let own = jobs.iter().filter(|job| job.guest == guest);
    own.map(|job| match job.other_end(owner) {
        Some(end) => Ok((end, job)),
        None => Err(job.id.as_str()),
    })
    .collect()
}

/// The least numbers that no job of this guest has.
pub(super) fn free_numbers(jobs: &[ReplicationJob], guest: u32) -> impl Iterator<Item = u32> + '_ {
    let taken = move |number: u32| jobs.iter().any(|job| job.id == format!("{guest}-{number}"));
    (0..).filter(move |number| !taken(*number))
}
