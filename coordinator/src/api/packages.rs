//! A package is brought, for an upgrade of agents.

use quorate_model::failure::Failure;
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
        self.packages.keep(&head, &bytes)?;
        Ok(v1::KeepPackageReply {})
    }
}
