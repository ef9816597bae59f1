//! `quorate-lab`, run as `cargo lab`.

mod output;
mod place;
mod script;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::output::{error, line};
use self::script::ScriptCommand;
use crate::control::{self, Answer, Request};
use crate::demo;
use crate::lab::{self, Lab, LabError};
use crate::layout::Layout;
use crate::process::Program;
use crate::world;

/// Simulated PVE servers to try Quorate on.
#[derive(Debug, Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play the mission, act by act, and say how it went
    Demo {
        /// Acts to play; all of them without
        acts: Vec<String>,
        /// Leave the lab running afterwards
        #[arg(long)]
        keep: bool,
        /// Divide the durations of tools and timers by this
        #[arg(long, default_value_t = 20.0)]
        speed: f64,
    },
    /// Start servers and leave them running
    Up {
        /// How many servers
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
        nodes: u8,
        /// Divide the durations of tools and timers by this
        #[arg(long, default_value_t = 1.0)]
        speed: f64,
    },
    /// End the running lab and remove all of it
    Down,
    /// Show the running lab's servers as they really are
    Status,
    /// Open a shell with a server's tools
    Shell {
        /// The server
        node: String,
    },
    /// Cut a server off: packets vanish
    Cut {
        /// The server
        node: String,
        /// Only this link: 0 is the cluster network, 1 the public one
        #[arg(long)]
        link: Option<u8>,
        /// Pull the cable instead: the port loses its carrier
        #[arg(long)]
        unplug: bool,
    },
    /// Undo a server's cuts
    Heal {
        /// The server
        node: String,
        /// Only this link
        #[arg(long)]
        link: Option<u8>,
    },
    /// Make a server misbehave
    Script {
        /// The server
        node: String,
        #[command(subcommand)]
        what: ScriptCommand,
    },
    /// The world process itself
    #[command(hide = true)]
    World {
        /// The lab's folder
        #[arg(long)]
        dir: PathBuf,
        /// End when standard input ends
        #[arg(long)]
        owned: bool,
    },
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(reason) => return fail(&reason),
    };
    let result = runtime.block_on(run(arguments.command));
    // Nothing waits for a thread that still reads standard input.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(reason) => fail(&*reason),
    }
}

fn fail(reason: &dyn std::error::Error) -> ExitCode {
    error(&format!("error: {reason}"));
    let mut source = reason.source();
    while let Some(deeper) = source {
        error(&format!("  because: {deeper}"));
        source = deeper.source();
    }
    ExitCode::FAILURE
}

type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

async fn run(command: Command) -> Outcome {
    match command {
        Command::World { dir, owned } => world::run(&dir, owned).await?,
        Command::Demo { acts, keep, speed } => return demo(&acts, keep, speed).await,
        Command::Up { nodes, speed } => up(usize::from(nodes), speed).await?,
        Command::Down => down().await?,
        Command::Status => status().await?,
        Command::Shell { node } => return shell(&node),
        Command::Cut { node, link, unplug } => ask(Request::Cut { node, link, unplug }).await?,
        Command::Heal { node, link } => ask(Request::Heal { node, link }).await?,
        Command::Script { node, what } => {
            ask(Request::Script {
                node,
                script: what.into_script(),
            })
            .await?
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn demo(acts: &[String], keep: bool, speed: f64) -> Outcome {
    let played = demo::play(acts, keep, speed, &line).await?;
    if let Some(dir) = played.kept {
        place::adopt(&dir)?;
        line("\nThe lab still runs: cargo lab status, cargo lab shell prox1, cargo lab down.");
    }
    line(&format!("\n{} acts passed, {} failed", played.passed, played.failed));
    Ok(if played.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn up(nodes: usize, speed: f64) -> Result<(), Box<dyn std::error::Error>> {
    let dir = place::claim()?;
    match Lab::builder().nodes(nodes).speed(speed).dir(&dir).keep().start().await {
        Ok(lab) => {
            line(&format!("{nodes} servers are up in {}", lab.layout().dir().display()));
            line("  cargo lab shell prox1     a shell on one of them");
            line("  cargo lab status          how they are");
            line("  cargo lab down            end and remove them");
            Ok(())
        }
        Err(reason) => {
            lab::remove(&dir);
            Err(reason.into())
        }
    }
}

async fn down() -> io::Result<()> {
    let dir = place::find()?;
    // A world that no longer answers is ended below.
    control::ask(&Layout::new(&dir).socket(), Request::Stop).await.ok();
    lab::remove(&dir);
    place::release()?;
    line("the lab is gone");
    Ok(())
}

async fn ask(request: Request) -> Result<(), Box<dyn std::error::Error>> {
    match control::ask(&Layout::new(place::find()?).socket(), request).await? {
        Answer::Refused(reason) => Err(LabError::Refused(reason).into()),
        _ => Ok(()),
    }
}

async fn status() -> io::Result<()> {
    let layout = Layout::new(place::find()?);
    let Answer::Status(servers) = control::ask(&layout.socket(), Request::Status).await? else {
        return Err(io::Error::other("the world gave no status"));
    };
    line(&format!("lab in {}", layout.dir().display()));
    for server in servers {
        let cluster = server.cluster.as_deref().unwrap_or("standalone");
        let pve = match (server.mounted, server.writable) {
            (false, _) => "not mounted",
            (true, true) => "writable",
            (true, false) => "read-only",
        };
        let quorum = if server.members.is_empty() {
            "no corosync".to_owned()
        } else {
            let word = if server.quorate { "quorate" } else { "NOT quorate" };
            format!("{word} with {}", server.members.join(", "))
        };
        let cut = if server.cut.is_empty() {
            String::new()
        } else {
            format!(", cut: {}", server.cut.join(", "))
        };
        line(&format!(
            "  {:8} {:15} {cluster:12} {quorum}, /etc/pve {pve}{cut}",
            server.name, server.address
        ));
        for text in server.misbehaviour {
            line(&format!("           misbehaves: {text}"));
        }
    }
    Ok(())
}

fn shell(node: &str) -> Outcome {
    let layout = Layout::new(place::find()?);
    let bin = layout.bin(node);
    if !bin.is_dir() {
        return Err(LabError::NoSuchNode(node.to_owned()).into());
    }
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let path = std::env::var("PATH").unwrap_or_default();
    line(&format!(
        "root of {node}: {}; leave with exit",
        layout.root(node).display()
    ));
    let status = Program::new(PathBuf::from(shell))
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("PS1", format!("{node}# "))
        .interact()?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}
