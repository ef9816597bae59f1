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

/// What lies in the file that `sslrootcert` names.
const CA: &str = "certificate of the CA";

/// The password that goes with a probe, read anew each time; `None`: it takes none.
///
/// # Errors
/// Its file can't be used, or the certificates that the database's is proved by do not lie beside it: who orders a drill names a file of this
/// host, and nothing else of it is looked at.
pub(super) fn password(order: &Order, probe: &ProbeTarget, secrets: &Secrets) -> Result<Option<Password>, Unusable> {
    if let Some(file) = certificates(probe) {
        secrets.inside(&file)?;
    }
    match (probe, &order.password_file) {
        (ProbeTarget::Postgres(_), Some(path)) => secrets.of_database(path).map(|line| Some(Password::new(line))),
        _ => Ok(None),
    }
}

/// `sslrootcert` of a database; `None`: none is named, or it is no database.
fn certificates(probe: &ProbeTarget) -> Option<String> {
    match preview::target(probe).ok()? {
        Target::Database(address) => address.certificates().map(|file| file.display().to_string()),
        Target::Plain(_) => None,
    }
}

/// What speaks against the files that go with databases. Those who may only look are told where they have to lie, and not what there is.
pub(super) fn misplaced(order: &Order, secrets: &Secrets) -> Vec<Finding> {
    let password = order.password_file.iter().map(|path| ("password", path.clone()));
    let named = order.probes.iter().filter_map(certificates);
    let all = password.chain(named.map(|path| (CA, path)));
    all.filter_map(|(what, path)| Some(amiss(order, (what, &path), &secrets.inside(&path).err()?)))
        .collect()
}

/// What speaks against it for somebody who begins the drill.
pub(super) fn unusable(order: &Order, secrets: &Secrets) -> Option<Finding> {
    order.probes.iter().find_map(|probe| {
        if let Err(unusable) = password(order, probe, secrets) {
            let path = order.password_file.as_deref().unwrap_or_default();
            return Some(amiss(order, ("password", path), &unusable));
        }
        let Ok(Target::Database(address)) = preview::target(probe) else {
            return None;
        };
        let why = address.provable().err()?;
        let next = "write it there in PEM, so that the user who runs quorate serve may read it".to_owned();
        Some(amiss(order, (CA, &certificates(probe)?), &Unusable { why, next }))
    })
}

fn amiss(order: &Order, (what, path): (&str, &str), unusable: &Unusable) -> Finding {
    let message = format!(
        "the {what} of the database, in {path} on the coordinator's host: {}",
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
                (_, Err(unusable)) => Err(format!("its password or certificate can't be used: {}", unusable.why)),
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

#[cfg(test)]
mod tests {
    use quorate_model::spec::ClusterFile;
    use quorate_proto::v1;

    use super::*;

    fn order(probe: &str) -> Order {
        let file = ClusterFile::parse("hk1.toml", include_str!("../../../docs/examples/drills.toml")).unwrap();
        let wire = v1::DrillOrder {
            cluster: "hk1".to_owned(),
            name: "cut-prox1".to_owned(),
            probes: vec![probe.to_owned()],
            ..Default::default()
        };
        Order::read(wire, &file).unwrap()
    }

    #[test]
    fn a_ca_is_read_from_the_one_folder_and_has_to_be_one() {
        let home = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(home.path().join("secrets"));
        std::fs::create_dir(home.path().join("secrets")).unwrap();
        let order_of = |file: &str| {
            let file = home.path().join(file);
            order(&format!(
                "postgres://drill@192.0.2.7/drill?sslmode=verify-full&sslrootcert={}",
                file.display()
            ))
        };
        let outside = order_of("db.pem");
        let said = misplaced(&outside, &secrets);
        assert_eq!((said.len(), said[0].code), (1, Code::DrillSupport));
        assert!(said[0].message.contains("certificate of the CA"), "{}", said[0].message);
        assert!(said[0].message.contains("does not lie in"), "{}", said[0].message);
        assert!(password(&outside, &outside.probes[0], &secrets).is_err());
        // Who may only look is not told that it is missing.
        let missing = order_of("secrets/db.pem");
        assert_eq!(misplaced(&missing, &secrets), []);
        let said = unusable(&missing, &secrets).unwrap();
        assert!(said.message.contains("does not exist"), "{}", said.message);
        std::fs::write(home.path().join("secrets/db.pem"), "hush\n").unwrap();
        let said = unusable(&missing, &secrets).unwrap();
        assert!(
            said.message.contains("no PEM section") && !said.message.contains("hush"),
            "{}",
            said.message
        );
        assert_eq!(
            unusable(&order("postgres://drill@192.0.2.7/drill?sslmode=require"), &secrets),
            None
        );
    }
}
