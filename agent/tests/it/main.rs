//! The agent as it is seen from outside: the real program, over the real protocol, on a server whose files lie in a
//! folder and whose tools are scripts that print what the real ones print.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod agent;
mod crash;
mod enrolment;
mod faults;
mod fleet;
mod holds;
mod liveness;
mod operations;
mod races;
mod server;
mod tickets;
mod trust;
