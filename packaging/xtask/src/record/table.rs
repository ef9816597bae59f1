//! What can be asked for on any Debian, by the very functions that the agent asks with.

use std::path::Path;

use quorate_exec::{Invocation, Tools};
use quorate_model::ByteSize;
use quorate_tools::{
    CallError, apt_cache, blkid, corosync_cfgtool, corosync_cmapctl, corosync_quorumtool, df, dpkg_query, getent, ip,
    lsblk, smartctl, systemctl, timedatectl, wiping,
};

use super::Scratch;

/// One fixture, and how it is made.
#[derive(Debug)]
pub(crate) struct Recording {
    /// As the list names it.
    pub(crate) fixture: &'static str,
    /// Of the file with its stdout.
    pub(crate) ending: &'static str,
    /// As it is kept.
    pub(crate) exit: Option<i32>,
    /// How it is made.
    pub(crate) ask: Ask,
    /// Why this machine is in another state than the fixture's; `None`: it is not.
    pub(crate) not_here: fn() -> Option<String>,
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Ask {
    /// A tool, as the agent calls it.
    Tool(fn(&Tools, &Scratch) -> Result<Invocation, CallError>),
    /// A file, as the agent reads it.
    File(&'static str),
}

const fn tool(
    fixture: &'static str,
    ending: &'static str,
    exit: i32,
    call: fn(&Tools, &Scratch) -> Result<Invocation, CallError>,
) -> Recording {
    Recording {
        fixture,
        ending,
        exit: Some(exit),
        ask: Ask::Tool(call),
        not_here: always,
    }
}

const fn file(fixture: &'static str, path: &'static str) -> Recording {
    Recording {
        fixture,
        ending: "out",
        exit: None,
        ask: Ask::File(path),
        not_here: always,
    }
}

const fn unless(recording: Recording, not_here: fn() -> Option<String>) -> Recording {
    Recording { not_here, ..recording }
}

pub(crate) fn always() -> Option<String> {
    None
}

/// Of machines without systemd: containers.
fn systemd() -> Option<String> {
    Path::new("/run/systemd/system")
        .exists()
        .then(|| "systemd runs here".to_owned())
}

fn corosync() -> Option<String> {
    Path::new("/run/corosync.pid")
        .exists()
        .then(|| "corosync runs here".to_owned())
}

/// A disk that smartctl can't make anything of.
fn no_virtio_disk() -> Option<String> {
    (!Path::new("/dev/vda").exists()).then(|| "there is no /dev/vda".to_owned())
}

/// All of them.
pub(crate) const RECORDINGS: &[Recording] = &[
    tool("apt-cache/2.6.2/unknown", "out", 0, |tools, _| {
        apt_cache::policy(tools, &["no-such-package"])
    }),
    tool("blkid/2.38.1/no-such-device", "out", 2, |tools, _| {
        blkid::probe(tools, "/dev/nope")
    }),
    tool("blkid/2.38.1/blank", "out", 2, |tools, scratch| {
        blkid::probe(tools, &scratch.file("blank"))
    }),
    tool("blkid/2.38.1/swap", "out", 0, |tools, scratch| {
        blkid::probe(tools, &scratch.file("swap"))
    }),
    unless(
        tool("corosync-cfgtool/3.1.7/daemon-away", "out", 1, |tools, _| {
            corosync_cfgtool::nodes(tools)
        }),
        corosync,
    ),
    unless(
        tool("corosync-cmapctl/3.1.7/daemon-away", "out", 1, |tools, _| {
            corosync_cmapctl::members(tools)
        }),
        corosync,
    ),
    unless(
        tool("corosync-quorumtool/3.1.7/daemon-away", "out", 1, |tools, _| {
            corosync_quorumtool::status(tools)
        }),
        corosync,
    ),
    tool("df/9.1/one", "out", 0, |tools, _| df::space(tools, "/var/lib")),
    tool("df/9.1/no-such-path", "out", 1, |tools, _| df::space(tools, "/nope")),
    tool("dpkg-query/1.21/installed", "out", 0, |tools, _| {
        dpkg_query::versions(tools, &["coreutils", "dpkg"])
    }),
    tool("dpkg-query/1.21/unknown", "out", 1, |tools, _| {
        dpkg_query::versions(tools, &["no-such-package"])
    }),
    tool("getent/2.36/localhost", "out", 0, |tools, _| {
        getent::ahosts(tools, "localhost")
    }),
    tool("getent/2.36/not-found", "out", 2, |tools, _| {
        getent::ahosts(tools, "no-such-name.invalid")
    }),
    tool("getent/2.36/hosts-localhost", "out", 0, |tools, _| {
        getent::hosts(tools, [127, 0, 0, 1].into())
    }),
    tool("getent/2.36/hosts-not-found", "out", 2, |tools, _| {
        getent::hosts(tools, [192, 0, 2, 7].into())
    }),
    tool("ip/6.1.0/virtual-machine", "json", 0, |tools, _| ip::addresses(tools)),
    tool("lsblk/2.38.1/virtual-machine", "json", 0, |tools, _| {
        lsblk::list(tools, &lsblk::Columns::default())
    }),
    file("os-release/debian-12", "/etc/os-release"),
    file("proc/6.18/cpuinfo", "/proc/cpuinfo"),
    file("proc/6.18/loadavg", "/proc/loadavg"),
    file("proc/6.18/meminfo", "/proc/meminfo"),
    file("proc/6.18/uptime", "/proc/uptime"),
    tool("smartctl/7.3/no-such-device-as-asked", "json", 1, |tools, _| {
        smartctl::health(tools, "/dev/nope")
    }),
    unless(
        tool("smartctl/7.3/virtio-as-asked", "json", 1, |tools, _| {
            smartctl::health(tools, "/dev/vda")
        }),
        no_virtio_disk,
    ),
    unless(
        tool("systemctl/252/no-systemd", "out", 1, |tools, _| {
            systemctl::show(tools, "corosync")
        }),
        systemd,
    ),
    unless(
        tool("timedatectl/252/no-systemd", "out", 1, |tools, _| {
            timedatectl::synchronised(tools)
        }),
        systemd,
    ),
    tool("wiping/2.38.1/wipefs-blank", "out", 0, |tools, scratch| {
        wiping::wipefs(tools, &scratch.file("blank"))
    }),
    tool("wiping/2.38.1/wipefs-signature", "out", 0, |tools, scratch| {
        wiping::wipefs(tools, &scratch.file("swap"))
    }),
    tool("wiping/2.38.1/wipefs-no-such-device", "out", 1, |tools, _| {
        wiping::wipefs(tools, "/dev/nope")
    }),
    tool("wiping/2.38.1/blockdev-no-device", "out", 1, |tools, scratch| {
        wiping::reread(tools, &scratch.file("blank"))
    }),
    tool("wiping/2.38.1/blockdev-no-such-device", "out", 1, |tools, _| {
        wiping::reread(tools, "/dev/nope")
    }),
    tool("wiping/9.1/dd-no-such-device", "out", 1, |tools, _| {
        wiping::zero(tools, "/dev/nope", ByteSize(0), ByteSize(4096))
    }),
    tool("wiping/9.1/dd-done", "out", 0, |tools, scratch| {
        wiping::zero(tools, &scratch.file("blank"), ByteSize(0), ByteSize(4096))
    }),
];
