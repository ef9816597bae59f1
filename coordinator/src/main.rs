//! `quorate`: the coordinator's daemon and command line. See the library for everything.

fn main() -> std::process::ExitCode {
    quorate::cli::main()
}
