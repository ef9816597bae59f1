//! /etc/pve/replication.cfg: which guests are copied where.

use percent_encoding::percent_decode_str;
use quorate_model::observation::ReplicationJob;

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
        let guest = guest.ok_or_else(|| bad("its id does not begin with a guest's number"))?;
        let target = section.value("target").ok_or_else(|| bad("it has no target"))?;
        let value = |key: &str| section.value(key).map(str::to_owned);
        let mut job = ReplicationJob::of(section.id.clone(), guest, target);
        if let Some(schedule) = value("schedule") {
            job.schedule = schedule;
        }
        job.source = value("source");
        job.rate = value("rate");
        job.removal = value("remove_job");
        // PVE escapes what could be taken for something else in its files (PVE/Tools.pm, `encode_text`).
        job.comment = value("comment").map(|text| percent_decode_str(&text).decode_utf8_lossy().into_owned());
        // As a word alone, or with a number.
        job.disabled = section.value("disable").is_some_and(|text| text != "0");
        Ok(job)
    });
    jobs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_read_as_it_was_said() {
        for written in ["quorate hold", "quorate%20hold"] {
            let text = format!("local: 100-0\n\ttarget prox2\n\tcomment {written}\n\n");
            let jobs = read(&text).unwrap();
            assert_eq!(jobs[0].comment.as_deref(), Some("quorate hold"), "{written}");
        }
    }

    #[test]
    fn jobs_with_guest_and_target() {
        let jobs = read(fixture!("replication.cfg/pve-8.4/one.cfg")).unwrap();
        let wanted = ReplicationJob {
            schedule: "*/5".to_owned(),
            source: Some("prox1".to_owned()),
            rate: Some("10".to_owned()),
            ..ReplicationJob::of("100-0", 100, "prox2")
        };
        assert_eq!(jobs, [wanted]);
        assert_eq!(
            read("local: 100-0\n\tschedule */5\n").unwrap_err().to_string(),
            "replication.cfg: job 100-0: it has no target"
        );
        assert!(read("local: x-0\n\ttarget prox2\n").is_err());
    }

    #[test]
    fn a_job_that_is_switched_off_and_one_that_is_to_go() {
        let text =
            "local: 100-0\n\ttarget prox2\n\tdisable\n\trate 10\n\nlocal: 100-1\n\ttarget prox3\n\tremove_job full\n";
        let jobs = read(text).unwrap();
        assert!(jobs[0].disabled && !jobs[1].disabled);
        assert_eq!(
            (jobs[0].rate.as_deref(), jobs[0].schedule.as_str()),
            (Some("10"), "*/15")
        );
        assert_eq!(jobs[1].removal.as_deref(), Some("full"));
        assert!(read("local: 100-0\n\ttarget prox2\n\tdisable 1\n").unwrap()[0].disabled);
    }
}
