//! Material and the configuration made of it, exchangeable together while handshakes go on.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::chain::Peer;
use crate::time::TimeSource;
use crate::tls::material::{Material, MaterialError};

/// How a configuration is made of material.
pub(super) type Build<C> = fn(&Material, &TimeSource) -> Result<C, MaterialError>;

/// What clones of a handle share.
pub(super) struct Shared<C> {
    time: TimeSource,
    build: Build<C>,
    state: RwLock<Arc<State<C>>>,
}

/// A configuration and the material that it was made of. A handshake takes both at once, so that it is verified and
/// examined by the same roots.
pub(super) struct State<C> {
    pub(super) material: Material,
    pub(super) config: Arc<C>,
}

impl<C> Shared<C> {
    pub(super) fn new(material: Material, time: TimeSource, build: Build<C>) -> Result<Arc<Self>, MaterialError> {
        let config = Arc::new(build(&material, &time)?);
        Ok(Arc::new(Self {
            time,
            build,
            state: RwLock::new(Arc::new(State { material, config })),
        }))
    }

    pub(super) fn replace(&self, material: Material) -> Result<(), MaterialError> {
        let config = Arc::new((self.build)(&material, &self.time)?);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        material.revocations.check_replaces(&state.material.revocations)?;
        *state = Arc::new(State { material, config });
        Ok(())
    }

    pub(super) fn is_revoked(&self, peer: &Peer) -> bool {
        self.state()
            .material
            .revocations
            .find(&peer.serial, peer.fingerprint)
            .is_some()
    }

    pub(super) fn time(&self) -> &TimeSource {
        &self.time
    }

    pub(super) fn state(&self) -> Arc<State<C>> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<C> fmt::Debug for Shared<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("material", &self.state().material)
            .finish_non_exhaustive()
    }
}
