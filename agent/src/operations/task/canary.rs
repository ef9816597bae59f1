//! A canary is made, started, and given the program that writes numbers; or it goes, with all that names it.
//!
//! Whether the program is in it decides nothing here: an image may have no guest agent, a template no systemd. The coordinator calls it
//! afterwards, and says what that proves.

use std::time::Duration;

use data_encoding::HEXLOWER;
use quorate_exec::{Invocation, Stdin};
use quorate_model::canary::DESCRIPTION;
use quorate_model::guest_ids::{JobId, Sid};
use quorate_model::ids::{NodeName, PackageDigest};
use quorate_model::observation::{FacetName, GuestKind, GuestRun};
use quorate_model::{Observation, Unknown};
use quorate_tools::canary::{self as tool, New};
use quorate_tools::{CallError, guest, guest_exec, ha_manager, pvesr};
use sha2::{Digest as _, Sha256};

use super::{CHANGING, Stopped, Task, say, stopped};
use crate::observe::observe;

const LOOK_EVERY: Duration = Duration::from_secs(3);
/// A machine from an image boots, grows its file system and makes its keys before its agent answers.
const BOOTS: Duration = Duration::from_secs(240);
/// A container has its systemd at once, or has none.
const SETTLES: Duration = Duration::from_secs(60);
/// PVE's scheduler takes copies away within its next passes, one a minute.
const COPIES_GO: Duration = Duration::from_secs(900);
/// What PVE has written is to be seen at once, by the next look.
const WRITTEN: Duration = Duration::from_secs(60);

pub(super) async fn create(task: &Task<'_>, new: New<'_>, digest: &PackageDigest) -> Result<(), Stopped> {
    let path = task.folder.path("given");
    let program = std::fs::read(&path)?;
    let found = HEXLOWER.encode(&Sha256::digest(&program));
    if found != digest.as_str() {
        return stopped(format!("the program that came has the SHA-256 {found}, not {digest}"));
    }
    let seen = task.look_again().await?;
    let is_there = known(seen.guests.get())?.iter().any(|guest| guest.vmid == new.guest);
    let kind = new.source.kind();
    if is_there {
        described(task, &task.node, kind, new.guest).await?;
    }
    say(CHANGING);
    if !is_there {
        task.change(tool::create(task.host.tools(), new)).await?;
    }
    if !runs(&observe(task.host, &[FacetName::Running]).await, new.guest)? {
        task.change(guest::start(task.host.tools(), kind, new.guest)).await?;
    }
    let put = match kind {
        GuestKind::Vm => into_machine(task, new.guest, &program, digest).await,
        GuestKind::Container => into_container(task, new.guest, &path.to_string_lossy(), digest).await,
    };
    match put {
        Ok(()) => say("the program that writes numbers is in it, and runs"),
        Err(Stopped(why)) => say(&format!(
            "the program that writes numbers could not be put into it: {why}"
        )),
    }
    Ok(())
}

fn known<T>(facet: Result<T, &Unknown>) -> Result<T, Stopped> {
    facet.map_err(|unknown| Stopped(unknown.reason.clone()))
}

fn runs(seen: &Observation, guest: u32) -> Result<bool, Stopped> {
    let own = known(seen.running.get())?.iter().find(|status| status.vmid == guest);
    Ok(own.is_some_and(|status| status.run == GuestRun::Running))
}

/// Its description must say that it is ours: a tag alone may have been given to any guest.
pub(super) async fn described(task: &Task<'_>, owner: &NodeName, kind: GuestKind, guest: u32) -> Result<(), Stopped> {
    let folder = match kind {
        GuestKind::Vm => "qemu-server",
        GuestKind::Container => "lxc",
    };
    let path = format!("/etc/pve/nodes/{owner}/{folder}/{guest}.conf");
    let text = task.host.read_text(&path).await?;
    let first = text.lines().next().and_then(|line| line.strip_prefix('#'));
    if first.map(str::trim) == Some(DESCRIPTION) {
        return Ok(());
    }
    stopped(format!(
        "guest {guest} is not ours: the first line of its description is not `{DESCRIPTION}`"
    ))
}

async fn ask(task: &Task<'_>, call: Result<Invocation, CallError>) -> Result<String, Stopped> {
    task.host.ask(call).await.map_err(|unknown| Stopped(unknown.reason))
}

/// By its guest agent, which is not in every image.
async fn into_machine(task: &Task<'_>, guest: u32, program: &[u8], digest: &PackageDigest) -> Result<(), Stopped> {
    let tools = task.host.tools();
    say("waits for the machine's guest agent");
    let waited = task.host.clock().monotonic();
    while let Err(Stopped(why)) = ask(task, tool::ping(tools, guest)).await {
        if task.host.clock().since(waited) >= task.pace.of(BOOTS) {
            return stopped(format!(
                "no guest agent answers in it ({why}); is qemu-guest-agent in its image?"
            ));
        }
        task.pause(LOOK_EVERY).await;
    }
    let run = async |stdin: Option<Stdin>, words: &[&str]| -> Result<String, Stopped> {
        let ran = guest_exec::read(&ask(task, tool::run_in_machine(tools, guest, stdin, words)).await?)?;
        match ran.code {
            Some(0) => Ok(ran.out),
            _ => stopped(ran.complaint()),
        }
    };
    let file = |bytes: &[u8]| Some(Stdin::bytes(bytes));
    run(file(program), &tool::install("0755", tool::PROGRAM)).await?;
    same(&run(None, &tool::sum(tool::PROGRAM)).await?, digest)?;
    run(
        file(tool::UNIT_TEXT.as_bytes()),
        &tool::install("0644", tool::UNIT_FILE),
    )
    .await?;
    run(None, &tool::ENABLE).await.map(drop)
}

/// `file`: the program, on this server.
async fn into_container(task: &Task<'_>, guest: u32, file: &str, digest: &PackageDigest) -> Result<(), Stopped> {
    let tools = task.host.tools();
    ask(task, tool::push(tools, guest, file, tool::PROGRAM, "0755")).await?;
    same(
        &ask(task, tool::run_in_container(tools, guest, &tool::sum(tool::PROGRAM))).await?,
        digest,
    )?;
    let unit = task.folder.path("unit");
    std::fs::write(&unit, tool::UNIT_TEXT)?;
    let unit = unit.to_string_lossy();
    ask(task, tool::push(tools, guest, &unit, tool::UNIT_FILE, "0644")).await?;
    let waited = task.host.clock().monotonic();
    loop {
        match ask(task, tool::run_in_container(tools, guest, &tool::ENABLE)).await {
            Ok(_) => return Ok(()),
            // Its systemd may not be up yet.
            Err(failed) if task.host.clock().since(waited) >= task.pace.of(SETTLES) => return Err(failed),
            Err(_) => task.pause(LOOK_EVERY).await,
        }
    }
}

/// What lies inside is what was put there.
fn same(printed: &str, digest: &PackageDigest) -> Result<(), Stopped> {
    match printed.split_whitespace().next() {
        Some(found) if found == digest.as_str() => Ok(()),
        found => stopped(format!(
            "what lies inside has the SHA-256 {}, not {digest}",
            found.unwrap_or("of nothing")
        )),
    }
}

pub(super) async fn destroy(task: &Task<'_>, kind: GuestKind, guest: u32) -> Result<(), Stopped> {
    let seen = task.look_again().await?;
    described(task, &task.node, kind, guest).await?;
    let tools = task.host.tools();
    let sid = Sid { vmid: guest, kind };
    say(CHANGING);
    // HA would start it again, and takes no order of ours while it looks after it.
    if under_ha(&seen, sid)? {
        task.change(ha_manager::remove(tools, sid)).await?;
        wait(task, WRITTEN, "HA looks after it still", &[FacetName::Ha], |seen| {
            under_ha(seen, sid).map(|there| !there)
        })
        .await?;
    }
    let jobs = jobs_of(&seen, guest)?;
    for (job, _) in jobs.iter().filter(|(_, goes)| !goes) {
        task.change(pvesr::delete(tools, job)).await?;
    }
    if !jobs.is_empty() {
        say("waits until PVE's scheduler has taken its copies away");
        let why = "copies of it are not taken away yet: is a server that has one off?";
        wait(task, COPIES_GO, why, &[FacetName::Config], |seen| {
            jobs_of(seen, guest).map(|jobs| jobs.is_empty())
        })
        .await?;
    }
    if runs(&observe(task.host, &[FacetName::Running]).await, guest)? {
        task.change(tool::stop(tools, kind, guest)).await?;
        wait(task, WRITTEN, "it runs still", &[FacetName::Running], |seen| {
            runs(seen, guest).map(|runs| !runs)
        })
        .await?;
    }
    task.change(tool::destroy(tools, kind, guest)).await
}

fn under_ha(seen: &Observation, sid: Sid) -> Result<bool, Stopped> {
    let ha = known(seen.ha.get())?;
    Ok(known(ha.resources.get())?.contains_key(&sid.to_string()))
}

/// Its jobs, and whether each is being taken away already.
fn jobs_of(seen: &Observation, guest: u32) -> Result<Vec<(JobId, bool)>, Stopped> {
    let config = known(seen.config.get())?;
    let jobs = known(config.replication.get())?.iter().filter(|job| job.guest == guest);
    jobs.map(|job| Ok((job.id.parse::<JobId>()?, job.removal.is_some())))
        .collect()
}

/// Looks until it is so. What can't be seen is not so.
async fn wait(
    task: &Task<'_>,
    patience: Duration,
    why: &str,
    facets: &[FacetName],
    so: impl Fn(&Observation) -> Result<bool, Stopped>,
) -> Result<(), Stopped> {
    let began = task.host.clock().monotonic();
    loop {
        let seen = so(&observe(task.host, facets).await);
        if matches!(seen, Ok(true)) {
            return Ok(());
        }
        if task.host.clock().since(began) >= task.pace.of(patience) {
            let unseen = seen.err().map_or_else(String::new, |Stopped(why)| format!(" ({why})"));
            return stopped(format!("{why}{unseen}"));
        }
        task.pause(LOOK_EVERY).await;
    }
}
