//! The fleet's CAs as the daemon works with them, and their exchange for new ones without a pause.
//!
//! ```text
//! begin    the new CA is made and trusted beside the old one; every agent is told            old signs, both are trusted
//! switch   the new CA signs: the coordinator shows its new certificate, agents get theirs    new signs, both are trusted
//! finish   the old CA is trusted no longer, first by the agents, then here                   new signs and is trusted
//! ```
//!
//! Neither of the last two is begun while an agent is missing: it would be locked out, and would have to be enrolled anew.

mod exchange;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use quorate_identity::{
    Certificate, ClientTls, CoordinatorStore, EnrolmentTls, Identity, IssuingCa, Material, MaterialError,
    RevocationList, Roots, ServerTls, StoreError, TimeSource,
};
use quorate_model::failure::{ExitCode, Failure};
use quorate_reception::Reception;

pub(crate) use self::exchange::{Exchange, Stage, keep_exchanged};
use crate::fleet::revoked::Revoked;
use crate::state_dir::StateDir;

/// Everything that changes with the CA, in use.
#[derive(Debug)]
pub(crate) struct Ca {
    store: CoordinatorStore,
    time: TimeSource,
    client: ClientTls,
    server: ServerTls,
    now: RwLock<Arc<Now>>,
    /// One change at a time.
    turn: Mutex<()>,
}

/// As it is now.
#[derive(Debug, Clone)]
pub(crate) struct Now {
    pub(crate) roots: Roots,
    /// The one of them that signs.
    pub(crate) root: Certificate,
    pub(crate) issuing: Arc<IssuingCa>,
    pub(crate) enrolment: EnrolmentTls,
}

/// Why the daemon can't work with the CA that it has.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaError {
    /// A file can't be used.
    #[error("the fleet's CA can't be read")]
    Store(#[from] StoreError),
    /// TLS does not take it.
    #[error("the fleet's certificates can't be used")]
    Material(#[from] MaterialError),
    /// There is none.
    #[error("the fleet has no root certificate")]
    NoRoot,
}

impl Ca {
    /// Reads CA and identity, and makes both ends of TLS of them.
    pub(crate) fn load(state: &StateDir, revocations: &RevocationList, time: TimeSource) -> Result<Self, CaError> {
        let store = state.identity();
        let material = Material {
            roots: store.roots()?,
            identity: Some(store.coordinator()?),
            revocations: revocations.clone(),
        };
        let client = ClientTls::new(material.clone(), time.clone())?;
        let server = ServerTls::new(material.clone(), time.clone())?;
        let now = RwLock::new(Arc::new(Now::of(&store, &material, &time)?));
        Ok(Self {
            store,
            time,
            client,
            server,
            now,
            turn: Mutex::default(),
        })
    }

    /// Where the daemon dials.
    pub(crate) fn client(&self) -> ClientTls {
        self.client.clone()
    }

    /// Where it is called.
    pub(crate) fn server(&self) -> ServerTls {
        self.server.clone()
    }

    /// As it is now. Taken anew for every use.
    pub(crate) fn now(&self) -> Arc<Now> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads it all again and works with it from the next handshake on.
    pub(crate) fn reload(&self, revoked: &Revoked) -> Result<(), CaError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (roots, identity) = (self.store.roots()?, self.store.coordinator()?);
        let material = revoked.with_list(|list| {
            let material = Material {
                roots,
                identity: Some(identity),
                revocations: list.clone(),
            };
            self.client.replace(material.clone())?;
            self.server.replace(material.clone())?;
            Ok::<_, MaterialError>(material)
        })?;
        let now = Arc::new(Now::of(&self.store, &material, &self.time)?);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(())
    }

    /// Roots that the fleet had once, for what was signed under them.
    pub(crate) fn former_roots(&self) -> Result<Vec<Roots>, StoreError> {
        self.store.former_roots()
    }

    /// As whom the coordinator shows itself.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.client.material().identity
    }
}

impl Now {
    fn of(store: &CoordinatorStore, material: &Material, time: &TimeSource) -> Result<Self, CaError> {
        let root = material.roots.certificates().first().cloned();
        Ok(Self {
            root: root.ok_or(CaError::NoRoot)?,
            roots: material.roots.clone(),
            issuing: Arc::new(store.issuing_ca()?),
            enrolment: EnrolmentTls::new(material, time)?,
        })
    }
}

/// The daemon's parts that know who is revoked, made with the CA.
pub(crate) fn revoked(ca: &Ca, state: &StateDir, list: RevocationList, reception: Reception) -> Revoked {
    Revoked::new(&state.revocations(), list, (ca.client(), ca.server()), reception)
}

fn failed(what: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(ExitCode::Failed, what.to_owned()).because(error)
}
