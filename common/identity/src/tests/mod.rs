//! Whole handshakes, bootstraps and stores, as a peer or an administrator meets them.

mod authority;
mod bootstrap;
mod clocks;
mod exchange;
mod http2;
mod lab;
mod service;
mod signed;
mod store;
mod strangers;
mod unverified;
