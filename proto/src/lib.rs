//! quorate.v1: messages, services, their conversion to the model, and who may call what.

/// Generated from proto/quorate/v1.
#[expect(missing_docs, reason = "generated; the .proto files carry the comments")]
#[allow(clippy::all, clippy::pedantic, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("quorate.v1");
}

pub mod authz;
pub mod convert;
pub mod limits;
mod secrets;
pub mod status;

pub use convert::{Connection, ConnectionState, ConvertError, Sighting, Wire, field};
pub use status::{refuse, to_failure, to_status};

/// The compiled descriptors of all services, for checks that every method has a rule.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
