//! A plan together with what it was made from: shown, kept in a file, applied exactly so.

use std::collections::BTreeSet;
use std::path::Path;

use quorate_model::Wish;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::StorageName;
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

    /// The same with another wish: the steps that were shown have to come out of that one, too.
    pub(crate) fn with_wish(self, wish: Wish) -> Self {
        Self { wish, ..self }
    }

    /// Has the daemon do exactly this: if a fresh plan has other steps, nothing is begun. Nothing is returned where there was nothing to do.
    pub(crate) async fn apply(
        self,
        client: &mut Client,
        passwords: Vec<v1::StoragePassword>,
    ) -> Result<Option<String>, Failure> {
        let request = v1::ApplyRequest {
            file_name: self.file_name,
            text: self.text,
            accept: self.accept,
            shown: Some(self.plan.into_wire()),
            wish: Some(self.wish.into_wire()),
            passwords,
        };
        let started = client.apply(request).await.map_err(wire::refused)?.into_inner().rollout;
        Ok(Some(started).filter(|id| !id.is_empty()))
    }

    /// Storages whose passwords its steps want with the word to apply, by name.
    pub(crate) fn asks_for_passwords(&self) -> BTreeSet<&StorageName> {
        let steps = self.plan.steps.iter();
        steps.filter_map(|step| step.action.password_given_for()).collect()
    }

    /// Keeps it for `quorate apply --plan`.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::new(ExitCode::Failed, format!("can't write the plan to {}", path.display())).because(error)
        };
        match std::fs::metadata(path) {
            // Only what was kept so before is replaced: it might be the cluster file.
            Ok(_) if !is_kept_plan(path) => {
                return Err(Failure::new(
                    ExitCode::Usage,
                    format!("{} exists and is no kept plan: it is not overwritten", path.display()),
                )
                .hint("name another file: quorate plan FILE --out PLAN.json"));
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&error)),
            _ => {}
        }
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(&error))?;
        quorate_identity::write_secret_file(path, &text).map_err(|error| failed(&error))
    }

    /// Reads one back.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| not_one(path).because(error).hint(MAKE_ONE);
        let size = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
        if size > LARGEST {
            return Err(failed(&std::io::Error::other("it is too large")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
        Self::read(path, &text)
    }

    /// Reads one; `path` is for messages.
    pub(super) fn read(path: &Path, text: &str) -> Result<Self, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| not_one(path).because(error).hint(MAKE_ONE);
        let document: serde_json::Value = serde_json::from_str(text).map_err(|error| failed(&error))?;
        // Before anything else: another format may have other keys.
        let format = document.get("quorate_plan").and_then(serde_json::Value::as_u64);
        if format != Some(FORMAT.into()) {
            let message = match format {
                Some(format) => format!("its format is {format}, this version knows {FORMAT}"),
                None => "it does not say that it is one".to_owned(),
            };
            return Err(failed(&std::io::Error::other(message)));
        }
        serde_json::from_value(document).map_err(|error| failed(&error))
    }

    /// The same asked for anew: what it would be now.
    pub(crate) async fn again(&self, client: &mut Client) -> Result<Self, Failure> {
        let source = Source {
            name: self.file_name.clone(),
            text: self.text.clone(),
        };
        Self::ask(client, &source, self.accept.clone(), self.wish.clone()).await
    }
}

#[cfg(test)]
impl Proposal {
    /// Of a plan that was had by other means.
    pub(crate) fn of(file_name: &str, text: String, plan: Plan) -> Self {
        Self {
            quorate_plan: FORMAT,
            file_name: file_name.to_owned(),
            text,
            accept: vec![],
            wish: Wish::default(),
            plan,
        }
    }
}

const MAKE_ONE: &str = "make one: quorate plan FILE --out PLAN.json";

fn not_one(path: &Path) -> Failure {
    let message = format!("{} is no plan that can be applied", path.display());
    Failure::new(ExitCode::Usage, message)
}

fn is_kept_plan(path: &Path) -> bool {
    let small = std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= LARGEST);
    let text = small.then(|| std::fs::read_to_string(path).ok()).flatten();
    let document: Option<serde_json::Value> = text.and_then(|text| serde_json::from_str(&text).ok());
    document.is_some_and(|document| document.get("quorate_plan").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal() -> Proposal {
        Proposal {
            quorate_plan: FORMAT,
            file_name: "hk1.toml".to_owned(),
            text: String::new(),
            accept: vec![],
            wish: Wish::default(),
            plan: Plan {
                cluster: "hk1".parse().unwrap(),
                spec_digest: String::new(),
                steps: vec![],
                findings: vec![],
            },
        }
    }

    #[test]
    fn only_a_kept_plan_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (plan, file) = (dir.path().join("plan.json"), dir.path().join("hk1.toml"));
        proposal().save(&plan).unwrap();
        proposal().save(&plan).unwrap();
        assert_eq!(Proposal::load(&plan).unwrap(), proposal());
        std::fs::write(&file, "[cluster]\n").unwrap();
        let refused = proposal().save(&file).unwrap_err();
        assert_eq!(refused.exit, ExitCode::Usage);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "[cluster]\n");
    }

    #[test]
    fn another_format_is_told_before_its_keys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.json");
        let told = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Proposal::load(&path).unwrap_err().causes.join(" ")
        };
        assert!(told(r#"{"quorate_plan": 2, "colour": "red"}"#).contains("its format is 2"));
        assert!(told("{}").contains("does not say"));
        proposal().save(&dir.path().join("whole.json")).unwrap();
        let text = std::fs::read_to_string(dir.path().join("whole.json")).unwrap();
        let altered = text.replace("\"spec_digest\"", "\"colour\": 1, \"spec_digest\"");
        assert!(
            told(&altered).contains("colour"),
            "what is not understood is not dropped"
        );
    }
}
