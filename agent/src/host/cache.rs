//! What is dear to ask and seldom changes.

use std::sync::{Mutex, PoisonError};

use quorate_model::observation::system::PveVersion;

/// Answers with the circumstances under which they hold.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    pve: Mutex<Option<(Circumstances, Option<PveVersion>)>>,
    processors: Mutex<Option<(String, u32)>>,
}

/// PVE's version holds until the next boot or the next installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Circumstances {
    pub(crate) boot_id: String,
    /// When PVE's packages were last changed.
    pub(crate) installed: Option<i64>,
}

impl Cache {
    pub(crate) fn pve(&self, now: &Circumstances) -> Option<Option<PveVersion>> {
        let known = self.pve.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .as_ref()
            .filter(|(then, _)| then == now)
            .map(|(_, version)| version.clone())
    }

    pub(crate) fn keep_pve(&self, now: Circumstances, version: Option<PveVersion>) {
        *self.pve.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, version));
    }

    /// Model and number of the processors: they stay, and asking the kernel interrupts every one of them.
    pub(crate) fn processors(&self) -> Option<(String, u32)> {
        self.processors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn keep_processors(&self, found: (String, u32)) {
        *self.processors.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }
}
