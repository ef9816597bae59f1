//! For `cargo xtask fuzz`: names the targets, and writes out what one of them begins with.
#![expect(clippy::print_stdout, reason = "a command line tool speaks to its caller")]

use std::error::Error;
use std::fs;
use std::path::Path;

use quorate_fuzz::{seeds, targets};

/// `quorate-fuzz FOLDER`: the seeds of each target, in a folder of its own; prints the targets' names.
fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: quorate-fuzz FOLDER")?;
    for target in targets() {
        let folder = Path::new(&folder).join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in seeds::of(target)?.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:03}")), &seed.bytes)?;
        }
        println!("{}", target.name);
    }
    Ok(())
}
