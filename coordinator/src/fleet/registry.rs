//! The books of the fleet: which nodes there are, where, invited or enrolled, with which certificates.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_identity::{Certificate, Fingerprint, Serial, StoredToken, Token, UnixSeconds};
use quorate_model::{NodeRef, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::documents::{self, DocumentError};

/// A node in the books.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    /// Where its agent answers.
    pub(crate) address: SocketAddr,
    /// How it stands.
    pub(crate) state: State,
    /// Since when.
    pub(crate) since: Timestamp,
    /// The last invitation; kept after its use, so that a second claim is recognised.
    pub(crate) invitation: Option<Invitation>,
    /// Every certificate that was made for it and has not expired, the newest last.
    pub(crate) certificates: Vec<Issued>,
}

/// How a node stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Its agent has not come yet.
    Invited,
    /// It has its certificate.
    Enrolled,
    /// Its invitation was claimed twice: nothing is done with it until an operator removes it.
    Frozen {
        /// What happened.
        reason: String,
    },
}

/// A token that was given out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invitation {
    /// Recognises the token, can't make it.
    pub(crate) token: StoredToken,
    /// The token's end.
    pub(crate) expires_at: Timestamp,
    /// Its use.
    pub(crate) claim: Option<Claim>,
}

/// The use of a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claim {
    pub(crate) at: Timestamp,
    pub(crate) from: IpAddr,
}

/// A certificate that was made for a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issued {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) serial: Serial,
    pub(crate) not_after: UnixSeconds,
    pub(crate) renewal_due_at: UnixSeconds,
}

impl Issued {
    pub(crate) fn of(certificate: &Certificate) -> Self {
        Self {
            fingerprint: certificate.fingerprint(),
            serial: certificate.serial().clone(),
            not_after: certificate.not_after(),
            renewal_due_at: certificate.renewal_due_at(),
        }
    }
}

/// Why an invitation is not given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InviteError {
    /// It is in the fleet already.
    #[error("{node} is enrolled already")]
    Enrolled { node: NodeRef },
    /// It is frozen.
    #[error("{node} is frozen, since its invitation was claimed twice")]
    Frozen { node: NodeRef },
    /// Another node has the address.
    #[error("{other} has the address {address} already")]
    AddressTaken { other: NodeRef, address: SocketAddr },
    /// The books can't be written.
    #[error("the fleet's books can't be written")]
    Books(#[from] DocumentError),
}

type Nodes = BTreeMap<NodeRef, Node>;

/// The books. Every change is on disk before anybody hears of it.
#[derive(Debug)]
pub(crate) struct Registry {
    path: PathBuf,
    nodes: Mutex<Nodes>,
    changes: watch::Sender<u64>,
    new: bool,
}

impl Registry {
    /// Opens the books, or begins them.
    pub(crate) fn open(path: &Path) -> Result<Self, DocumentError> {
        let nodes: Option<Nodes> = documents::load_kept(path)?;
        let new = nodes.is_none();
        Ok(Self {
            path: path.to_owned(),
            nodes: Mutex::new(nodes.unwrap_or_default()),
            changes: watch::Sender::new(0),
            new,
        })
    }

    /// The books as they are now, for whoever is not their owner: nothing is mended, nothing may be changed through it.
    pub(crate) fn read(path: &Path) -> Result<BTreeMap<NodeRef, Node>, DocumentError> {
        Ok(documents::read_kept(path)?.unwrap_or_default())
    }

    /// Begins empty books: from then on, missing ones are a loss.
    pub(crate) fn begin(&self) -> Result<(), DocumentError> {
        documents::save_kept(&self.path, &Nodes::new())
    }

    /// Were there no books when it was opened?
    pub(crate) fn is_new(&self) -> bool {
        self.new
    }

    /// Rings whenever something changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// All nodes.
    pub(crate) fn nodes(&self) -> Nodes {
        self.lock().clone()
    }

    /// One node.
    pub(crate) fn node(&self, node: &NodeRef) -> Option<Node> {
        self.lock().get(node).cloned()
    }

    /// The nodes that may be observed and driven.
    pub(crate) fn enrolled(&self) -> BTreeSet<NodeRef> {
        self.lock()
            .iter()
            .filter(|(_, node)| node.state == State::Enrolled)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Notes an invitation; an earlier one that nobody came for is withdrawn by it.
    pub(crate) fn invite(
        &self,
        name: &NodeRef,
        address: SocketAddr,
        token: &Token,
        (now, valid): (Timestamp, Duration),
    ) -> Result<Timestamp, InviteError> {
        let expires_at = now.plus(valid);
        self.change(|nodes| {
            match nodes.get(name).map(|node| &node.state) {
                Some(State::Enrolled) => return Err(InviteError::Enrolled { node: name.clone() }),
                Some(State::Frozen { .. }) => return Err(InviteError::Frozen { node: name.clone() }),
                Some(State::Invited) | None => {}
            }
            if let Some((other, _)) = nodes
                .iter()
                .find(|(other, node)| *other != name && node.address == address)
            {
                return Err(InviteError::AddressTaken {
                    other: other.clone(),
                    address,
                });
            }
            let invitation = Some(Invitation {
                token: token.stored(),
                expires_at,
                claim: None,
            });
            let node = Node {
                address,
                state: State::Invited,
                since: now,
                invitation,
                certificates: Vec::new(),
            };
            nodes.insert(name.clone(), node);
            Ok(expires_at)
        })
    }

    /// Notes that a node has come and which certificate it gets. Called before it gets it.
    pub(crate) fn enrol(&self, name: &NodeRef, claim: Claim, certificate: &Certificate) -> Result<(), DocumentError> {
        self.change(|nodes| {
            if let Some(node) = nodes.get_mut(name) {
                (node.state, node.since) = (State::Enrolled, claim.at);
                if let Some(invitation) = &mut node.invitation {
                    invitation.claim = Some(claim);
                }
                node.certificates = vec![Issued::of(certificate)];
            }
            Ok(())
        })
    }

    /// Stops everything about a node until an operator decides.
    pub(crate) fn freeze(&self, name: &NodeRef, now: Timestamp, reason: &str) -> Result<(), DocumentError> {
        self.change(|nodes| {
            if let Some(node) = nodes.get_mut(name) {
                (node.state, node.since) = (
                    State::Frozen {
                        reason: reason.to_owned(),
                    },
                    now,
                );
            }
            Ok(())
        })
    }

    /// Notes another certificate, before the node gets it, and forgets those that have expired.
    pub(crate) fn issued(
        &self,
        name: &NodeRef,
        certificate: &Certificate,
        now: UnixSeconds,
    ) -> Result<(), DocumentError> {
        self.change(|nodes| {
            if let Some(node) = nodes.get_mut(name) {
                node.certificates.retain(|issued| issued.not_after >= now);
                node.certificates.push(Issued::of(certificate));
            }
            Ok(())
        })
    }

    /// Strikes a node off; returns what was known of it.
    pub(crate) fn remove(&self, name: &NodeRef) -> Result<Option<Node>, DocumentError> {
        self.change(|nodes| Ok(nodes.remove(name)))
    }

    /// Until when somebody may knock with a token; `None`: nobody may. A used token counts until it would have expired:
    /// a second claim must meet an answer, and be noticed, and not a closed door.
    pub(crate) fn expecting_until(&self, now: Timestamp) -> Option<Timestamp> {
        let nodes = self.lock();
        nodes
            .values()
            .filter_map(|node| Some(node.invitation.as_ref()?.expires_at))
            .filter(|end| *end > now)
            .max()
    }

    /// Changes a copy, keeps it on disk, and only then believes it.
    fn change<T, E: From<DocumentError>>(&self, change: impl FnOnce(&mut Nodes) -> Result<T, E>) -> Result<T, E> {
        let mut nodes = self.lock();
        let mut changed = nodes.clone();
        let answer = change(&mut changed)?;
        documents::save_kept(&self.path, &changed)?;
        *nodes = changed;
        self.changes.send_modify(|count| *count += 1);
        Ok(answer)
    }

    fn lock(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
