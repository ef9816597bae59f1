//! Builds each server's folder: its root file system as far as anybody looks at it, and its host tools.

pub(crate) mod apt;
pub(crate) mod disks;
pub(crate) mod etc;
pub(crate) mod proc;
pub(crate) mod processes;
pub(crate) mod ssh;
pub(crate) mod sys;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use crate::description::{LabSpec, ServerSpec};
use crate::layout::Layout;
use crate::tools;
use crate::world::clock::{self, SimTime};
use crate::world::guests::{Process, Writer};
use crate::world::ha::HaNode;
use crate::world::hardware::Hardware;
use crate::world::identity::{AuthKeys, Certificate};
use crate::world::journal::Journal;
use crate::world::mount::Mount;
use crate::world::nft::Nft;
use crate::world::packages::Packages;
use crate::world::pmxcfs::{Pmxcfs, Replica};
use crate::world::power::Power;
use crate::world::proxy;
use crate::world::random;
use crate::world::relay;
use crate::world::replication::Replication;
use crate::world::server::Server;
use crate::world::tasks::Tasks;
use crate::world::zfs::boot::AtBoot;

/// Writes the whole lab's folders and returns the servers that live in them.
pub(crate) fn build(layout: &Layout, spec: &LabSpec, network: Ipv4Addr) -> io::Result<Vec<Server>> {
    let mut servers = Vec::new();
    for (index, server) in spec.servers.iter().enumerate() {
        let server = server_of(layout, server, index)?;
        write_root(&server)?;
        write_tools(layout, &server)?;
        write_agent_config(layout, &server, (network, spec.servers.len()), spec.speed)?;
        servers.push(server);
    }
    write_coordinator(layout, network, spec.speed)?;
    Ok(servers)
}

/// Servers without their host tools: their world is watched by itself.
#[cfg(test)]
pub(crate) fn build_bare(layout: &Layout, spec: &LabSpec) -> io::Result<Vec<Server>> {
    let servers = spec.servers.iter().enumerate();
    servers
        .map(|(index, server)| {
            let server = server_of(layout, server, index)?;
            write_root(&server)?;
            Ok(server)
        })
        .collect()
}

fn server_of(layout: &Layout, spec: &ServerSpec, index: usize) -> io::Result<Server> {
    let root = layout.root(&spec.name);
    let folders: &[&str] = if spec.is_pve() {
        &["etc/pve", "etc/corosync"]
    } else {
        &["etc"]
    };
    for folder in folders {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::create_dir_all(layout.unmounted(&spec.name))?;
    let now = clock::wall(spec.clock_offset_ms);
    // Servers boot one after another, hours before anybody looks.
    let uptime = 3 * 3600 + 137 * i64::try_from(index).unwrap_or(0);
    let booted = now.checked_sub(SignedDuration::from_secs(uptime)).unwrap_or(now);
    let certificate = Certificate::generate(&spec.name).map_err(io::Error::other)?;
    Ok(Server {
        index,
        pmxcfs: pmxcfs_of(spec, &certificate, booted),
        mount: Mount::new(
            index,
            root.join("etc/pve"),
            layout.unmounted(&spec.name),
            root.join("etc/corosync"),
        ),
        tasks: Tasks::new(root.join("var/log/pve/tasks"), root.join("proc")),
        booted,
        clock_offset_ms: spec.clock_offset_ms,
        clock_synchronised: spec.clock_offset_ms == 0,
        disks: spec.disks.clone(),
        pools: Vec::new(),
        dormant: Vec::new(),
        zfs_boot: AtBoot::default(),
        pulled: Vec::new(),
        dropped: BTreeSet::new(),
        unplugged: BTreeSet::new(),
        udp_blocked: false,
        agent_cut: false,
        locale_missing: false,
        power: Power::default(),
        certificate: Some(certificate),
        etc_conf: None,
        authkey: None,
        corosync: None,
        journal: Journal::default(),
        misbehaviour: Vec::new(),
        packages: Packages::of(spec),
        hardware: Hardware::default(),
        qdevice: None,
        qnetd_running: false,
        ha: HaNode::default(),
        next_pid: 900 + 7 * u32::try_from(index).unwrap_or(0),
        pvecm_locked: false,
        added: std::collections::BTreeMap::new(),
        nft: Nft::default(),
        timers: Vec::new(),
        running: running(spec),
        seen_running: BTreeMap::new(),
        numbers: BTreeMap::new(),
        replication: Replication::default(),
        spec: spec.clone(),
        root,
    })
}

/// The guests that have been running since the server's start.
fn running(spec: &ServerSpec) -> BTreeMap<u32, Process> {
    let guests = spec.guests.iter().filter(|guest| guest.running);
    let process = |pid: u32| Process {
        pid,
        since: SimTime::ZERO,
        base: 0,
        writer: Writer {
            resumed: 0,
            run: random(),
        },
    };
    guests
        .zip(700..)
        .map(|(guest, pid)| (guest.vmid, process(pid)))
        .collect()
}

fn pmxcfs_of(spec: &ServerSpec, certificate: &Certificate, booted: Timestamp) -> Pmxcfs {
    let mut replica = Replica {
        sequence: 1,
        keys: AuthKeys::new(random(), booted.as_second()),
        ..Replica::default()
    };
    replica.certificates.insert(spec.name.clone(), certificate.clone());
    replica.merge_ssh_key(&spec.name);
    for (number, guest) in spec.guests.iter().enumerate() {
        let version = u32::try_from(number).unwrap_or(0) + 1;
        replica.guests.insert(guest.vmid, guest.guest(&spec.name, version));
    }
    Pmxcfs {
        running: false,
        by_hand: false,
        pid: 0,
        replica,
        ip: None,
        clustered: false,
        view: None,
        clinfo: 0,
        next_attempt: std::time::Duration::ZERO,
        reload_at: None,
    }
}

/// pmxcfs's database, below a server's root. Its content is the model's; that it is there is what others see of it.
pub(crate) const DATABASE: &str = "var/lib/pve-cluster/config.db";

fn write_root(server: &Server) -> io::Result<()> {
    let root = &server.root;
    for folder in ["run", "tmp", "root", "var/lib/dpkg", "dev/disk/by-id"] {
        fs::create_dir_all(root.join(folder))?;
    }
    if server.spec.is_pve() {
        for folder in [
            "run/lock",
            "var/lib/pve-cluster/backup",
            "var/lib/vz",
            "var/log/pve/tasks",
        ] {
            fs::create_dir_all(root.join(folder))?;
        }
        put(&root.join(DATABASE), "")?;
        put(&root.join("etc/cron.d/zfsutils-linux"), SCRUBS)?;
        put(&root.join("usr/lib/systemd/system/zfs-import@.service"), IMPORTS)?;
    }
    etc::write(server)?;
    apt::write(server)?;
    ssh::write(server)?;
    proc::write(server)?;
    sys::write_network(server)?;
    for disk in &server.disks {
        disks::add(root, disk)?;
    }
    Ok(())
}

fn write_tools(layout: &Layout, server: &Server) -> io::Result<()> {
    let bin = layout.bin(server.name());
    fs::create_dir_all(&bin)?;
    let names: Vec<&str> = tools::NAMES
        .iter()
        .copied()
        .filter(|tool| server.spec.is_pve() || !tools::OF_PVE.contains(tool))
        .filter(|tool| !server.spec.missing_tools.iter().any(|missing| missing == tool))
        .collect();
    link_tools(layout, server, &names)
}

/// Puts tools into a server's `bin`, where they are not yet.
pub(crate) fn link_tools(layout: &Layout, server: &Server, names: &[&str]) -> io::Result<()> {
    let (bin, program) = (layout.bin(server.name()), labtool()?);
    for tool in names {
        let place = bin.join(tool);
        if place.symlink_metadata().is_err() {
            symlink(&program, place)?;
        }
    }
    Ok(())
}

/// Takes them out again.
pub(crate) fn unlink_tools(layout: &Layout, server: &Server, names: &[&str]) -> io::Result<()> {
    let bin = layout.bin(server.name());
    for tool in names {
        match fs::remove_file(bin.join(tool)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The multi-call program lies beside the world's own.
fn labtool() -> io::Result<std::path::PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own
        .parent()
        .ok_or_else(|| io::Error::other("this program lies nowhere"))?;
    [folder.join("quorate-labtool"), folder.join("../quorate-labtool")]
        .into_iter()
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| io::Error::other(format!("no quorate-labtool beside {}", own.display())))
}

/// The agent's configuration; written again when the clock's offset changes. `lab`: its network, and how many servers it has.
pub(crate) fn write_agent_config(
    layout: &Layout,
    server: &Server,
    lab: (Ipv4Addr, usize),
    speed: f64,
) -> io::Result<()> {
    let ((network, servers), measure) = (lab, proxy::MEASURE_PORT);
    let root = layout.root(server.name());
    let mut text = format!(
        "listen = \"{}:{}\"\nmeasure_ports = [{measure}, {measure}]\nstate_dir = {:?}\n\n[policy]\nallow_destroy = true\nallow_faults = true\n\n[lab]\nroot = {root:?}\ntools = {:?}\n\
         clock_offset_ms = {}\nspeed = {speed:?}\n",
        proxy::behind(network, server.index),
        proxy::AGENT_PORT,
        root.join("var/lib/quorate-agent"),
        layout.bin(server.name()),
        server.clock_offset_ms,
    );
    text.push_str("\n# What stands for the addresses of the links: this machine has none of them.\n[lab.addresses]\n");
    for (link, stands) in relay::addresses(network, server.index, servers) {
        text.push_str(&format!("\"{link}\" = \"{stands}\"\n"));
    }
    put(&layout.agent_config(server.name()), &text)
}

fn write_coordinator(layout: &Layout, network: Ipv4Addr, speed: f64) -> io::Result<()> {
    let folder = layout.coordinator();
    fs::create_dir_all(&folder)?;
    fs::create_dir_all(layout.secrets())?;
    // No guest here runs anything: what is put into one only has to be told from anything else.
    put(&layout.guest_program(), "what writes numbers in a guest\n")?;
    let own = proxy::coordinator(network);
    let text = format!(
        "state_dir = {:?}\nsocket = {:?}\nsecrets_dir = {:?}\nguest_program = {:?}\napi_listen = \"{own}:{}\"\nenrol_listen = \"{own}:{}\"\n\n[lab]\nroot = {folder:?}\n\
         clock_offset_ms = 0\nspeed = {speed:?}\n",
        folder.join("state"),
        folder.join("quorate.sock"),
        layout.secrets(),
        layout.guest_program(),
        proxy::API_PORT,
        proxy::ENROL_PORT,
    );
    put(&layout.coordinator_config(), &text)
}

/// Brings what can be seen in `/sys` up to date after a cable was pulled or put back.
pub(crate) fn refresh(server: Option<&Server>) {
    if let Some(server) = server
        && let Err(error) = sys::write_network(server)
    {
        crate::world::complain(&format!("{}: {error}", server.name()));
    }
}

/// From source: zfsutils-linux of Debian 12, debian/zfsutils-linux.cron.d.
const SCRUBS: &str = "PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin\n\n# Scrub the second Sunday of every month.\n24 0 8-14 * * \
                      root if [ $(date +\\%w) -eq 0 ] && [ -x /usr/lib/zfs-linux/scrub ]; then /usr/lib/zfs-linux/scrub; fi\n";

/// From source: etc/systemd/system/zfs-import@.service.in of PVE's own ZFS, of which it matters here that it is there.
const IMPORTS: &str = "[Unit]\nDescription=Import ZFS pool %i\nBefore=zfs-import.target\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
                       ExecStart=/sbin/zpool import -N -d /dev/disk/by-id -o cachefile=none %I\n\n[Install]\nWantedBy=zfs-import.target\n";

/// A target wants an instance of a template, or wants it no more. Source: systemd.unit(5), [Install].
pub(crate) fn wanted(root: &Path, target: &str, unit: &str, template: &str, on: bool) -> io::Result<()> {
    let folder = root.join(format!("etc/systemd/system/{target}.wants"));
    let link = folder.join(unit);
    let done = if on {
        fs::create_dir_all(folder)?;
        symlink(format!("/lib/systemd/system/{template}"), link)
    } else {
        fs::remove_file(link)
    };
    match done {
        Err(error) if ![io::ErrorKind::AlreadyExists, io::ErrorKind::NotFound].contains(&error.kind()) => Err(error),
        _ => Ok(()),
    }
}

/// Writes a file and the folders above it.
pub(crate) fn put(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)
}
