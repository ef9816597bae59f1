//! The rows that a drill wrote into a database: with which password, and what of them is there when all is over.

use std::time::Duration;

use quorate_model::Finding;
use quorate_model::drill::{ProbeTarget, Rows};
use quorate_model::finding::Code;

use super::answers;
use super::course::Course;
use super::order::Order;
use super::preview;
use crate::probe::{Password, Target, found};
use crate::storage_secret::{Secrets, Unusable};

/// All is normal by then, and a database that does not answer at once may be busy.
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_secs(5);

/// The password that goes with a probe, read anew each time; `None`: it takes none.
///
/// # Errors
/// Its file can't be used.
pub(super) fn password(order: &Order, probe: &ProbeTarget, secrets: &Secrets) -> Result<Option<Password>, Unusable> {
    match (probe, &order.password_file) {
        (ProbeTarget::Postgres(_), Some(path)) => secrets.of_database(path).map(|line| Some(Password::new(line))),
        _ => Ok(None),
    }
}

/// What speaks against a password's file. Those who may only look are told where it has to lie, and not what there is.
pub(super) fn misplaced(order: &Order, secrets: &Secrets) -> Option<Finding> {
    let unusable = secrets.inside(order.password_file.as_ref()?).err()?;
    Some(amiss(order, &unusable))
}

/// What speaks against it for somebody who begins the drill.
pub(super) fn unusable(order: &Order, secrets: &Secrets) -> Option<Finding> {
    let first = order
        .probes
        .iter()
        .find_map(|probe| password(order, probe, secrets).err());
    Some(amiss(order, &first?))
}

fn amiss(order: &Order, unusable: &Unusable) -> Finding {
    let path = order.password_file.as_deref().unwrap_or_default();
    let message = format!(
        "the password of the database, in {path} on the coordinator's host: {}",
        unusable.why
    );
    let subject = format!("guest {}", order.guest);
    Finding::new(Code::DrillSupport, subject, message, unusable.next.clone())
}

impl Course {
    /// What became of rows, by the first probe that counts writes; `None`: that is no database.
    pub(super) async fn rows(&self) -> Option<Rows> {
        let heard = answers::heard(&self.dir, &self.running.order.probes);
        let (probe, listened) = heard.iter().find(|(probe, _)| probe.counts_writes())?;
        let ProbeTarget::Postgres(_) = probe else { return None };
        let mut left = TRIES;
        loop {
            let counted = match (
                preview::target(probe),
                password(&self.running.order, probe, &self.looker.secrets),
            ) {
                (Ok(Target::Database(address)), Ok(password)) => {
                    found(&address, password.as_ref(), listened.rows().keys().copied()).await
                }
                (Ok(Target::Plain(_)), _) => Err(format!("{probe} is no database")),
                (Err(why), _) => Err(why),
                (_, Err(unusable)) => Err(format!("its password can't be used: {}", unusable.why)),
            };
            left = left.saturating_sub(1);
            match counted {
                Ok(found) => return Some(Rows::count(listened.rows(), &found.rows, found.durability)),
                Err(reason) if left == 0 => return Some(Rows::Unknown { reason }),
                Err(reason) => self.say(format!("rows are not counted yet: {reason}")),
            }
            self.wait(AGAIN).await;
        }
    }
}
