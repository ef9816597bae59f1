//! Plants what is out of the ordinary on a server.

use std::fs;
use std::path::Path;

use quorate_lab_ha::model::Requested;

use super::backups;
use super::guests::next_version;
use super::ha::Resource;
use super::hardware;
use super::pmxcfs::Replica;
use super::pve_files::guest_of;
use super::replication;
use super::server::Server;
use super::state::State;
use crate::description::GuestSpec;
use crate::layout::Layout;
use crate::plants::{Plant, ServiceIs};
use crate::roots::{self, apt, etc, ssh, sys};
use crate::world::pmxcfs;

/// Plants one thing. What lies in `/etc/pve` is written as a node would write it.
pub(crate) fn plant(layout: &Layout, state: &mut State, index: usize, plant: &Plant) -> Result<(), String> {
    let Some(server) = state.servers.get_mut(index) else {
        return Err("no such server".to_owned());
    };
    let name = server.spec.name.clone();
    match plant {
        Plant::File { path, text } => return file(state, index, path, text.as_deref()),
        Plant::Storage { id, kind, nodes } => {
            let mut more = format!("{kind}: {id}\n\tcontent backup\n");
            if !nodes.is_empty() {
                more.push_str(&format!("\tnodes {}\n", nodes.join(",")));
            }
            return append(state, index, "storage.cfg", &format!("\n{more}"));
        }
        Plant::Token { id } => return append(state, index, "user.cfg", &format!("token:{id}:0:1::\n")),
        Plant::RootTotp => return pve(state, index, "priv/tfa.cfg", Some(TOTP)),
        Plant::OwnCertificate => {
            let certificate = super::identity::Certificate::generate(&format!("pve.{name}"))
                .map_err(|error| error.to_string())?
                .pem;
            let key = "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n";
            pve(state, index, &format!("nodes/{name}/pveproxy-ssl.key"), Some(key))?;
            return pve(
                state,
                index,
                &format!("nodes/{name}/pveproxy-ssl.pem"),
                Some(&certificate),
            );
        }
        Plant::AuthorizedKey { comment } => {
            let line = format!("{}\n", ssh::foreign_key(comment));
            if server.spec.is_pve() {
                return append(state, index, "priv/authorized_keys", &line);
            }
            let path = server.root.join("root/.ssh/authorized_keys");
            let before = fs::read_to_string(&path).unwrap_or_default();
            roots::put(&path, &(before + &line)).map_err(|error| error.to_string())?;
        }
        Plant::Pool(pool) => server.plant_pool(pool)?,
        Plant::ZpoolCacheLost { lost } => server.zfs_boot.cache_lost = *lost,
        Plant::ImportFails { pool, fails } => {
            let failing = &mut server.zfs_boot.failing;
            if *fails {
                failing.insert(pool.clone());
            } else {
                failing.remove(pool);
            }
        }
        Plant::Firewall { policy_in, rules } => {
            let policy = policy_in.as_deref().unwrap_or("DROP");
            let mut text = format!("[OPTIONS]\n\nenable: 1\npolicy_in: {policy}\n\n[RULES]\n\n");
            for rule in rules {
                text.push_str(&format!("{rule}\n"));
            }
            return pve(state, index, "firewall/cluster.fw", Some(&text));
        }
        Plant::Disk { disk } => return hardware::plug(server, disk),
        Plant::NoDisk { name } => return hardware::pull(server, name).map(drop),
        Plant::Smart { name, smart } => {
            let disk = server.disks.iter_mut().find(|disk| disk.name == *name);
            disk.ok_or("there is no such disk")?.smart = smart.clone();
        }
        Plant::Service { unit, state: is } => return service(state, index, unit, *is),
        Plant::StorageOn { id, state: is } => {
            server.hardware.storages.insert(id.clone(), *is);
        }
        Plant::Free { path, bytes } => {
            server.hardware.free.insert(path.clone(), *bytes);
        }
        Plant::Name { name, address } => return resolve(server, name, address.as_deref()),
        Plant::Speed { port, mbits, half } => {
            server.hardware.speeds.insert(port.clone(), (*mbits, *half));
            return sys::write_network(server).map_err(|error| error.to_string());
        }
        Plant::Mtu { interface, bytes } => {
            server.hardware.mtus.insert(interface.clone(), *bytes);
            return sys::write_network(server).map_err(|error| error.to_string());
        }
        Plant::Replication { guest, target } => {
            let job = format!("local: {guest}-0\n\ttarget {target}\n\tschedule */5\n\tsource {name}\n\n");
            return append(state, index, "replication.cfg", &job);
        }
        Plant::Ceph { monitors } => {
            let mut text = String::from(
                "[global]\n\tauth_client_required = cephx\n\tfsid = 6d5f1e0c-7c1b-4c3a-9a57-3a1f0b6f0001\n\n",
            );
            for monitor in monitors {
                text.push_str(&format!("[mon.{monitor}]\n\tpublic_addr = 10.10.10.1\n\n"));
            }
            return pve(state, index, "ceph.conf", Some(&text));
        }
        Plant::LeftoverNode { name } => {
            return replica(state, index, |replica| {
                if !replica.nodes.contains(name) {
                    replica.nodes.push(name.clone());
                }
            });
        }
        Plant::EnterpriseRepository => {
            let (path, text) = apt::enterprise(server);
            roots::put(&server.root.join(path), text).map_err(|error| error.to_string())?;
        }
        Plant::Updates { count } => {
            let installed = server
                .packages
                .list
                .values_mut()
                .filter(|package| package.installed.is_some());
            for package in installed.take(usize::try_from(*count).unwrap_or(0)) {
                package.candidate = package.installed.as_ref().map(|version| format!("{version}+lab1"));
            }
        }
        Plant::Package {
            name,
            installed,
            candidate,
            residual,
        } => {
            let package = server
                .packages
                .list
                .entry(name.clone())
                .or_insert_with(|| super::packages::Package {
                    installed: None,
                    candidate: None,
                    residual: false,
                    proxmox: name.starts_with("pve-") || name.starts_with("libpve-"),
                });
            package.installed.clone_from(installed);
            package.candidate.clone_from(candidate);
            package.residual = *residual;
            if name == "corosync-qnetd" {
                server.qnetd_running = installed.is_some();
            }
            let tools = super::packages::tools(name);
            let done = match installed {
                Some(_) => roots::link_tools(layout, server, tools),
                None => roots::unlink_tools(layout, server, tools),
            };
            // Debian stops what it removes.
            if name == "corosync-qdevice" && installed.is_none() {
                state.end_qdevice(index);
            }
            return done.map_err(|error| error.to_string());
        }
        Plant::AptLocked { held } => server.packages.locked_by = held.then_some(4711),
        Plant::AptUnreachable { away } => server.packages.unreachable = *away,
        Plant::HaGuest { vmid, state: wanted } => {
            let word = wanted.as_deref().unwrap_or("started");
            let wanted = Requested::from_word(word).ok_or_else(|| format!("'{word}' is no state of a service"))?;
            return replica(state, index, |replica| under_ha(replica, &name, *vmid, wanted));
        }
        Plant::NoHa => return replica(state, index, |replica| replica.ha.resources.clear()),
        Plant::Qnetd { running } => server.qnetd_running = *running,
        Plant::WatchdogDead { dead } => server.hardware.watchdog_dead = *dead,
        Plant::Backup { vmid, kind, ago, end } => return backups::log(server, (*kind, *vmid), *ago, end),
    }
    Ok(())
}

fn under_ha(replica: &mut Replica, node: &str, vmid: u32, wanted: Requested) {
    let version = next_version(&replica.guests);
    let plain = GuestSpec {
        vmid,
        name: format!("guest{vmid}"),
        ..GuestSpec::default()
    };
    let guest = replica.guests.entry(vmid).or_insert_with(|| plain.guest(node, version));
    replica
        .ha
        .resources
        .insert(format!("{}:{vmid}", guest.kind.sid_type()), Resource::new(wanted));
}

fn service(state: &mut State, index: usize, unit: &str, is: ServiceIs) -> Result<(), String> {
    let unit = unit.trim_end_matches(".service");
    let down = is != ServiceIs::Usual;
    match unit {
        "corosync" if down => state.stop_corosync(index, super::oplog::What::CorosyncStopped, "planted"),
        "pve-cluster" if down => state.stop_pmxcfs(index),
        unit => {
            state
                .follow_unit(index, unit, !down)
                .map_err(|()| format!("{unit} does not start"))?;
        }
    }
    if let Some(server) = state.servers.get_mut(index) {
        let name = super::units::installed(unit).map_or(unit, |unit| unit.name);
        server.hardware.units.insert(name.to_owned(), is);
    }
    Ok(())
}

fn resolve(server: &Server, name: &str, address: Option<&str>) -> Result<(), String> {
    let path = server.root.join("etc/hosts");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let mut kept: String = text
        .lines()
        .filter(|line| {
            !line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .skip(1)
                .any(|word| word == name)
        })
        .map(|line| format!("{line}\n"))
        .collect();
    if let Some(address) = address {
        kept.push_str(&format!("{address} {}\n", etc::names(name)));
    }
    roots::put(&path, &kept).map_err(|error| error.to_string())
}

fn file(state: &mut State, index: usize, path: &str, text: Option<&str>) -> Result<(), String> {
    if let Some(below) = path.strip_prefix("/etc/pve/") {
        return pve(state, index, below, text);
    }
    let Some(server) = state.get(index) else {
        return Err("no such server".to_owned());
    };
    let below = Path::new(path.trim_start_matches('/'));
    if !below
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)))
    {
        return Err(format!("{path} does not lie below the server's root"));
    }
    let full = server.root.join(below);
    let of_replication = below == Path::new(replication::file::STATE);
    let done = match text {
        Some(_) if path.ends_with('/') => fs::create_dir_all(&full),
        Some(text) => roots::put(&full, text),
        None if full.is_dir() => fs::remove_dir_all(&full),
        None => fs::remove_file(&full),
    };
    done.map_err(|error| format!("{path}: {error}"))?;
    if of_replication && let Some(server) = state.servers.get_mut(index) {
        server.replication.take_over(text);
    }
    Ok(())
}

/// Writes or removes a file below `/etc/pve`.
fn pve(state: &mut State, index: usize, path: &str, text: Option<&str>) -> Result<(), String> {
    replica(state, index, |replica| match text {
        // A guest's configuration is a guest.
        Some(text) if guest_of(path).is_some() => replica.write_file(path, text),
        None if guest_of(path).is_some() => replica.remove(path),
        Some(text) => {
            replica.files.insert(path.to_owned(), text.to_owned());
        }
        None => {
            replica.files.remove(path);
        }
    })
}

/// Writes at the end of a file below `/etc/pve`, as it is there now.
fn append(state: &mut State, index: usize, path: &str, more: &str) -> Result<(), String> {
    let before = state
        .get(index)
        .and_then(|server| pmxcfs::tree(&server.pmxcfs, server.name(), 0).remove(path))
        .map(|file| file.text)
        .unwrap_or_default();
    pve(state, index, path, Some(&(before + more)))
}

/// Where `/etc/pve` is not mounted, what is planted lies in the database all the same.
fn replica(state: &mut State, index: usize, change: impl Fn(&mut Replica)) -> Result<(), String> {
    let Some(server) = state.servers.get_mut(index) else {
        return Err("no such server".to_owned());
    };
    if !server.spec.is_pve() {
        return Err(format!("{} is no PVE node", server.name()));
    }
    if server.pmxcfs.running {
        return state
            .write(index, change)
            .map_err(|_| "/etc/pve is read-only there".to_owned());
    }
    change(&mut server.pmxcfs.replica);
    server.pmxcfs.replica.sequence += 1;
    Ok(())
}

const TOTP: &str = "{\"users\":{\"root@pam\":{\"totp\":[{\"info\":{\"id\":\"00000000-0000-4000-8000-000000000000\",\
                    \"description\":\"phone\",\"created\":1795340000},\"entry\":\
                    \"otpauth://totp/lab:root%40pam?secret=AAAAAAAAAAAAAAAA&issuer=lab\"}]}}}\n";
