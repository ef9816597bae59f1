//! A package is brought, for an upgrade of agents.

use quorate_model::failure::{ExitCode, Failure};
use quorate_proto::v1;
use tonic::Streaming;

use super::Api;
use crate::audit::{Act, By, What};
use crate::incoming::Who;
use crate::packages;

impl Api {
    pub(super) async fn keep_package(
        &self,
        stream: Streaming<v1::PackagePart>,
        by: &Who,
    ) -> Result<v1::KeepPackageReply, Failure> {
        self.may_change()?;
        let (head, bytes) = packages::take(stream).await?;
        let what = What::KeepPackage {
            package: head.package.clone(),
        };
        self.audit.note(Act::new(By::caller(by), what)).await?;
        // Digest and disk take a while.
        let packages = self.packages.clone();
        let kept = tokio::task::spawn_blocking(move || packages.keep(&head, &bytes)).await;
        kept.map_err(|error| Failure::new(ExitCode::Internal, "the package was not kept").because(&error))??;
        Ok(v1::KeepPackageReply {})
    }
}
