//! The numbered writer. It runs in a guest, writes a numbered record ten times a second, each onto the disk before the next, and tells
//! whoever asks the number of the last one. Whoever heard a number knows that this record must be there after a failover: what is
//! missing then was lost.
//!
//! * [`Answer`]: the line in which it answers, for both ends, and [`ask`], which asks for it;
//! * [`record`]: what a record looks like, and what is read out of a file of them;
//! * [`Store`]: the file, and how a record comes to be on the disk;
//! * [`Door`]: where it answers.
//!
//! The program is to run in any guest: linked statically, without anything that has to be there.

mod ask;
mod door;
mod line;
pub mod record;
mod store;

pub use ask::{AskError, ask};
pub use door::Door;
pub use line::{Answer, LONGEST, LineError, PORT};
pub use store::{Found, Store, StoreError};
