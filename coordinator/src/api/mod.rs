//! The coordinator's API: one file a topic. Who may call what was decided before a call arrives here.

mod ca;
mod drills;
mod history;
mod info;
mod life;
mod listen;
mod lost;
mod network;
mod nodes;
mod operators;
mod packages;
mod plan;
mod probe;
mod reach;
mod rollouts;
pub(crate) mod view;

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::{Finding, FleetName, Timestamp};
use quorate_proto::v1::coordinator_server::Coordinator;
use quorate_proto::{to_status, v1};
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

pub(crate) use self::listen::{bind_socket, over_socket, over_tls, reception};
use crate::audit::Audit;
use crate::ca::{Ca, Exchange};
use crate::clusters::Clusters;
use crate::drill::Drills;
use crate::driver::Seat;
use crate::enrol::Door;
use crate::fleet::Fleet;
use crate::host::Host;
use crate::incoming::Who;
use crate::measure::Measurements;
use crate::overview::Overview;
use crate::packages::Packages;
use crate::reach::Reaches;
use crate::rollouts::Rollouts;
use crate::state_dir::StateDir;
use crate::storage_secret::Secrets;

/// What the API answers from.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) fleet_name: FleetName,
    /// Under which nodes reach the enrolment listener.
    pub(crate) advertise: String,
    pub(crate) ca: Arc<Ca>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) started_at: Timestamp,
    pub(crate) state: StateDir,
    pub(crate) fleet: Arc<Fleet>,
    /// All that there is to say about clusters.
    pub(crate) overview: Arc<Overview>,
    pub(crate) seat: Arc<Seat>,
    pub(crate) audit: Audit,
    /// What the audit log's verification found, and for which length and time of the file.
    pub(crate) audit_seen: Mutex<Option<AuditSeen>>,
    pub(crate) host: Host,
    pub(crate) rollouts: Arc<Rollouts>,
    pub(crate) drills: Arc<Drills>,
    pub(crate) clusters: Clusters,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) packages: Packages,
    pub(crate) reaches: Reaches,
    pub(crate) measurements: Measurements,
    /// Plans go by no measurement: only in a lab.
    pub(crate) network_as_given: bool,
    pub(crate) door: watch::Receiver<Door>,
}

/// The file's length and time, and what was found in it.
pub(crate) type AuditSeen = (Option<(u64, Option<SystemTime>)>, Vec<Finding>);

/// The service. Clones answer from the same.
#[derive(Debug, Clone)]
pub(crate) struct Service(pub(crate) Arc<Api>);

/// Lines, some at a time.
type Lines<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(result: Result<T, Failure>) -> Answer<T> {
    result.map(Response::new).map_err(to_status)
}

/// Who calls, for the books.
fn caller<T>(request: &Request<T>) -> Result<Who, Status> {
    let who = request.extensions().get::<Who>().cloned();
    who.ok_or_else(|| to_status(Failure::new(ExitCode::Internal, "who calls can't be told")))
}

#[tonic::async_trait]
impl Coordinator for Service {
    type ReadAuditStream = Lines<v1::ReadAuditReply>;
    type ExportHistoryStream = Lines<v1::ExportHistoryReply>;
    type WatchDrillStream = Lines<v1::DrillProgress>;
    type GetDrillStream = Lines<v1::GetDrillReply>;
    type ProbeFromStream = Lines<v1::ProbeFromReply>;
    type WatchRolloutStream = Pin<Box<dyn Stream<Item = Result<v1::RolloutProgress, Status>> + Send>>;

    async fn info(&self, request: Request<v1::InfoRequest>) -> Answer<v1::InfoReply> {
        let by = caller(&request)?;
        answer(Ok(self.0.info(&by)))
    }

    async fn list_nodes(&self, request: Request<v1::ListNodesRequest>) -> Answer<v1::ListNodesReply> {
        let by = caller(&request)?;
        answer(Ok(self.0.list_nodes(&by)))
    }

    async fn invite_node(&self, request: Request<v1::InviteNodeRequest>) -> Answer<v1::InviteNodeReply> {
        let by = caller(&request)?;
        answer(self.0.invite_node(request.into_inner(), &by).await)
    }

    async fn remove_node(&self, request: Request<v1::RemoveNodeRequest>) -> Answer<v1::RemoveNodeReply> {
        let by = caller(&request)?;
        answer(self.0.remove_node(request.into_inner(), &by).await)
    }

    async fn get_view(&self, request: Request<v1::GetViewRequest>) -> Answer<v1::GetViewReply> {
        let by = caller(&request)?;
        answer(self.0.get_view(request.into_inner(), &by).await)
    }

    async fn network(&self, request: Request<v1::NetworkRequest>) -> Answer<v1::NetworkReply> {
        let by = caller(&request)?;
        answer(self.0.network(request.into_inner(), &by).await)
    }

    async fn measure_network(&self, request: Request<v1::NetworkRequest>) -> Answer<v1::NetworkReply> {
        let by = caller(&request)?;
        answer(self.0.measure_network(request.into_inner(), &by).await)
    }

    async fn plan(&self, request: Request<v1::PlanRequest>) -> Answer<v1::PlanReply> {
        let by = caller(&request)?;
        answer(self.0.plan(request.into_inner(), &by).await)
    }

    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Answer<v1::ApplyReply> {
        let by = caller(&request)?;
        answer(self.0.apply(request.into_inner(), &by).await)
    }

    async fn list_rollouts(&self, request: Request<v1::ListRolloutsRequest>) -> Answer<v1::ListRolloutsReply> {
        let by = caller(&request)?;
        answer(self.0.list_rollouts(&by).await)
    }

    async fn watch_rollout(&self, request: Request<v1::WatchRolloutRequest>) -> Answer<Self::WatchRolloutStream> {
        let by = caller(&request)?;
        answer(self.0.watch_rollout(request.into_inner(), &by).await)
    }

    async fn cancel_rollout(&self, request: Request<v1::CancelRolloutRequest>) -> Answer<v1::CancelRolloutReply> {
        let by = caller(&request)?;
        answer(self.0.cancel_rollout(request.into_inner(), &by).await)
    }

    async fn undo_info(&self, request: Request<v1::UndoInfoRequest>) -> Answer<v1::UndoInfoReply> {
        let by = caller(&request)?;
        answer(self.0.undo_info(request.into_inner(), &by).await)
    }

    async fn freeze(&self, request: Request<v1::FreezeRequest>) -> Answer<v1::FreezeReply> {
        let by = caller(&request)?;
        answer(self.0.freeze(request.into_inner(), &by).await)
    }

    async fn applied(&self, request: Request<v1::AppliedRequest>) -> Answer<v1::AppliedReply> {
        let by = caller(&request)?;
        answer(self.0.applied(request.into_inner(), &by))
    }

    async fn keep_package(&self, request: Request<Streaming<v1::PackagePart>>) -> Answer<v1::KeepPackageReply> {
        let by = caller(&request)?;
        answer(self.0.keep_package(request.into_inner(), &by).await)
    }

    async fn keep_reach(&self, request: Request<v1::KeepReachRequest>) -> Answer<v1::KeepReachReply> {
        let by = caller(&request)?;
        answer(self.0.keep_reach(request.into_inner(), &by).await)
    }

    async fn preview_drill(&self, request: Request<v1::PreviewDrillRequest>) -> Answer<v1::PreviewDrillReply> {
        let by = caller(&request)?;
        answer(self.0.preview_drill(request.into_inner(), &by).await)
    }

    async fn start_drill(&self, request: Request<v1::StartDrillRequest>) -> Answer<v1::StartDrillReply> {
        let by = caller(&request)?;
        answer(self.0.start_drill(request.into_inner(), &by).await)
    }

    async fn watch_drill(&self, request: Request<v1::WatchDrillRequest>) -> Answer<Self::WatchDrillStream> {
        let by = caller(&request)?;
        answer(self.0.watch_drill(request.into_inner(), &by))
    }

    async fn abort_drill(&self, request: Request<v1::AbortDrillRequest>) -> Answer<v1::AbortDrillReply> {
        let by = caller(&request)?;
        answer(self.0.abort_drill(request.into_inner(), &by).await)
    }

    async fn list_drills(&self, request: Request<v1::ListDrillsRequest>) -> Answer<v1::ListDrillsReply> {
        let by = caller(&request)?;
        answer(self.0.list_drills(request.into_inner(), &by))
    }

    async fn get_drill(&self, request: Request<v1::GetDrillRequest>) -> Answer<Self::GetDrillStream> {
        let by = caller(&request)?;
        answer(self.0.get_drill(request.into_inner(), &by))
    }

    async fn probe_from(&self, request: Request<v1::ProbeFromRequest>) -> Answer<Self::ProbeFromStream> {
        let by = caller(&request)?;
        answer(self.0.probe_from(request.into_inner(), &by).await)
    }

    async fn read_audit(&self, request: Request<v1::ReadAuditRequest>) -> Answer<Self::ReadAuditStream> {
        let by = caller(&request)?;
        answer(self.0.read_audit(&by).await)
    }

    async fn export_history(&self, request: Request<v1::ExportHistoryRequest>) -> Answer<Self::ExportHistoryStream> {
        let by = caller(&request)?;
        answer(self.0.export_history(&by).await)
    }

    async fn list_operators(&self, request: Request<v1::ListOperatorsRequest>) -> Answer<v1::ListOperatorsReply> {
        let by = caller(&request)?;
        answer(self.0.list_operators(&by))
    }

    async fn remove_operator(&self, request: Request<v1::RemoveOperatorRequest>) -> Answer<v1::RemoveOperatorReply> {
        let by = caller(&request)?;
        answer(self.0.remove_operator(request.into_inner(), &by).await)
    }

    async fn ca_status(&self, _: Request<v1::CaStatusRequest>) -> Answer<v1::CaStatusReply> {
        answer(self.0.ca_status())
    }

    async fn exchange_ca(&self, request: Request<v1::ExchangeCaRequest>) -> Answer<v1::CaStatusReply> {
        let by = caller(&request)?;
        answer(self.0.exchange_ca(request.into_inner(), &by).await)
    }
}
