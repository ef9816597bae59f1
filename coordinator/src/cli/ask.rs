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

/// Asks for a line; `proposed` is shown, and is what an empty answer means to who asks. The terminal must be there.
pub(crate) fn line(question: &str, proposed: &str) -> Result<String, Failure> {
    let proposed = if proposed.is_empty() {
        String::new()
    } else {
        format!(" [{proposed}]")
    };
    output::aside(&format!("{question}{proposed}"));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match read.map_err(|e| Failure::new(ExitCode::Internal, "can't read the answer").because(&e))? {
        0 => Err(Failure::new(ExitCode::Cancelled, "no answer; nothing was written")),
        _ => Ok(answer),
    }
}
