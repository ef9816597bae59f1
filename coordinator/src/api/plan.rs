//! Plans, and their application: what runs is what was shown, or nothing.

use std::collections::BTreeSet;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::finding::{Code, Finding, accept};
use quorate_model::moves::Moves;
use quorate_model::observation::config::KeptSpec;
use quorate_model::operation::rules;
use quorate_model::plan::Plan;
use quorate_model::spec::ClusterFile;
use quorate_model::storage::StorageKind;
use quorate_model::{ClusterName, Facet, NodeRef, View, Wish};
use quorate_planner::{checker, diff};
use quorate_proto::authz::Caller;
use quorate_proto::{Wire, field, limits, v1};

use super::Api;
use super::lost::confirmed;
use crate::audit::By;
use crate::host;
use crate::incoming::Who;
use crate::rollouts::Order;
use crate::skew;
use crate::storage_secret::{Asks, Given};
use crate::trust;

/// What a plan is made from, and a name for its findings.
struct Source<'a> {
    file_name: &'a str,
    text: &'a str,
    accept: &'a [String],
    wish: Wish,
    asks: Asks,
    by: &'a Who,
}

/// A plan of now.
struct Made {
    /// The part that was asked for.
    plan: Plan,
    file: ClusterFile,
    /// Was nothing left out of it?
    whole: bool,
    /// The findings that would refuse it and were accepted, by code and subject.
    accepted: Vec<String>,
}

/// Where members keep the file that was applied last.
const SPEC: &str = "/etc/pve/quorate/spec.toml";

impl Api {
    pub(super) async fn plan(&self, request: v1::PlanRequest, by: &Who) -> Result<v1::PlanReply, Failure> {
        let source = Source {
            file_name: &request.file_name,
            text: &request.text,
            accept: &request.accept,
            wish: self.wish(request.wish)?,
            asks: match by.caller {
                Caller::Operator | Caller::Socket => Asks::Changes,
                _ => Asks::Looks,
            },
            by,
        };
        let made = self.plan_now(&source).await?;
        Ok(v1::PlanReply {
            plan: Some(made.plan.into_wire()),
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
            wish: self.wish(request.wish)?,
            asks: Asks::Changes,
            by,
        };
        let Made {
            plan,
            file,
            whole,
            accepted,
        } = self.plan_now(&source).await?;
        confirmed(&plan.cluster, &source.wish)?;
        if plan.refused() {
            return Err(
                Failure::new(ExitCode::Refused, "the plan is refused; nothing was changed").with(plan.findings),
            );
        }
        if !plan.same_steps(&shown) {
            return Err(changed(&shown, &plan));
        }
        not_shown(&plan, &accepted, &shown)?;
        let cluster = plan.cluster.clone();
        let windows = file.cluster.maintenance.iter().map(|window| window.value).collect();
        if plan.is_empty() && !whole {
            // Nothing of the part that was asked for is left, but other things are: the file is not applied.
            return Ok(v1::ApplyReply::default());
        }
        if plan.is_empty() {
            let spec = KeptSpec {
                digest: file.digest,
                applied_at: trust::now(&self.fleet.clock),
                rollout: String::new(),
                text: request.text,
            };
            self.rollouts
                .take_as_applied(&cluster, spec, windows, By::caller(by))
                .await?;
            return Ok(v1::ApplyReply::default());
        }
        if !accepted.is_empty() {
            tracing::info!(%cluster, by = by.name, accepted = accepted.join(", "), "findings accepted");
        }
        let given = Given::of(request.passwords, &plan)?;
        let order = Order {
            by: by.clone(),
            accepted,
            consents: consents(&source.wish),
            text: request.text.clone(),
            windows,
            whole,
            given,
            of_drill: false,
        };
        let rollout = self.rollouts.begin(plan, order).await?;
        Ok(v1::ApplyReply {
            rollout: rollout.to_string(),
        })
    }

    /// What came, and what only this host can add: which program it has for guests.
    fn wish(&self, wire: Option<v1::Wish>) -> Result<Wish, Failure> {
        let wish: Option<Wish> = wire
            .map(|wire| field("wish", wire))
            .transpose()
            .map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))?;
        let mut wish = wish.unwrap_or_default();
        if let Some(Moves::CreateCanary(new)) = &mut wish.moves {
            new.program = self.packages.guest_program().ok().map(|(digest, _)| digest);
        }
        Ok(wish)
    }

    /// Plans from the file and a fresh look at every enrolled node of its cluster.
    async fn plan_now(&self, source: &Source<'_>) -> Result<Made, Failure> {
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
        source.by.within(file.cluster.name.value.as_str())?;
        for name in &source.wish.passwords {
            let takes = file
                .storages
                .get(name)
                .is_some_and(|storage| storage.kind.value == StorageKind::Pbs);
            if !takes {
                let message = format!(
                    "--password {name}: {} has no storage {name} of the type pbs",
                    source.file_name
                );
                return Err(Failure::new(ExitCode::Usage, message));
            }
        }
        let cluster = &file.cluster.name.value;
        let (mut view, lost) = tokio::join!(self.view_of(&file, &source.wish), self.search(cluster, &source.wish));
        view.lost = lost;
        self.put_measurements(&file, &source.wish, &mut view).await;
        let mut plan = quorate_planner::plan(&file, &source.wish, &view);
        let concerns = |finding: &Finding| {
            finding
                .subject
                .parse::<NodeRef>()
                .is_ok_and(|node| node.cluster == *cluster)
        };
        plan.findings
            .extend(self.frozen_findings().into_iter().filter(concerns));
        // Of a server that the file names the planner has told it.
        let told = plan.findings.iter().any(|f| f.code == Code::CoordinatorOnNode);
        let own = view
            .coordinator_on
            .iter()
            .filter(|_| !told)
            .map(|node| host::finding(&NodeRef::new(cluster.clone(), node.clone())));
        plan.findings.extend(own);
        plan.findings
            .extend(skew::findings(quorate_model::version!(), cluster, &view));
        let package = source.wish.upgrade.as_ref().map(|upgrade| upgrade.version);
        let out_of_reach = package.and_then(|wanted| skew::of_package(quorate_model::version!(), cluster, wanted));
        plan.findings.extend(out_of_reach);
        plan.findings.extend(self.other_spec(cluster, &view)?);
        plan.findings.extend(self.secrets.missing(&plan, source.asks));
        if plan.steps.iter().any(|step| rules(step.action.kind()).disruptive) {
            let windows = file.cluster.maintenance.iter().map(|window| window.value).collect();
            plan.findings
                .extend(self.clusters.held(cluster, windows, trust::now(&self.fleet.clock)));
        }
        stands_up(&checker::check(&file, &source.wish, &view, &plan))?;
        let refused: Vec<usize> = refusals(&plan.findings);
        let not_acceptable = accept(&mut plan.findings, &accepted);
        if !not_acceptable.is_empty() {
            let names: Vec<&str> = not_acceptable.iter().map(|code| code.as_str()).collect();
            return Err(
                Failure::new(ExitCode::Refused, format!("{} can't be accepted", names.join(", ")))
                    .hint("only findings that say so can be; quorate explain CODE tells about each"),
            );
        }
        let accepted = refused
            .into_iter()
            .filter_map(|index| plan.findings.get(index))
            .filter(|finding| !finding.refuses())
            .map(accepted_as)
            .collect();
        plan.findings = quorate_planner::in_order(plan.findings);
        let all = plan.steps.len();
        let plan = quorate_planner::select(plan, &file, &source.wish)
            .map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))?;
        // What else the file asks for is not in a plan that only replaces a disk, upgrades agents or moves guests.
        let whole =
            plan.steps.len() == all && source.wish.only_replaces_a_disk().is_none() && source.wish.upgrade.is_none();
        let whole = whole && source.wish.moves.is_none();
        if !whole {
            // What was left out may be what made the rest sound.
            stands_up(&checker::check(&file, &source.wish, &view, &plan))?;
        }
        Ok(Made {
            plan,
            file,
            whole,
            accepted,
        })
    }

    /// The cluster file that lies in /etc/pve, if it is another than the one that was last applied from here: somebody else drove.
    fn other_spec(&self, cluster: &ClusterName, view: &View) -> Result<Option<Finding>, Failure> {
        let decided = self
            .clusters
            .decided(cluster)
            .map_err(|error| Failure::new(ExitCode::Failed, "what was applied can't be read").because(&error))?;
        // Every member has the same one. Whoever is in no cluster has only what it had before.
        let members = view
            .nodes
            .keys()
            .filter(|node| view.cluster_of(node).is_ok_and(|cluster| cluster.member().is_some()));
        let (mut kept, mut unread) = (None, None);
        for node in members {
            match view.facet(node, |o| &o.config).map(|config| config.spec.get()) {
                Ok(Ok(spec)) => {
                    kept = Some((node, spec.as_ref()));
                    break;
                }
                Ok(Err(unknown)) => unread = unread.or_else(|| Some((node, unknown.clone()))),
                Err(unknown) => unread = unread.or(Some((node, unknown))),
            }
        }
        let (node, kept) = match (kept, unread) {
            (Some((node, Some(kept))), _) => (node, kept),
            (Some((_, None)), _) | (None, None) => return Ok(None),
            (None, Some((node, unknown))) => {
                return Ok(Some(Finding::new(
                    Code::SpecAppliedElsewhere,
                    cluster.as_str(),
                    format!(
                        "whether another coordinator applied a cluster file can't be told: no member's /etc/pve can be read for it; {node} says: {}",
                        unknown.reason
                    ),
                    format!("on {node}: cat {SPEC}"),
                )));
            }
        };
        if decided.is_ours(&kept.digest) {
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
            format!("compare it with yours before you apply: on {node}, cat {SPEC}"),
        )))
    }

    async fn view_of(&self, file: &ClusterFile, wish: &Wish) -> View {
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
            .look_and_fetch(&names, &quorate_planner::needed(file, wish), &fetch)
            .await;
        let by_address = || {
            self.host
                .node_at(&self.fleet.registry)
                .filter(|name| name.cluster == *cluster)
        };
        let coordinator_on = self.host.node_of(&seen).or_else(by_address).map(|name| name.node);
        let registry = &self.fleet.registry;
        let address = |name: &NodeRef| Some((name.node.clone(), registry.node(name)?.address.ip()));
        let findings = self.overview.of_cluster(cluster, seen.clone());
        View {
            findings: Facet::known(findings, trust::now(&self.fleet.clock)),
            nodes: seen
                .into_iter()
                .map(|sighting| (sighting.node.node, sighting.view))
                .collect(),
            addresses: names.iter().filter_map(address).collect(),
            coordinator_on,
            coordinator_addresses: self.host.addresses(&self.advertise),
            coordinator_macs: self.host.macs(),
            at_rest: self.rollouts.at_rest(cluster).await,
            ..View::default()
        }
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
    said.extend(wish.destroy.iter().map(|disk| format!("--destroy {disk}")));
    said.extend(wish.destroy_replicas.iter().map(|copy| format!("--destroy {copy}")));
    said.extend(
        wish.replace_disk
            .iter()
            .map(|what| format!("zfs replace {} {} {}", what.node, what.pool, what.old)),
    );
    said.extend(
        wish.upgrade
            .iter()
            .map(|what| format!("node upgrade {} {}", what.version, what.package)),
    );
    said.extend(wish.moves.iter().map(ToString::to_string));
    said.extend(wish.passwords.iter().map(|storage| format!("--password {storage}")));
    said.extend(wish.replace.iter().map(|(dead, new)| format!("--replace {dead}={new}")));
    said
}

/// How an accepted finding is named: its code, and what it is about.
fn accepted_as(finding: &Finding) -> String {
    format!("{} {}", finding.code.as_str(), finding.subject)
        .trim_end()
        .to_owned()
}

/// Nothing is accepted that whoever accepted it has not seen: the same code may have come up elsewhere since.
fn not_shown(plan: &Plan, accepted: &[String], shown: &Plan) -> Result<(), Failure> {
    let seen: BTreeSet<String> = shown.findings.iter().map(accepted_as).collect();
    let new: Vec<Finding> = plan
        .findings
        .iter()
        .filter(|finding| {
            let name = accepted_as(finding);
            accepted.contains(&name) && !seen.contains(&name)
        })
        .cloned()
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        ExitCode::Refused,
        "something has come up since the plan was shown that would be accepted unseen; nothing was changed",
    )
    .hint("look at a new plan, and apply that: quorate plan FILE")
    .with(new))
}

fn stands_up(complaints: &[checker::Complaint]) -> Result<(), Failure> {
    if complaints.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::new(
        ExitCode::Internal,
        "the plan does not stand up to its own check; nothing was changed",
    );
    failure.causes = complaints.iter().map(ToString::to_string).collect();
    Err(failure.hint("please report this, with the cluster file and the output of quorate status -o json"))
}

/// Which of these findings refuse.
fn refusals(findings: &[Finding]) -> Vec<usize> {
    let refusing = findings.iter().enumerate().filter(|(_, finding)| finding.refuses());
    refusing.map(|(index, _)| index).collect()
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
