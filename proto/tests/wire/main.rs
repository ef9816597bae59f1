//! Model → wire → bytes → wire → model is the identity; and what is not as it must be is refused by its field's name.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, and says why"
)]

mod formats;
mod refusals;
mod round_trip;
mod strategies;
