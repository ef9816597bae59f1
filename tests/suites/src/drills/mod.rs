//! Drills in the lab, hundreds of them: a seed says the servers, the fault, who is killed and what is slow, and what the record says is held
//! against what the world knows.
//!
//! `cargo lab drills` plays as many as one likes, the suite `drills` the first of them.

pub mod dice;
pub mod happened;
pub mod judge;
pub mod noise;
pub mod play;
pub mod record;
pub mod scenario;
pub mod series;
pub mod stage;
pub mod truth;
