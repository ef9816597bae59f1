//! What an LRM does to its guests: PVE's own tasks, which take their time.

use std::time::Duration;

use quorate_lab_ha::env::{Act, Env, Progress};
use quorate_lab_ha::log::Level;
use quorate_lab_ha::model::Sid;

use super::at::At;
use crate::description::GuestKind;
use crate::world::clock;
use crate::world::complain;
use crate::world::guest_times as times;
use crate::world::ha::Work;
use crate::world::state::guests::refuses_after;
use crate::world::volumes::CHECK_LOG;

/// The first line of a task that HA began. Source: pve-ha-manager Resources/PVEVM.pm.
const BY_HA: &str = "task started by HA resource agent\n";

/// What is refused is refused at once.
const REFUSES: Duration = Duration::from_millis(400);

impl At<'_> {
    /// Begins to do something to a guest of this node.
    pub(super) fn begin_work(&mut self, sid: &Sid, act: &Act) -> Progress {
        let vmid: u32 = sid.number().parse().unwrap_or(0);
        let kind = if sid.kind() == "ct" {
            GuestKind::Lxc
        } else {
            GuestKind::Qemu
        };
        let runs = self.state.guest_runs(self.index, vmid);
        let mut act = act.clone();
        if let Act::Move { target, online } = &mut act {
            if *online && kind == GuestKind::Lxc && runs {
                let text = "unable to live migrate running container, fallback to relocate";
                self.log(Level::Warning, text);
                *online = false;
            }
            let how = if *online { "migrate" } else { "relocate" };
            self.log(Level::Info, &format!("service {sid} - start {how} to node '{target}'"));
        }
        let mut refusal = match &act {
            Act::Start => self.state.start_guest_refusal(self.index, vmid),
            Act::Stop { .. } | Act::Move { .. } => self.locked(kind, vmid),
        };
        // Found out when the migration has begun: by then a machine that is relocated is down.
        let told = match &act {
            Act::Move { target, online } if refusal.is_none() => self.kept(vmid, target, *online && runs),
            _ => None,
        };
        if told.is_some() {
            refusal = Some("migration aborted".to_owned());
        }
        let (starts, stops) = match kind {
            GuestKind::Qemu => (times::VM_STARTS, times::VM_STOPS),
            GuestKind::Lxc => (times::CT_STARTS, times::CT_STOPS),
        };
        let takes = match (&refusal, &act) {
            (Some(refusal), _) => REFUSES + refuses_after(refusal),
            (None, Act::Start) => starts,
            (None, Act::Stop { .. }) => stops,
            (None, Act::Move { target, online }) => {
                let stops = if runs && !online { stops } else { Duration::ZERO };
                let to = self.state.find(target).unwrap_or(self.index);
                stops + self.state.move_takes(vmid, self.index, to, *online)
            }
        };
        let upid = self.begin_task(task_type(kind, &act), vmid);
        let work = Work {
            act,
            until: self.state.now + takes,
            upid,
            refusal,
            told,
        };
        if let Some(server) = self.state.servers.get_mut(self.index) {
            server.ha.work.insert(sid.as_str().to_owned(), work);
        }
        Progress::Going
    }

    /// What of its volumes keeps a guest here.
    fn kept(&self, vmid: u32, target: &str, runs: bool) -> Option<String> {
        let server = self.state.get(self.index)?;
        let job = self.state.job_to(self.index, vmid, target);
        server.keeps_from_moving(server.guest(vmid)?, runs, job.is_some())
    }

    /// The lines of a migration that one of the guest's volumes ended; and what is relocated was shut down before.
    fn ends_early(&mut self, sid: &Sid, work: &Work) {
        let Some(line) = &work.told else { return };
        let vmid: u32 = sid.number().parse().unwrap_or(0);
        if let Act::Move { online: false, .. } = &work.act
            && self.state.guest_runs(self.index, vmid)
        {
            self.log(Level::Info, &format!("stopping service {sid} (relocate)"));
            self.state.stop_guest_now(self.index, vmid);
        }
        let Some(server) = self.state.servers.get_mut(self.index) else {
            return;
        };
        let now = clock::log(server.now());
        let aborted = format!("migration aborted (duration 00:00:00): {CHECK_LOG}");
        let lines = format!("{now} {line}\n{now} ERROR: {CHECK_LOG}\n{now} ERROR: {aborted}\n");
        if let Err(error) = server.tasks.say(&work.upid, &lines) {
            complain(&format!("{}: can't write the task list: {error}", server.name()));
        }
    }

    fn locked(&self, kind: GuestKind, vmid: u32) -> Option<String> {
        let lock = self.state.get(self.index)?.guest(vmid)?.lock()?;
        let what = if kind == GuestKind::Qemu { "VM" } else { "CT" };
        Some(format!("{what} is locked ({lock})"))
    }

    fn begin_task(&mut self, kind: &'static str, vmid: u32) -> String {
        let Some(server) = self.state.servers.get_mut(self.index) else {
            return String::new();
        };
        let (name, now, booted, pid) = (server.spec.name.clone(), server.now(), server.booted, server.pid());
        let begun = server.tasks.start(&name, pid, booted, now, kind, &vmid.to_string());
        let said = begun.and_then(|upid| server.tasks.say(&upid, BY_HA).map(|()| upid));
        said.unwrap_or_else(|error| {
            complain(&format!("{name}: can't write the task list: {error}"));
            String::new()
        })
    }

    /// How far is it?
    pub(super) fn work_goes_on(&mut self, sid: &Sid) -> Progress {
        let now = self.state.now;
        let Some(server) = self.state.servers.get_mut(self.index) else {
            return Progress::Failed;
        };
        match server.ha.work.get(sid.as_str()) {
            None => return Progress::Failed,
            Some(work) if work.until > now => return Progress::Going,
            Some(_) => {}
        }
        let Some(work) = server.ha.work.remove(sid.as_str()) else {
            return Progress::Failed;
        };
        self.ends_early(sid, &work);
        let result = match work.refusal {
            Some(refusal) => Err(refusal),
            None => self.finish(sid, &work.act),
        };
        let status = result.as_ref().err().map_or("OK", String::as_str).to_owned();
        if let Some(server) = self.state.servers.get_mut(self.index) {
            let now = server.now();
            if let Err(error) = server.tasks.end(&work.upid, now, &status) {
                complain(&format!("{}: can't write the task list: {error}", server.name()));
            }
        }
        Progress::Ended { done: result.is_ok() }
    }

    fn finish(&mut self, sid: &Sid, act: &Act) -> Result<(), String> {
        let vmid: u32 = sid.number().parse().unwrap_or(0);
        match act {
            Act::Start => self.state.start_guest_now(self.index, vmid),
            Act::Stop { .. } => self.state.stop_guest_now(self.index, vmid),
            Act::Move { target, online } => {
                let how = if *online { "migrate" } else { "relocate" };
                if !online && self.state.guest_runs(self.index, vmid) {
                    self.log(Level::Info, &format!("stopping service {sid} (relocate)"));
                    self.state.stop_guest_now(self.index, vmid);
                    self.log(Level::Info, &format!("service status {sid} stopped"));
                }
                let there = self
                    .state
                    .find(target)
                    .ok_or_else(|| format!("no such cluster node '{target}'"))?;
                self.state.move_guest(vmid, self.index, there, *online)?;
                self.log(Level::Info, &format!("service {sid} - end {how} to node '{target}'"));
            }
        }
        Ok(())
    }
}

fn task_type(kind: GuestKind, act: &Act) -> &'static str {
    match (kind, act) {
        (GuestKind::Qemu, Act::Start) => "qmstart",
        (GuestKind::Qemu, Act::Stop { .. }) => "qmshutdown",
        (GuestKind::Qemu, Act::Move { .. }) => "qmigrate",
        (GuestKind::Lxc, Act::Start) => "vzstart",
        (GuestKind::Lxc, Act::Stop { .. }) => "vzshutdown",
        (GuestKind::Lxc, Act::Move { .. }) => "vzmigrate",
    }
}
