//! Questions to the operator.

use std::io::BufRead;

use quorate_model::failure::{ExitCode, Failure};

use super::output;

/// Asks a yes-or-no question; without a terminal nobody can say yes, and `flag` names the way for scripts.
pub(crate) fn confirm(question: &str, flag: &str) -> Result<bool, Failure> {
    if !output::interactive() {
        let message = "nobody is there to be asked: stdin is no terminal";
        return Err(Failure::new(ExitCode::Usage, message).hint(format!("add {flag} to say yes beforehand")));
    }
    output::aside(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|e| Failure::new(ExitCode::Internal, "can't read the answer").because(&e))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
