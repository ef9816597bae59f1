//! Records are signed when they are written, and looked at before they are shown: each as it was written, by a coordinator of this fleet, behind
//! the one before it, and named by the audit log.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_identity::{Accepted, Identity, RevocationList, Role, Roots, Signable, SignatureError, signer};
use quorate_model::Timestamp;
use quorate_model::drill::record::{Record, SIGNED_AS, check_chain};
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::ClusterName;

use super::state::KeptError;
use crate::audit::Audit;
use crate::ca::Ca;
use crate::trust::sentence;

/// Signs, and knows whose signatures count.
#[derive(Debug, Clone)]
pub(crate) struct Seal(Arc<Ca>);

/// Whose signatures count.
#[derive(Debug)]
pub(super) struct Known {
    roots: Roots,
    /// Roots of CAs that were exchanged.
    former: Vec<Roots>,
    /// Until when what was made under them counts: its key may be in other hands since. `None`: the audit log knows of no exchange.
    former_until: Option<Timestamp>,
    revocations: RevocationList,
}

/// What a record's signature comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signature {
    /// A coordinator of this fleet made it.
    Fits,
    /// There is none.
    None,
    /// There is one, and it does not count.
    Bad(String),
}

impl Seal {
    pub(crate) fn new(ca: Arc<Ca>) -> Self {
        Self(ca)
    }

    /// As whom the coordinator signs now.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.0.identity()
    }

    /// Whose signatures count now: also those that were made under a CA which was exchanged since.
    pub(super) fn known(&self, audit: &Audit) -> Known {
        let material = self.0.client().material();
        let former = self.0.former_roots().unwrap_or_else(|error| {
            tracing::warn!(
                error = sentence(&error),
                "former root certificates can't be read: what was signed under them can't be checked"
            );
            Vec::new()
        });
        let former_until = audit.last_finish().unwrap_or_else(|error| {
            tracing::warn!(error = sentence(&error), "when the CA was exchanged can't be read");
            None
        });
        Known {
            roots: material.roots,
            former,
            former_until,
            revocations: material.revocations,
        }
    }
}

/// The same record, signed. It was put together with this identity's certificates in it.
pub(super) fn signed(record: Record, identity: Option<&Identity>) -> Record {
    let Some(identity) = identity else {
        tracing::warn!("the coordinator has no certificate: the record of a drill is not signed");
        return record;
    };
    let what = Signable {
        kind: SIGNED_AS,
        content: &record.digest,
    };
    match identity.sign(what) {
        Ok(signature) => Record { signature, ..record },
        Err(error) => {
            tracing::error!(error = sentence(&error), "the record of a drill is not signed");
            record
        }
    }
}

impl Known {
    /// What a record's signature comes to. That its content is what its digest says was looked at when it was read.
    pub(super) fn look(&self, record: &Record) -> Signature {
        if !record.is_signed() && record.signer.is_empty() {
            return Signature::None;
        }
        let what = Signable {
            kind: SIGNED_AS,
            content: &record.digest,
        };
        let at = u64::try_from(record.ended.seconds()).unwrap_or(0);
        let by = |roots: &[Roots]| {
            let accepted = Accepted {
                roots,
                revocations: &self.revocations,
            };
            signer(what, &record.signature, &record.signer, accepted, at)
        };
        let now = by(std::slice::from_ref(&self.roots));
        let peer = match now {
            Err(SignatureError::NotOurs { .. }) => match by(&self.former) {
                Ok(_) if self.former_until.is_none_or(|until| record.ended > until) => {
                    let why = "it was signed under a CA that had been exchanged by then";
                    return Signature::Bad(why.to_owned());
                }
                Ok(peer) => Ok(peer),
                // Today's roots say it better.
                Err(_) => now,
            },
            now => now,
        };
        match peer {
            Ok(peer) if peer.role == Role::Coordinator => Signature::Fits,
            Ok(peer) => Signature::Bad(format!("it was signed by {}, which is no coordinator", peer.role)),
            Err(error) => Signature::Bad(sentence(&error)),
        }
    }
}

/// Drills of a cluster that were over, by number, with the digests of their records; of each number the last one. `None`: the audit log can't be
/// read.
pub(super) fn ended(audit: &Audit, cluster: &ClusterName) -> Option<BTreeMap<u64, String>> {
    match audit.ended_drills(cluster.as_str()) {
        Ok(ended) => Some(ended.into_iter().collect()),
        Err(error) => {
            tracing::warn!(%cluster, error = sentence(&error), "whether records of drills are missing can't be told");
            None
        }
    }
}

/// What there is to say of the records of a cluster, from the oldest to the newest.
pub(super) fn amiss(
    cluster: &ClusterName,
    all: &[(u64, Result<Record, KeptError>)],
    known: &Known,
    ended: Option<&BTreeMap<u64, String>>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut tell = |number: u64, message: String| {
        let next =
            "compare it with the one in the last backup, and find out who could write to the coordinator's state";
        found.push(Finding::new(
            Code::DrillRecord,
            format!("{cluster}/drill {number}"),
            message,
            next,
        ));
    };
    let mut signed_before = false;
    let mut before: Option<&Record> = None;
    for (number, read) in all {
        let record = match read {
            Ok(record) => record,
            Err(error) => {
                tell(*number, sentence(error));
                // Whether the next one follows it can't be told any more.
                before = None;
                continue;
            }
        };
        if record.number != *number || record.cluster != *cluster {
            tell(
                *number,
                format!(
                    "the record that lies there is of drill {} of {}",
                    record.number, record.cluster
                ),
            );
        }
        if let Err(error) = check_chain(before.into_iter().chain([record])) {
            tell(*number, sentence(&error));
        }
        match known.look(record) {
            Signature::Fits => signed_before = true,
            Signature::None if signed_before => {
                tell(*number, "it is not signed, and one before it is".to_owned());
            }
            Signature::None => {}
            Signature::Bad(why) => tell(*number, why),
        }
        if let Some(named) = ended.and_then(|ended| ended.get(number))
            && *named != record.digest
        {
            tell(*number, "the audit log names another record of this drill".to_owned());
        }
        before = Some(record);
    }
    // Older ones may have been put away; what is missing after one that is there was taken out.
    let oldest = all.first().map_or(0, |(number, _)| *number);
    let is_there = |number: &u64| all.iter().any(|(there, _)| there == number);
    for number in ended.into_iter().flatten().map(|(number, _)| number) {
        if *number >= oldest && !is_there(number) {
            tell(
                *number,
                "its record is gone: the audit log says that it was written".to_owned(),
            );
        }
    }
    found
}

/// Numbers in a few words: `1 to 3, 7`; empty: there are none.
pub(super) fn numbers(all: &[u64]) -> String {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for number in all {
        match spans.last_mut() {
            Some((_, last)) if last.saturating_add(1) == *number => *last = *number,
            _ => spans.push((*number, *number)),
        }
    }
    let told = spans.iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first} to {last}")
        }
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use quorate_identity::{Name, RootCa};

    use super::*;

    const FIRST: &str = include_str!("../../../common/model/src/drill/tests/record-1.json");

    fn root(at: u64) -> RootCa {
        RootCa::create(&Name::parse("home").unwrap(), at).unwrap()
    }

    /// When the story's drill was over.
    fn then() -> u64 {
        u64::try_from(Record::read(FIRST).unwrap().ended.seconds()).unwrap()
    }

    fn of(root: &RootCa) -> Roots {
        Roots::new(vec![root.certificate().clone()]).unwrap()
    }

    fn known(root: &RootCa) -> Known {
        Known {
            roots: of(root),
            former: vec![],
            former_until: None,
            revocations: RevocationList::default(),
        }
    }

    fn written(number: u64, previous: &str, identity: Option<&Identity>) -> Record {
        let record = Record {
            number,
            previous: previous.to_owned(),
            signer: identity.map(Identity::chain_pem).unwrap_or_default(),
            ..Record::read(FIRST).unwrap()
        };
        let sealed = record.sealed().unwrap();
        match identity {
            Some(identity) => signed(sealed, Some(identity)),
            None => sealed,
        }
    }

    /// The records with these signers, each behind the one before it.
    fn chain(signers: &[Option<&Identity>]) -> Vec<Record> {
        let mut all: Vec<Record> = Vec::new();
        for (signer, number) in signers.iter().zip(1..) {
            let previous = all.last().map_or(String::new(), |before| before.digest.clone());
            all.push(written(number, &previous, *signer));
        }
        all
    }

    fn told(all: &[Record], known: &Known, ended: Option<&BTreeMap<u64, String>>) -> Vec<(String, String)> {
        let cluster: ClusterName = "hk1".parse().unwrap();
        let all: Vec<(u64, Result<Record, KeptError>)> =
            all.iter().map(|record| (record.number, Ok(record.clone()))).collect();
        let found = amiss(&cluster, &all, known, ended);
        assert!(found.iter().all(|finding| finding.code == Code::DrillRecord));
        found
            .into_iter()
            .map(|finding| (finding.subject, finding.message))
            .collect()
    }

    #[test]
    fn keys_rotate_and_what_was_signed_stays_signed() {
        let (old, new) = (root(then()), root(then()));
        let [first, renewed] = [(); 2].map(|()| old.issue(&Role::Coordinator, then()).unwrap());
        let of_new = new.issue(&Role::Coordinator, then()).unwrap();
        // The first two are from before there were signatures.
        let all = chain(&[None, None, Some(&first), Some(&renewed), Some(&of_new)]);
        let after = |seconds: i64| Known {
            former: vec![of(&old)],
            former_until: Some(Timestamp(all[0].ended.0 + seconds * 1_000_000)),
            ..known(&new)
        };
        assert_eq!(told(&all, &after(1), None), []);
        let read = Record::read(&all[3].to_json().unwrap()).unwrap();
        assert_eq!(known(&old).look(&read), Signature::Fits, "as it is kept");
        let forgotten = told(&all, &known(&new), None);
        assert_eq!(forgotten.len(), 2, "{forgotten:?}");
        // Keys that were stolen are a reason to exchange the CA: they sign nothing any more.
        let stolen = told(&all, &after(-1), None);
        assert!(
            stolen.len() == 2 && stolen[0].1.contains("had been exchanged"),
            "{stolen:?}"
        );
    }

    #[test]
    fn what_was_altered_taken_out_put_in_or_signed_by_somebody_else_is_told() {
        let ca = root(then());
        let known = known(&ca);
        let ours = ca.issue(&Role::Coordinator, then()).unwrap();
        let all = chain(&[Some(&ours), Some(&ours), Some(&ours)]);
        assert_eq!(told(&all, &known, None), []);
        let only = |found: Vec<(String, String)>, subject: &str, why: &str| {
            assert!(
                found
                    .iter()
                    .any(|(about, message)| about == subject && message.contains(why)),
                "{subject}: {why}: {found:?}"
            );
        };

        let mut altered = all.clone();
        altered[1].operator = "tim".to_owned();
        assert!(
            Record::read(&altered[1].to_json().unwrap()).is_err(),
            "its digest tells"
        );
        altered[1] = Record {
            signature: all[1].signature.clone(),
            ..altered[1].clone().sealed().unwrap()
        };
        only(told(&altered, &known, None), "hk1/drill 2", "does not fit");
        only(told(&altered, &known, None), "hk1/drill 3", "follows another record");

        let mut unsigned = all.clone();
        unsigned[2] = written(3, &all[1].digest, None);
        only(told(&unsigned, &known, None), "hk1/drill 3", "it is not signed");

        let mut other_signature = all.clone();
        other_signature[1].signature.clone_from(&all[2].signature);
        only(told(&other_signature, &known, None), "hk1/drill 2", "does not fit");

        for stranger in [
            root(then()).issue(&Role::Coordinator, then()).unwrap(),
            ca.issue(
                &Role::Operator {
                    name: Name::parse("anna").unwrap(),
                    scope: quorate_identity::Scope::Fleet,
                },
                then(),
            )
            .unwrap(),
        ] {
            let mut theirs = all.clone();
            theirs[2] = written(3, &all[1].digest, Some(&stranger));
            assert_eq!(told(&theirs, &known, None).len(), 1);
        }

        let out = [all[0].clone(), all[2].clone()];
        only(told(&out, &known, None), "hk1/drill 3", "follows another record");
    }

    #[test]
    fn the_audit_log_knows_of_records_that_were_taken_from_the_end_or_written_anew() {
        let ca = root(then());
        let known = known(&ca);
        let ours = ca.issue(&Role::Coordinator, then()).unwrap();
        let all = chain(&[Some(&ours), Some(&ours), Some(&ours)]);
        let ended: BTreeMap<u64, String> = all.iter().map(|one| (one.number, one.digest.clone())).collect();
        assert_eq!(told(&all, &known, Some(&ended)), []);
        assert_eq!(
            told(&all[1..], &known, Some(&ended)),
            [],
            "older ones may have been put away"
        );
        let gone = told(&all[..2], &known, Some(&ended));
        assert!(gone[0].0 == "hk1/drill 3" && gone[0].1.contains("is gone"), "{gone:?}");
        assert_eq!(told(&[], &known, Some(&ended)).len(), 3);

        // By somebody who has the coordinator's key.
        let mut anew = all;
        anew[2].operator = "tim".to_owned();
        anew[2] = signed(anew[2].clone().sealed().unwrap(), Some(&ours));
        let told = told(&anew, &known, Some(&ended));
        assert!(
            told.len() == 1 && told[0].1.contains("names another record"),
            "{told:?}"
        );
    }

    #[test]
    fn numbers_are_told_in_spans() {
        assert_eq!(numbers(&[]), "");
        assert_eq!(numbers(&[1, 2, 3, 7, 9, 10]), "1 to 3, 7, 9 to 10");
    }
}
