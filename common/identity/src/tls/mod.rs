//! TLS 1.3, both sides authenticated, with material that can be exchanged while connections come and go.

mod client;
mod material;
mod refusal;
mod server;

pub use client::{ClientStream, ClientTls};
pub use material::{Material, MaterialError};
pub use refusal::{PeerComplaint, Refusal};
pub use server::{ServerStream, ServerTls};

pub(crate) use server::{accept_anonymous, anonymous_config};

/// gRPC speaks HTTP/2.
const ALPN: &[u8] = b"h2";
