//! The service: takes requests apart, asks who knows, puts answers together. No decisions here.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use quorate_model::canary::MAX_PROGRAM;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{Driver, OperationId};
use quorate_model::observation::FacetName;
use quorate_model::observation::config::KeptSpec;
use quorate_model::operation::{ActionKind, Operation};
use quorate_model::{ClusterName, Code, Finding, Hold, JournalAnchor};
use quorate_proto::status::{refuse, to_status};
use quorate_proto::v1::agent_server::Agent;
use quorate_proto::{Wire, field, limits, v1};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{Parts, events, measure, package, probe, watch};
use crate::faults;
use crate::guard;
use crate::join_ticket::join_ticket;
use crate::kept_spec;
use crate::ledger::Revoked;
use crate::observe::{Asked, hostname, observe, observe_all};
use crate::operations::{Follower, JoinSecret, Passed, Refused, secret_line};
use crate::probe::Probes;
use crate::recover;
use crate::snapshot::snapshot;

/// Answers of a stream that are ready and not taken yet.
const AHEAD: usize = 64;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Debug)]
pub(super) struct Service {
    parts: Parts,
    /// What is called from here.
    probes: Probes,
    stop: CancellationToken,
}

impl Service {
    pub(super) fn new(parts: Parts, stop: CancellationToken) -> Self {
        Self {
            parts,
            probes: Probes::default(),
            stop,
        }
    }

    /// Takes note of who drives, durably.
    async fn admit(&self, driver: Driver, anchor: Option<JournalAnchor>) -> Result<(), Status> {
        let node = self.parts.node.clone();
        let admitted = self.parts.ledger.change(move |content| {
            guard::admit(content, &driver, node.as_str())?;
            guard::note_anchor(content, driver.generation, anchor, node.as_str())?;
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

/// Those that are known here. A newer coordinator may ask for more, and takes what is not answered for not known.
fn facets(wire: Vec<i32>) -> Result<Vec<FacetName>, Status> {
    let known = wire.into_iter().filter(|facet| v1::FacetName::try_from(*facet).is_ok());
    Ok(field("facets", known.collect::<Vec<i32>>())?)
}

/// The names to resolve: not more than anybody needs, each fit to be an argument.
fn names(wire: Vec<String>) -> Result<Vec<String>, Status> {
    if wire.len() > limits::MAX_RESOLVED {
        let message = format!("{} names to resolve are more than {}", wire.len(), limits::MAX_RESOLVED);
        return Err(refused(Refused::Request(message)));
    }
    let is_name = |name: &String| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        !name.is_empty() && name.len() <= 253 && !name.starts_with('-') && name.chars().all(allowed)
    };
    match wire.iter().find(|name| !is_name(name)) {
        Some(bad) => Err(refused(Refused::Request(format!("`{bad}` is no host name")))),
        None => Ok(wire),
    }
}

#[tonic::async_trait]
impl Agent for Service {
    type WatchHealthStream = Answers<v1::Observation>;
    type ExecuteStream = Answers<v1::OperationEvent>;
    type AttachStream = Answers<v1::OperationEvent>;
    type WatchEventsStream = Answers<v1::DrillEvents>;
    type ProbeStream = Answers<v1::ProbeCalls>;

    async fn observe(&self, request: Request<v1::ObserveRequest>) -> Result<Response<v1::ObserveReply>, Status> {
        let host = &self.parts.host;
        let received_at = host.now();
        let request = request.into_inner();
        let mut more = Asked {
            names: names(request.resolve)?,
            fetch: field("fetch", request.fetch)?,
            within: request.within_ms.map(Duration::from_millis),
            acting: false,
        };
        // Filling apt's cache is a change, if a small one.
        if !self.parts.operations.allow_changes() {
            more.fetch.clear();
        }
        let observation = observe_all(host, &facets(request.facets)?, &more).await;
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
        let (host, looks) = (Arc::clone(&self.parts.host), self.parts.looks.clone());
        let observations = watch::start(host, looks, interval, self.stop.clone());
        Ok(Response::new(Box::pin(observations)))
    }

    async fn drive(&self, request: Request<v1::DriveRequest>) -> Result<Response<v1::DriveReply>, Status> {
        let request = request.into_inner();
        let host = &self.parts.host;
        if let Some(why) = quorate_model::release::apart(&request.version, host.version()) {
            let next =
                "upgrade by one minor version at a time, coordinator and agents; by hand: dpkg --install FILE.deb";
            return Err(refuse(Finding::new(
                Code::AgentVersionApart,
                self.parts.node.as_str(),
                why,
                next,
            )));
        }
        self.admit(field("driver", request.driver)?, field("anchor", request.anchor)?)
            .await?;
        let boot_id = host.root().read_text("/proc/sys/kernel/random/boot_id");
        let boot_id = boot_id.map_err(|error| {
            to_status(Failure::new(ExitCode::Failed, "the node's identity can't be read").because(&error))
        })?;
        Ok(Response::new(v1::DriveReply {
            hostname: hostname(host),
            boot_id: boot_id.trim().to_owned(),
            version: host.version().to_owned(),
        }))
    }

    async fn execute(&self, request: Request<v1::ExecuteRequest>) -> Result<Response<Self::ExecuteStream>, Status> {
        let request = request.into_inner();
        let driver: Driver = field("driver", request.driver)?;
        let anchor: Option<JournalAnchor> = field("anchor", request.anchor)?;
        let operation: Operation = field("operation", request.operation)?;
        let passed = match request.secret.and_then(|secret| secret.secret) {
            None => None,
            Some(v1::secret::Secret::Join(v1::JoinSecret { password, fingerprint })) => {
                let secret = JoinSecret::new(password, fingerprint);
                let secret = secret.map_err(|error| refused(Refused::Request(error.to_string())))?;
                Some(Passed::Join(secret))
            }
            Some(v1::secret::Secret::CorosyncConf(v1::CorosyncConf { text })) => Some(Passed::CorosyncConf(text)),
            Some(v1::secret::Secret::Storage(v1::StorageSecret { password })) => {
                let password = secret_line(password);
                let password = password.map_err(|error| refused(Refused::Request(error.to_string())))?;
                Some(Passed::Storage(password))
            }
            Some(v1::secret::Secret::Program(v1::GuestProgram { program })) => {
                if program.len() > MAX_PROGRAM {
                    let message = format!("a program of {} bytes is more than a guest can be given", program.len());
                    return Err(refused(Refused::Request(message)));
                }
                Some(Passed::Program(program))
            }
        };
        let follower = self
            .parts
            .operations
            .execute((driver, anchor), (operation, request.restores), passed)
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

    async fn hold(&self, request: Request<v1::HoldRequest>) -> Result<Response<v1::HoldReply>, Status> {
        let request = request.into_inner();
        let driver: Driver = field("driver", request.driver)?;
        let hold: Hold = field("hold", request.hold)?;
        let node = self.parts.node.clone();
        let noted = self.parts.ledger.change(move |content| {
            guard::admit(content, &driver, node.as_str())?;
            content.hold = hold;
            Ok::<_, Refused>(())
        });
        noted.await.map_err(refused)?;
        Ok(Response::new(v1::HoldReply {}))
    }

    async fn keep_spec(&self, request: Request<v1::KeepSpecRequest>) -> Result<Response<v1::KeepSpecReply>, Status> {
        let request = request.into_inner();
        self.admit(field("driver", request.driver)?, None).await?;
        let cluster: ClusterName = field("cluster", request.cluster)?;
        let spec: KeptSpec = field("spec", request.spec)?;
        let host = &self.parts.host;
        let failed = |why: String| {
            let message = format!("the cluster file can't be kept on {}: {why}", self.parts.node);
            to_status(Failure::new(ExitCode::Failed, message))
        };
        let seen = observe(host, &[FacetName::Cluster]).await;
        match seen.cluster.get().map(|cluster| cluster.member()) {
            Err(unknown) => return Err(failed(unknown.reason.clone())),
            Ok(Some(member)) if member.cluster == cluster.as_str() => {}
            Ok(_) => return Err(failed(format!("it is no member of {cluster}"))),
        }
        kept_spec::keep(host, &self.parts.supervisor, &spec)
            .await
            .map_err(failed)?;
        Ok(Response::new(v1::KeepSpecReply {}))
    }

    async fn snapshot(&self, _request: Request<v1::SnapshotRequest>) -> Result<Response<v1::SnapshotReply>, Status> {
        let files = snapshot(&self.parts.host).await;
        Ok(Response::new(v1::SnapshotReply { files }))
    }

    async fn ledger(&self, request: Request<v1::LedgerRequest>) -> Result<Response<v1::LedgerReply>, Status> {
        let only = request.into_inner().operation;
        let content = self.parts.operations.ledger().await;
        let wanted = |id: &OperationId| only.is_empty() || id.as_str() == only;
        let entries = content.operations.iter().filter(|entry| wanted(&entry.operation.id));
        Ok(Response::new(v1::LedgerReply {
            driver: content.driver.clone().into_wire(),
            entries: entries.cloned().map(Wire::into_wire).collect(),
            anchor: content.anchor.clone().map(|known| known.anchor).into_wire(),
            hold: Some(content.hold.clone().into_wire()),
        }))
    }

    async fn join_ticket(
        &self,
        request: Request<v1::JoinTicketRequest>,
    ) -> Result<Response<v1::JoinTicketReply>, Status> {
        let request = request.into_inner();
        self.admit(field("driver", request.driver)?, None).await?;
        self.parts.operations.allows_tickets().map_err(refused)?;
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

    async fn open_echo(&self, request: Request<v1::OpenEchoRequest>) -> Result<Response<v1::OpenEchoReply>, Status> {
        measure::open(&self.parts.echo, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn measure(&self, request: Request<v1::MeasureRequest>) -> Result<Response<v1::MeasureReply>, Status> {
        measure::measure(&self.parts.echo, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn close_echo(&self, request: Request<v1::CloseEchoRequest>) -> Result<Response<v1::CloseEchoReply>, Status> {
        measure::close(&self.parts.echo, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn stage_package(
        &self,
        request: Request<Streaming<v1::PackagePart>>,
    ) -> Result<Response<v1::StagePackageReply>, Status> {
        let mut parts = request.into_inner();
        let mut head = package::head(&mut parts).await?;
        self.admit(field("driver", head.driver.take())?, None).await?;
        let operations = &self.parts.operations;
        operations.allows(ActionKind::UpgradeAgent).map_err(refused)?;
        let place = (
            Arc::clone(&self.parts.host),
            operations.state_dir().to_owned(),
            self.parts.node.as_str(),
        );
        package::keep(place, head, &mut parts).await?;
        Ok(Response::new(v1::StagePackageReply {}))
    }

    /// Whoever drives, and also where the ledger can't be written: what is rehearsed must be able to end.
    async fn heal(&self, request: Request<v1::HealRequest>) -> Result<Response<v1::HealReply>, Status> {
        let v1::HealRequest { fault, only_look } = request.into_inner();
        let which: Option<OperationId> = match fault.as_str() {
            "" => None,
            _ => Some(field("fault", fault)?),
        };
        tracing::info!(
            fault = which.as_ref().map(ToString::to_string),
            only_look,
            "asked to heal"
        );
        let state_dir = self.parts.operations.state_dir().to_owned();
        let host = Arc::clone(&self.parts.host);
        // In a task of its own: a caller that goes away can't leave something half undone.
        let healing = tokio::spawn(async move { faults::heal(&host, &state_dir, which.as_ref(), only_look).await });
        let met = healing.await.map_err(|error| {
            to_status(Failure::new(ExitCode::Internal, "healing broke off; the timers end what holds").because(&error))
        })?;
        Ok(Response::new(v1::HealReply {
            met: met.into_iter().map(Wire::into_wire).collect(),
        }))
    }

    async fn watch_events(
        &self,
        request: Request<v1::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let mut request = request.into_inner();
        self.admit(field("driver", request.driver.take())?, None).await?;
        let events = events::start(&self.parts.events, self.parts.host.now(), request, self.stop.clone());
        Ok(Response::new(events.map_err(to_status)?))
    }

    async fn probe(&self, request: Request<v1::ProbeRequest>) -> Result<Response<Self::ProbeStream>, Status> {
        let host = Arc::clone(&self.parts.host);
        let calls = probe::start(&self.probes, || host.now(), request.into_inner(), self.stop.clone()).await;
        Ok(Response::new(calls.map_err(to_status)?))
    }

    async fn look_for_lost(
        &self,
        request: Request<v1::LookForLostRequest>,
    ) -> Result<Response<v1::LookForLostReply>, Status> {
        let lost = field("lost", request.into_inner().lost)?;
        let survivor = recover::survey(&self.parts.host, &lost).await.map_err(to_status)?;
        Ok(Response::new(v1::LookForLostReply {
            survivor: Some(survivor.into_wire()),
        }))
    }

    async fn revoke(&self, request: Request<v1::RevokeRequest>) -> Result<Response<v1::RevokeReply>, Status> {
        let v1::RevokeRequest {
            generation,
            fingerprints,
        } = request.into_inner();
        let parsed = fingerprints
            .iter()
            .map(|text| text.parse())
            .collect::<Result<BTreeSet<_>, _>>();
        let fingerprints =
            parsed.map_err(|error: quorate_identity::FingerprintError| refused(Refused::Request(error.to_string())))?;
        let all: Vec<String> = fingerprints
            .iter()
            .map(quorate_identity::Fingerprint::to_string)
            .collect();
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
        // Whoever is among them and is connected hears no more, also in the middle of a stream.
        let left: usize = all
            .iter()
            .map(|fingerprint| self.parts.reception.expel(fingerprint))
            .sum();
        if left > 0 {
            tracing::warn!(connections = left, "ended connections whose certificate was revoked");
        }
        Ok(Response::new(v1::RevokeReply {}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_to_resolve_are_few_and_no_options() {
        let named = |name: &str| names(vec![name.to_owned()]).is_ok();
        assert!(named("prox2") && named("prox2.example") && named("10.0.0.1"));
        for bad in ["", "-s", "prox2 prox3", "a/b", "x\n", &"x".repeat(254)] {
            assert!(!named(bad), "{bad}");
        }
        let many = |count| names(vec!["prox2".to_owned(); count]);
        assert_eq!(many(limits::MAX_RESOLVED).unwrap().len(), 64);
        let refused = quorate_proto::status::to_failure(&many(limits::MAX_RESOLVED + 1).unwrap_err());
        assert_eq!(
            (refused.exit, refused.message.as_str()),
            (ExitCode::Usage, "65 names to resolve are more than 64")
        );
    }
}
