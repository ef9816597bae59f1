//! The exchange of the CA: how far it is, and its next step.

use quorate_model::failure::{ExitCode, Failure};
use quorate_proto::v1;

use super::Api;
use crate::audit::{Act, By, What};
use crate::ca::Stage;
use crate::incoming::Who;
use crate::operators::Operators;

impl Api {
    pub(super) fn ca_status(&self) -> Result<v1::CaStatusReply, Failure> {
        use v1::ca_status_reply::Stage as Wire;
        let (now, stage) = (self.ca.now(), self.exchange.stage());
        let signing = now.root.fingerprint();
        let operators = Operators::of(&self.state)
            .list()
            .map_err(|error| Failure::new(ExitCode::Failed, "the list of operators can't be read").because(&error))?;
        let old = operators
            .into_iter()
            .filter(|one| one.removed_at.is_none() && one.root.is_some_and(|root| root != signing))
            .map(|one| one.name);
        Ok(v1::CaStatusReply {
            stage: match stage {
                Stage::None => Wire::None,
                Stage::Begun => Wire::Begun,
                Stage::Switching | Stage::Switched => Wire::Switched,
                Stage::Finishing => Wire::Finishing,
            }
            .into(),
            roots: now
                .roots
                .certificates()
                .iter()
                .map(|root| root.fingerprint().to_string())
                .collect(),
            missing: self
                .exchange
                .missing(&self.fleet)
                .iter()
                .map(ToString::to_string)
                .collect(),
            operators_of_old: old.collect(),
        })
    }

    pub(super) async fn exchange_ca(
        &self,
        request: v1::ExchangeCaRequest,
        by: &Who,
    ) -> Result<v1::CaStatusReply, Failure> {
        use v1::exchange_ca_request::Step;
        by.fleet_wide("the CA")?;
        self.may_change()?;
        let step = request.step();
        let name = match step {
            Step::Begin => "begin",
            Step::Switch => "switch",
            Step::Finish => "finish",
            Step::Unspecified => return Err(Failure::new(ExitCode::Usage, "which step of the exchange is not said")),
        };
        let what = What::ExchangeCa { step: name.to_owned() };
        self.audit.note(Act::new(By::caller(by), what)).await?;
        match step {
            Step::Begin => self.exchange.begin(&self.ca, &self.fleet)?,
            Step::Switch => self.exchange.switch(&self.ca, &self.fleet)?,
            Step::Finish => self.exchange.finish(&self.ca, &self.fleet).await?,
            Step::Unspecified => {}
        }
        tracing::info!(by = by.name, step = name, "exchange of the CA");
        self.ca_status()
    }
}
