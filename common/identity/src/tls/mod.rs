//! TLS 1.3, both sides authenticated, with material that can be exchanged while connections come and go.

mod client;
mod material;
mod refusal;
mod server;
mod service;
mod shared;
mod unverified;

pub use client::{ClientStream, ClientTls};
pub use material::{Material, MaterialError};
pub use refusal::{PeerComplaint, Refusal};
pub use server::{ServerStream, ServerTls};
pub use service::{Proof, ServiceTls, ServiceTlsError};
pub use unverified::UnverifiedTls;

#[cfg(test)]
pub(crate) use material::provider;
pub(crate) use server::{anonymous, handshake};

/// gRPC speaks HTTP/2.
const ALPN: &[u8] = b"h2";
