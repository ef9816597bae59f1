//! The multi-call program that stands in for the host tools of the lab's servers.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_lab::labtool::main()
}
