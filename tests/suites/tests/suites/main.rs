//! All suites in one program: each further test program would link tonic, rustls and sled again.

mod cli;
mod crash;
mod e2e;
mod misfortune;
mod secrets;
mod security;
