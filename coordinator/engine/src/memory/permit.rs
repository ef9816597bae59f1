//! A permit that tests give and take.

use std::sync::{Arc, Mutex};

use quorate_model::Timestamp;
use quorate_model::finding::Finding;

use super::locked;
use crate::ports::Permit;

/// Gives leave unless a test said no. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Gatekeeper {
    no: Arc<Mutex<Option<Finding>>>,
}

impl Gatekeeper {
    /// From now on it says no, with this finding.
    pub fn close(&self, finding: Finding) {
        *locked(&self.no) = Some(finding);
    }

    /// From now on it says yes.
    pub fn open(&self) {
        *locked(&self.no) = None;
    }
}

impl Permit for Gatekeeper {
    fn disruptive(&self, _now: Timestamp) -> Result<(), Box<Finding>> {
        locked(&self.no)
            .clone()
            .map_or(Ok(()), |finding| Err(Box::new(finding)))
    }
}
