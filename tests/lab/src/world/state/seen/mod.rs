//! How long things take, against what was seen on real servers. Time is the tests' own here: it stands still while they look,
//! and no busy machine makes anything late.

mod faults;
mod guests;
mod ha;
mod links;
mod power;
mod replication;
mod votes;

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::time::Duration;

use tempfile::TempDir;

use super::State;
use crate::description::{LabSpec, ServerSpec};
use crate::layout::Layout;
use crate::roots;
use crate::world::corosync::Corosync;
use crate::world::corosync::conf::{Conf, ConfNode, Device};
use crate::world::oplog::{Entry, What};
use crate::world::packages::Package;
use crate::world::server::Network;
use crate::world::state::qdevice::STORE;

/// How finely time goes on: what happens may be seen so much late.
const STEP: Duration = Duration::from_millis(20);

/// A cluster without programs, and all that happened in it.
struct Seen {
    state: State,
    events: Vec<Entry>,
    dir: TempDir,
}

/// Members that have known one another for a while.
fn cluster(members: usize, links: &[Network], witness: bool) -> Seen {
    let dir = TempDir::new().expect("a folder");
    let mut servers: Vec<ServerSpec> = (0..members).map(ServerSpec::standard).collect();
    if witness {
        servers.push(ServerSpec::qnetd("witness1", members));
    }
    let spec = LabSpec {
        speed: 1.0,
        servers,
        ways: Vec::new(),
    };
    let servers = roots::build_bare(&Layout::new(dir.path()), &spec).expect("the servers' folders");
    let mut seen = Seen {
        state: State::new(servers),
        events: Vec::new(),
        dir,
    };
    seen.found(members, links, witness.then_some(members));
    // Every pmxcfs has reached its corosync, and every link is up.
    seen.pass(20_000);
    assert!((0..members).all(|index| seen.corosync(index).members.len() == members));
    seen
}

impl Seen {
    fn found(&mut self, members: usize, links: &[Network], witness: Option<usize>) {
        let node = |index: usize| ConfNode {
            name: format!("prox{}", index + 1),
            id: u32::try_from(index).expect("small") + 1,
            votes: 1,
            rings: (0..)
                .zip(links.iter().map(|net| net.address_of(index).to_string()))
                .collect(),
        };
        let conf = Conf {
            cluster_name: "lab".to_owned(),
            version: 4,
            nodes: (0..members).map(node).collect(),
            links: (0..).take(links.len()).collect(),
            device: witness.map(|index| Device {
                host: ServerSpec::public_address(index).to_string(),
                algorithm: "ffsplit".to_owned(),
                votes: Some(1),
            }),
            ..Conf::default()
        };
        let certificates: BTreeMap<_, _> = self
            .state
            .servers
            .iter()
            .flat_map(|server| server.pmxcfs.replica.certificates.clone())
            .collect();
        for index in 0..members {
            let server = &mut self.state.servers[index];
            server.authkey = Some(7);
            server.etc_conf = Some(conf.clone());
            server.pmxcfs.replica.conf = Some(conf.clone());
            server.pmxcfs.replica.certificates.clone_from(&certificates);
            if witness.is_some() {
                self.install(index, "corosync-qdevice");
                let server = &mut self.state.servers[index];
                fs::create_dir_all(server.root.join(STORE)).expect("a store");
                server.hardware.enabled.insert("corosync-qdevice".to_owned(), true);
            }
            self.state.start_corosync(index).expect("corosync starts");
            self.state.start_pmxcfs(index).expect("pmxcfs starts");
        }
        if let Some(index) = witness {
            self.install(index, "corosync-qnetd");
            self.state.servers[index].qnetd_running = true;
        }
    }

    fn install(&mut self, index: usize, name: &str) {
        let package = Package {
            installed: Some("3.0.3-1".to_owned()),
            candidate: Some("3.0.3-1".to_owned()),
            residual: false,
            proxmox: false,
        };
        self.state.servers[index].packages.list.insert(name.to_owned(), package);
    }

    /// Time goes on.
    fn pass(&mut self, ms: u64) {
        self.pass_by(ms, STEP);
    }

    /// Much time goes on, as finely as in a lab.
    fn minutes(&mut self, minutes: u64) {
        self.pass_by(minutes * 60_000, crate::world::STEP);
    }

    fn pass_by(&mut self, ms: u64, step: Duration) {
        let end = self.state.now + Duration::from_millis(ms);
        while self.state.now < end {
            self.state.advance((self.state.now + step).min(end));
            self.state.flush().expect("the servers' files");
            self.events.extend(self.state.take_events());
            self.state.take_orders();
        }
    }

    fn cut(&mut self, index: usize, networks: &[Network]) -> Mark {
        self.state.servers[index].dropped.extend(networks);
        self.mark()
    }

    fn heal(&mut self, index: usize) -> Mark {
        self.state.servers[index].dropped.clear();
        self.mark()
    }

    /// From here on.
    fn mark(&self) -> Mark {
        Mark {
            events: self.events.len(),
            ms: u64::try_from(self.state.now.as_millis()).expect("short"),
            lines: self
                .state
                .servers
                .iter()
                .map(|server| server.journal.said().len())
                .collect(),
        }
    }

    /// Milliseconds until this happened on a server for the first time.
    fn after(&self, mark: &Mark, index: usize, what: What, detail: &str) -> Option<u64> {
        let name = self.state.servers[index].name();
        let mut events = self.events.iter().skip(mark.events);
        let found = events
            .find(|entry| entry.node.as_deref() == Some(name) && entry.what == what && entry.detail.contains(detail));
        found.map(|entry| entry.ms - mark.ms)
    }

    /// It happened within this time; so much later it may have been noticed.
    fn assert_within(&self, mark: &Mark, index: usize, what: What, detail: &str, seen: RangeInclusive<u64>) {
        let late = 2 * u64::try_from(STEP.as_millis()).expect("short");
        let after = self.after(mark, index, what, detail);
        assert!(
            after.is_some_and(|ms| ms >= *seen.start() && ms <= *seen.end() + late),
            "{what:?} {detail} on server {index} after {after:?} ms, {seen:?} was seen"
        );
    }

    fn assert_never(&self, mark: &Mark, what: What) {
        let found = self.events.iter().skip(mark.events).find(|entry| entry.what == what);
        assert_eq!(found, None);
    }

    /// What corosync and pmxcfs said since.
    fn said(&self, mark: &Mark, index: usize) -> Vec<String> {
        let lines = self.state.servers[index].journal.said().iter();
        lines.skip(mark.lines[index]).map(|line| line.text.clone()).collect()
    }

    /// These lines stand there, in this order.
    fn assert_said(&self, mark: &Mark, index: usize, wanted: &[&str]) {
        let said = self.said(mark, index);
        let mut rest = said.iter();
        for line in wanted {
            assert!(
                rest.any(|said| said.trim_start() == *line),
                "{line} in its place: {said:#?}"
            );
        }
    }

    fn corosync(&self, index: usize) -> &Corosync {
        self.state.servers[index].corosync.as_ref().expect("it runs")
    }

    /// An ordinary program writes a file into `/etc/pve`.
    fn write(&self, index: usize, name: &str) {
        let place = self.state.servers[index].root.join("etc/pve").join(name);
        assert!(place.starts_with(self.dir.path()));
        fs::write(place, format!("{:?}", self.state.now)).expect("written");
    }
}

/// A moment.
struct Mark {
    events: usize,
    ms: u64,
    lines: Vec<usize>,
}
