//! The only place that prints.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the lab's command speaks to its user here"
)]

pub(super) fn line(text: &str) {
    println!("{text}");
}

pub(super) fn error(text: &str) {
    eprintln!("{text}");
}
