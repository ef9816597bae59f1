//! What was measured between the nodes of a cluster: shown as it is kept, measured anew, and put before a plan.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::measurement::{self, About, Baseline, Ends, FRESH, refuses};
use quorate_model::observation::FacetName;
use quorate_model::spec::ClusterFile;
use quorate_model::{ClusterName, NodeRef, View, Wish};
use quorate_planner::{leans_on_the_network, link_ends};
use quorate_proto::{Wire, field, limits, v1};

use super::Api;
use crate::incoming::Who;
use crate::measure::{KeptError, Wanted, wanted};
use crate::trust;

/// How long a measurement may take that somebody asked for: 32 nodes take half of it.
const ASKED: Duration = Duration::from_secs(60);

/// How long a plan waits for one. What is not measured by then is told of.
const BEFORE_A_PLAN: Duration = Duration::from_secs(20);

/// Whose pairs, and which.
struct Question {
    cluster: ClusterName,
    wanted: Wanted,
    /// The cluster file that was named.
    file: Option<String>,
}

impl Api {
    pub(super) async fn network(&self, request: v1::NetworkRequest, by: &Who) -> Result<v1::NetworkReply, Failure> {
        let question = self.question(request, false, by).await?;
        let kept = self
            .measurements
            .kept(&question.cluster)
            .map_err(|error| unusable(&error))?;
        // With nothing to go by, what is kept is shown as it is.
        let baseline = if question.wanted.is_empty() {
            kept
        } else {
            kept.only(question.wanted)
        };
        if baseline.pairs.is_empty() {
            return Err(no_links(&question.cluster));
        }
        Ok(self.reply(&question.cluster, question.file.as_deref(), baseline, None))
    }

    pub(super) async fn measure_network(
        &self,
        request: v1::NetworkRequest,
        by: &Who,
    ) -> Result<v1::NetworkReply, Failure> {
        let Question { cluster, wanted, file } = self.question(request, true, by).await?;
        if wanted.is_empty() {
            return Err(no_links(&cluster));
        }
        tracing::info!(%cluster, by = by.name, pairs = wanted.len(), "measuring the network");
        let measured = self.measurements.measure(&cluster, wanted, |_| true, ASKED).await;
        let measured = measured.map_err(|error| unusable(&error))?;
        Ok(self.reply(&cluster, file.as_deref(), measured.now, Some(&measured.before)))
    }

    /// Puts into the view what was measured. Before servers are let in or links added, what is missing or old is measured first, also
    /// where something else stands against it; and what would refuse it, so that planning again is enough after mending. That this
    /// fails is no error: the planner tells what is not known.
    pub(super) async fn put_measurements(&self, file: &ClusterFile, wish: &Wish, view: &mut View) {
        if self.network_as_given {
            return;
        }
        let cluster = &file.cluster.name.value;
        let now = trust::now(&self.fleet.clock);
        let wanted = wanted(&link_ends(Some(file), view), now);
        let kept = self.measurements.kept(cluster).unwrap_or_default();
        let mut baseline = kept.only(wanted.clone()).as_of(now, FRESH);
        if leans_on_the_network(file, wish, view) {
            let missing: BTreeSet<Ends> = baseline
                .pairs
                .iter()
                .filter(|p| !p.measured.is_known() || refuses(&p.measured))
                .map(|p| p.ends.clone())
                .collect();
            if !missing.is_empty() {
                tracing::info!(%cluster, pairs = missing.len(), "measuring the network before the plan");
                let measuring =
                    self.measurements
                        .measure(cluster, wanted, |ends| missing.contains(ends), BEFORE_A_PLAN);
                match measuring.await {
                    Ok(measured) => baseline = measured.now.as_of(now, FRESH),
                    Err(error) => {
                        tracing::error!(%cluster, error = trust::sentence(&error), "what was measured can't be kept");
                    }
                }
            }
        }
        view.measurements = Some(baseline);
    }

    async fn question(&self, request: v1::NetworkRequest, fresh: bool, by: &Who) -> Result<Question, Failure> {
        let file = if request.text.is_empty() {
            None
        } else {
            Some(read(&request)?)
        };
        let named = file.as_ref().map(|_| request.file_name.clone());
        let cluster = self.meant(&request.cluster, file.as_ref())?;
        by.within(cluster.as_str())?;
        let names: BTreeSet<NodeRef> = self
            .fleet
            .registry
            .enrolled()
            .into_iter()
            .filter(|name| name.cluster == cluster)
            .collect();
        let seen = if fresh {
            self.fleet.look(&names, &[FacetName::Network, FacetName::Cluster]).await
        } else {
            self.fleet.last_seen(&names)
        };
        let view = View {
            nodes: seen
                .into_iter()
                .map(|sighting| (sighting.node.node, sighting.view))
                .collect(),
            ..View::default()
        };
        Ok(Question {
            wanted: wanted(&link_ends(file.as_ref(), &view), trust::now(&self.fleet.clock)),
            cluster,
            file: named,
        })
    }

    /// The cluster that is asked for.
    fn meant(&self, named: &str, file: Option<&ClusterFile>) -> Result<ClusterName, Failure> {
        let usage = |message: String| Failure::new(ExitCode::Usage, message);
        let clusters: BTreeSet<ClusterName> = self
            .fleet
            .registry
            .enrolled()
            .into_iter()
            .map(|name| name.cluster)
            .collect();
        let cluster = match (named, file) {
            ("", Some(file)) => file.cluster.name.value.clone(),
            ("", None) => match (clusters.first(), clusters.len()) {
                (Some(only), 1) => only.clone(),
                (None, _) => {
                    return Err(Failure::new(ExitCode::NotFound, "no node is enrolled").hint("quorate node list"));
                }
                (Some(first), _) => {
                    let message = "there are several clusters: name one".to_owned();
                    return Err(usage(message).hint(format!("quorate network {first}")));
                }
            },
            (named, file) => {
                let cluster = field("cluster", named.to_owned()).map_err(|error| usage(error.to_string()))?;
                if let Some(file) = file.filter(|file| file.cluster.name.value != cluster) {
                    let message = format!("the file is about {}, not about {cluster}", file.cluster.name.value);
                    return Err(usage(message));
                }
                cluster
            }
        };
        if !clusters.contains(&cluster) {
            let message = format!("cluster {cluster} has no enrolled node");
            return Err(Failure::new(ExitCode::NotFound, message).hint("quorate node list"));
        }
        Ok(cluster)
    }

    fn reply(
        &self,
        cluster: &ClusterName,
        file: Option<&str>,
        baseline: Baseline,
        before: Option<&Baseline>,
    ) -> v1::NetworkReply {
        let now = trust::now(&self.fleet.clock);
        let about = About {
            cluster: cluster.as_str(),
            file,
        };
        let mut findings = measurement::findings(about, &baseline.clone().as_of(now, FRESH));
        findings.extend(
            before
                .map(|before| measurement::worse(about, before, &baseline))
                .unwrap_or_default(),
        );
        v1::NetworkReply {
            cluster: cluster.to_string(),
            now: Some(now).into_wire(),
            baseline: Some(baseline.into_wire()),
            findings: findings.into_iter().map(Wire::into_wire).collect(),
        }
    }
}

fn read(request: &v1::NetworkRequest) -> Result<ClusterFile, Failure> {
    if request.text.len() > limits::MAX_CLUSTER_FILE {
        let message = format!(
            "the cluster file is larger than {} KiB",
            limits::MAX_CLUSTER_FILE / 1024
        );
        return Err(Failure::new(ExitCode::Usage, message));
    }
    ClusterFile::parse(&request.file_name, &request.text).map_err(|findings| {
        let message = format!("{} is not a usable cluster file", request.file_name);
        Failure::new(ExitCode::Refused, message).with(findings)
    })
}

fn no_links(cluster: &ClusterName) -> Failure {
    let message = format!("{cluster} has no corosync links yet that could be measured");
    Failure::new(ExitCode::NotFound, message).hint(format!(
        "name the cluster file with its links: quorate network {cluster} --measure --from FILE"
    ))
}

fn unusable(error: &KeptError) -> Failure {
    Failure::new(ExitCode::Failed, "what was measured can't be kept or read")
        .because(error)
        .hint("measuring anew sets a damaged file aside: quorate network --measure")
}
