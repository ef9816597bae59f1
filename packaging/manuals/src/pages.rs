//! One manual page for each command, and one for the program.

use std::fs;
use std::io;
use std::path::Path;

use clap_mangen::Man;

use crate::{Program, built};

/// Writes `PROGRAM.SECTION` and, for each command that is shown, `PROGRAM-COMMAND.SECTION`.
pub(crate) fn write(program: &Program, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    page(&built(program), program, folder)
}

fn page(command: &clap::Command, program: &Program, folder: &Path) -> io::Result<()> {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    for command in shown {
        page(command, program, folder)?;
    }
    let man = Man::new(command.clone())
        .section(program.section)
        .manual("Quorate")
        .source(format!("quorate {}", command.get_version().unwrap_or_default()));
    let mut text = Vec::new();
    man.render(&mut text)?;
    fs::write(folder.join(man.get_filename()), text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::PROGRAMS;

    fn pages() -> BTreeMap<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut pages = BTreeMap::new();
        for program in &PROGRAMS {
            let folder = folder.path().join(program.name);
            write(program, &folder).unwrap();
            for file in fs::read_dir(&folder).unwrap() {
                let path = file.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                let before = pages.insert(name, fs::read_to_string(&path).unwrap());
                assert!(before.is_none(), "two packages would have {}", path.display());
            }
        }
        pages
    }

    #[test]
    fn every_command_that_is_shown_has_a_page_and_no_other() {
        let pages = pages();
        for name in [
            "quorate.1",
            "quorate-plan.1",
            "quorate-node-invite.1",
            "quorate-zfs-replace.1",
        ] {
            assert!(pages.contains_key(name), "{name} is missing: {:?}", pages.keys());
        }
        for name in ["quorate-agent.8", "quorate-agent-enroll.8", "quorate-agent-observe.8"] {
            assert!(pages.contains_key(name), "{name} is missing: {:?}", pages.keys());
        }
        let hidden = |name: &&String| name.contains("run-op") || name.contains("read-edges") || name.contains("help");
        assert_eq!(pages.keys().find(hidden), None);
    }

    #[test]
    fn a_page_says_what_its_command_does_and_takes() {
        let pages = pages();
        let enroll = &pages["quorate-agent-enroll.8"];
        for said in ["quorate\\-agent", "HOST:PORT", "\\-\\-token\\-file", "\\-\\-replace"] {
            assert!(enroll.contains(said), "{said} is missing:\n{enroll}");
        }
        assert!(pages["quorate-agent.8"].contains("observes this server"));
        assert!(pages["quorate.1"].contains("survive the loss of a server"));
    }
}
