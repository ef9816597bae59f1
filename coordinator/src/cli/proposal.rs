//! A plan together with what it was made from: shown, kept in a file, applied exactly so.

use std::path::Path;

use quorate_model::Wish;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::plan::Plan;
use quorate_proto::{Wire, v1};
use serde::{Deserialize, Serialize};

use super::cluster_file::Source;
use super::wire::{self, Client};

/// The format of the file that `plan --out` writes.
const FORMAT: u32 = 1;

/// A plan file holds a cluster file and a plan of at most a few hundred steps.
const LARGEST: u64 = 16 << 20;

/// A plan, and what it was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proposal {
    quorate_plan: u32,
    file_name: String,
    text: String,
    accept: Vec<String>,
    wish: Wish,
    pub(crate) plan: Plan,
}

impl Proposal {
    /// Asks the daemon for a plan.
    pub(crate) async fn ask(
        client: &mut Client,
        source: &Source,
        accept: Vec<String>,
        wish: Wish,
    ) -> Result<Self, Failure> {
        let request = v1::PlanRequest {
            file_name: source.name.clone(),
            text: source.text.clone(),
            accept: accept.clone(),
            wish: Some(wish.clone().into_wire()),
        };
        let reply = client.plan(request).await.map_err(wire::refused)?;
        let plan = reply
            .into_inner()
            .plan
            .ok_or_else(|| Failure::new(ExitCode::Internal, "the coordinator answered without a plan"))?;
        Ok(Self {
            quorate_plan: FORMAT,
            file_name: source.name.clone(),
            text: source.text.clone(),
            accept,
            wish,
            plan: Wire::from_wire(plan).map_err(wire::unreadable)?,
        })
    }

    /// Has the daemon do exactly this: if a fresh plan has other steps, nothing is begun. Nothing is returned where there was nothing to do.
    pub(crate) async fn apply(self, client: &mut Client) -> Result<Option<String>, Failure> {
        let request = v1::ApplyRequest {
            file_name: self.file_name,
            text: self.text,
            accept: self.accept,
            shown: Some(self.plan.into_wire()),
            wish: Some(self.wish.into_wire()),
        };
        let started = client.apply(request).await.map_err(wire::refused)?.into_inner().rollout;
        Ok(Some(started).filter(|id| !id.is_empty()))
    }

    /// Keeps it for `quorate apply --plan`.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::new(ExitCode::Failed, format!("can't write the plan to {}", path.display())).because(error)
        };
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(&error))?;
        quorate_identity::write_secret_file(path, &text).map_err(|error| failed(&error))
    }

    /// Reads one back.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::new(
                ExitCode::Usage,
                format!("{} is no plan that can be applied", path.display()),
            )
            .because(error)
            .hint("make one: quorate plan FILE --out PLAN.json")
        };
        let size = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
        if size > LARGEST {
            return Err(failed(&std::io::Error::other("it is too large")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
        let proposal: Self = serde_json::from_str(&text).map_err(|error| failed(&error))?;
        if proposal.quorate_plan != FORMAT {
            let message = format!("its format is {}, this version knows {FORMAT}", proposal.quorate_plan);
            return Err(failed(&std::io::Error::other(message)));
        }
        Ok(proposal)
    }
}
