//! replication.cfg, as PVE reads and writes it. The text is kept as it was written; jobs are what it says.

use std::collections::BTreeMap;

use crate::world::pmxcfs::Replica;

pub(crate) const FILE: &str = "replication.cfg";

/// The schedule of a job that names none.
pub(crate) const USUAL_SCHEDULE: &str = "*/15";

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Job {
    /// `100-0`.
    pub(crate) id: String,
    /// Everything that stands below it.
    pub(crate) values: BTreeMap<String, String>,
}

impl Job {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.values.insert(key.to_owned(), value.to_owned());
    }

    pub(crate) fn guest(&self) -> u32 {
        self.id.split('-').next().and_then(|id| id.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn number(&self) -> u32 {
        self.id.split('-').nth(1).and_then(|id| id.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn target(&self) -> &str {
        self.get("target").unwrap_or_default()
    }

    pub(crate) fn schedule(&self) -> &str {
        self.get("schedule").unwrap_or(USUAL_SCHEDULE)
    }

    pub(crate) fn disabled(&self) -> bool {
        self.get("disable") == Some("1")
    }

    /// `local` or `full`: it shall be removed.
    pub(crate) fn removal(&self) -> Option<&str> {
        self.get("remove_job")
    }

    /// MB/s.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.get("rate")?.parse().ok()
    }
}

/// A job's id: `[1-9][0-9]{2,8}-\d{1,9}`.
pub(crate) fn is_id(id: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    id.split_once('-').is_some_and(|(guest, number)| {
        (3..=9).contains(&guest.len())
            && (1..=9).contains(&number.len())
            && digits(guest)
            && digits(number)
            && !guest.starts_with('0')
    })
}

fn read(text: &str) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for line in text.lines() {
        let inside = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let (true, Some(job)) = (inside, jobs.last_mut()) {
            let (key, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
            job.set(key, value.trim());
        } else if let Some(id) = line.strip_prefix("local:") {
            jobs.push(Job {
                id: id.trim().to_owned(),
                values: BTreeMap::new(),
            });
        }
    }
    jobs.retain(|job| is_id(&job.id));
    jobs
}

/// What PVE writes first of a job.
const ORDER: [&str; 7] = [
    "target",
    "comment",
    "disable",
    "rate",
    "remove_job",
    "schedule",
    "source",
];

fn text(jobs: &[Job]) -> String {
    let mut text = String::new();
    for job in jobs {
        text.push_str(&format!("local: {}\n", job.id));
        let known = ORDER.iter().filter_map(|key| Some((*key, job.get(key)?)));
        let others = job.values.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in known.chain(others.filter(|(key, _)| !ORDER.contains(key))) {
            text.push_str(&format!("\t{key} {value}\n"));
        }
        text.push('\n');
    }
    text
}

impl Replica {
    pub(crate) fn jobs(&self) -> Vec<Job> {
        self.files.get(FILE).map(|text| read(text)).unwrap_or_default()
    }

    pub(crate) fn job(&self, id: &str) -> Option<Job> {
        self.jobs().into_iter().find(|job| job.id == id)
    }

    /// Changes the jobs; the file is written anew if they are others now.
    pub(crate) fn change_jobs(&mut self, change: impl FnOnce(&mut Vec<Job>)) {
        let before = self.jobs();
        let mut jobs = before.clone();
        change(&mut jobs);
        if jobs != before {
            self.write_file(FILE, &text(&jobs));
        }
    }

    /// A guest is on another server now: its jobs begin there, and the one that led there leads back.
    pub(crate) fn turn_jobs(&mut self, vmid: u32, now_on: &str, before: Option<&str>) {
        self.change_jobs(|jobs| {
            for job in jobs.iter_mut().filter(|job| job.guest() == vmid) {
                let source = before
                    .map(str::to_owned)
                    .or_else(|| job.get("source").map(str::to_owned));
                if job.target() == now_on
                    && let Some(source) = source.filter(|source| source != now_on)
                {
                    job.set("target", &source);
                }
                job.set("source", now_on);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_read_turned_and_written() {
        let text = "local: 100-0\n\ttarget prox2\n\tcomment web%20server\n\tschedule */5\n\tsource prox1\n\nlocal: 100-1\n\ttarget prox3\n\tsource prox1\n";
        let mut replica = Replica::default();
        replica.write_file(FILE, text);
        assert_eq!(replica.jobs().len(), 2);
        replica.turn_jobs(100, "prox2", Some("prox1"));
        assert_eq!(
            replica.files.get(FILE).map(String::as_str),
            Some(
                "local: 100-0\n\ttarget prox1\n\tcomment web%20server\n\tschedule */5\n\tsource prox2\n\nlocal: 100-1\n\ttarget prox3\n\tsource prox2\n\n"
            )
        );
        assert!(is_id("100-0") && !is_id("099-0") && !is_id("100") && !is_id("10-0") && !is_id("100-x"));
    }
}
