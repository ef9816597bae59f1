//! Numbered writes: what was acknowledged before the fault, and what of it is gone.

use serde::{Deserialize, Serialize};

use super::rows::Rows;

/// What the numbered writer in the guest came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Records a second that it writes.
    pub a_second: u32,
    /// The last number that it acknowledged before it was gone, and its run.
    pub before: Option<Acknowledged>,
    /// The first that it acknowledged afterwards.
    pub after: Option<Acknowledged>,
    /// What the isolated copy wrote until its reset, told by the victim's agent over its own bridge.
    pub isolated: Isolated,
    /// Where rows were written into a database: what became of them, which then has the word. `None`: the writer was in the guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
}

/// A number that was served: it is on the disk, since the writer serves none before that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The number.
    pub number: u64,
    /// The highest number that this run of the writer found when it began; 0: none.
    pub resumed: u64,
    /// The run: random for each start of the writer.
    pub run: String,
    /// The guest's own host name.
    pub host: String,
}

/// What the isolated copy wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "isolated")]
pub enum Isolated {
    /// There was none, or nobody could have asked it.
    None,
    /// Its last number that was read before the reset.
    Wrote {
        /// The number.
        last: u64,
        /// At most so many more were written from there until the reset: what fits between two questions.
        #[serde(default, skip_serializing_if = "is_zero")]
        unread: u64,
    },
    /// It could not be found out.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// What is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "lost")]
pub enum Lost {
    /// So many records that were acknowledged.
    Records {
        /// How many.
        acknowledged: u64,
        /// How many more the isolated copy wrote that nobody was told of; `None`: not known.
        isolated: Option<u64>,
        /// At most so many more of these, written between the last question and the reset.
        #[serde(default, skip_serializing_if = "is_zero")]
        unread: u64,
    },
    /// The same run of the writer goes on: it was never restarted, and lost nothing.
    NotRestarted,
    /// It can't be told.
    Unknown {
        /// Why.
        reason: String,
    },
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Tally {
    /// What is gone.
    #[must_use]
    pub fn lost(&self) -> Lost {
        let unknown = |reason: &str| Lost::Unknown {
            reason: reason.to_owned(),
        };
        match &self.rows {
            // Whoever wrote them was outside: there is nothing of an isolated copy that nobody was told of, but for what is counted apart.
            Some(Rows::Counted { missing, .. }) => {
                return Lost::Records {
                    acknowledged: *missing,
                    isolated: Some(0),
                    unread: 0,
                };
            }
            Some(Rows::Unknown { reason }) => return unknown(reason),
            None => {}
        }
        let Some(before) = &self.before else {
            return unknown("no number was acknowledged before the fault");
        };
        let Some(after) = &self.after else {
            return unknown("the writer has not answered since");
        };
        if before.run == after.run {
            if after.number < before.number {
                return unknown("the same run of the writer tells a smaller number than before");
            }
            return Lost::NotRestarted;
        }
        if after.resumed > after.number {
            return unknown("the writer tells that it found more than it has");
        }
        let (isolated, unread) = match self.isolated {
            Isolated::None => (Some(0), 0),
            // Those beyond the last acknowledged one, or all of them where it found even more.
            Isolated::Wrote { last, unread } => {
                let known = before.number.max(after.resumed);
                let most = last.saturating_add(unread).saturating_sub(known);
                let isolated = last.saturating_sub(known);
                (Some(isolated), most.saturating_sub(isolated))
            }
            Isolated::Unknown { .. } => (None, 0),
        };
        Lost::Records {
            acknowledged: before.number.saturating_sub(after.resumed),
            isolated,
            unread,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(number: u64, resumed: u64, run: &str) -> Acknowledged {
        Acknowledged {
            number,
            resumed,
            run: run.to_owned(),
            host: "canary".to_owned(),
        }
    }

    fn tally(before: Acknowledged, after: Acknowledged, isolated: Isolated) -> Tally {
        Tally {
            a_second: 10,
            before: Some(before),
            after: Some(after),
            isolated,
            rows: None,
        }
    }

    #[test]
    fn of_rows_in_a_database_the_count_has_the_word() {
        let counted = |missing: u64| Tally {
            rows: Some(Rows::Counted {
                acknowledged: 100,
                missing,
                not_known: 2,
                durability: "synchronous_commit on, fsync on".to_owned(),
            }),
            ..tally(told(5, 0, "a"), told(9, 0, "a"), Isolated::None)
        };
        let lost = |acknowledged| Lost::Records {
            acknowledged,
            isolated: Some(0),
            unread: 0,
        };
        assert_eq!((counted(0).lost(), counted(7).lost()), (lost(0), lost(7)));
        let unknown = Tally {
            rows: Some(Rows::Unknown {
                reason: "the database does not answer".to_owned(),
            }),
            ..counted(0)
        };
        assert!(matches!(unknown.lost(), Lost::Unknown { .. }));
    }

    #[test]
    fn what_was_acknowledged_and_is_not_found_again_is_lost() {
        let seen = tally(
            told(4711, 4000, "a"),
            told(3400, 3390, "b"),
            Isolated::Wrote { last: 5300, unread: 2 },
        );
        let expected = Lost::Records {
            acknowledged: 4711 - 3390,
            isolated: Some(5300 - 4711),
            unread: 2,
        };
        assert_eq!(seen.lost(), expected);
    }

    #[test]
    fn a_writer_that_was_not_restarted_lost_nothing_and_one_that_contradicts_itself_tells_nothing() {
        assert_eq!(
            tally(told(5, 0, "a"), told(9, 0, "a"), Isolated::None).lost(),
            Lost::NotRestarted
        );
        assert!(matches!(
            tally(told(9, 0, "a"), told(5, 0, "a"), Isolated::None).lost(),
            Lost::Unknown { .. }
        ));
        assert!(matches!(
            tally(told(9, 0, "a"), told(5, 6, "b"), Isolated::None).lost(),
            Lost::Unknown { .. }
        ));
        let silent = Tally {
            after: None,
            ..tally(told(9, 0, "a"), told(5, 0, "b"), Isolated::None)
        };
        assert!(matches!(silent.lost(), Lost::Unknown { .. }));
    }

    #[test]
    fn a_shared_disk_loses_nothing_that_was_acknowledged() {
        let seen = tally(told(4711, 4000, "a"), told(4720, 4715, "b"), Isolated::None);
        assert_eq!(
            seen.lost(),
            Lost::Records {
                acknowledged: 0,
                isolated: Some(0),
                unread: 0,
            }
        );
    }

    #[test]
    fn what_a_shared_disk_kept_is_not_counted_as_written_in_vain() {
        let wrote = |last| Isolated::Wrote { last, unread: 3 };
        let lost = |last| tally(told(4711, 4000, "a"), told(4720, 4715, "b"), wrote(last)).lost();
        let records = |isolated, unread| Lost::Records {
            acknowledged: 0,
            isolated: Some(isolated),
            unread,
        };
        assert_eq!(lost(4715), records(0, 3));
        assert_eq!(lost(4713), records(0, 1), "only beyond what was found again");
        assert_eq!(lost(4711), records(0, 0));
    }
}
