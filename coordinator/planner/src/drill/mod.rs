//! A drill before it is made: what speaks against it, what becomes of every guest on the victim, what is moved first and back afterwards, and what
//! is to be expected. Whatever could not be seen speaks against it.

mod around;
mod ceph;
mod clocks;
mod cluster;
mod fates;
mod guest;
mod ha;
mod scene;

use std::collections::BTreeSet;

use quorate_model::canary_discs;
use quorate_model::drill::{Circumstances, DrillKind, GuestFate, Lasting, Prediction, Timing, predict};
use quorate_model::facet::Facet;
use quorate_model::fault::Fault;
use quorate_model::finding::{Code, Finding};
use quorate_model::held::GuestVolume;
use quorate_model::hold::Hold;
use quorate_model::ids::{DrillName, NodeName};
use quorate_model::maintenance::MaintenanceWindow;
use quorate_model::observation::FacetName;
use quorate_model::plan::Step;
use quorate_model::spec::{ClusterFile, DrillSpec};
use quorate_model::{Timestamp, View};

use crate::moves::clear::{Cleared, clear};
use crate::report::{Report, in_order};
use scene::Scene;

/// The tag of guests that are ours to break.
pub const CANARY: &str = "quorate-canary";

/// What must be seen for it. Of it nothing is taken from memory: a minute may decide.
pub const NEEDS: [FacetName; 9] = quorate_model::outlook::NEEDS;

/// What is looked at beside it, and decides nothing: what lies in pools says what a canary leaves behind.
pub const ALSO: [FacetName; 1] = [FacetName::Pools];

/// The drill that is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its name in the cluster file; `None`: it was put together on the command line.
    pub name: Option<DrillName>,
    /// What is broken.
    pub fault: Fault,
    /// What it is to show.
    pub kind: DrillKind,
    /// How long the fault lasts.
    pub lasts: Lasting,
    /// The victim.
    pub node: NodeName,
    /// The guest that is watched.
    pub guest: u32,
    /// `--risk-guest`: guests that may fail with the server, by the operator's word.
    pub risked: BTreeSet<u32>,
    /// What the operator typed, or gave as `--confirm`: `CLUSTER/NODE`.
    pub confirmed: Option<String>,
    /// `--accept`: what speaks against it and is accepted.
    pub accepted: Vec<Code>,
    /// It is run because it is due, and nobody watches.
    pub scheduled: bool,
    /// When it may begin then; empty: the cluster's own windows hold.
    pub windows: Vec<MaintenanceWindow>,
}

impl Request {
    /// The drill of this name in the cluster file; without any word of an operator yet.
    #[must_use]
    pub fn of(name: &DrillName, spec: &DrillSpec) -> Self {
        Self {
            name: Some(name.clone()),
            fault: spec.fault.value.clone(),
            kind: spec.kind,
            lasts: spec.lasts,
            node: spec.node.value.clone(),
            guest: spec.guest.value,
            risked: BTreeSet::new(),
            confirmed: None,
            accepted: Vec::new(),
            scheduled: false,
            windows: spec.windows.iter().map(|window| window.value).collect(),
        }
    }

    /// Is the guest, or are those on the server, started again because of it?
    pub(crate) fn fails_guests(&self) -> bool {
        self.kind == DrillKind::Failover && self.fault.fails_guests()
    }

    /// Does the server leave, so that its guests are started elsewhere?
    pub(crate) fn fails_over(&self) -> bool {
        self.kind == DrillKind::Failover && self.fault.isolates()
    }
}

/// What the coordinator knows beside the view.
#[derive(Debug, Clone)]
pub struct Around {
    /// Now, by the coordinator's clock.
    pub now: Timestamp,
    /// A rollout that is not finished in this cluster.
    pub rollout: Option<String>,
    /// Whether the cluster may be disturbed now.
    pub hold: Hold,
    /// A drill that runs, or whose fault has not been seen to be gone.
    pub running: Option<String>,
    /// The last drill of the cluster, and when it was over.
    pub last: Option<(String, Timestamp)>,
    /// Tasks of PVE that run anywhere in the cluster, in words: `vzdump of 101 on prox2`.
    pub tasks: Facet<Vec<String>>,
    /// How Ceph is. Asked only where the cluster has one.
    pub ceph: Facet<Ceph>,
    /// corosync's timers as it runs with them; the number of nodes is counted here.
    pub timing: Facet<Timing>,
    /// How long the guest took from its start to its first answer in earlier drills.
    pub boot: Option<quorate_model::drill::Range>,
}

/// Ceph, as far as a drill asks. Source: `ceph status -f json` (`health.status`, `health.checks`, `quorum_names`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceph {
    /// `HEALTH_OK`, `HEALTH_WARN` or `HEALTH_ERR`.
    pub health: String,
    /// What it complains of.
    pub checks: Vec<String>,
    /// Monitors that are in the quorum, by name.
    pub quorum: BTreeSet<String>,
}

/// A drill as it would be.
#[derive(Debug, Clone)]
pub struct Preview {
    /// What there is to say, the gravest first. One that refuses, and was not accepted, forbids it.
    pub findings: Vec<Finding>,
    /// What becomes of every guest on the victim, by id.
    pub fates: Vec<GuestFate>,
    /// What is moved off first.
    pub before: Vec<Step>,
    /// What is moved back afterwards.
    pub after: Vec<Step>,
    /// What the forecast goes by.
    pub circumstances: Circumstances,
    /// What is to be expected.
    pub predicted: Prediction,
    /// Guests that will be started elsewhere.
    pub recovered: BTreeSet<u32>,
    /// The canary of ours of which the victim's last writes are overwritten afterwards, without another word: its copy would be held otherwise, and
    /// nothing that a canary writes is needed. Never a guest of a customer.
    pub discards: Option<u32>,
    /// What the victim keeps of that canary's disc for cloud-init, and is freed afterwards: PVE makes one anew wherever it starts. `None`: nothing, or
    /// what lies there could not be seen.
    pub leaves: Option<GuestVolume>,
}

impl Preview {
    /// May it be made?
    #[must_use]
    pub fn refused(&self) -> bool {
        self.findings.iter().any(Finding::refuses)
    }
}

/// Looks at a drill from all sides. The codes that the request accepts are warnings, where the catalogue allows that; one that it does not is
/// told as what it is.
#[must_use]
pub fn preview(file: &ClusterFile, view: &View, request: &Request, around: &Around) -> Preview {
    let mut report = Report::default();
    around::rails(file, request, around, &mut report);
    let Some(scene) = Scene::see(file, view, request, &mut report) else {
        let circumstances = blind(request, around);
        return Preview {
            findings: accepted(report, request),
            fates: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            predicted: expected(&circumstances, around),
            circumstances,
            recovered: BTreeSet::new(),
            discards: None,
            leaves: None,
        };
    };
    cluster::rails(&scene, request, &mut report);
    clocks::rails(&scene, &mut report);
    ha::rails(&scene, request, &mut report);
    ceph::rails(&scene, request, around, &mut report);
    guest::rails(&scene, request, &mut report);
    let watched = scene.guest(request.guest);
    if let Some(renamed) = watched.and_then(|guest| canary_discs::renamed(&file.cluster.name.value, guest)) {
        report.tell(renamed);
    }
    let cleared = if request.fails_over() {
        let mut stay = request.risked.clone();
        stay.insert(request.guest);
        clear(file, view, &request.node, &stay)
    } else {
        Cleared::default()
    };
    for finding in &cleared.findings {
        report.tell(finding.clone());
    }
    let fates = fates::of(&scene, request, &cleared);
    let recovered = fates::recovered(&fates);
    let circumstances = Circumstances {
        stays: fates::stays(&scene, request, &fates),
        ..scene.circumstances(request, around)
    };
    let mut predicted = expected(&circumstances, around);
    let down = fates::others_down(request, &fates, &predicted);
    predicted.notes.extend(down);
    let leaves = leaves(view, request, &recovered, &scene);
    Preview {
        findings: accepted(report, request),
        fates,
        before: cleared.before,
        after: cleared.after,
        predicted,
        circumstances,
        discards: recovered
            .contains(&request.guest)
            .then_some(request.guest)
            .filter(|id| scene.holds_canary(*id)),
        leaves,
        recovered,
    }
}

/// The canary's disc for cloud-init, which stays on the victim when it is started elsewhere.
fn leaves(view: &View, request: &Request, recovered: &BTreeSet<u32>, scene: &Scene<'_>) -> Option<GuestVolume> {
    let canary = scene.guest(request.guest).filter(|guest| Scene::is_canary(guest))?;
    if !recovered.contains(&request.guest) || canary.guest.node != request.node.as_str() || !request.fails_over() {
        return None;
    }
    let pools = view.facet(&request.node, |o| &o.pools).ok()?;
    let storages = view.facet(&request.node, |o| &o.storages).ok()?;
    let discs = canary_discs::of_node(&request.node, pools, storages, request.guest);
    discs.ok()?.into_iter().next().map(|disc| disc.volume)
}

fn accepted(report: Report, request: &Request) -> Vec<Finding> {
    let mut findings = report.into_findings();
    // What may not be accepted stays what it is, and says so itself.
    drop(quorate_model::finding::accept(&mut findings, &request.accepted));
    in_order(findings)
}

/// corosync's timers; what is not known of them covers what it may be.
pub(crate) fn timing(around: &Around, nodes: u32) -> Timing {
    match around.timing.get() {
        Ok(timing) => Timing { nodes, ..*timing },
        Err(_) => Timing::unknown(nodes),
    }
}

/// What is to be expected, and why it is not narrower.
fn expected(circumstances: &Circumstances, around: &Around) -> Prediction {
    let mut predicted = predict(circumstances);
    if let (Err(unknown), true) = (around.timing.get(), circumstances.fault.isolates()) {
        predicted
            .notes
            .push(format!("corosync's timers could not be seen: {}", unknown.reason));
    }
    predicted
}

/// Nothing is known but what was asked for.
fn blind(request: &Request, around: &Around) -> Circumstances {
    Circumstances {
        fault: request.fault.clone(),
        kind: request.kind,
        lasts: request.lasts,
        guest: request.guest,
        timing: timing(around, 0),
        master: None,
        qdevice: false,
        armed: None,
        boot: around.boot,
        copied_every: None,
        stays: None,
    }
}
