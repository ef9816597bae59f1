//! What a server keeps of its jobs outside of /etc/pve: the state file, and a log for each job.

use std::fs;
use std::io::{self, Write as _};

use serde_json::{Map, Value, json};

use super::{JobState, Replication};
use crate::roots;
use crate::world::clock;
use crate::world::complain;
use crate::world::server::Server;

/// Below the server's root.
pub(crate) const STATE: &str = "var/lib/pve-manager/pve-replication-state.json";
const LOGS: &str = "var/log/pve/replicate";

impl JobState {
    fn json(&self) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| {
            map.insert(key.to_owned(), value);
        };
        put("last_iteration", json!(self.last_iteration));
        put("last_try", json!(self.last_try));
        put("last_sync", json!(self.last_sync));
        put("fail_count", json!(self.fail_count));
        put("duration", json!(self.duration));
        put("last_node", json!(self.last_node));
        put("storeid_list", json!(self.storages));
        if let Some(error) = &self.error {
            put("error", json!(error));
        }
        if let Some(pid) = self.pid {
            put("pid", json!(pid));
            put("ptime", json!(self.last_try.to_string()));
        }
        Value::Object(map)
    }

    fn read(value: &Value) -> Self {
        let number = |key: &str| value.get(key).and_then(Value::as_i64).unwrap_or(0);
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Self {
            last_iteration: number("last_iteration"),
            last_try: number("last_try"),
            last_sync: number("last_sync"),
            fail_count: u32::try_from(number("fail_count")).unwrap_or(0),
            duration: value.get("duration").and_then(Value::as_f64).unwrap_or(0.0),
            last_node: text("last_node").unwrap_or_default(),
            error: text("error"),
            ..Self::default()
        }
    }
}

impl Replication {
    fn json(&self) -> Value {
        let guests = self.states.iter().map(|(vmid, jobs)| {
            let jobs = jobs
                .iter()
                .map(|(target, state)| (format!("local/{target}"), state.json()));
            (vmid.to_string(), Value::Object(jobs.collect()))
        });
        Value::Object(guests.collect())
    }

    /// Somebody else wrote the state file, or took it away.
    pub(crate) fn take_over(&mut self, text: Option<&str>) {
        self.by_hand = text.is_some();
        self.states.clear();
        let value: Value = text
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        for (vmid, jobs) in value.as_object().into_iter().flatten() {
            let Ok(vmid) = vmid.parse() else { continue };
            for (target, state) in jobs.as_object().into_iter().flatten() {
                let target = target.strip_prefix("local/").unwrap_or(target);
                self.states
                    .entry(vmid)
                    .or_default()
                    .insert(target.to_owned(), JobState::read(state));
            }
        }
    }
}

impl Server {
    /// Puts the state file on the disk.
    pub(crate) fn keep_replication(&self) {
        if self.replication.by_hand {
            return;
        }
        let text = self.replication.json().to_string();
        if let Err(error) = roots::put(&self.root.join(STATE), &text) {
            complain(&format!("{}: {STATE}: {error}", self.name()));
        }
    }

    /// A line in the log of a job; `fresh`: the first one of a run.
    pub(crate) fn replication_log(&self, job: &str, fresh: bool, text: &str) {
        let path = self.root.join(LOGS).join(job);
        let write = || -> io::Result<()> {
            fs::create_dir_all(self.root.join(LOGS))?;
            let mut file = fs::OpenOptions::new()
                .create(true)
                .append(!fresh)
                .write(true)
                .truncate(fresh)
                .open(&path)?;
            for line in text.lines() {
                writeln!(file, "{} {job}: {line}", clock::log(self.now()))?;
            }
            Ok(())
        };
        if let Err(error) = write() {
            complain(&format!("{}: {error}", path.display()));
        }
    }

    /// The lines of a job's log.
    pub(crate) fn replication_lines(&self, job: &str) -> Vec<String> {
        let text = fs::read_to_string(self.root.join(LOGS).join(job)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}
