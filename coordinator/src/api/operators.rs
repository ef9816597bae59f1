//! Operators and viewers: listed, removed. They are made by `quorate operator add`, which needs the root key and no daemon.

use quorate_model::OperatorName;
use quorate_model::failure::{ExitCode, Failure};
use quorate_proto::{Wire, field, v1};

use super::Api;
use crate::audit::{Act, By, What};
use crate::fleet::registry::Issued;
use crate::incoming::Who;
use crate::operators::{OperatorCertificate, Operators};
use crate::trust;

impl Api {
    pub(super) fn list_operators(&self, by: &Who) -> Result<v1::ListOperatorsReply, Failure> {
        by.fleet_wide("who may do what")?;
        let list = Operators::of(&self.state).list().map_err(|error| unusable(&error))?;
        Ok(v1::ListOperatorsReply {
            certificates: list.into_iter().map(wire).collect(),
        })
    }

    pub(super) async fn remove_operator(
        &self,
        request: v1::RemoveOperatorRequest,
        by: &Who,
    ) -> Result<v1::RemoveOperatorReply, Failure> {
        by.fleet_wide("removing an operator")?;
        self.may_change()?;
        let name: OperatorName =
            field("name", request.name).map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))?;
        let operators = Operators::of(&self.state);
        let list = operators.list().map_err(|error| unusable(&error))?;
        let theirs: Vec<&OperatorCertificate> = list.iter().filter(|one| one.name == name.as_str()).collect();
        if theirs.is_empty() {
            return Err(
                Failure::new(ExitCode::NotFound, format!("no certificate was made for {name}"))
                    .hint("who has one: quorate operator list"),
            );
        }
        // Also those that were removed before: what was interrupted is then finished.
        let issued: Vec<Issued> = theirs.iter().map(|one| one.issued()).collect();
        let what = What::RemoveOperator { name: name.to_string() };
        self.audit.note(Act::new(By::caller(by), what)).await?;
        let now = trust::now(&self.fleet.clock);
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::new(ExitCode::Failed, format!("{name} can't be removed")).because(error)
        };
        self.fleet
            .revoked
            .revoke(&issued, trust::unix_seconds(&self.fleet.clock))
            .map_err(|error| failed(&error))?;
        let fingerprints: Vec<_> = issued.iter().map(|one| one.fingerprint).collect();
        operators.removed(&fingerprints, now).map_err(|error| failed(&error))?;
        let untold = self.fleet.announce_revocations().await;
        tracing::info!(%name, by = by.name, certificates = issued.len(), "operator removed");
        Ok(v1::RemoveOperatorReply {
            revoked: u32::try_from(issued.len()).unwrap_or(u32::MAX),
            untold: untold.iter().map(ToString::to_string).collect(),
        })
    }
}

fn wire(one: OperatorCertificate) -> v1::OperatorCertificate {
    v1::OperatorCertificate {
        name: one.name,
        viewer: one.viewer,
        clusters: one.clusters,
        fingerprint: one.fingerprint.to_string(),
        made_at: Some(one.made_at).into_wire(),
        not_after: Some(trust::timestamp(one.not_after)).into_wire(),
        removed_at: one.removed_at.into_wire(),
    }
}

fn unusable(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(ExitCode::Failed, "the list of operators can't be read").because(error)
}
