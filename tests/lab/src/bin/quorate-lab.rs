//! The lab's command.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_lab::cli::main()
}
