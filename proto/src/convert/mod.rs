//! Wire ⇄ model, in one place: what comes in is parsed once, here, and everything behind works with checked types.
//!
//! Every type of the model that travels implements [`Wire`], and those that are messages also `From` and `TryFrom`.
//! What must be there and is not, a number out of range, an enum value that nobody knows, a name that breaks its
//! rules: each is a [`ConvertError`] that names the field. Only a facet may be missing: nobody asked for it.

#[macro_use]
mod macros;

mod config;
mod drill;
mod error;
mod lost;
mod measurement;
mod observation;
mod operation;
mod plan;
mod pool_layout;
mod rollout;
mod storage;
mod types;
mod view;
mod wire;

pub use error::ConvertError;
pub use view::{Connection, ConnectionState, Sighting};
pub use wire::{Wire, field};

fn unknown_choice(value: i32) -> ConvertError {
    match value {
        0 => ConvertError::new("is not set"),
        _ => ConvertError::new(format!("has the value {value}, which is not known here")),
    }
}
