//! All suites in one program: each further test program would link tonic, rustls and sled again.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests; a panic is the report"
)]

mod cli;
mod crash;
mod e2e;
mod losses;
mod misfortune;
mod secrets;
mod security;
mod spec;
