//! `pvesh get /nodes/NODE/qemu` and `/lxc`: the guests of a node, and how each runs.
//!
//! Without `--full`: with it PVE asks each QEMU, and one that does not answer holds up all. Then there is no `qmpstatus`: what is told is that a
//! machine's process runs, and one that is paused is `running` (qemu-server PVE/QemuServer.pm, `vmstatus`). Where that matters the one machine is
//! asked itself, by [`current`].

use quorate_exec::{Invocation, Tools};
use quorate_model::ByteSize;
use quorate_model::observation::GuestKind;
use quorate_model::observation::guest_status::{GuestRun, GuestStatus};
use serde::Deserialize;

use super::NAME;
use crate::{CallError, ParseError, json, lenient};

/// The guests of this kind on this node.
///
/// # Errors
/// When pvesh is not installed.
pub fn list(tools: &Tools, node: &str, kind: GuestKind) -> Result<Invocation, CallError> {
    let path = format!("/nodes/{node}/{}", word(kind));
    Ok(tools
        .call(NAME)?
        .args(["get", &path, "--output-format", "json"])
        .build()?)
}

/// `pvesh get /nodes/NODE/qemu/ID/status/current`: one machine, with what its QEMU says itself.
///
/// # Errors
/// When pvesh is not installed.
pub fn current(tools: &Tools, node: &str, guest: u32) -> Result<Invocation, CallError> {
    let path = format!("/nodes/{node}/qemu/{guest}/status/current");
    Ok(tools
        .call(NAME)?
        .args(["get", &path, "--output-format", "json"])
        .build()?)
}

/// Reads what [`current`] printed.
///
/// # Errors
/// When it is no guest, or its id, its state or its memory is missing.
pub fn read_current(text: &str) -> Result<GuestStatus, ParseError> {
    let raw: Raw = json::read(NAME, text)?;
    Ok(status(GuestKind::Vm, raw))
}

fn word(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Vm => "qemu",
        GuestKind::Container => "lxc",
    }
}

#[derive(Deserialize)]
struct Raw {
    #[serde(deserialize_with = "lenient::u32")]
    vmid: u32,
    status: String,
    #[serde(default, deserialize_with = "lenient::text")]
    qmpstatus: Option<String>,
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    uptime: Option<u64>,
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    mem: Option<u64>,
    #[serde(deserialize_with = "lenient::u64")]
    maxmem: u64,
    #[serde(default, deserialize_with = "lenient::text")]
    lock: Option<String>,
}

/// Reads what it printed: guests by id.
///
/// # Errors
/// When it is no list of guests, or one of them lacks its id, its state or its memory.
pub fn read(kind: GuestKind, text: &str) -> Result<Vec<GuestStatus>, ParseError> {
    let raw: Vec<Raw> = json::read(NAME, text)?;
    let mut guests: Vec<GuestStatus> = raw.into_iter().map(|raw| status(kind, raw)).collect();
    guests.sort_by_key(|guest| guest.vmid);
    Ok(guests)
}

fn status(kind: GuestKind, raw: Raw) -> GuestStatus {
    let run = match raw.qmpstatus.unwrap_or(raw.status).as_str() {
        "running" => GuestRun::Running,
        "stopped" => GuestRun::Stopped,
        other => GuestRun::Held(other.to_owned()),
    };
    GuestStatus {
        vmid: raw.vmid,
        kind,
        run,
        uptime_seconds: raw.uptime,
        memory_used: raw.mem.map(ByteSize),
        memory: ByteSize(raw.maxmem),
        lock: raw.lock,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls() {
        let call = list(&Tools::imagined(), "prox1", GuestKind::Container).unwrap();
        assert_eq!(
            call.to_string(),
            "/usr/bin/pvesh get /nodes/prox1/lxc --output-format json"
        );
    }

    #[test]
    fn machines_by_id() {
        let guests = read(GuestKind::Vm, fixture!("pvesh/pve-8.4/qemu.out")).unwrap();
        let told: Vec<_> = guests.iter().map(|guest| (guest.vmid, guest.run.as_str())).collect();
        assert_eq!(told, [(100, "running"), (102, "stopped")]);
        assert_eq!(
            (guests[0].uptime_seconds, guests[0].lock.as_deref()),
            (Some(86_412), None)
        );
        assert_eq!(
            (guests[0].memory_used, guests[0].memory),
            (Some(ByteSize(1_610_612_736)), ByteSize(4 << 30))
        );
        assert_eq!(guests[1].lock.as_deref(), Some("backup"));
    }

    #[test]
    fn containers_and_none_at_all() {
        let guests = read(GuestKind::Container, fixture!("pvesh/pve-8.4/lxc.out")).unwrap();
        assert_eq!((guests[0].vmid, &guests[0].run), (101, &GuestRun::Running));
        assert_eq!(
            read(GuestKind::Vm, fixture!("pvesh/pve-8.4/qemu-none.out")).unwrap(),
            []
        );
    }

    #[test]
    fn a_machine_that_is_held_does_not_run() {
        let paused = fixture!("pvesh/pve-8.4/qemu.out").replacen(
            "\"status\":\"running\"",
            "\"status\":\"running\",\"qmpstatus\":\"paused\"",
            1,
        );
        let guests = read(GuestKind::Vm, &paused).unwrap();
        assert_eq!(guests[0].run, GuestRun::Held("paused".to_owned()));
        let one = r#"{"vmid":100,"status":"running","qmpstatus":"io-error","maxmem":1073741824}"#;
        assert_eq!(read_current(one).unwrap().run, GuestRun::Held("io-error".to_owned()));
        assert!(read_current("[]").is_err());
        assert_eq!(
            current(&Tools::imagined(), "prox1", 100).unwrap().to_string(),
            "/usr/bin/pvesh get /nodes/prox1/qemu/100/status/current --output-format json"
        );
    }

    #[test]
    fn what_lacks_something_is_an_error() {
        for bad in [
            "",
            "{}",
            r#"[{"vmid":100,"maxmem":1}]"#,
            r#"[{"vmid":"x","status":"running","maxmem":1}]"#,
        ] {
            assert!(read(GuestKind::Vm, bad).is_err(), "{bad}");
        }
    }
}
