//! The service: takes requests apart, asks who knows, puts answers together. No decisions here.

use std::pin::Pin;
use std::sync::Arc;

use quorate_model::Finding;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{Driver, OperationId};
use quorate_model::observation::FacetName;
use quorate_model::operation::Operation;
use quorate_proto::status::{refuse, to_status};
use quorate_proto::v1::agent_server::Agent;
use quorate_proto::{Wire, field, v1};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{Parts, watch};
use crate::guard;
use crate::join_ticket::join_ticket;
use crate::ledger::Revoked;
use crate::observe::{hostname, observe};
use crate::operations::{Follower, JoinSecret, Refused};

/// Answers of a stream that are ready and not taken yet.
const AHEAD: usize = 64;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Debug)]
pub(super) struct Service {
    parts: Parts,
    stop: CancellationToken,
}

impl Service {
    pub(super) fn new(parts: Parts, stop: CancellationToken) -> Self {
        Self { parts, stop }
    }

    /// Takes note of who drives, durably.
    async fn admit(&self, driver: Driver) -> Result<(), Status> {
        let node = self.parts.node.clone();
        let admitted = self.parts.ledger.change(move |content| {
            guard::admit(content, &driver, node.as_str())?;
            Ok::<_, Refused>(())
        });
        admitted.await.map_err(refused)
    }

    fn stream(&self, mut follower: Follower) -> Answers<v1::OperationEvent> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let stop = self.stop.clone();
        tokio::spawn(async move {
            loop {
                let events = tokio::select! {
                    () = stop.cancelled() => {
                        drop(sender.send(Err(stopping())).await);
                        return;
                    }
                    () = sender.closed() => return,
                    events = follower.next() => events,
                };
                let Some(events) = events else { return };
                for event in events {
                    let over = matches!(event.kind, quorate_model::operation::OperationEventKind::Ended(_));
                    if sender.send(Ok(event.into())).await.is_err() || over {
                        return;
                    }
                }
            }
        });
        Box::pin(ReceiverStream::new(receiver))
    }
}

/// The stream ends because we do; what it told of goes on.
pub(super) fn stopping() -> Status {
    to_status(
        Failure::new(ExitCode::Unreachable, "the agent is being stopped").hint("its operations go on; attach again"),
    )
}

fn refused(refused: Refused) -> Status {
    match refused {
        Refused::Finding(finding) => refuse(*finding),
        Refused::Request(message) => to_status(Failure::new(ExitCode::Usage, message)),
        Refused::NotKnown(_) => to_status(Failure::new(ExitCode::NotFound, refused.to_string())),
        Refused::Ledger(_) | Refused::Folder(_) => {
            let hint = "look at the disk that holds the agent's state directory on the node";
            to_status(
                Failure::new(ExitCode::Failed, "the agent can't keep its records")
                    .because(&refused)
                    .hint(hint),
            )
        }
    }
}

fn facets(wire: Vec<i32>) -> Result<Vec<FacetName>, Status> {
    Ok(field("facets", wire)?)
}

#[tonic::async_trait]
impl Agent for Service {
    type WatchHealthStream = Answers<v1::Observation>;
    type ExecuteStream = Answers<v1::OperationEvent>;
    type AttachStream = Answers<v1::OperationEvent>;

    async fn observe(&self, request: Request<v1::ObserveRequest>) -> Result<Response<v1::ObserveReply>, Status> {
        let host = &self.parts.host;
        let received_at = host.now();
        let facets = facets(request.into_inner().facets)?;
        let observation = observe(host, &facets).await;
        Ok(Response::new(v1::ObserveReply {
            observation: observation.into_wire(),
            received_at: received_at.into_wire(),
            sent_at: host.now().into_wire(),
        }))
    }

    async fn watch_health(
        &self,
        request: Request<v1::WatchHealthRequest>,
    ) -> Result<Response<Self::WatchHealthStream>, Status> {
        let interval = watch::interval(request.into_inner().interval_ms);
        let observations = watch::start(Arc::clone(&self.parts.host), interval, self.stop.clone());
        Ok(Response::new(Box::pin(observations)))
    }

    async fn drive(&self, request: Request<v1::DriveRequest>) -> Result<Response<v1::DriveReply>, Status> {
        self.admit(field("driver", request.into_inner().driver)?).await?;
        let host = &self.parts.host;
        let boot_id = host.root().read_text("/proc/sys/kernel/random/boot_id");
        let boot_id = boot_id.map_err(|error| {
            to_status(Failure::new(ExitCode::Failed, "the node's identity can't be read").because(&error))
        })?;
        Ok(Response::new(v1::DriveReply {
            hostname: hostname(host),
            boot_id: boot_id.trim().to_owned(),
        }))
    }

    async fn execute(&self, request: Request<v1::ExecuteRequest>) -> Result<Response<Self::ExecuteStream>, Status> {
        let request = request.into_inner();
        let driver: Driver = field("driver", request.driver)?;
        let operation: Operation = field("operation", request.operation)?;
        let secret = match request.secret.and_then(|secret| secret.secret) {
            None => None,
            Some(v1::secret::Secret::Join(v1::JoinSecret { password, fingerprint })) => {
                let secret = JoinSecret::new(password, fingerprint);
                Some(secret.map_err(|error| refused(Refused::Request(error.to_string())))?)
            }
        };
        let follower = self
            .parts
            .operations
            .execute(driver, operation, secret)
            .await
            .map_err(refused)?;
        Ok(Response::new(self.stream(follower)))
    }

    async fn attach(&self, request: Request<v1::AttachRequest>) -> Result<Response<Self::AttachStream>, Status> {
        let request = request.into_inner();
        let id: OperationId = field("operation", request.operation)?;
        let follower = self.parts.operations.attach(&id, request.from).await.map_err(refused)?;
        Ok(Response::new(self.stream(follower)))
    }

    async fn ledger(&self, request: Request<v1::LedgerRequest>) -> Result<Response<v1::LedgerReply>, Status> {
        let only = request.into_inner().operation;
        let content = self.parts.ledger.content();
        let wanted = |id: &OperationId| only.is_empty() || id.as_str() == only;
        let entries = content.operations.iter().filter(|entry| wanted(&entry.operation.id));
        Ok(Response::new(v1::LedgerReply {
            driver: content.driver.clone().into_wire(),
            entries: entries.cloned().map(Wire::into_wire).collect(),
        }))
    }

    async fn join_ticket(
        &self,
        request: Request<v1::JoinTicketRequest>,
    ) -> Result<Response<v1::JoinTicketReply>, Status> {
        let request = request.into_inner();
        self.admit(field("driver", request.driver)?).await?;
        let ticket = join_ticket(&self.parts.host, &self.parts.node).await;
        let ticket = ticket.map_err(|finding: Box<Finding>| refuse(*finding))?;
        tracing::info!(joiner = request.joiner, "made a ticket for a node that is to join");
        let password = String::from_utf8_lossy(ticket.password.expose()).into_owned();
        Ok(Response::new(v1::JoinTicketReply {
            secret: Some(v1::JoinSecret {
                password,
                fingerprint: ticket.fingerprint,
            }),
            member_address: ticket.address.to_string(),
            links: ticket.links.into_iter().map(u32::from).collect(),
            cluster: ticket.cluster,
        }))
    }

    async fn renewal_request(
        &self,
        _: Request<v1::RenewalRequestRequest>,
    ) -> Result<Response<v1::RenewalRequestReply>, Status> {
        let csr_der = self.parts.renewal.request().map_err(to_status)?;
        Ok(Response::new(v1::RenewalRequestReply { csr_der }))
    }

    async fn install_certificate(
        &self,
        request: Request<v1::InstallCertificateRequest>,
    ) -> Result<Response<v1::InstallCertificateReply>, Status> {
        let v1::InstallCertificateRequest { chain_der, roots_der } = request.into_inner();
        let not_after = self.parts.renewal.install(&chain_der, &roots_der).map_err(to_status)?;
        Ok(Response::new(v1::InstallCertificateReply {
            not_after: not_after.into_wire(),
        }))
    }

    async fn revoke(&self, request: Request<v1::RevokeRequest>) -> Result<Response<v1::RevokeReply>, Status> {
        let v1::RevokeRequest {
            generation,
            fingerprints,
        } = request.into_inner();
        let parsed = fingerprints.iter().map(|text| text.parse()).collect::<Result<_, _>>();
        let fingerprints =
            parsed.map_err(|error: quorate_identity::FingerprintError| refused(Refused::Request(error.to_string())))?;
        let list = Revoked {
            generation,
            fingerprints,
        };
        let changed = self.parts.ledger.change(move |content| {
            let old = content.revoked.generation;
            if generation < old || (generation == old && content.revoked != list) {
                let message = format!("revocation list {generation} does not replace list {old}, which is in force");
                return Err(Refused::Request(message));
            }
            content.revoked = list;
            Ok(())
        });
        changed.await.map_err(refused)?;
        Ok(Response::new(v1::RevokeReply {}))
    }
}
