//! A running lab, for tests and for the demo.

mod builder;
mod error;
mod products;
mod steering;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::builder::Builder;
pub use self::error::LabError;
use crate::description::{LabSpec, ServerSpec};
use crate::layout::Layout;
use crate::process::{self, Daemon};
use crate::world::mount::make_removable;
use crate::world::{Ready, proxy};

#[derive(Debug)]
struct Running {
    world: Daemon,
    agents: BTreeMap<String, Daemon>,
    coordinator: Option<Daemon>,
}

/// A running lab. Dropping it ends everything and removes its folder, unless it shall be kept.
#[derive(Debug)]
pub struct Lab {
    layout: Layout,
    spec: LabSpec,
    network: Ipv4Addr,
    keep: bool,
    running: Mutex<Running>,
}

/// One server, from outside.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its root file system.
    pub root: PathBuf,
    /// Its host tools.
    pub bin: PathBuf,
    /// Where the coordinator reaches its agent (port 7443), and where the server reaches the coordinator's enrolment
    /// (port 7441): both pass through the world.
    pub address: Ipv4Addr,
    /// The address that the server itself believes to have.
    pub public_address: Ipv4Addr,
    /// Its agent's configuration.
    pub agent_config: PathBuf,
}

impl Lab {
    /// How a lab shall be.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ready(&self) -> Result<Ready, LabError> {
        let deadline = Duration::from_secs(30);
        let mut ready = None;
        let mut ended = None;
        let waited = self
            .wait_for("the world to be ready", deadline, async || {
                ready = fs::read(self.layout.ready())
                    .ok()
                    .and_then(|bytes| serde_json::from_slice(&bytes).ok());
                ended = self.running().world.ended();
                ready.is_some() || ended.is_some()
            })
            .await;
        match (ready, ended) {
            (Some(ready), _) => Ok(ready),
            (None, Some(status)) => {
                let log = fs::read_to_string(self.layout.world_log()).unwrap_or_default();
                Err(LabError::WorldEnded(format!("{status}: {}", log.trim())))
            }
            (None, None) => Err(waited.err().unwrap_or(LabError::WorldEnded(String::new()))),
        }
    }

    /// The lab's folder and what lies in it.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// By what durations are divided.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.spec.speed
    }

    /// Names of all servers.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.spec.servers.iter().map(|server| server.name.clone()).collect()
    }

    /// The coordinator's own address.
    #[must_use]
    pub fn coordinator_address(&self) -> Ipv4Addr {
        proxy::coordinator(self.network)
    }

    /// An address of its own for each of up to 40 guests, counted from 0: whoever has it in `ipconfig0` or `net0` answers there while it runs
    /// and its server is on the network, on port 7460 with the number of its last write and on port 22.
    #[must_use]
    pub fn guest_address(&self, number: u8) -> Ipv4Addr {
        proxy::guest(self.network, number)
    }

    /// One server.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn node(&self, name: &str) -> Result<Node, LabError> {
        let index = self.spec.servers.iter().position(|server| server.name == name);
        let index = index.ok_or_else(|| LabError::NoSuchNode(name.to_owned()))?;
        Ok(Node {
            name: name.to_owned(),
            root: self.layout.root(name),
            bin: self.layout.bin(name),
            address: proxy::address(self.network, index),
            public_address: ServerSpec::public_address(index),
            agent_config: self.layout.agent_config(name),
        })
    }

    /// Where a server finds the coordinator's enrolment.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn enrolment(&self, name: &str) -> Result<SocketAddrV4, LabError> {
        Ok(SocketAddrV4::new(self.node(name)?.address, proxy::ENROL_PORT))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        {
            let mut running = self.running();
            if let Some(coordinator) = &mut running.coordinator {
                coordinator.kill();
            }
            for agent in running.agents.values_mut() {
                agent.kill();
            }
            running.world.kill();
        }
        remove(self.layout.dir());
    }
}

/// Ends what is left of the lab in `dir`, and removes it.
pub fn remove(dir: &Path) {
    // A dying process may still write for a moment.
    for _ in 0..50 {
        let left = process::reap(dir);
        // Folders of a server without quorum are read-only.
        make_removable(dir).ok();
        let removed = fs::remove_dir_all(dir).is_ok() || !dir.exists();
        if removed && left == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How temporary labs' folders begin.
const PREFIX: &str = "quorate-lab-";

/// Removes temporary labs whose owner and world were both killed: nobody else would.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let dir = entry.path();
        let named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let orphaned = || fs::read_to_string(Layout::new(&dir).owner()).is_ok_and(|mark| process::has_ended(&mark));
        if named && orphaned() {
            remove(&dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_owner_left_is_swept_away() -> std::io::Result<()> {
        let place = tempfile::TempDir::new()?;
        let own = process::own_mark()?;
        let space = own.split(' ').next().unwrap_or_default();
        let dead = format!("{space} 4294967294 1\n");
        let lab = |name: &str, mark: Option<&str>| {
            let dir = place.path().join(name);
            fs::create_dir_all(dir.join("nodes/prox1/root/etc/pve"))?;
            match mark {
                Some(mark) => fs::write(Layout::new(&dir).owner(), mark).map(|()| dir),
                None => Ok(dir),
            }
        };
        let gone = lab("quorate-lab-dead", Some(&dead))?;
        let stay = [
            lab("quorate-lab-live", Some(&own))?,
            lab("quorate-lab-kept", None)?,
            lab("another", Some(&dead))?,
        ];
        sweep(place.path());
        assert!(!gone.exists());
        assert!(stay.iter().all(|dir| dir.is_dir()));
        Ok(())
    }
}
