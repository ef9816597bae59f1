//! The coordinator's API: one file a topic. Who may call what was decided before a call arrives here.

mod info;
mod listen;
mod nodes;
mod plan;
mod rollouts;
mod view;

use std::pin::Pin;
use std::sync::Arc;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::{FleetName, Timestamp};
use quorate_proto::v1::coordinator_server::Coordinator;
use quorate_proto::{to_status, v1};
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

pub(crate) use self::listen::{bind_socket, over_socket, over_tls};
use crate::driver::Seat;
use crate::enrol::Door;
use crate::fleet::Fleet;
use crate::incoming::Who;
use crate::rollouts::Rollouts;
use crate::state_dir::StateDir;

/// What the API answers from.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) fleet_name: FleetName,
    /// Under which nodes reach the enrolment listener.
    pub(crate) advertise: String,
    pub(crate) root: quorate_identity::Certificate,
    pub(crate) started_at: Timestamp,
    pub(crate) state: StateDir,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) seat: Arc<Seat>,
    pub(crate) rollouts: Arc<Rollouts>,
    pub(crate) door: watch::Receiver<Door>,
}

/// The service. Clones answer from the same.
#[derive(Debug, Clone)]
pub(crate) struct Service(pub(crate) Arc<Api>);

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
    type WatchRolloutStream = Pin<Box<dyn Stream<Item = Result<v1::RolloutProgress, Status>> + Send>>;

    async fn info(&self, _: Request<v1::InfoRequest>) -> Answer<v1::InfoReply> {
        answer(Ok(self.0.info()))
    }

    async fn list_nodes(&self, _: Request<v1::ListNodesRequest>) -> Answer<v1::ListNodesReply> {
        answer(Ok(self.0.list_nodes()))
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
        answer(self.0.get_view(request.into_inner()).await)
    }

    async fn plan(&self, request: Request<v1::PlanRequest>) -> Answer<v1::PlanReply> {
        answer(self.0.plan(request.into_inner()).await)
    }

    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Answer<v1::ApplyReply> {
        let by = caller(&request)?;
        answer(self.0.apply(request.into_inner(), &by).await)
    }

    async fn list_rollouts(&self, _: Request<v1::ListRolloutsRequest>) -> Answer<v1::ListRolloutsReply> {
        answer(self.0.list_rollouts().await)
    }

    async fn watch_rollout(&self, request: Request<v1::WatchRolloutRequest>) -> Answer<Self::WatchRolloutStream> {
        answer(self.0.watch_rollout(request.into_inner()).await)
    }

    async fn cancel_rollout(&self, request: Request<v1::CancelRolloutRequest>) -> Answer<v1::CancelRolloutReply> {
        let by = caller(&request)?;
        answer(self.0.cancel_rollout(request.into_inner(), &by).await)
    }
}
