//! Obeys control requests.

use std::collections::BTreeSet;
use std::fs;

use jiff::SignedDuration;

use super::guests::next_version;
use super::hardware;
use super::oplog::What;
use super::plant;
use super::server::{Network, Server};
use super::state::State;
use super::units::{self, Active};
use super::{World, random, volumes};
use crate::control::{Answer, GuestStatus, Press, Request, Script, ServerStatus, VolumeStatus};
use crate::roots;

pub(crate) fn obey(world: &World, request: Request) -> Answer {
    let result = match request {
        Request::Status => return Answer::Status(world.with(|state| status(world, state))),
        // Whoever asks is answered first: the world stops once that is sent.
        Request::Ping | Request::Stop => Ok(()),
        Request::Cut { node, link, unplug } => on(world, &node, |state, index| {
            for network in networks(link)? {
                let Some(server) = state.servers.get_mut(index) else {
                    continue;
                };
                if unplug {
                    server.unplugged.insert(network);
                } else {
                    server.dropped.insert(network);
                }
                state.note(Some(index), What::Cut, network.port());
            }
            Ok(())
        }),
        Request::Heal { node, link } => on(world, &node, |state, index| {
            for network in networks(link)? {
                let Some(server) = state.servers.get_mut(index) else {
                    continue;
                };
                let cut = server.unplugged.remove(&network) | server.dropped.remove(&network);
                if cut {
                    state.note(Some(index), What::Healed, network.port());
                }
            }
            Ok(())
        }),
        Request::Power { node, press } => on(world, &node, |state, index| {
            match press {
                Press::Off => state.shut_down(index, false),
                Press::Reboot => state.shut_down(index, true),
                Press::On => state.power_on(index),
                Press::Pull => state.cut_power(index, false),
                Press::Reset => state.cut_power(index, true),
            }
            Ok(())
        }),
        Request::Way(way) => world.with(|state| {
            let servers: Vec<_> = state.servers.iter().map(|server| server.spec.clone()).collect();
            way.check(&servers)?;
            state.note(None, What::Scripted, serde_json::to_string(&way).unwrap_or_default());
            state.ways.push(way);
            Ok(())
        }),
        Request::Script { node, script } => on(world, &node, |state, index| {
            let detail = serde_json::to_string(&script).unwrap_or_default();
            play(world, state, index, script)?;
            state.note(Some(index), What::Scripted, detail);
            Ok(())
        }),
    };
    result.map_or_else(Answer::Refused, |()| Answer::Done)
}

fn on(world: &World, node: &str, act: impl FnOnce(&mut State, usize) -> Result<(), String>) -> Result<(), String> {
    let result = world.with(|state| {
        let index = state
            .find(node)
            .ok_or_else(|| format!("the lab has no server called {node}"))?;
        let result = act(state, index);
        roots::refresh(state.servers.get(index));
        result
    });
    // A second look, so that what follows at once is on the disk when the caller gets its answer.
    world.with(|_| ());
    result
}

fn networks(link: Option<u8>) -> Result<Vec<Network>, String> {
    match link {
        None => Ok(Network::ALL.to_vec()),
        Some(link) => Network::from_link(link)
            .map(|network| vec![network])
            .ok_or_else(|| format!("there is no link {link}: 0 is the cluster network, 1 the public one")),
    }
}

fn play(world: &World, state: &mut State, index: usize, script: Script) -> Result<(), String> {
    let count = state.servers.len();
    let now = state.now;
    let Some(server) = state.servers.get_mut(index) else {
        return Err("no such server".to_owned());
    };
    match script {
        Script::Tool(misbehaviour) => server.misbehaviour.push(misbehaviour),
        Script::ClearTools => server.misbehaviour.clear(),
        Script::RemoveDisk(name) => {
            let disk = hardware::pull(server, &name)?;
            server.pulled.push(disk);
        }
        Script::ReturnDisk { name, now: new_name } => {
            let place = server.pulled.iter().position(|disk| disk.name == name);
            let place = place.ok_or("no such disk was taken away")?;
            let named = new_name.as_ref().unwrap_or(&name);
            if server.disks.iter().any(|present| present.name == *named) {
                return Err(format!("{named} is there already"));
            }
            let mut disk = server.pulled.remove(place);
            disk.name.clone_from(named);
            roots::disks::add(&server.root, &disk).map_err(|error| error.to_string())?;
            server.disks.push(disk);
        }
        Script::Pool { name, happens } => server.happens(&name, &happens, now)?,
        Script::AddDisk(disk) => {
            if server.disks.iter().any(|present| present.name == disk.name) {
                return Err(format!("{} is there already", disk.name));
            }
            hardware::plug(server, &disk)?;
        }
        Script::OwnName(own_name) => {
            server.spec.own_name = own_name;
            fs::write(
                server.root.join("etc/hosts"),
                roots::etc::hosts(server.name(), server.index, own_name),
            )
            .map_err(|error| error.to_string())?;
        }
        Script::AddGuest(guest) => {
            let node = server.spec.name.clone();
            state
                .write(index, |replica| {
                    let fresh = guest.guest(&node, next_version(&replica.guests));
                    replica.guests.insert(guest.vmid, fresh);
                })
                .map_err(|_| "/etc/pve is read-only there".to_owned())?;
            if guest.running {
                state.start_guest_now(index, guest.vmid);
            }
        }
        Script::RemoveGuest(vmid) => {
            state.stop_guest_now(index, vmid);
            state
                .write(index, |replica| {
                    replica.guests.remove(&vmid);
                })
                .map_err(|_| "/etc/pve is read-only there".to_owned())?;
        }
        Script::MemberOf(cluster) => state.make_lone_cluster(index, &cluster, random())?,
        Script::PveproxyDown(down) => {
            let active = if down { Active::Stopped } else { Active::Running };
            units::set(server, "pveproxy", active);
        }
        Script::UdpBlocked(blocked) => server.udp_blocked = blocked,
        Script::AgentCut(cut) => server.agent_cut = cut,
        Script::LocaleMissing(missing) => server.locale_missing = missing,
        Script::ClockOffset(offset) => {
            // The kernel counts the time since its boot by another clock: what is set changes when that seems to have been.
            let ahead = SignedDuration::from_millis(offset - server.clock_offset_ms);
            server.booted = server.booted.checked_add(ahead).unwrap_or(server.booted);
            server.clock_offset_ms = offset;
            server.spec.clock_offset_ms = offset;
            server.clock_synchronised = offset == 0;
            roots::write_agent_config(&world.layout, server, (world.network, count), world.pace.speed())
                .map_err(|error| error.to_string())?;
        }
        Script::RestartCluster => {
            state.stop_corosync(index, What::CorosyncStopped, "restarted");
            state.stop_pmxcfs(index);
            state.start_pmxcfs(index)?;
            state.start_corosync(index)?;
        }
        Script::Plant(what) => plant::plant(&world.layout, state, index, &what)?,
        Script::KillGuest(vmid) if server.running.contains_key(&vmid) => state.stop_guest_now(index, vmid),
        Script::KillGuest(vmid) => return Err(format!("guest {vmid} does not run there")),
        Script::StopCorosync => state.stop_corosync(index, What::CorosyncStopped, "scripted"),
    }
    Ok(())
}

fn status(world: &World, state: &State) -> Vec<ServerStatus> {
    let one = |server| one_status(world, server, state);
    state.servers.iter().map(one).collect()
}

fn one_status(world: &World, server: &Server, state: &State) -> ServerStatus {
    let corosync = server.corosync.as_ref();
    let cut: BTreeSet<&str> = server
        .dropped
        .iter()
        .chain(&server.unplugged)
        .map(|network| network.port())
        .collect();
    ServerStatus {
        name: server.spec.name.clone(),
        address: super::proxy::address(world.network, server.index).to_string(),
        cluster: server.etc_conf.as_ref().map(|conf| conf.cluster_name.clone()),
        members: corosync
            .map(|c| c.members.iter().map(|id| c.name_of(*id)).collect())
            .unwrap_or_default(),
        quorate: corosync.is_some_and(|c| c.quorate),
        mounted: server.pmxcfs.running,
        writable: server.pmxcfs.writable(),
        off: server.power.off,
        cut: cut.into_iter().map(str::to_owned).collect(),
        guests: guests(server, state),
        misbehaviour: server
            .misbehaviour
            .iter()
            .map(|entry| format!("{} {}", entry.tool, entry.script))
            .collect(),
    }
}

/// Guests whose configuration, process or disks are on a server.
fn guests(server: &Server, state: &State) -> Vec<GuestStatus> {
    let own = server.guests().map(|(vmid, _)| vmid);
    let in_pools = server.pools.iter().flat_map(|pool| pool.volumes.keys());
    let all: BTreeSet<u32> = own
        .chain(server.running.keys().copied())
        .chain(in_pools.filter_map(|dataset| volumes::owner(dataset)))
        .collect();
    let status = |vmid: u32| GuestStatus {
        vmid,
        owned: server.guest(vmid).is_some(),
        running: server.running.contains_key(&vmid),
        number: state.number_of(server.index, vmid),
        volumes: server
            .volumes_of(vmid)
            .into_iter()
            .chain(server.renamed_volumes_of(vmid))
            .map(|(dataset, volume)| VolumeStatus {
                dataset,
                number: volume.number,
                snapshots: volume.snapshots.into_iter().map(|snapshot| snapshot.name).collect(),
            })
            .collect(),
    };
    all.into_iter().map(status).collect()
}
