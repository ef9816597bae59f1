//! /etc/pve/replication.cfg: which guests are copied where.

use quorate_model::observation::config::ReplicationJob;

use super::sections;
use crate::ParseError;

const NAME: &str = "replication.cfg";

/// Reads the jobs.
///
/// # Errors
/// When the file is no section file, or a job has no target, or an id of another form than `GUEST-NUMBER`.
pub fn read(text: &str) -> Result<Vec<ReplicationJob>, ParseError> {
    let jobs = sections::read(NAME, text)?.into_iter().map(|section| {
        let bad = |what: &str| ParseError::missing(NAME, format!("job {}: {what}", section.id));
        let guest = section.id.split_once('-').and_then(|(guest, _)| guest.parse().ok());
        Ok(ReplicationJob {
            guest: guest.ok_or_else(|| bad("its id does not begin with a guest's number"))?,
            target: section
                .value("target")
                .ok_or_else(|| bad("it has no target"))?
                .to_owned(),
            id: section.id,
        })
    });
    jobs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_with_guest_and_target() {
        let jobs = read(fixture!("replication.cfg/pve-8.4/one.cfg")).unwrap();
        let wanted = ReplicationJob {
            id: "100-0".to_owned(),
            guest: 100,
            target: "prox2".to_owned(),
        };
        assert_eq!(jobs, [wanted]);
        assert_eq!(
            read("local: 100-0\n\tschedule */5\n").unwrap_err().to_string(),
            "replication.cfg: job 100-0: it has no target"
        );
        assert!(read("local: x-0\n\ttarget prox2\n").is_err());
    }
}
