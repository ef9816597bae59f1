//! `quorate-agent recover --lost NODE`: guided recovery of a lost server's guests on one that is left, from its console, without any
//! coordinator. Dry by default. It proves as far as it can that the server is down, and refuses at any sign of life; it explains quorum; it
//! lists each guest with the age of its copy; and what it does, it does step by step, looking each time whether it came about.

mod evidence;
mod fates;
mod plan;
mod probes;
mod record;
mod scene;
mod steps;
mod survey;
pub mod take_config;
pub(crate) mod taking;
mod votes;
pub mod watch;

use std::fs::OpenOptions;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use quorate_identity::create_private_dir;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::{Code, Finding};

use self::record::{Record, Word};
use self::scene::Scene;
use self::steps::Hands;
use crate::config::Config;
use crate::host::Host;
use crate::observe::{hostname, observe};
use crate::operations::Supervisor;
use quorate_model::observation::FacetName;

pub(crate) use self::survey::survey;

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Asked {
    /// The server that is lost.
    #[arg(long, value_name = "NODE")]
    pub lost: String,
    /// Only these of its guests; each is started, whether it starts at boot or not.
    #[arg(long = "guest", value_name = "ID", value_delimiter = ',')]
    pub guests: Vec<u32>,
    /// Do it, and don't only say what would be done.
    #[arg(long)]
    pub apply: bool,
    /// The lost server's name, in place of typing it.
    #[arg(long, value_name = "CLUSTER/NODE", requires = "apply")]
    pub confirm: Option<String>,
    /// What is left of the cluster is to get by with these votes (pvecm expected).
    #[arg(long, value_name = "VOTES")]
    pub expected_votes: Option<u32>,
    /// You have seen with your own eyes that the server has no power: for a network on which nobody else could tell.
    #[arg(long)]
    pub seen_off: bool,
    /// The address of the lost server's BMC: it is pinged, and nothing more.
    #[arg(long, value_name = "ADDRESS")]
    pub bmc: Option<IpAddr>,
    /// The server is back, and what becomes of its disks is decided: end the watch for it.
    #[arg(long, conflicts_with_all = ["apply", "guests", "expected_votes"])]
    pub close: bool,
}

/// Whoever sits at the console.
pub trait Console: Sync {
    /// Shows something.
    fn say(&self, text: &str);
    /// Asks for a line.
    ///
    /// # Errors
    /// Nobody is there to be asked.
    fn ask(&self, question: &str) -> Result<String, Failure>;
}

/// The command.
///
/// # Errors
/// It was refused, or did not come to its end.
pub async fn run(
    host: &Host,
    config: &Config,
    helper: &Supervisor,
    asked: &Asked,
    console: &dyn Console,
) -> Result<(), Failure> {
    if config.lab.is_none() && !geteuid().is_root() {
        return Err(Failure::new(ExitCode::Denied, "only root may do this"));
    }
    if asked.close {
        return close(host, &config.state_dir, asked, console).await;
    }
    let asked = Asked {
        guests: scene::once(&asked.guests),
        ..asked.clone()
    };
    let scene = Scene::look(host, &asked).await?;
    console.say(&plan::text(&scene, asked.apply));
    allowed(&scene)?;
    if !asked.apply {
        console.say(&would(&scene, &asked));
        return Ok(());
    }
    if !config.policy.allow_changes {
        let finding = Finding::new(
            Code::PolicyForbids,
            scene.own.as_str(),
            "allow_changes is false in [policy]",
            "change it in the agent's configuration, or do it by hand as it stands above",
        );
        return Err(refused("this server's own policy forbids it").with(vec![finding]));
    }
    if !scene.has_work() {
        console.say("\nNothing can be taken over here, so nothing is done.\n");
        return Ok(());
    }
    let _one_at_a_time = lock(&config.state_dir)?;
    let word = word(host, &scene, &asked, console)?;
    // Typing takes its time.
    let scene = Scene::look(host, &asked).await?;
    allowed(&scene)?;
    let mut record = opened(host, &scene, &asked, word);
    let hands = Hands {
        host,
        helper,
        console,
        state_dir: &config.state_dir,
    };
    console.say("\n");
    let findings = hands.apply(&scene, &mut record).await?;
    console.say(&format!(
        "\nWhat was done is kept. When {} returns, its guests that were taken over stay here; the agent tells of it.\n",
        scene.lost
    ));
    if findings.is_empty() {
        return Ok(());
    }
    Err(Failure::new(ExitCode::Failed, "not every guest could be taken over").with(findings))
}

fn refused(message: impl Into<String>) -> Failure {
    Failure::new(ExitCode::Refused, message)
}

/// Nothing is done while anything forbids it.
fn allowed(scene: &Scene) -> Result<(), Failure> {
    if scene.is_refused() {
        let failure = refused(format!(
            "the guests of {} are not taken over; nothing was changed",
            scene.lost
        ));
        return Err(failure.with(scene.findings.clone()));
    }
    Ok(())
}

/// What is to be typed to have it done.
fn would(scene: &Scene, asked: &Asked) -> String {
    if !scene.has_work() {
        return "\nNothing can be taken over here.\n".to_owned();
    }
    let mut line = format!("quorate-agent recover --lost {}", scene.lost);
    for guest in &asked.guests {
        line.push_str(&format!(" --guest {guest}"));
    }
    if let Some(votes) = asked.expected_votes {
        line.push_str(&format!(" --expected-votes {votes}"));
    }
    if asked.seen_off {
        line.push_str(" --seen-off");
    }
    if let Some(address) = asked.bmc {
        line.push_str(&format!(" --bmc {address}"));
    }
    format!("\nNothing was changed. To do it: {line} --apply\n")
}

/// The operator's word, which comes last.
fn word(host: &Host, scene: &Scene, asked: &Asked, console: &dyn Console) -> Result<Word, Failure> {
    let name = format!("{}/{}", scene.cluster, scene.lost);
    let typed = match &asked.confirm {
        Some(typed) => typed.clone(),
        None => console.ask(&format!(
            "\n{} must not come back while this is done, and its guests must not run there. To say that it is off, type {name}: ",
            scene.lost
        ))?,
    };
    let typed = typed.trim().to_owned();
    if typed != name {
        return Err(Failure::new(
            ExitCode::Cancelled,
            format!("`{typed}` is not {name}; nothing was changed"),
        ));
    }
    Ok(Word {
        typed,
        seen_off: asked.seen_off,
        at: host.now(),
    })
}

/// A second try goes on with the record of the first.
fn opened(host: &Host, scene: &Scene, asked: &Asked, word: Word) -> Record {
    let guests = scene
        .record
        .as_ref()
        .map(|record| record.guests.clone())
        .unwrap_or_default();
    let opened_at = scene
        .record
        .as_ref()
        .map_or_else(|| host.now(), |record| record.opened_at);
    let before = scene.record.as_ref().and_then(|record| record.expected_votes);
    Record {
        cluster: scene.cluster.clone(),
        lost: scene.lost.clone(),
        survivor: scene.own.clone(),
        opened_at,
        word,
        evidence: scene.evidence.clone(),
        expected_votes: match scene.quorum {
            votes::Quorum::ByFiat(_) => asked.expected_votes,
            _ => before,
        },
        guests,
        closed_at: None,
    }
}

/// Held by one process at a time.
fn lock(state_dir: &Path) -> Result<Flock<std::fs::File>, Failure> {
    create_private_dir(state_dir)
        .map_err(|error| refused("the agent's state directory can't be used").because(&error))?;
    let path = state_dir.join("recover.lock");
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let file = opened.map_err(|error| refused(format!("can't open {}", path.display())).because(&error))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, Errno::EWOULDBLOCK)) => Err(refused("another recovery runs on this server")),
        Err((_, error)) => Err(refused(format!("can't lock {}", path.display())).because(&error)),
    }
}

/// Ends the watch for a server's return.
async fn close(host: &Host, state_dir: &Path, asked: &Asked, console: &dyn Console) -> Result<(), Failure> {
    let _one_at_a_time = lock(state_dir)?;
    let open = record::open(state_dir).map_err(|error| refused("earlier recoveries can't be read").because(&error))?;
    let mut records: Vec<Record> = open.into_iter().filter(|record| record.lost == asked.lost).collect();
    if records.is_empty() {
        return Err(Failure::new(
            ExitCode::NotFound,
            format!("no recovery of guests of {} is open on {}", asked.lost, hostname(host)),
        ));
    }
    let seen = observe(host, &[FacetName::Cluster, FacetName::Config]).await;
    let cluster = scene::cluster(&seen)?;
    let node = cluster
        .member()
        .and_then(|member| member.nodes.iter().find(|node| node.name == asked.lost));
    if node.is_some_and(|node| !node.online) {
        return Err(refused(format!(
            "{} is a member and not back: its return is still to be watched for",
            asked.lost
        ))
        .hint("take it out of the cluster, or wait until it is back"));
    }
    let jobs = seen.config.get().map(|config| config.replication.get());
    let jobs = match jobs {
        Ok(Ok(jobs)) => jobs,
        Ok(Err(unknown)) | Err(unknown) => {
            return Err(refused(format!(
                "the replication jobs can't be seen: {}",
                unknown.reason
            )));
        }
    };
    let off = records
        .iter()
        .flat_map(|record| &record.guests)
        .flat_map(|taken| &taken.jobs);
    for job in off {
        let id = job.to_string();
        if jobs.iter().any(|one| one.id == id && one.disabled) {
            console.say(&format!(
                "{id} is still switched off: its guest has no copy that is kept up to date; pvesr enable {id}\n"
            ));
        }
    }
    for record in &mut records {
        record.closed_at = Some(host.now());
        record::keep(state_dir, record)
            .map_err(|error| Failure::new(ExitCode::Failed, "it can't be kept").because(&error))?;
    }
    console.say(&format!("The recovery of guests of {} is closed.\n", asked.lost));
    Ok(())
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
