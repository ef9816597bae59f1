//! Where things lie in a lab's folder: the one place that knows the names.

use std::path::{Path, PathBuf};

/// The folder of one lab.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// The layout below `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The lab's own folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the lab consists of, as JSON; written before the world starts.
    #[must_use]
    pub fn spec(&self) -> PathBuf {
        self.dir.join("lab.json")
    }

    /// Whose lab it is, if it ends with its owner: the mark of a process.
    pub(crate) fn owner(&self) -> PathBuf {
        self.dir.join("owner")
    }

    /// What the world chose when it started (addresses), as JSON; written once it is ready.
    #[must_use]
    pub fn ready(&self) -> PathBuf {
        self.dir.join("ready.json")
    }

    /// The world's socket, for tools and for control.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("world.sock")
    }

    /// The world's own diagnostics.
    #[must_use]
    pub fn world_log(&self) -> PathBuf {
        self.dir.join("world.log")
    }

    /// What really happened, as JSON lines.
    #[must_use]
    pub fn operations(&self) -> PathBuf {
        self.dir.join("operations.log")
    }

    /// All that belongs to one server.
    #[must_use]
    pub fn node(&self, name: &str) -> PathBuf {
        self.dir.join("nodes").join(name)
    }

    /// The server's root file system, as the agent sees it.
    #[must_use]
    pub fn root(&self, name: &str) -> PathBuf {
        self.node(name).join("root")
    }

    /// The server's host tools.
    #[must_use]
    pub fn bin(&self, name: &str) -> PathBuf {
        self.node(name).join("bin")
    }

    /// The folder that takes the place of `/etc/pve` while pmxcfs is not mounted, and holds its content meanwhile.
    #[must_use]
    pub(crate) fn unmounted(&self, name: &str) -> PathBuf {
        self.node(name).join("pmxcfs")
    }

    /// The agent's configuration on a server.
    #[must_use]
    pub fn agent_config(&self, name: &str) -> PathBuf {
        self.root(name).join("etc/quorate/agent.toml")
    }

    /// The agent's output on a server.
    #[must_use]
    pub fn agent_log(&self, name: &str) -> PathBuf {
        self.node(name).join("agent.log")
    }

    /// The coordinator's host.
    #[must_use]
    pub fn coordinator(&self) -> PathBuf {
        self.dir.join("coordinator")
    }

    /// The folder of the coordinator's host for passwords of storages.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.coordinator().join("secrets")
    }

    /// The program of the coordinator's host that is put into guests.
    #[must_use]
    pub fn guest_program(&self) -> PathBuf {
        self.coordinator().join("quorate-tally")
    }

    /// The coordinator's configuration.
    #[must_use]
    pub fn coordinator_config(&self) -> PathBuf {
        self.coordinator().join("coordinator.toml")
    }
}
