//! A server that is said to be lost: what speaks for and against that, how it stands with quorum, and what can become of its guests. Pure: the
//! agents of those that are left look, on the console by themselves and for the coordinator by `LookForLost`.

pub mod evidence;
pub mod guest;
pub mod votes;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::evidence::{Evidence, Sign, Trace, Verdict, Way, Witness};
pub use self::guest::{Fate, LostCopy, LostGuest};
use crate::facet::{Facet, Unknown};
use crate::ids::NodeName;

/// What one of those that are left says of a lost server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Survivor {
    /// What it sees and hears of it.
    pub evidence: Evidence,
    /// The lost server's guests, each with what could become of it on this one; by this one's clock.
    pub guests: Facet<Vec<LostGuest>>,
    /// Guests that an earlier, open recovery of that server brought here and did not see to run, by id.
    pub unfinished: Vec<u32>,
}

/// What was asked about a lost server for a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The server.
    pub node: NodeName,
    /// What each enrolled server that is left says of it; or why it says nothing.
    pub survivors: BTreeMap<NodeName, Result<Survivor, Unknown>>,
    /// What the coordinator itself heard: at the address of its BMC, if one was named.
    pub bmc: Option<Trace>,
}
