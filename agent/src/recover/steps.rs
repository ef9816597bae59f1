//! Carries a recovery out: each step is seen to have come about before the next one begins, and what is begun is on the disk before.

use std::time::Duration;

use quorate_exec::{Finished, Invocation};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::guest_ids::JobId;
use quorate_model::observation::{FacetName, GuestKind, GuestRun};
use quorate_model::{Code, Finding, Observation};
use quorate_tools::{guest as tool, pvecm, pvesr};

use super::record::{Record, Step, Taken, keep};
use super::scene::{Scene, is_quorate};
use super::votes::Quorum;
use super::{Console, refused};
use crate::errors::chain;
use crate::host::{Host, complaint};
use crate::observe::observe;
use crate::operations::Supervisor;

/// How soon what a step has done must be seen. All of it is local, and shows within seconds.
const SEEN_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A write to /etc/pve waits for as long as the membership is undecided, up to fifteen seconds.
const MOVED_WITHIN: Duration = Duration::from_secs(30);

/// pvesr waits for PVE's lock on its file, for ten seconds.
const SWITCHED_WITHIN: Duration = Duration::from_secs(60);

/// PVE itself gives a guest max(30, GiB of memory) seconds to start: what takes longer than this hangs.
const STARTED_WITHIN: Duration = Duration::from_secs(1800);

/// What the steps work with.
pub(crate) struct Hands<'a> {
    pub(crate) host: &'a Host,
    /// Starts this program again for what may block.
    pub(crate) helper: &'a Supervisor,
    pub(crate) console: &'a dyn Console,
    /// Where the record is kept.
    pub(crate) state_dir: &'a std::path::Path,
}

/// Why one guest could not be taken over.
struct Failed(String);

impl Hands<'_> {
    /// Does all of it. Gives what went wrong with single guests.
    ///
    /// # Errors
    /// Nothing more can be done: the lost server lives, there is no quorum, or the record can't be kept.
    pub(crate) async fn apply(&self, scene: &Scene, record: &mut Record) -> Result<Vec<Finding>, Failure> {
        self.keep(record)?;
        if let Quorum::ByFiat(votes) = scene.quorum {
            self.force(votes).await?;
        }
        let mut findings = Vec::new();
        let mut note = |vmid: u32, ended: Result<(), Failed>| {
            if let Err(Failed(why)) = ended {
                findings.push(Finding::new(
                    Code::StepFailed,
                    format!("guest {vmid}"),
                    why,
                    format!(
                        "when the reason is gone: quorate-agent recover --lost {} --guest {vmid} --apply",
                        scene.lost
                    ),
                ));
            }
        };
        for (vmid, kind) in &scene.unfinished {
            self.still_down(&scene.lost).await?;
            let ended = self.start(*vmid, *kind).await;
            if ended.is_ok() {
                self.note(record, *vmid, Step::Running)?;
            }
            note(*vmid, ended);
        }
        for (guest, copy, jobs, starts) in scene.recoverable() {
            self.still_down(&scene.lost).await?;
            record.guests.retain(|taken| taken.vmid != guest.vmid);
            record.guests.push(Taken {
                vmid: guest.vmid,
                kind: guest.kind,
                copy,
                jobs: jobs.clone(),
                starts,
                state: Step::Begun,
            });
            self.keep(record)?;
            let ended = self.take(scene, record, guest.vmid, guest.kind, jobs, starts).await?;
            note(guest.vmid, ended);
        }
        Ok(findings)
    }

    async fn take(
        &self,
        scene: &Scene,
        record: &mut Record,
        vmid: u32,
        kind: GuestKind,
        jobs: &[JobId],
        starts: bool,
    ) -> Result<Result<(), Failed>, Failure> {
        for job in jobs {
            if let Err(failed) = self.switch_off(job).await {
                return Ok(Err(failed));
            }
        }
        // Once more, in the instant before: it may have come back meanwhile.
        self.still_down(&scene.lost).await?;
        self.note(record, vmid, Step::Moving)?;
        if let Err(failed) = self.r#move(scene, vmid, kind).await {
            return Ok(Err(failed));
        }
        self.note(record, vmid, Step::Here)?;
        if !starts {
            return Ok(Ok(()));
        }
        if let Err(failed) = self.start(vmid, kind).await {
            return Ok(Err(failed));
        }
        self.note(record, vmid, Step::Running)?;
        Ok(Ok(()))
    }

    fn keep(&self, record: &Record) -> Result<(), Failure> {
        keep(self.state_dir, record)
            .map_err(|error| refused("what is done can't be kept, so nothing more is done").because(&error))
    }

    fn note(&self, record: &mut Record, vmid: u32, state: Step) -> Result<(), Failure> {
        for taken in record.guests.iter_mut().filter(|taken| taken.vmid == vmid) {
            taken.state = state;
        }
        self.keep(record)
    }

    /// Is the lost server still away, by this node's corosync, and is there quorum?
    async fn still_down(&self, lost: &str) -> Result<(), Failure> {
        let seen = observe(self.host, &[FacetName::Cluster]).await;
        let cluster = super::scene::cluster(&seen)?;
        let online = cluster
            .member()
            .is_some_and(|member| member.nodes.iter().any(|node| node.name == lost && node.online));
        if online {
            let finding = Finding::new(
                Code::LostNodeAlive,
                lost,
                format!("{lost} is back in the cluster: nothing more is taken over from it"),
                "quorate-agent observe guests shows whose each guest is now; PVE starts those of a server that is back by itself",
            );
            return Err(refused("the lost server is back").with(vec![finding]));
        }
        if !is_quorate(cluster) {
            let finding = Finding::new(
                Code::ClusterNotQuorate,
                lost,
                "there is no quorum (any more): /etc/pve can't be written",
                "see: pvecm status; then ask again",
            );
            return Err(refused("there is no quorum").with(vec![finding]));
        }
        Ok(())
    }

    async fn force(&self, votes: u32) -> Result<(), Failure> {
        self.console.say(&format!("pvecm expected {votes}\n"));
        let said = self
            .run(pvecm::expected(self.host.tools(), votes).map_err(|error| chain(&error)))
            .await;
        let seen = self
            .until(&[FacetName::Cluster], |seen| {
                let cluster = seen.cluster.get().map_err(|unknown| unknown.reason.clone())?;
                if is_quorate(cluster) {
                    Ok(())
                } else {
                    Err("there is no quorum, or /etc/pve can't be written".to_owned())
                }
            })
            .await;
        match seen {
            Ok(()) => {
                self.console
                    .say("  seen: there is quorum, and /etc/pve can be written\n");
                Ok(())
            }
            Err(why) => {
                let failure = Failure::new(ExitCode::Failed, format!("votes could not be set: {why}"));
                Err(match said {
                    Err(said) => failure.hint(format!("pvecm said: {said}")),
                    Ok(()) => failure.hint("see: pvecm status"),
                })
            }
        }
    }

    async fn switch_off(&self, job: &JobId) -> Result<(), Failed> {
        self.console.say(&format!("pvesr disable {job}\n"));
        let id = job.to_string();
        let call = pvesr::disable(self.host.tools(), job);
        let said = self.within(call.map_err(|error| chain(&error)), SWITCHED_WITHIN).await;
        self.until(&[FacetName::Config], |seen| {
            let config = seen.config.get().map_err(|unknown| unknown.reason.clone())?;
            let jobs = config.replication.get().map_err(|unknown| unknown.reason.clone())?;
            match jobs.iter().find(|one| one.id == id) {
                Some(one) if !one.disabled => Err(format!("the job {id} is not switched off")),
                Some(_) | None => Ok(()),
            }
        })
        .await
        .map_err(|why| told("pvesr disable", &why, said))?;
        self.console.say("  seen: it is switched off\n");
        Ok(())
    }

    async fn r#move(&self, scene: &Scene, vmid: u32, kind: GuestKind) -> Result<(), Failed> {
        let (lost, own, folder) = (&scene.lost, scene.own.as_str(), super::plan::folder(kind));
        self.console.say(&format!(
            "mv /etc/pve/nodes/{lost}/{folder}/{vmid}.conf /etc/pve/nodes/{own}/{folder}/{vmid}.conf\n"
        ));
        let call = self
            .helper
            .helper("take-config")
            .args([
                "--lost",
                lost.as_str(),
                "--folder",
                folder,
                "--guest",
                &vmid.to_string(),
            ])
            .deadline(MOVED_WITHIN)
            .on_host()
            .build();
        let said = self.run(call.map_err(|error| chain(&error))).await;
        self.until(&[FacetName::Guests], |seen| {
            let guests = seen.guests.get().map_err(|unknown| unknown.reason.clone())?;
            match guests.iter().find(|guest| guest.vmid == vmid) {
                Some(guest) if guest.node == own => Ok(()),
                Some(guest) => Err(format!("it belongs to {}", guest.node)),
                None => Err("/etc/pve/.vmlist does not name it".to_owned()),
            }
        })
        .await
        .map_err(|why| told("moving its configuration", &why, said))?;
        self.console.say(&format!("  seen: it belongs to {own}\n"));
        Ok(())
    }

    async fn start(&self, vmid: u32, kind: GuestKind) -> Result<(), Failed> {
        let name = tool::name(kind);
        self.console.say(&format!("{name} start {vmid}\n"));
        let call = tool::start(self.host.tools(), kind, vmid);
        let said = self.within(call.map_err(|error| chain(&error)), STARTED_WITHIN).await;
        self.until(&[FacetName::Running], |seen| {
            let running = seen.running.get().map_err(|unknown| unknown.reason.clone())?;
            match running.iter().find(|guest| guest.vmid == vmid).map(|guest| &guest.run) {
                Some(GuestRun::Running) => Ok(()),
                Some(run) => Err(format!("it is {}", run.as_str())),
                None => Err("PVE does not name it".to_owned()),
            }
        })
        .await
        .map_err(|why| told(&format!("{name} start"), &why, said))?;
        self.console.say("  seen: it runs\n");
        Ok(())
    }

    /// The same call with more time.
    async fn within(&self, call: Result<Invocation, String>, deadline: Duration) -> Result<(), String> {
        let call = call?;
        let command = call.command();
        let again = Invocation::of(command.program().to_owned()).args(command.args().map(std::ffi::OsStr::to_owned));
        self.run(again.deadline(deadline).build().map_err(|error| chain(&error)))
            .await
    }

    /// Runs a tool. That it ended well is evidence, and no more.
    async fn run(&self, call: Result<Invocation, String>) -> Result<(), String> {
        let call = call?;
        let name = call
            .command()
            .program()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let finished: Finished = self.host.runner().run(&call).await.map_err(|error| chain(&error))?;
        if finished.exit.is_success() {
            Ok(())
        } else {
            Err(complaint(&name, &finished).reason)
        }
    }

    /// Looks until it is so; else says why it was not at the last look.
    async fn until(
        &self,
        facets: &[FacetName],
        is_so: impl Fn(&Observation) -> Result<(), String>,
    ) -> Result<(), String> {
        let (clock, pace) = (self.host.clock(), self.host.pace());
        let began = clock.monotonic();
        loop {
            let seen = observe(self.host, facets).await;
            match is_so(&seen) {
                Ok(()) => return Ok(()),
                Err(why) if clock.since(began) >= self.patience() => return Err(why),
                Err(_) => pace.sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Looks take as long as they take, at whatever pace.
    fn patience(&self) -> Duration {
        self.host.pace().of(SEEN_WITHIN).max(SEEN_WITHIN / 4)
    }
}

fn told(step: &str, why: &str, said: Result<(), String>) -> Failed {
    Failed(match said {
        Ok(()) => format!("{step} ended well, and yet {why}"),
        Err(said) => format!("{step}: {said}; {why}"),
    })
}

#[cfg(test)]
#[path = "steps_tests.rs"]
pub(super) mod tests;
