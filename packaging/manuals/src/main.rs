//! `quorate-manuals FOLDER`: writes the manual pages and completions of both programs, each into a folder of its own.
//!
//! They are made when the packages are, from the command lines that the programs read: there is nothing that could lag behind.

mod completions;
mod pages;

use std::io;
use std::path::Path;
use std::process::ExitCode;

/// A program and the section of the manual that it belongs to.
#[derive(Debug)]
struct Program {
    name: &'static str,
    section: &'static str,
    command: fn() -> clap::Command,
}

const PROGRAMS: [Program; 2] = [
    Program {
        name: "quorate",
        section: "1",
        command: quorate::cli::command,
    },
    // For the administrator of a server.
    Program {
        name: "quorate-agent",
        section: "8",
        command: quorate_agent::cli::command,
    },
];

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let (Some(folder), None) = (args.next(), args.next()) else {
        complain("usage: quorate-manuals FOLDER");
        return ExitCode::from(2);
    };
    match write(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!(
                "error: {} can't be written: {error}",
                Path::new(&folder).display()
            ));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a command line tool speaks to its caller")]
fn complain(text: &str) {
    eprintln!("{text}");
}

fn write(folder: &Path) -> io::Result<()> {
    for program in &PROGRAMS {
        let folder = folder.join(program.name);
        pages::write(program, &folder.join("man"))?;
        completions::write(program, &folder.join("completions"))?;
    }
    Ok(())
}

/// The command line with all that clap adds to it.
fn built(program: &Program) -> clap::Command {
    let mut command = (program.command)().disable_help_subcommand(true);
    command.build();
    command
}
