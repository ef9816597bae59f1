//! Numbered rows that were written into a database from outside, and what of them is there afterwards.
//!
//! A row counts as written when its commit was acknowledged. Where the connection broke between a row and its acknowledgement, or none came in
//! time, nobody can know: such a row may be there or not, and is counted apart, neither lost nor kept.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What one run of a prober sent, by number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sent {
    /// Their commit was acknowledged.
    pub acknowledged: BTreeSet<u64>,
    /// They were sent, and no word came back.
    pub unsure: BTreeSet<u64>,
}

/// What became of the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "rows")]
pub enum Rows {
    /// They were counted.
    Counted {
        /// Rows whose commit was acknowledged.
        acknowledged: u64,
        /// Those of them that are not there any more.
        missing: u64,
        /// Rows that were sent and never acknowledged; whether they are there says nothing.
        not_known: u64,
        /// What an acknowledgement is worth there: `synchronous_commit` and `fsync` of the server, as it tells them.
        durability: String,
    },
    /// They could not be counted.
    Unknown {
        /// Why.
        reason: String,
    },
}

impl Rows {
    /// Counts: `found` is what the table has of each run, and a run that it does not name was looked for and has nothing there.
    #[must_use]
    pub fn count(sent: &BTreeMap<u64, Sent>, found: &BTreeMap<u64, BTreeSet<u64>>, durability: String) -> Self {
        let none = BTreeSet::new();
        let (mut acknowledged, mut missing, mut not_known) = (0_usize, 0_usize, 0_usize);
        for (run, sent) in sent {
            let there = found.get(run).unwrap_or(&none);
            acknowledged = acknowledged.saturating_add(sent.acknowledged.len());
            missing = missing.saturating_add(sent.acknowledged.difference(there).count());
            not_known = not_known.saturating_add(sent.unsure.difference(&sent.acknowledged).count());
        }
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Self::Counted {
            acknowledged: number(acknowledged),
            missing: number(missing),
            not_known: number(not_known),
            durability,
        }
    }

    /// Acknowledged rows that are missing, if that is known.
    #[must_use]
    pub fn missing(&self) -> Option<u64> {
        match self {
            Self::Counted { missing, .. } => Some(*missing),
            Self::Unknown { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(sent: &BTreeMap<u64, Sent>, found: &BTreeMap<u64, BTreeSet<u64>>) -> (u64, u64, u64) {
        match Rows::count(sent, found, String::new()) {
            Rows::Counted {
                acknowledged,
                missing,
                not_known,
                ..
            } => (acknowledged, missing, not_known),
            Rows::Unknown { reason } => panic!("{reason}"),
        }
    }

    #[test]
    fn what_was_never_acknowledged_is_neither_lost_nor_kept() {
        let sent = Sent {
            acknowledged: (1..=10).collect(),
            unsure: BTreeSet::from([11, 12]),
        };
        let sent = BTreeMap::from([(7, sent)]);
        // 9 and 10 are gone; of those without an answer one came to be there.
        let found = BTreeMap::from([(7, (1..=8).chain([12]).collect())]);
        assert_eq!(counted(&sent, &found), (10, 2, 2));
        assert_eq!(
            counted(&sent, &BTreeMap::new()),
            (10, 10, 2),
            "a table that has nothing of it"
        );
    }

    #[test]
    fn rows_of_another_run_replace_none() {
        let sent = |numbers: std::ops::RangeInclusive<u64>| Sent {
            acknowledged: numbers.collect(),
            unsure: BTreeSet::new(),
        };
        let all = BTreeMap::from([(1, sent(0..=4)), (2, sent(0..=4))]);
        let found = BTreeMap::from([(2, (0..=4).collect())]);
        assert_eq!(counted(&all, &found), (10, 5, 0));
    }

    /// What became of one row, for each number.
    #[derive(Debug, Clone, Copy)]
    enum Fate {
        NotSent,
        Acknowledged,
        Unsure,
    }

    proptest! {
        #[test]
        fn exactly_the_acknowledged_that_are_not_there_are_missing(
            rows in proptest::collection::vec((prop_oneof![Just(Fate::NotSent), Just(Fate::Acknowledged), Just(Fate::Unsure)], any::<bool>()), 0..200),
        ) {
            let (mut sent, mut found) = (Sent::default(), BTreeSet::new());
            let (mut acknowledged, mut missing, mut unsure) = (0, 0, 0);
            for (number, (fate, there)) in (0_u64..).zip(rows) {
                match fate {
                    Fate::NotSent => {}
                    Fate::Acknowledged => {
                        acknowledged += 1;
                        missing += u64::from(!there);
                        sent.acknowledged.insert(number);
                    }
                    Fate::Unsure => {
                        unsure += 1;
                        sent.unsure.insert(number);
                    }
                }
                if there {
                    found.insert(number);
                }
            }
            let seen = counted(&BTreeMap::from([(3, sent)]), &BTreeMap::from([(3, found)]));
            prop_assert_eq!(seen, (acknowledged, missing, unsure));
        }
    }
}
