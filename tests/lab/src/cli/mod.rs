//! `quorate-lab`, run as `cargo lab`.

mod demo;
mod ha_scenario;
mod output;
mod place;
mod script;
mod shell;
mod status;
mod up;
mod way;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::output::{error, line};
use self::script::ScriptCommand;
use crate::binaries;
use crate::control::{self, Answer, Press, Request};
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
        /// Acts to play: cluster, storage, guests, drill, two-servers; the story of three servers without, which ends with the drill
        acts: Vec<String>,
        /// Leave the lab running afterwards
        #[arg(long)]
        keep: bool,
        /// Kill the coordinator in the middle of the drill: while the fault holds
        #[arg(long)]
        kill_coordinator: bool,
        /// Divide the durations of tools and timers by this
        #[arg(long, default_value_t = 20.0, value_parser = speed)]
        speed: f64,
    },
    /// Start servers and leave them running
    Up {
        /// How many servers
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
        nodes: u8,
        /// One more host, `vote`, that is no PVE server: for a third vote
        #[arg(long)]
        vote: bool,
        /// With a coordinator that all of them are enrolled with
        #[arg(long)]
        enrolled: bool,
        /// Divide the durations of tools and timers by this
        #[arg(long, default_value_t = 1.0, value_parser = speed)]
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
    /// Switch a server off or on
    Power {
        /// The server
        node: String,
        /// What to do
        press: Press,
    },
    /// Change how packets between servers fare
    Way(way::Arguments),
    /// Make a server misbehave
    Script {
        /// The server
        node: String,
        #[command(subcommand)]
        what: ScriptCommand,
    },
    /// Play scenarios of PVE's HA simulator with the lab's HA manager
    HaScenario(ha_scenario::Arguments),
    /// Play seeded drills, and hold each record against what really happened
    #[command(disable_help_flag = true)]
    Drills {
        /// As `cargo lab drills --help` tells
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
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
        Command::Demo {
            acts,
            keep,
            kill_coordinator,
            speed,
        } => return demo::run(&acts, keep, speed, kill_coordinator).await,
        Command::Up {
            nodes,
            vote,
            enrolled,
            speed,
        } => {
            let mut builder = Lab::builder().nodes(nodes.into()).speed(speed);
            if vote {
                builder = builder.qnetd("vote");
            }
            up::run(builder, enrolled).await?;
        }
        Command::Down => down().await?,
        Command::Status => status::run().await?,
        Command::HaScenario(arguments) => return Ok(ha_scenario::run(&arguments)),
        Command::Drills { arguments } => return drills(&arguments),
        Command::Shell { node } => return shell::run(&node),
        Command::Cut { node, link, unplug } => {
            let done = format!("{node} is cut off; undo it with: cargo lab heal {node}");
            ask(Request::Cut { node, link, unplug }).await?;
            line(&done);
        }
        Command::Way(arguments) => {
            ask(Request::Way(arguments.into_way())).await?;
            line("packets fare like that from now on");
        }
        Command::Heal { node, link } => {
            let done = format!("{node} is connected again");
            ask(Request::Heal { node, link }).await?;
            line(&done);
        }
        Command::Power { node, press } => {
            let done = match press {
                Press::Off | Press::Pull => format!("{node} goes off; undo it with: cargo lab power {node} on"),
                Press::On | Press::Reboot | Press::Reset => format!("{node} boots; that takes 30 simulated seconds"),
            };
            ask(Request::Power { node, press }).await?;
            line(&done);
        }
        Command::Script { node, what } => {
            let done = format!("{node} does as told");
            let script = what.into_script();
            ask(Request::Script { node, script }).await?;
            line(&done);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// They need the product's programs as tests do, so their program is one of the tests' package.
fn drills(arguments: &[String]) -> Outcome {
    let status = Program::new(binaries::drills()?).args(arguments).interact()?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
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

/// Asks the world of the running lab.
async fn ask(request: Request) -> Result<Answer, Box<dyn std::error::Error>> {
    let layout = Layout::new(place::find()?);
    let answer = control::ask(&layout.socket(), request).await.map_err(|reason| {
        io::Error::other(format!(
            "the lab in {} does not answer ({reason}); remove what is left of it with: cargo lab down",
            layout.dir().display()
        ))
    })?;
    match answer {
        Answer::Refused(reason) => Err(LabError::Refused(reason).into()),
        answer => Ok(answer),
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.1..=1000.0).contains(&speed) => Ok(speed),
        _ => Err("a number from 0.1 to 1000".to_owned()),
    }
}
