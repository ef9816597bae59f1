//! The regression simulator: a cluster of virtual hardware, in which real CRMs and LRMs run round after round, in the order and with
//! the clock of PVE's own (facts C.12).

mod control;
mod crm_env;
mod figures;
mod guests;
mod hardware;
mod lrm_env;
mod run;
mod world;

pub use run::{END_AFTER, LIMIT, SHORTEST_LOOP, SLOT_LOOPS, Simulation};
pub use world::World;
