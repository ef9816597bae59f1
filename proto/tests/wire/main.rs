//! Model → wire → bytes → wire → model is the identity; and what is not as it must be is refused by its field's name.

mod formats;
mod refusals;
mod round_trip;
mod strategies;
