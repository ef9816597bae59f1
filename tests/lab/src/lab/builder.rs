//! How a lab shall be, and its start.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Mutex;

use super::error::{LabError, io_error};
use super::{Lab, Running};
use crate::binaries;
use crate::description::{LabSpec, ServerSpec};
use crate::layout::Layout;
use crate::plants::Plant;
use crate::process::{self, Program};

/// How a lab shall be.
#[derive(Debug, Clone)]
pub struct Builder {
    spec: LabSpec,
    dir: Option<PathBuf>,
    keep: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            spec: LabSpec {
                speed: 20.0,
                servers: servers(3),
                ways: Vec::new(),
            },
            dir: None,
            keep: false,
        }
    }
}

fn servers(count: usize) -> Vec<ServerSpec> {
    (0..count).map(ServerSpec::standard).collect()
}

impl Builder {
    /// So many usual servers: `prox1`, `prox2`, …
    #[must_use]
    pub fn nodes(mut self, count: usize) -> Self {
        self.spec.servers = servers(count);
        self
    }

    /// One more host, a Debian that is no PVE node, for corosync-qnetd. Its place in the list gives its addresses.
    #[must_use]
    pub fn qnetd(mut self, name: &str) -> Self {
        let host = ServerSpec::qnetd(name, self.spec.servers.len());
        self.spec.servers.push(host);
        self
    }

    /// One more usual server of this name, after all others.
    #[must_use]
    pub fn another(mut self, name: &str) -> Self {
        let mut server = ServerSpec::standard(self.spec.servers.len());
        name.clone_into(&mut server.name);
        self.spec.servers.push(server);
        self
    }

    /// Plants something on a server before it starts; an unknown name changes nothing.
    #[must_use]
    pub fn plant(self, name: &str, plant: Plant) -> Self {
        self.server(name, |server| server.plants.push(plant))
    }

    /// Divides the durations of tools and timers.
    #[must_use]
    pub fn speed(mut self, speed: f64) -> Self {
        self.spec.speed = speed;
        self
    }

    /// Changes one server's description before it starts; an unknown name changes nothing.
    #[must_use]
    pub fn server(mut self, name: &str, change: impl FnOnce(&mut ServerSpec)) -> Self {
        if let Some(server) = self.spec.servers.iter_mut().find(|server| server.name == name) {
            change(server);
        }
        self
    }

    /// How far a server's clock runs ahead, in milliseconds.
    #[must_use]
    pub fn clock_offset(self, name: &str, ms: i64) -> Self {
        self.server(name, |server| server.clock_offset_ms = ms)
    }

    /// How packets between servers fare from the start.
    #[must_use]
    pub fn way(mut self, way: crate::ways::Way) -> Self {
        self.spec.ways.push(way);
        self
    }

    /// Where the lab lies; a new temporary folder without.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// The lab outlives the one who started it.
    #[must_use]
    pub fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Starts the world and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(self) -> Result<Lab, LabError> {
        let lab = binaries::lab_only().map_err(io_error("building the lab's programs"))?;
        let dir = match self.dir {
            Some(dir) => {
                fs::create_dir_all(&dir).map_err(io_error(format!("creating {}", dir.display())))?;
                dir
            }
            None => {
                super::sweep(&std::env::temp_dir());
                tempfile::Builder::new()
                    .prefix(super::PREFIX)
                    .tempdir()
                    .map_err(io_error("creating a temporary folder"))?
                    .keep()
            }
        };
        let dir = fs::canonicalize(&dir).map_err(io_error("resolving the lab's folder"))?;
        let layout = Layout::new(&dir);
        let spec = serde_json::to_vec_pretty(&self.spec).map_err(|e| io_error("writing lab.json")(e.into()))?;
        fs::write(layout.spec(), spec).map_err(io_error("writing lab.json"))?;
        if !self.keep {
            let mark = process::own_mark().map_err(io_error("looking at the own process"))?;
            fs::write(layout.owner(), mark).map_err(io_error("writing whose lab it is"))?;
        }
        let mut program = Program::new(lab).args(["world", "--dir", &dir.to_string_lossy()]);
        if !self.keep {
            program = program.args(["--owned"]);
        }
        let world = program
            .spawn(&layout.world_log(), !self.keep)
            .map_err(io_error("starting the world"))?;
        // From here on, dropping cleans up.
        let mut lab = Lab {
            spec: self.spec,
            network: Ipv4Addr::LOCALHOST,
            keep: self.keep,
            running: Mutex::new(Running {
                world,
                agents: BTreeMap::new(),
                coordinator: None,
            }),
            layout,
        };
        lab.network = lab.ready().await?.network;
        Ok(lab)
    }
}
