//! Passphrases of the root key and of backups, and passwords of storages: from a file or stdin, or asked for without echo; never from the
//! command line.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use quorate_identity::Passphrase;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::StorageName;
use quorate_proto::v1;

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

/// A storage's password: asked for or, where stdin is no terminal, its next line.
pub(crate) fn of_storage(storage: &StorageName) -> Result<v1::StoragePassword, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(ExitCode::Usage, format!("can't read the password of storage {storage}")).because(&error)
    };
    let stdin = std::io::stdin();
    let password = if stdin.is_terminal() {
        rpassword::prompt_password(format!("Password of storage {storage}: ")).map_err(failed)?
    } else {
        let mut line = String::new();
        stdin.lock().read_line(&mut line).map_err(failed)?;
        line.trim_end_matches(['\n', '\r']).to_owned()
    };
    if password.is_empty() {
        let message = format!("the password of storage {storage} is empty; nothing was changed");
        return Err(Failure::new(ExitCode::Usage, message)
            .hint("stdin has a line for each --password, in the order of the storages' names"));
    }
    Ok(v1::StoragePassword {
        storage: storage.to_string(),
        secret: Some(v1::StorageSecret { password }),
    })
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
