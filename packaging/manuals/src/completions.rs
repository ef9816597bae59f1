//! What bash, zsh and fish complete.

use std::fs;
use std::io;
use std::path::Path;

use clap_complete::Shell;

use crate::{Program, built};

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Writes one file for each shell, named as the shell looks for it.
pub(crate) fn write(program: &Program, folder: &Path) -> io::Result<()> {
    let command = shown(&built(program)).name(program.name);
    for shell in SHELLS {
        let (within, file) = match shell {
            Shell::Zsh => ("zsh", format!("_{}", program.name)),
            Shell::Fish => ("fish", format!("{}.fish", program.name)),
            _ => ("bash", program.name.to_owned()),
        };
        let folder = folder.join(within);
        fs::create_dir_all(&folder)?;
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command.clone(), program.name, &mut text);
        fs::write(folder.join(file), text)?;
    }
    Ok(())
}

/// The same command line without the commands that only our own programs call: clap_complete would offer them.
fn shown(command: &clap::Command) -> clap::Command {
    let mut bare = clap::Command::new(for_good(command.get_name())).disable_help_subcommand(true);
    if let Some(about) = command.get_about() {
        bare = bare.about(about.clone());
    }
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
    // What clap has added by itself it adds again.
    let args = args.filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()));
    bare = bare.args(args.cloned());
    if let Some(version) = command.get_version() {
        bare = bare.version(for_good(version));
    }
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    bare.subcommands(commands.map(shown))
}

/// clap wants names that live as long as the program, which ends in a moment.
fn for_good(name: &str) -> &'static str {
    Box::leak(name.to_owned().into_boxed_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PROGRAMS;

    #[test]
    fn every_shell_offers_what_is_for_people_and_nothing_else() {
        for program in &PROGRAMS {
            let folder = tempfile::tempdir().unwrap();
            write(program, folder.path()).unwrap();
            let name = program.name;
            let offered = if name == "quorate" { "invite" } else { "enroll" };
            for file in [
                format!("bash/{name}"),
                format!("zsh/_{name}"),
                format!("fish/{name}.fish"),
            ] {
                let text = fs::read_to_string(folder.path().join(&file)).unwrap();
                assert!(text.contains(offered), "{file} does not offer {offered}");
                for hidden in ["run-op", "keep-spec", "read-edges", "crash-at"] {
                    assert!(!text.contains(hidden), "{file} offers {hidden}");
                }
            }
        }
    }
}
