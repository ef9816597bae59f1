//! quorate.v1: messages, services, their conversion to the model, and who may call what.

/// Generated from proto/quorate/v1.
#[expect(missing_docs, reason = "generated; the .proto files carry the comments")]
#[allow(clippy::all, clippy::pedantic, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("quorate.v1");
}

/// The compiled descriptors of all services, for checks that every method has a rule.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
