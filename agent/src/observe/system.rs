//! The server itself: versions, processors, memory, load, clock, the agent's own cost.

use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::observation::System;
use quorate_model::observation::system::{AgentState, ClockState, ClockSync, Cpu, PortRange, PveVersion, RunningTask};
use quorate_model::size::ByteSize;
use quorate_model::{Facet, Timestamp};
use quorate_tools::{chronyc, os_release, proc, pve_tasks, pveversion, timedatectl};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate};

use super::finished;
use crate::host::{Circumstances, Host, ReadError, unparsable, unreadable};

/// Observes everything.
pub(super) async fn observe(host: &Host) -> Result<System, Unknown> {
    let boot_id = line(host, "/proc/sys/kernel/random/boot_id")?;
    let (pve, synchronised) = tokio::join!(pve_version(host, &boot_id), clock_sync(host));
    let kernel = line(host, "/proc/sys/kernel/osrelease")?;
    let processors = processors(host)?;
    Ok(System {
        pve: finished(host, pve),
        os: os_release::read(&read(host, "/etc/os-release")?).map_err(unparsable)?,
        reboot_needed: reboot_needed(host, &kernel),
        kernel,
        boot_id,
        uptime_seconds: proc::uptime_seconds(&read(host, "/proc/uptime")?).map_err(unparsable)?,
        cpu: Cpu {
            model: processors.0,
            threads: processors.1,
            load: load(host)?,
        },
        memory: proc::memory(&read(host, "/proc/meminfo")?).map_err(unparsable)?,
        clock: ClockState {
            now: host.now(),
            synchronised: finished(host, synchronised),
        },
        agent: agent_state(host),
        tasks: finished(host, tasks(host)),
    })
}

/// Brings the figures up to date that change from second to second; the rest of `system` stays.
pub(super) fn refresh(host: &Host, system: &mut System) -> Result<(), Unknown> {
    system.uptime_seconds = proc::uptime_seconds(&read(host, "/proc/uptime")?).map_err(unparsable)?;
    system.cpu.load = load(host)?;
    system.memory = proc::memory(&read(host, "/proc/meminfo")?).map_err(unparsable)?;
    system.clock.now = host.now();
    system.agent = agent_state(host);
    // Whoever wants to know whether something runs asks for a look of its own.
    system.tasks = Facet::not_asked();
    Ok(())
}

/// Tasks of PVE whose process is there. Where none was ever begun there is no list.
fn tasks(host: &Host) -> Result<Vec<RunningTask>, Unknown> {
    let text = match host.root().read_text(pve_tasks::ACTIVE) {
        Err(ReadError::NotFound { .. }) => return Ok(Vec::new()),
        text => text.map_err(unreadable)?,
    };
    let mut running = Vec::new();
    for task in pve_tasks::read_active(&text).map_err(unparsable)? {
        let began = match host.root().read_text(&format!("/proc/{}/stat", task.pid)) {
            Err(ReadError::NotFound { .. }) => continue,
            text => proc::start_ticks(&text.map_err(unreadable)?).map_err(unparsable)?,
        };
        if began == task.process_start {
            running.push(RunningTask {
                kind: task.kind.to_owned(),
                about: task.id.to_owned(),
                user: task.user.to_owned(),
                started_at: Timestamp::from_seconds(i64::try_from(task.started).unwrap_or(i64::MAX)),
            });
        }
    }
    Ok(running)
}

fn read(host: &Host, path: &str) -> Result<String, Unknown> {
    host.root().read_text(path).map_err(unreadable)
}

fn line(host: &Host, path: &str) -> Result<String, Unknown> {
    read(host, path).map(|text| text.trim().to_owned())
}

fn load(host: &Host) -> Result<[f64; 3], Unknown> {
    proc::load_averages(&read(host, "/proc/loadavg")?).map_err(unparsable)
}

fn processors(host: &Host) -> Result<(String, u32), Unknown> {
    if let Some(known) = host.cache().processors() {
        return Ok(known);
    }
    let found = proc::processors(&read(host, "/proc/cpuinfo")?).map_err(unparsable)?;
    host.cache().keep_processors(found.clone());
    Ok(found)
}

/// PVE's version. `pveversion` costs a second of processor time, so its answer is kept until the next boot or the next
/// installation of packages.
async fn pve_version(host: &Host, boot_id: &str) -> Result<Option<PveVersion>, Unknown> {
    let circumstances = Circumstances {
        boot_id: boot_id.to_owned(),
        installed: host.root().modified("/var/lib/dpkg/status").ok(),
    };
    let call = match pveversion::version(host.tools()) {
        Ok(call) => call,
        Err(quorate_tools::CallError::Missing(_)) => return Ok(None),
        Err(error) => return Err(Unknown::new(UnknownKind::Failed, error.to_string())),
    };
    if let Some(known) = host.cache().pve(&circumstances) {
        return Ok(known);
    }
    let version = pveversion::read(&host.ask(Ok(call)).await?).map_err(unparsable)?;
    host.cache().keep_pve(circumstances, Some(version.clone()));
    Ok(Some(version))
}

/// chronyd where it answers, since it also knows the offset; else what systemd believes.
async fn clock_sync(host: &Host) -> Result<ClockSync, Unknown> {
    if let Ok(stdout) = host.ask(chronyc::tracking(host.tools())).await {
        return chronyc::read(&stdout).map_err(unparsable);
    }
    let stdout = host.ask(timedatectl::synchronised(host.tools())).await?;
    timedatectl::read(&stdout).map_err(unparsable)
}

/// Debian's own mark, or a newer kernel of the running one's flavour in /boot. Where an administrator pinned a kernel
/// (`proxmox-boot-tool kernel pin`) the newest is not the one that would boot, and nothing is concluded.
fn reboot_needed(host: &Host, running: &str) -> Option<String> {
    let there = |path: &str| host.root().exists(path).unwrap_or(false);
    if there("/run/reboot-required") {
        return Some("a package asks for it (/run/reboot-required)".to_owned());
    }
    if there("/etc/kernel/proxmox-boot-pin") || there("/etc/kernel/next-boot-pin") {
        return None;
    }
    let installed = host.root().read_dir("/boot").unwrap_or_default();
    let newest = installed
        .iter()
        .filter_map(|name| name.strip_prefix("vmlinuz-"))
        .filter_map(KernelRelease::of);
    let newest = newest.filter(|kernel| kernel.flavour == KernelRelease::of(running).map_or("", |r| r.flavour));
    let newest = newest.max_by(|a, b| a.numbers.cmp(&b.numbers))?;
    let newer = newest.numbers > KernelRelease::of(running)?.numbers;
    newer.then(|| format!("kernel {} is installed, {running} runs", newest.text))
}

/// `6.8.12-4-pve`: numbers, then a flavour.
struct KernelRelease<'a> {
    text: &'a str,
    numbers: Vec<u32>,
    flavour: &'a str,
}

impl<'a> KernelRelease<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (numbers, flavour) = text.split_at_checked(end)?;
        let numbers = numbers.split(['.', '-', '+', '_']).filter(|part| !part.is_empty());
        let numbers = numbers.map(|part| part.parse().ok()).collect::<Option<Vec<_>>>()?;
        (!numbers.is_empty()).then_some(Self { text, numbers, flavour })
    }
}

fn agent_state(host: &Host) -> AgentState {
    AgentState {
        version: host.version().to_owned(),
        memory: ByteSize(own_memory().unwrap_or(0)),
        uptime_seconds: host.uptime().as_secs(),
        port: host.listening().port,
        measure_ports: host.listening().measure.as_ref().map(|ports| PortRange {
            first: *ports.start(),
            last: *ports.end(),
        }),
    }
}

/// This process's resident memory. It is the one figure about the agent and not about the host, and therefore never read
/// through the host's root.
fn own_memory() -> Option<u64> {
    let own = Pid::from_u32(std::process::id());
    let only_memory = ProcessRefreshKind::nothing().with_memory().without_tasks();
    let mut system = sysinfo::System::new().ok()?;
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, only_memory);
    system.process(own).map(sysinfo::Process::memory)
}

#[cfg(test)]
#[path = "system_tests.rs"]
mod tests;
