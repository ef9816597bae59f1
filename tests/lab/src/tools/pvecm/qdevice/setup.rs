//! `pvecm qdevice setup`, as a whole.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use super::super::locks;
use super::{Call, DAEMON, Died, Failure, change_device, checked, died, lock, ready};
use crate::world::corosync::conf::{Conf, Device};
use crate::world::oplog::What;
use crate::world::state::qdevice::STORE;

pub(super) struct Setup<'a> {
    pub(super) call: &'a Call,
    pub(super) host: Ipv4Addr,
    pub(super) force: bool,
}

impl Setup<'_> {
    pub(super) async fn run(&self) -> Result<(), Failure> {
        let conf = checked(self.call, |server| {
            let conf = ready(server)?;
            if conf.device.is_some() && !self.force {
                return Err(Died(255, "QDevice already configured!\n".to_owned()));
            }
            if conf.nodes.len() % 2 == 1 && !self.force {
                let text = "Clusters with an odd node count are not officially supported!\n";
                return Err(Died(255, text.to_owned()));
            }
            Ok(conf)
        })?;
        self.copy_key().await?;
        self.clear_store()?;
        let members = self.members(&conf);
        self.say("\nINFO: initializing qnetd server\n").await?;
        self.make_authority().await?;
        self.say("\nINFO: copying CA cert and initializing on all nodes\n\n")
            .await?;
        self.fetch_authority().await?;
        for index in &members {
            self.initialise(*index).await?;
        }
        self.request_certificate(&conf).await?;
        self.import_certificate(&conf, &members).await?;
        self.configure(&conf).await?;
        for index in &members {
            self.start_daemon(*index).await?;
        }
        self.pause(300).await?;
        self.call.world.with(|state| state.reload(self.call.node)).ok();
        self.call.world.with(|_| ());
        self.say("Reloading corosync.conf...\nDone\n").await
    }

    pub(super) async fn say(&self, text: &str) -> Result<(), Failure> {
        Ok(self.call.io.out(text).await?)
    }

    pub(super) async fn chat(&self, text: &str) -> Result<(), Failure> {
        Ok(self.call.io.err(text).await?)
    }

    pub(super) async fn pause(&self, ms: u64) -> Result<(), Failure> {
        Ok(self.call.io.pause(Duration::from_millis(ms)).await?)
    }

    pub(super) fn members(&self, conf: &Conf) -> Vec<usize> {
        let mut names: Vec<&str> = conf.nodes.iter().map(|node| node.name.as_str()).collect();
        names.sort_unstable();
        self.call
            .world
            .with(|state| names.iter().filter_map(|name| state.find(name)).collect())
    }

    fn clear_store(&self) -> Result<(), Failure> {
        let store = self
            .call
            .server(|server, _| server.root.join(STORE))
            .unwrap_or_default();
        if !store.is_dir() {
            return Ok(());
        }
        if !self.force {
            return died(
                255,
                "QDevice certificate store already initialised, set force to delete!\n",
            );
        }
        // On this node alone: the others' stores stay.
        fs::remove_dir_all(&store).ok();
        Ok(())
    }

    pub(super) fn root_of(&self, index: usize) -> PathBuf {
        self.call
            .world
            .with(|state| state.get(index).map(|server| server.root.clone()))
            .unwrap_or_default()
    }

    pub(super) fn has(&self, index: usize, package: &str) -> bool {
        self.call
            .world
            .with(|state| state.get(index).is_some_and(|server| server.packages.has(package)))
    }

    pub(super) fn name_of(&self, index: usize) -> String {
        self.call
            .world
            .with(|state| state.get(index).map(|server| server.name().to_owned()))
            .unwrap_or_default()
    }

    async fn configure(&self, conf: &Conf) -> Result<(), Failure> {
        self.say("INFO: add QDevice to cluster configuration\n").await?;
        let held = lock(self.call).await?;
        let odd = conf.nodes.len() % 2 == 1;
        let device = Device {
            host: self.host.to_string(),
            algorithm: if odd { "lms" } else { "ffsplit" }.to_owned(),
            votes: (!odd).then_some(1),
        };
        let result = self.call.world.with(|state| {
            let present = state.get(self.call.node).is_some_and(|server| {
                server
                    .pmxcfs
                    .replica
                    .conf
                    .as_ref()
                    .is_some_and(|conf| conf.device.is_some())
            });
            if present {
                return died(
                    255,
                    "Qdevice already configured, must be removed before setting up new one!\n",
                );
            }
            change_device(state, self.call.node, Some(&device))?;
            state.note(Some(self.call.node), What::QdeviceAdded, self.host.to_string());
            Ok(())
        });
        locks::unlock_cluster(&self.call.world, self.call.node, held);
        result?;
        // pmxcfs makes corosync take its changed file over about a second later.
        self.pause(1000).await?;
        self.call.world.with(|state| state.reload(self.call.node)).ok();
        Ok(())
    }

    async fn start_daemon(&self, index: usize) -> Result<(), Failure> {
        let name = self.name_of(index);
        self.say(&format!(
            "\nINFO: start and enable corosync qdevice daemon on node '{name}'...\n"
        ))
        .await?;
        self.pause(450).await?;
        self.call.world.with(|state| {
            if let Some(server) = state.servers.get_mut(index) {
                server.hardware.enabled.insert(DAEMON.to_owned(), true);
                server.hardware.units.remove(DAEMON);
            }
            state.start_qdevice(index).ok();
        });
        Ok(())
    }
}
