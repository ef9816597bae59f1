//! What happens on this node while somebody measures a drill: links, members, quorum, HA's decisions, guests, copies, and a reset.
//!
//! A watch is asked for by the coordinator, and lives in the agent: it goes on without the coordinator, is kept on the disk, and an agent
//! that starts again goes on with it. So the victim of a drill tells afterwards what it saw until its watchdog reset it.
//!
//! [`order`] says what is watched and for how long, [`kept`] is its folder, [`sources`] look, [`wrote`] asks a guest's writer, [`recorder`] runs, and
//! [`follow`] hands on.

mod follow;
mod kept;
mod order;
mod recorder;
mod sources;
#[cfg(test)]
mod tests;
mod wrote;

pub(crate) use follow::Following;
pub(crate) use order::{Order, TallyAt};
pub use recorder::Recorders;
