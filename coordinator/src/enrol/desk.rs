//! The enrolment service: a node with a valid token gets its certificate, and it stands in the books before it leaves.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use quorate_identity::{Certificate, Token, public_key_of};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::{Code, Finding, NodeRef};
use quorate_proto::v1::enrolment_server::Enrolment;
use quorate_proto::{Wire, refuse, to_status, v1};
use tonic::{Request, Response, Status};

use super::admission::{Knock, Refused, admit};
use super::rate::Rate;
use crate::audit::{Act, Audit, By, What};
use crate::ca::Ca;
use crate::fleet::Fleet;
use crate::fleet::registry::Claim;
use crate::incoming::Who;
use crate::trust;

/// The longest host name that is looked at.
const LONGEST_NAME: usize = 255;

/// Where nodes are enrolled.
#[derive(Debug)]
pub(crate) struct Desk {
    fleet: Arc<Fleet>,
    audit: Audit,
    ca: Arc<Ca>,
    rate: Mutex<Rate>,
    /// One at a time: two claims on one token must not pass each other.
    turn: Mutex<()>,
}

impl Desk {
    pub(crate) fn new((fleet, audit): (Arc<Fleet>, Audit), ca: Arc<Ca>) -> Self {
        Self {
            fleet,
            audit,
            ca,
            rate: Mutex::default(),
            turn: Mutex::default(),
        }
    }

    fn enrol_one(&self, request: &v1::EnrolRequest, (who, from): (&Who, IpAddr)) -> Result<v1::EnrolReply, Status> {
        if !self
            .rate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(from, self.fleet.clock.monotonic())
        {
            return Err(refuse(Finding::new(
                Code::EnrolmentRateLimited,
                from.to_string(),
                format!("{from} has tried too often"),
                "wait some seconds and try again",
            )));
        }
        if request.hostname.len() > LONGEST_NAME {
            return Err(to_status(Failure::new(ExitCode::Usage, "the host name is too long")));
        }
        let key = public_key_of(&request.csr_der).map_err(|error| {
            to_status(Failure::new(ExitCode::Usage, "can't use the signing request").because(&error))
        })?;
        let token: Option<Token> = request.secret.parse().ok();
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let at = trust::now(&self.fleet.clock);
        let knock = Knock {
            token: token.as_ref(),
            hostname: &request.hostname,
            from,
            at,
        };
        let name = admit(&self.fleet.registry.nodes(), &knock).map_err(|refused| self.turn_away(who, *refused))?;
        let node = name.to_string();
        let act = Act::new(By::caller(who), What::Enrol { node }).in_cluster(&name.cluster);
        self.audit.record(act).map_err(to_status)?;

        let failed = |error: &(dyn std::error::Error + 'static)| {
            to_status(Failure::new(ExitCode::Failed, format!("can't enrol {name}")).because(error))
        };
        let role = self
            .fleet
            .role(&name)
            .map_err(|error| to_status(Failure::new(ExitCode::Internal, error)))?;
        let ca = self.ca.now();
        let chain = ca
            .issuing
            .sign(&role, &key, trust::unix_seconds(&self.fleet.clock))
            .map_err(|error| failed(&error))?;
        let leaf = chain
            .first()
            .ok_or_else(|| to_status(Failure::new(ExitCode::Internal, "nothing was signed")))?;
        self.fleet
            .registry
            .enrol(&name, Claim { at, from }, leaf)
            .map_err(|error| failed(&error))?;
        tracing::info!(node = %name, %from, fingerprint = %leaf.fingerprint(), agent = request.agent_version, "enrolled");
        Ok(self.reply(
            &name,
            (&chain, ca.roots.certificates()),
            trust::timestamp(leaf.not_after()),
        ))
    }

    fn reply(
        &self,
        name: &NodeRef,
        (chain, roots): (&[Certificate], &[Certificate]),
        not_after: quorate_model::Timestamp,
    ) -> v1::EnrolReply {
        let ders = |all: &[Certificate]| all.iter().map(|c| c.der().to_vec()).collect();
        v1::EnrolReply {
            fleet: self.fleet.name.to_string(),
            cluster: name.cluster.to_string(),
            node: name.node.to_string(),
            chain_der: ders(chain),
            roots_der: ders(roots),
            not_after: Some(not_after).into_wire(),
        }
    }

    fn turn_away(&self, who: &Who, refused: Refused) -> Status {
        let Refused { finding, freeze } = refused;
        tracing::warn!(
            code = finding.code.as_str(),
            reason = finding.message,
            "enrolment refused"
        );
        if let Some(node) = freeze {
            let at = trust::now(&self.fleet.clock);
            let what = What::FreezeNode {
                node: node.to_string(),
                reason: finding.message.clone(),
            };
            if let Err(failure) = self
                .audit
                .record(Act::new(By::caller(who), what).in_cluster(&node.cluster))
            {
                // It is frozen all the same: that takes nothing from anybody.
                tracing::error!(%node, error = %failure, "the audit log lacks a line");
            }
            if let Err(error) = self.fleet.registry.freeze(&node, at, &finding.message) {
                tracing::error!(%node, error = trust::sentence(&error), "can't keep that the node is frozen");
            }
            self.fleet.sync();
        }
        refuse(finding)
    }
}

#[tonic::async_trait]
impl Enrolment for Desk {
    async fn enrol(&self, request: Request<v1::EnrolRequest>) -> Result<Response<v1::EnrolReply>, Status> {
        let who = request.extensions().get::<Who>();
        let from = who.and_then(|who| Some((who, who.from?.ip())));
        let from =
            from.ok_or_else(|| to_status(Failure::new(ExitCode::Internal, "where the caller is can't be told")))?;
        self.enrol_one(request.get_ref(), from).map(Response::new)
    }
}
