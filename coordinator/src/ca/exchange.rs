//! How far the exchange is, whom it still lacks, and the steps on disk. What is on disk decides: a daemon that dies between two
//! renames goes on with them at its next start.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quorate_identity::{Certificate, CoordinatorStore, Roots};
use quorate_model::NodeRef;
use quorate_model::failure::{ExitCode, Failure};
use serde::{Deserialize, Serialize};

use super::{Ca, failed};
use crate::documents::{self, DocumentError};
use crate::fleet::{Fleet, renewal};
use crate::state_dir::StateDir;

/// How often those are told who have not been.
const EVERY: Duration = Duration::from_secs(2);

/// How long [`Exchange::finish`] waits for whoever can't be reached: an agent has just dialled anew, or has much to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// There is one CA.
    #[default]
    None,
    /// The old one signs, both are trusted.
    Begun,
    /// The new one is put into the old one's place; after a crash this goes on.
    Switching,
    /// The new one signs, both are trusted.
    Switched,
    /// Agents are told to trust the new one alone.
    Finishing,
}

/// `exchange.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    stage: Stage,
    /// Agents that have what this stage gives them.
    told: BTreeSet<NodeRef>,
}

/// The exchange, whether there is one or not.
#[derive(Debug)]
pub(crate) struct Exchange {
    path: PathBuf,
    store: CoordinatorStore,
    document: Mutex<Document>,
    /// Of two who tell the same agent at once, one would be given a certificate for a key that the other has replaced.
    telling: tokio::sync::Mutex<()>,
}

impl Exchange {
    /// Reads how far it is, and ends a switch that was interrupted. Before anything of the CA is read.
    pub(crate) fn open(state: &StateDir) -> Result<Self, Failure> {
        let unusable = |error: DocumentError| failed("how far the exchange of the CA is can't be read", &error);
        let document: Document = documents::load_kept(&state.exchange())
            .map_err(unusable)?
            .unwrap_or_default();
        let exchange = Self {
            path: state.exchange(),
            store: state.identity(),
            document: Mutex::new(document),
            telling: tokio::sync::Mutex::new(()),
        };
        if exchange.stage() == Stage::Switching {
            exchange.put_into_place()?;
            exchange.go_to(Stage::Switched)?;
        }
        Ok(exchange)
    }

    pub(crate) fn stage(&self) -> Stage {
        self.document().stage
    }

    fn document(&self) -> Document {
        self.document.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Document)) -> Result<(), Failure> {
        let mut document = self.document.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = document.clone();
        change(&mut changed);
        if changed != *document {
            documents::save_kept(&self.path, &changed)
                .map_err(|error| failed("how far the exchange of the CA is can't be kept", &error))?;
            *document = changed;
        }
        Ok(())
    }

    fn go_to(&self, stage: Stage) -> Result<(), Failure> {
        self.change(|document| {
            *document = Document {
                stage,
                told: BTreeSet::new(),
            };
        })
    }

    /// Enrolled nodes that lack what this stage gives them.
    pub(crate) fn missing(&self, fleet: &Fleet) -> Vec<NodeRef> {
        let document = self.document();
        if document.stage == Stage::None {
            return Vec::new();
        }
        let enrolled = fleet.registry.enrolled().into_iter();
        enrolled.filter(|node| !document.told.contains(node)).collect()
    }

    /// The new CA lies where `quorate ca begin` puts it: from now on it is trusted beside the old one.
    pub(crate) fn begin(&self, ca: &Ca, fleet: &Fleet) -> Result<(), Failure> {
        match self.stage() {
            Stage::None => {}
            Stage::Begun => return Ok(()),
            _ => return Err(wrong_stage("the CA is being exchanged already").hint("go on with it: quorate ca status")),
        }
        let next = self.store.next_roots().map_err(|error| {
            failed("there is no new CA", &error).hint("it is made by: quorate ca begin, on this host")
        })?;
        // Only the one that signs: another may be left of an attempt that broke off here.
        let both = [std::slice::from_ref(&ca.now().root), next.certificates()].concat();
        self.trust(both)?;
        // In this order, here and below: whoever is told by a stage is told what that stage has.
        self.reload(ca, fleet)?;
        self.go_to(Stage::Begun)
    }

    /// The new CA signs from now on.
    pub(crate) fn switch(&self, ca: &Ca, fleet: &Fleet) -> Result<(), Failure> {
        match self.stage() {
            Stage::Begun => {}
            Stage::Switched => return Ok(()),
            // Broken off in the middle.
            Stage::Switching => {}
            _ => return Err(wrong_stage("no exchange of the CA has been begun").hint("quorate ca begin")),
        }
        if self.stage() == Stage::Begun {
            self.lacks_nobody(fleet, "does not trust the new CA yet")?;
        }
        self.go_to(Stage::Switching)?;
        self.put_into_place()?;
        self.reload(ca, fleet)?;
        self.go_to(Stage::Switched)?;
        // What is open was opened with the old certificate, which will not count for ever.
        fleet.dial_anew();
        Ok(())
    }

    /// The old CA is trusted no longer: by the agents first, then here.
    pub(crate) async fn finish(&self, ca: &Ca, fleet: &Fleet) -> Result<(), Failure> {
        match self.stage() {
            Stage::Switched => {
                self.lacks_nobody(fleet, "has no certificate of the new CA yet")?;
                self.go_to(Stage::Finishing)?;
            }
            Stage::Finishing => {}
            Stage::None => return Err(wrong_stage("no exchange of the CA has been begun")),
            _ => return Err(wrong_stage("the old CA still signs").hint("first: quorate ca switch")),
        }
        let until = Instant::now() + PATIENCE;
        self.tell(ca, fleet).await;
        while !self.missing(fleet).is_empty() && Instant::now() < until {
            tokio::time::sleep(fleet.pace.wait(EVERY)).await;
            self.tell(ca, fleet).await;
        }
        self.lacks_nobody(fleet, "still trusts the old CA")?;
        let new = ca.now().roots.certificates().first().cloned();
        self.trust(new.into_iter().collect())?;
        self.store
            .forget_old()
            .map_err(|error| failed("the old CA's files can't be removed", &error))?;
        self.go_to(Stage::None)?;
        self.reload(ca, fleet)
    }

    fn lacks_nobody(&self, fleet: &Fleet, what: &str) -> Result<(), Failure> {
        let missing: Vec<String> = self.missing(fleet).iter().map(ToString::to_string).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::new(
            ExitCode::Refused,
            format!("{} {what}: it would be locked out", missing.join(", ")),
        )
        .hint("let it come back, and type the same again; or take a server that will not: quorate node remove"))
    }

    fn trust(&self, certificates: Vec<Certificate>) -> Result<(), Failure> {
        let roots = Roots::new(certificates).map_err(|error| failed("the two CAs don't go together", &error))?;
        self.store
            .save_roots(&roots)
            .map_err(|error| failed("the root certificates can't be kept", &error))
    }

    /// Can be repeated at whatever point it broke off.
    fn put_into_place(&self) -> Result<(), Failure> {
        self.store
            .switch()
            .map_err(|error| failed("the new CA can't be put into the old one's place", &error))
    }

    fn reload(&self, ca: &Ca, fleet: &Fleet) -> Result<(), Failure> {
        ca.reload(&fleet.revoked)
            .map_err(|error| failed("the CA can't be put to use; it is at the next start", &error))
    }

    /// Gives every agent that lacks it what this stage has for it. Whoever can't be reached is tried again.
    async fn tell(&self, ca: &Ca, fleet: &Fleet) {
        let _alone = self.telling.lock().await;
        // The stage first: what there is then belongs to it, or to a later one.
        let stage = self.stage();
        let now = ca.now();
        let roots = match stage {
            Stage::None | Stage::Switching => return,
            Stage::Begun | Stage::Switched => now.roots.certificates().to_vec(),
            Stage::Finishing => vec![now.root.clone()],
        };
        for name in self.missing(fleet) {
            let Some(peer) = fleet.peer(&name) else { continue };
            match renewal::renew(fleet, &peer, &now.issuing, &roots).await {
                Ok(()) => {
                    // Not, if a later stage has begun meanwhile.
                    let kept = self.change(|document| {
                        if document.stage == stage {
                            document.told.insert(name.clone());
                        }
                    });
                    match kept {
                        Ok(()) => tracing::info!(node = %name, ?stage, "took part in the exchange of the CA"),
                        Err(error) => tracing::error!(node = %name, %error, "told, and told again"),
                    }
                }
                Err(reason) => tracing::debug!(node = %name, reason, "can't take part in the exchange of the CA yet"),
            }
        }
    }
}

fn wrong_stage(message: &str) -> Failure {
    Failure::new(ExitCode::Refused, message.to_owned())
}

/// Tells for ever whoever lacks something. Whoever started it cancels it.
pub(crate) async fn keep_exchanged(exchange: Arc<Exchange>, ca: Arc<Ca>, fleet: Arc<Fleet>) {
    loop {
        exchange.tell(&ca, &fleet).await;
        tokio::time::sleep(fleet.pace.wait(EVERY)).await;
    }
}
