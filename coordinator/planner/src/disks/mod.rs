//! Disks: what the whole cluster says against each, and which of them a selector means.

mod across;
mod choose;

pub use across::across;
pub use choose::{Allowed, Choice, Chosen, NotEnough, PassedOver, Taken, choose, wipeable};
