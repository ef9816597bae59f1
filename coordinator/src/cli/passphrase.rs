//! Passphrases of the root key and of backups: from a file, or asked for without echo; never from the command line.

use std::path::Path;

use quorate_identity::Passphrase;
use quorate_model::failure::{ExitCode, Failure};

use super::output;

/// What most commands ask for.
pub(crate) const ROOT_KEY: &str = "the root key";

/// Shorter than this is guessed.
const SHORTEST: usize = 12;

/// A new passphrase for something: asked for twice, and not too short.
pub(crate) fn new(file: Option<&Path>, what: &str) -> Result<Passphrase, Failure> {
    let text = match file {
        Some(path) => from_file(path)?,
        None => {
            let first = long_enough(ask(&format!("Passphrase for {what}: "))?)?;
            if ask("Again: ")? != first {
                return Err(Failure::new(
                    ExitCode::Usage,
                    "the two passphrases differ; nothing was made",
                ));
            }
            first
        }
    };
    take(long_enough(text)?)
}

fn long_enough(text: String) -> Result<String, Failure> {
    if text.chars().count() < SHORTEST {
        let message = format!("the passphrase is too short: at least {SHORTEST} characters, please");
        return Err(Failure::new(ExitCode::Usage, message));
    }
    Ok(text)
}

/// The passphrase that was chosen for something before.
pub(crate) fn existing(file: Option<&Path>, what: &str) -> Result<Passphrase, Failure> {
    take(match file {
        Some(path) => from_file(path)?,
        None => ask(&format!("Passphrase of {what}: "))?,
    })
}

fn take(text: String) -> Result<Passphrase, Failure> {
    Passphrase::new(text.into()).ok_or_else(|| Failure::new(ExitCode::Usage, "the passphrase is empty"))
}

fn from_file(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Failure::new(
            ExitCode::Usage,
            format!("can't read the passphrase from {}", path.display()),
        )
        .because(&e)
    })?;
    Ok(text.lines().next().unwrap_or("").to_owned())
}

fn ask(prompt: &str) -> Result<String, Failure> {
    if !output::interactive() {
        return Err(
            Failure::new(ExitCode::Usage, "nobody is there to be asked for a passphrase")
                .hint("write it into a file that only you can read, and name it: --passphrase-file FILE"),
        );
    }
    rpassword::prompt_password(prompt)
        .map_err(|e| Failure::new(ExitCode::Usage, "can't read the passphrase").because(&e))
}
