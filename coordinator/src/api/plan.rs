//! Plans, and their application: what runs is what was shown, or nothing.

use std::collections::BTreeSet;

use quorate_identity::write_secret_file;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::finding::{Code, Finding, accept};
use quorate_model::plan::Plan;
use quorate_model::spec::ClusterFile;
use quorate_model::{NodeRef, View};
use quorate_planner::{checker, diff};
use quorate_proto::{Wire, field, limits, v1};

use super::Api;
use crate::incoming::Who;

/// What a plan is made from, and a name for its findings.
struct Source<'a> {
    file_name: &'a str,
    text: &'a str,
    accept: &'a [String],
}

impl Api {
    pub(super) async fn plan(&self, request: v1::PlanRequest) -> Result<v1::PlanReply, Failure> {
        let source = Source {
            file_name: &request.file_name,
            text: &request.text,
            accept: &request.accept,
        };
        let plan = self.plan_now(&source).await?;
        Ok(v1::PlanReply {
            plan: Some(plan.into_wire()),
        })
    }

    pub(super) async fn apply(&self, request: v1::ApplyRequest, by: &Who) -> Result<v1::ApplyReply, Failure> {
        self.may_change()?;
        let shown: Option<Plan> = field("shown", request.shown)?;
        let shown = shown.ok_or_else(|| Failure::new(ExitCode::Usage, "the plan that was shown is missing"))?;
        let source = Source {
            file_name: &request.file_name,
            text: &request.text,
            accept: &request.accept,
        };
        let plan = self.plan_now(&source).await?;
        if plan.refused() {
            return Err(
                Failure::new(ExitCode::Refused, "the plan is refused; nothing was changed").with(plan.findings),
            );
        }
        if !plan.same_steps(&shown) {
            return Err(changed(&shown, &plan));
        }
        let cluster = plan.cluster.clone();
        let rollout = if plan.is_empty() {
            None
        } else {
            if !request.accept.is_empty() {
                tracing::info!(%cluster, by = by.name, accepted = request.accept.join(" "), "findings accepted");
            }
            Some(self.rollouts.begin(plan, &by.name).await?)
        };
        let path = self.state.specs().join(format!("{cluster}.toml"));
        if let Err(error) = write_secret_file(&path, &request.text) {
            // The rollout's plan is in the journal; only the comparison with the next file will lack it.
            tracing::error!(%cluster, %error, "can't keep the cluster file");
        }
        Ok(v1::ApplyReply {
            rollout: rollout.map(|id| id.to_string()).unwrap_or_default(),
        })
    }

    /// Plans from the file and a fresh look at every enrolled node of its cluster.
    async fn plan_now(&self, source: &Source<'_>) -> Result<Plan, Failure> {
        if source.text.len() > limits::MAX_CLUSTER_FILE {
            let message = format!(
                "the cluster file is larger than {} KiB",
                limits::MAX_CLUSTER_FILE / 1024
            );
            return Err(Failure::new(ExitCode::Usage, message));
        }
        let accepted = codes(source.accept)?;
        let file = ClusterFile::parse(source.file_name, source.text).map_err(|findings| {
            Failure::new(
                ExitCode::Refused,
                format!("{} is not a usable cluster file", source.file_name),
            )
            .with(findings)
        })?;
        let view = self.view_of(&file).await;
        let mut plan = quorate_planner::plan(&file, &view);
        let cluster = &file.cluster.name.value;
        let concerns = |finding: &Finding| {
            finding
                .subject
                .parse::<NodeRef>()
                .is_ok_and(|node| node.cluster == *cluster)
        };
        plan.findings
            .extend(self.frozen_findings().into_iter().filter(concerns));
        let complaints = checker::check(&file, &view, &plan);
        if !complaints.is_empty() {
            let mut failure = Failure::new(
                ExitCode::Internal,
                "the plan does not stand up to its own check; nothing was changed",
            );
            failure.causes = complaints.iter().map(ToString::to_string).collect();
            return Err(
                failure.hint("please report this, with the cluster file and the output of quorate status -o json")
            );
        }
        let not_acceptable = accept(&mut plan.findings, &accepted);
        if !not_acceptable.is_empty() {
            let names: Vec<&str> = not_acceptable.iter().map(|code| code.as_str()).collect();
            return Err(
                Failure::new(ExitCode::Refused, format!("{} can't be accepted", names.join(", ")))
                    .hint("only findings that say so can be; quorate explain CODE tells about each"),
            );
        }
        Ok(plan)
    }

    async fn view_of(&self, file: &ClusterFile) -> View {
        let cluster = &file.cluster.name.value;
        let names: BTreeSet<NodeRef> = self
            .fleet
            .registry
            .enrolled()
            .into_iter()
            .filter(|name| name.cluster == *cluster)
            .collect();
        let seen = self.fleet.look(&names, &quorate_planner::NEEDED).await;
        View {
            nodes: seen
                .into_iter()
                .map(|sighting| (sighting.node.node, sighting.view))
                .collect(),
        }
    }
}

fn codes(texts: &[String]) -> Result<Vec<Code>, Failure> {
    let read = |text: &String| {
        text.parse::<Code>()
            .map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))
    };
    texts.iter().map(read).collect()
}

fn changed(shown: &Plan, plan: &Plan) -> Failure {
    let differences: Vec<String> = diff::differences(shown, plan).iter().map(ToString::to_string).collect();
    let finding = Finding::new(
        Code::PlanChanged,
        plan.cluster.as_str(),
        format!(
            "a fresh plan has other steps than the one that was shown: {}",
            differences.join("; ")
        ),
        "look at the new plan, then apply that: quorate plan FILE",
    );
    Failure::new(
        ExitCode::Refused,
        "the plan is no longer the one that was shown; nothing was changed",
    )
    .with(vec![finding])
}
