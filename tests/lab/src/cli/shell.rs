//! `cargo lab shell NODE`: interactive, or fed through a pipe.

use std::io::{IsTerminal, stdin};
use std::path::Path;
use std::process::ExitCode;

use super::output::line;
use super::{Outcome, place};
use crate::lab::LabError;
use crate::layout::Layout;
use crate::process::Program;

pub(super) fn run(node: &str) -> Outcome {
    let layout = Layout::new(place::find()?);
    let (bin, root) = (layout.bin(node), layout.root(node));
    if !bin.is_dir() {
        return Err(LabError::NoSuchNode(node.to_owned()).into());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    // Without the user's own start-up files, which would set another prompt or path.
    let bash = Path::new("/bin/bash");
    let shell = if bash.exists() {
        Program::new(bash).args(["--norc", "--noprofile"])
    } else {
        Program::new("/bin/sh")
    };
    if stdin().is_terminal() {
        line(&format!(
            "{node}'s tools are in the path, its files below this folder: {}",
            root.display()
        ));
        line("leave with exit");
    }
    let status = shell
        .dir(&root)
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("PS1", format!("{node}# "))
        .interact()?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}
