//! The cluster file that was applied last, for commands that begin with it.

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::observation::config::KeptSpec;
use quorate_proto::{Wire, v1};

use super::cluster_file::Source;
use super::wire::{self, Client};

/// The cluster file that was applied last.
pub(super) async fn applied(client: &mut Client, cluster: &str) -> Result<Source, Failure> {
    let none = || {
        Failure::new(
            ExitCode::NotFound,
            format!("no cluster file of {cluster} was applied from here"),
        )
        .hint("name it: --file FILE; or make one of the cluster as it is: quorate adopt CLUSTER")
    };
    let request = v1::AppliedRequest {
        cluster: cluster.to_owned(),
    };
    let reply = match client.applied(request).await {
        Ok(reply) => reply.into_inner(),
        Err(status) if status.code() == tonic::Code::NotFound => return Err(none()),
        Err(status) => return Err(wire::refused(status)),
    };
    let spec: Option<KeptSpec> = Wire::from_wire(reply.spec).map_err(wire::unreadable)?;
    let spec = spec.ok_or_else(none)?;
    Ok(Source {
        name: format!("{cluster}.toml (of {})", spec.applied_at),
        text: spec.text,
    })
}
