//! Whom to call, once it is known how: a place, or a database with a connection that lasts.

use std::sync::Arc;

use quorate_model::drill::Rows;
use quorate_probe::{Patience, Place, Unable};

use super::call::{Calls, Outcome};
use super::database::{Database, Password, found};
use super::target::Target;

/// Somebody who can be called.
#[derive(Debug, Clone)]
pub(crate) enum Callee {
    /// By a call that stands for itself.
    Place(Place),
    /// By a row.
    Database(Arc<Database>),
}

impl Callee {
    /// Sees whether this host can call at all. A database that does not answer now may do so later; one that says no will say so again.
    ///
    /// # Errors
    /// It can't.
    pub(crate) async fn find(target: &Target, password: Option<Password>) -> Result<Self, Unable> {
        match target {
            Target::Plain(target) => Ok(Self::Place(Place::find(target).await?)),
            Target::Database(address) => {
                let database = Database::new((**address).clone(), password)?;
                database.lets_in().await?;
                Ok(Self::Database(Arc::new(database)))
            }
        }
    }

    /// One call, with a deadline of its own. `question` is of no other call.
    pub(crate) async fn call(self, question: u64, patience: Patience) -> Outcome {
        match self {
            Self::Place(place) => Outcome {
                answer: place.call(question, patience).await,
                row: None,
            },
            Self::Database(database) => database.write(patience).await,
        }
    }

    /// The address that is called, where it is not what was written.
    pub(crate) fn address(&self) -> Option<String> {
        match self {
            Self::Place(place) => Some(place.address().to_string()),
            Self::Database(_) => None,
        }
    }

    /// What became of the rows that were sent; `None`: none are written there.
    pub(crate) async fn counted(&self, calls: &Calls) -> Option<Rows> {
        let Self::Database(database) = self else { return None };
        let found = found(database.address(), database.password(), calls.rows.keys().copied()).await;
        Some(match found {
            Ok(found) => Rows::count(&calls.rows, &found.rows, found.durability),
            Err(reason) => Rows::Unknown { reason },
        })
    }
}
