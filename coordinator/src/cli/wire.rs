//! From the API's answers to the model, with failures as the operator should see them.

use quorate_model::failure::{ExitCode, Failure};
use quorate_proto::ConvertError;
use quorate_proto::v1::coordinator_client::CoordinatorClient;
use tonic::transport::Channel;

use super::Context;

pub(crate) type Client = CoordinatorClient<Channel>;

/// Connects to the daemon.
pub(crate) async fn connect(context: &Context) -> Result<Client, Failure> {
    crate::client::connect(&context.config).await
}

/// A refused call, as what the daemon said.
pub(crate) fn refused(status: tonic::Status) -> Failure {
    quorate_proto::status::to_failure(&status)
}

/// An answer that this version can't read.
pub(crate) fn unreadable(error: ConvertError) -> Failure {
    Failure::new(ExitCode::Internal, "can't read the coordinator's answer")
        .because(&error)
        .hint("are `quorate` and the running coordinator of the same version?")
}

/// A time on the wire, if it is there.
pub(crate) fn time(time: Option<quorate_proto::v1::Time>) -> Option<quorate_model::Timestamp> {
    time.map(|t| quorate_model::Timestamp(t.unix_micros))
}
