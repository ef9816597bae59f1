//! `qm` and `pct`: a canary is made, gets its program, and goes.
//!
//! A machine is imported from an image and gets its address by cloud-init; what is put into it goes through the guest agent, whose `qm guest exec`
//! takes at most 1 MiB on stdin. A container is made from a template; `pct push` and `pct exec` need it to run. Source: qemu-server CLI/qm.pm,
//! pve-container CLI/pct.pm.

use std::time::Duration;

use quorate_exec::{Invocation, Stdin, Tools};
use quorate_model::canary::{BridgeName, CanarySource, DESCRIPTION, GuestAddress, TAG, name as called};
use quorate_model::ids::StorageName;
use quorate_model::observation::GuestKind;

use crate::CallError;
use crate::guest::name;

/// Where the program lies in a guest, and its unit.
pub const PROGRAM: &str = "/usr/local/bin/quorate-tally";
/// The unit's file in a guest.
pub const UNIT_FILE: &str = "/etc/systemd/system/quorate-tally.service";
/// The unit.
pub const UNIT: &str = "quorate-tally.service";

/// What the unit says. Its folder below /var/lib is the program's own default. It never gives up: its silence counts as the guest's.
pub const UNIT_TEXT: &str = "[Unit]
Description=Writes numbers for Quorate, and tells the last one
After=network.target
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/local/bin/quorate-tally
StateDirectory=quorate-tally
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
";

/// A container's disk, in GiB.
const ROOT_GIB: u32 = 2;
/// For what is run inside of a guest: a guest that has just started is slow.
const INSIDE: Duration = Duration::from_secs(60);

/// A canary that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// Its id.
    pub guest: u32,
    /// What it is made from.
    pub source: &'a CanarySource,
    /// Where its disk is to lie.
    pub storage: &'a StorageName,
    /// What its network card is plugged into.
    pub bridge: &'a BridgeName,
    /// The card's VLAN.
    pub vlan: Option<u16>,
    /// Its address.
    pub address: Option<GuestAddress>,
    /// Its memory, in MiB.
    pub memory: u32,
}

/// `qm create`, `pct create`.
///
/// # Errors
/// When the tool is not installed.
pub fn create(tools: &Tools, new: New<'_>) -> Result<Invocation, CallError> {
    let kind = new.source.kind();
    let (id, memory) = (new.guest.to_string(), new.memory.to_string());
    let tag = new.vlan.map_or_else(String::new, |vlan| format!(",tag={vlan}"));
    let address = new.address.map(GuestAddress::property);
    let (storage, volume) = (new.storage, new.source.volume());
    let call = tools.call(name(kind))?.args(["create", &id]);
    let call = match kind {
        GuestKind::Vm => {
            let call = call.args(["--name", &called(new.guest), "--memory", &memory, "--cores", "1"]);
            let call = call.args(["--net0", &format!("virtio,bridge={}{tag}", new.bridge)]);
            let call = call.args(["--scsihw", "virtio-scsi-single"]);
            let call = call.args(["--scsi0", &format!("{storage}:0,import-from={volume}")]);
            let call = call.args(["--ide2", &format!("{storage}:cloudinit"), "--boot", "order=scsi0"]);
            let call = call.args(["--ostype", "l26", "--agent", "1"]);
            match &address {
                Some(address) => call.args(["--ipconfig0", address]),
                None => call,
            }
        }
        GuestKind::Container => {
            let address = address.map_or_else(String::new, |address| format!(",{address}"));
            let net = format!("name=eth0,bridge={}{tag}{address}", new.bridge);
            let call = call.args([
                volume,
                "--hostname",
                &called(new.guest),
                "--memory",
                &memory,
                "--cores",
                "1",
            ]);
            let call = call.args(["--rootfs", &format!("{storage}:{ROOT_GIB}"), "--net0", &net]);
            call.args(["--unprivileged", "1", "--features", "nesting=1"])
        }
    };
    Ok(call.args(["--tags", TAG, "--description", DESCRIPTION]).build()?)
}

/// `qm stop ID`, `pct stop ID`: it is switched off.
///
/// # Errors
/// When the tool is not installed.
pub fn stop(tools: &Tools, kind: GuestKind, guest: u32) -> Result<Invocation, CallError> {
    Ok(tools.call(name(kind))?.args(["stop", &guest.to_string()]).build()?)
}

/// `qm destroy ID --purge 1`, `pct destroy ID --purge 1`: it goes with its disks, and out of whatever names it.
///
/// # Errors
/// When the tool is not installed.
pub fn destroy(tools: &Tools, kind: GuestKind, guest: u32) -> Result<Invocation, CallError> {
    let call = tools.call(name(kind))?;
    Ok(call.args(["destroy", &guest.to_string(), "--purge", "1"]).build()?)
}

/// `qm guest cmd ID ping`: does an agent answer in a machine? It says nothing, and ends well, if so.
///
/// # Errors
/// When qm is not installed.
pub fn ping(tools: &Tools, guest: u32) -> Result<Invocation, CallError> {
    let call = tools.call("qm")?;
    Ok(call.args(["guest", "cmd", &guest.to_string(), "ping"]).build()?)
}

/// `qm guest exec ID -- PROGRAM …`: runs a program in a machine, with this on its stdin. How it ended stands in the answer: see
/// [`crate::guest_exec`].
///
/// # Errors
/// When qm is not installed.
pub fn run_in_machine(
    tools: &Tools,
    guest: u32,
    stdin: Option<Stdin>,
    program: &[&str],
) -> Result<Invocation, CallError> {
    let call = tools.call("qm")?.args(["guest", "exec", &guest.to_string()]);
    let call = match stdin {
        Some(stdin) => call.args(["--pass-stdin", "1"]).stdin(stdin),
        None => call,
    };
    Ok(call.arg("--").args(program.iter().copied()).deadline(INSIDE).build()?)
}

/// `pct exec ID -- PROGRAM …`: runs a program in a container; it ends as the program does.
///
/// # Errors
/// When pct is not installed.
pub fn run_in_container(tools: &Tools, guest: u32, program: &[&str]) -> Result<Invocation, CallError> {
    let call = tools.call("pct")?.args(["exec", &guest.to_string(), "--"]);
    Ok(call.args(program.iter().copied()).deadline(INSIDE).build()?)
}

/// `pct push ID FILE DESTINATION --perms MODE`: a file of the host is copied into a container that runs.
///
/// # Errors
/// When pct is not installed.
pub fn push(tools: &Tools, guest: u32, file: &str, to: &str, mode: &str) -> Result<Invocation, CallError> {
    let call = tools.call("pct")?.args(["push", &guest.to_string(), file, to]);
    Ok(call.args(["--perms", mode]).deadline(INSIDE).build()?)
}

/// `install -D -m MODE /dev/stdin PATH`, inside of a machine: what comes on stdin becomes a file.
#[must_use]
pub fn install<'a>(mode: &'a str, path: &'a str) -> [&'a str; 6] {
    ["/usr/bin/install", "-D", "-m", mode, "/dev/stdin", path]
}

/// The SHA-256 of a file inside, of which the output begins with 64 digits.
#[must_use]
pub fn sum(path: &str) -> [&str; 2] {
    ["/usr/bin/sha256sum", path]
}

/// Starts the unit inside, now and whenever the guest starts.
pub const ENABLE: [&str; 4] = ["/usr/bin/systemctl", "enable", "--now", UNIT];

#[cfg(test)]
mod tests {
    use super::*;

    fn line(call: Result<Invocation, CallError>) -> String {
        call.unwrap().command().to_string()
    }

    fn new<'a>(source: &'a CanarySource, storage: &'a StorageName, bridge: &'a BridgeName) -> New<'a> {
        New {
            guest: 900,
            source,
            storage,
            bridge,
            vlan: Some(5),
            address: Some("192.0.2.7/24,gw=192.0.2.1".parse().unwrap()),
            memory: 256,
        }
    }

    #[test]
    fn the_writer_is_started_again_for_ever_as_the_packaged_one_is() {
        let packaged = include_str!("../../../packaging/files/quorate-tally.service");
        for line in ["StartLimitIntervalSec=0", "Restart=always", "RestartSec=1"] {
            for unit in [UNIT_TEXT, packaged] {
                assert!(unit.lines().any(|there| there == line), "{line}: {unit}");
            }
        }
        let (unit, _) = UNIT_TEXT.split_once("[Service]").unwrap();
        assert!(
            unit.contains("StartLimitIntervalSec=0"),
            "systemd reads it in [Unit] alone"
        );
    }

    #[test]
    fn each_kind_is_made_in_its_own_way() {
        let (tools, storage, bridge) = (Tools::imagined(), "data_zfs".parse().unwrap(), "vmbr0".parse().unwrap());
        let source = "image:local:import/debian-12.qcow2".parse().unwrap();
        assert_eq!(
            line(create(&tools, new(&source, &storage, &bridge))),
            "/usr/bin/qm create 900 --name quorate-canary-900 --memory 256 --cores 1 --net0 virtio,bridge=vmbr0,tag=5 --scsihw \
             virtio-scsi-single --scsi0 data_zfs:0,import-from=local:import/debian-12.qcow2 --ide2 data_zfs:cloudinit --boot order=scsi0 \
             --ostype l26 --agent 1 --ipconfig0 ip=192.0.2.7/24,gw=192.0.2.1 --tags quorate-canary --description 'A canary of Quorate. Nothing \
             depends on it, and it may be removed at any time.'"
        );
        let source = "template:local:vztmpl/debian-12.tar.zst".parse().unwrap();
        assert_eq!(
            line(create(&tools, new(&source, &storage, &bridge))),
            "/usr/bin/pct create 900 local:vztmpl/debian-12.tar.zst --hostname quorate-canary-900 --memory 256 --cores 1 --rootfs data_zfs:2 \
             --net0 name=eth0,bridge=vmbr0,tag=5,ip=192.0.2.7/24,gw=192.0.2.1 --unprivileged 1 --features nesting=1 --tags quorate-canary \
             --description 'A canary of Quorate. Nothing depends on it, and it may be removed at any time.'"
        );
    }

    #[test]
    fn what_is_put_into_one_goes_by_stdin_or_as_a_file() {
        let tools = Tools::imagined();
        let put = run_in_machine(&tools, 900, Some(Stdin::bytes("x")), &install("0755", PROGRAM)).unwrap();
        assert_eq!(
            put.command().to_string(),
            "/usr/bin/qm guest exec 900 --pass-stdin 1 -- /usr/bin/install -D -m 0755 /dev/stdin /usr/local/bin/quorate-tally"
        );
        assert_eq!(put.stdin().known_len(), Some(1));
        assert_eq!(
            line(run_in_container(&tools, 900, &ENABLE)),
            "/usr/bin/pct exec 900 -- /usr/bin/systemctl enable --now quorate-tally.service"
        );
        assert_eq!(
            line(push(&tools, 900, "/f", PROGRAM, "0755")),
            "/usr/bin/pct push 900 /f /usr/local/bin/quorate-tally --perms 0755"
        );
        assert_eq!(
            line(destroy(&tools, GuestKind::Vm, 900)),
            "/usr/bin/qm destroy 900 --purge 1"
        );
        assert_eq!(line(stop(&tools, GuestKind::Container, 900)), "/usr/bin/pct stop 900");
        assert_eq!(line(ping(&tools, 900)), "/usr/bin/qm guest cmd 900 ping");
    }
}
