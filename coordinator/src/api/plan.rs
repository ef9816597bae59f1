//! Plans, and their application: what runs is what was shown, or nothing.

use std::collections::BTreeSet;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::finding::{Code, Finding, accept};
use quorate_model::observation::config::KeptSpec;
use quorate_model::operation::rules;
use quorate_model::plan::Plan;
use quorate_model::spec::ClusterFile;
use quorate_model::{ClusterName, NodeRef, View, Wish};
use quorate_planner::{checker, diff};
use quorate_proto::{Wire, field, limits, v1};

use super::Api;
use crate::host;
use crate::incoming::Who;
use crate::rollouts::Order;
use crate::trust;

/// What a plan is made from, and a name for its findings.
struct Source<'a> {
    file_name: &'a str,
    text: &'a str,
    accept: &'a [String],
    wish: Wish,
}

impl Api {
    pub(super) async fn plan(&self, request: v1::PlanRequest) -> Result<v1::PlanReply, Failure> {
        let source = Source {
            file_name: &request.file_name,
            text: &request.text,
            accept: &request.accept,
            wish: wish(request.wish)?,
        };
        let (plan, _) = self.plan_now(&source).await?;
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
            wish: wish(request.wish)?,
        };
        let (plan, file) = self.plan_now(&source).await?;
        if plan.refused() {
            return Err(
                Failure::new(ExitCode::Refused, "the plan is refused; nothing was changed").with(plan.findings),
            );
        }
        if !plan.same_steps(&shown) {
            return Err(changed(&shown, &plan));
        }
        let cluster = plan.cluster.clone();
        let windows = file.cluster.maintenance.iter().map(|window| window.value).collect();
        if plan.is_empty() {
            let spec = KeptSpec {
                digest: file.digest,
                applied_at: trust::now(&self.fleet.clock),
                rollout: String::new(),
                text: request.text,
            };
            self.rollouts.decide(&cluster, spec, windows).await?;
            self.rollouts.keep_spec(&cluster).await;
            return Ok(v1::ApplyReply::default());
        }
        if !request.accept.is_empty() {
            tracing::info!(%cluster, by = by.name, accepted = request.accept.join(" "), "findings accepted");
        }
        let order = Order {
            by: by.clone(),
            accepted: request.accept.clone(),
            consents: consents(&source.wish),
            text: request.text.clone(),
            windows,
        };
        let rollout = self.rollouts.begin(plan, order).await?;
        Ok(v1::ApplyReply {
            rollout: rollout.to_string(),
        })
    }

    /// Plans from the file and a fresh look at every enrolled node of its cluster.
    async fn plan_now(&self, source: &Source<'_>) -> Result<(Plan, ClusterFile), Failure> {
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
        let mut view = self.view_of(&file).await;
        self.put_measurements(&file, &source.wish, &mut view).await;
        let mut plan = quorate_planner::plan(&file, &source.wish, &view);
        let cluster = &file.cluster.name.value;
        let concerns = |finding: &Finding| {
            finding
                .subject
                .parse::<NodeRef>()
                .is_ok_and(|node| node.cluster == *cluster)
        };
        plan.findings
            .extend(self.frozen_findings().into_iter().filter(concerns));
        let own = view
            .coordinator_on
            .iter()
            .map(|node| host::finding(&NodeRef::new(cluster.clone(), node.clone())));
        plan.findings.extend(own);
        plan.findings.extend(self.other_spec(cluster, &view)?);
        if plan.steps.iter().any(|step| rules(step.action.kind()).disruptive) {
            let windows = file.cluster.maintenance.iter().map(|window| window.value).collect();
            plan.findings
                .extend(self.clusters.held(cluster, windows, trust::now(&self.fleet.clock)));
        }
        let complaints = checker::check(&file, &source.wish, &view, &plan);
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
        let plan = quorate_planner::select(plan, &source.wish)
            .map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))?;
        Ok((plan, file))
    }

    /// The cluster file that lies in /etc/pve, if it is another than the one that was last applied from here: somebody else drove.
    fn other_spec(&self, cluster: &ClusterName, view: &View) -> Result<Option<Finding>, Failure> {
        let decided = self
            .clusters
            .decided(cluster)
            .map_err(|error| Failure::new(ExitCode::Failed, "what was applied can't be read").because(&error))?;
        let kept = view.nodes.keys().find_map(|node| {
            let spec = view.facet(node, |o| &o.config).ok()?.spec.get().ok()?.as_ref()?;
            Some((node, spec))
        });
        let Some((node, kept)) = kept else { return Ok(None) };
        if decided.spec.as_ref().is_some_and(|ours| ours.digest == kept.digest) {
            return Ok(None);
        }
        let ours = match &decided.spec {
            Some(ours) => format!("the one last applied from here is of {}", ours.applied_at),
            None => "none was applied from here".to_owned(),
        };
        Ok(Some(Finding::new(
            Code::SpecAppliedElsewhere,
            cluster.as_str(),
            format!(
                "/etc/pve has a cluster file that was applied at {}; {ours}",
                kept.applied_at
            ),
            format!(
                "compare it with yours before you apply: on {node}, cat {}",
                "/etc/pve/quorate/spec.toml"
            ),
        )))
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
        let fetch = quorate_planner::packages(file);
        let seen = self
            .fleet
            .look_and_fetch(&names, &quorate_planner::NEEDED, &fetch)
            .await;
        let by_address = || {
            self.host
                .node_at(&self.fleet.registry)
                .filter(|name| name.cluster == *cluster)
        };
        let coordinator_on = self.host.node_of(&seen).or_else(by_address).map(|name| name.node);
        View {
            nodes: seen
                .into_iter()
                .map(|sighting| (sighting.node.node, sighting.view))
                .collect(),
            coordinator_on,
            coordinator_addresses: self.host.addresses(&self.advertise),
            ..View::default()
        }
    }
}

fn wish(wire: Option<v1::Wish>) -> Result<Wish, Failure> {
    match wire {
        None => Ok(Wish::default()),
        Some(wire) => field("wish", wire).map_err(|error| Failure::new(ExitCode::Usage, error.to_string())),
    }
}

/// What the operator said beside the file, for the audit log.
fn consents(wish: &Wish) -> Vec<String> {
    let each = |option: &str, names: &BTreeSet<quorate_model::NodeName>| {
        names.iter().map(|name| format!("{option} {name}")).collect::<Vec<_>>()
    };
    let mut said = each("--remove", &wish.remove);
    said.extend(each("--is-off", &wish.is_off));
    said.extend(each("--undo-join", &wish.undo_join));
    said.extend(wish.replace.iter().map(|(dead, new)| format!("--replace {dead}={new}")));
    said
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
