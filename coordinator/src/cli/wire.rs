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

/// A refused call, as what the daemon said; or that it has gone away in the middle, and said nothing.
pub(crate) fn refused(status: tonic::Status) -> Failure {
    let failure = quorate_proto::status::to_failure(&status);
    if failure.exit == ExitCode::Unreachable && failure.hints.is_empty() {
        return failure.hint(
            "the coordinator went away in the middle; a rollout that has begun goes on when it is back. \
             Start it (systemctl start quorate), then type the same again: nothing is done twice",
        );
    }
    failure
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinator_that_goes_away_is_no_riddle() {
        let gone = refused(tonic::Status::unavailable("transport error"));
        assert_eq!(gone.exit, ExitCode::Unreachable);
        assert!(
            gone.hints.iter().any(|hint| hint.contains("type the same again")),
            "{gone:?}"
        );
        let said = refused(tonic::Status::not_found("no such rollout"));
        assert!(said.hints.is_empty(), "{said:?}");
    }
}
