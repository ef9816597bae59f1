//! Who sits here: connections by caller, and how busy each is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

use crate::Leave;

#[derive(Debug)]
pub(crate) struct Book {
    seats: usize,
    per_caller: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    seats: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    caller: String,
    busy: Arc<Busy>,
    leave: Leave,
}

/// A seat, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    number: u64,
    book: Arc<Book>,
    pub(crate) busy: Arc<Busy>,
    pub(crate) leave: Leave,
}

/// How busy a connection is.
#[derive(Debug)]
pub(crate) struct Busy(Mutex<Calls>);

#[derive(Debug)]
struct Calls {
    open: usize,
    any: bool,
    since: Instant,
}

impl Busy {
    fn new() -> Self {
        Self(Mutex::new(Calls {
            open: 0,
            any: false,
            since: Instant::now(),
        }))
    }

    /// A call begins. It ends when what comes back is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> OpenCall {
        let mut calls = self.lock();
        calls.open += 1;
        calls.any = true;
        OpenCall(Arc::clone(self))
    }

    /// When it will have been without a call for too long; nothing while there is one.
    pub(crate) fn end(&self, (first, idle): (Duration, Duration)) -> Option<Instant> {
        let calls = self.lock();
        (calls.open == 0).then(|| calls.since + if calls.any { idle } else { first })
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is being answered.
#[derive(Debug)]
pub(crate) struct OpenCall(Arc<Busy>);

impl Drop for OpenCall {
    fn drop(&mut self) {
        let mut calls = self.0.lock();
        calls.open = calls.open.saturating_sub(1);
        calls.since = Instant::now();
    }
}

impl Book {
    pub(crate) fn new(seats: usize, per_caller: usize) -> Self {
        Self {
            seats: seats.max(1),
            per_caller: per_caller.max(1),
            taken: Mutex::default(),
        }
    }

    pub(crate) fn seat(self: &Arc<Self>, caller: &str) -> Option<Seat> {
        let mut taken = self.lock();
        let of_caller = |entry: &&Entry| entry.caller == caller;
        if taken.seats.values().filter(of_caller).count() >= self.per_caller {
            taken.make_room(Some(caller))?;
        }
        if taken.seats.len() >= self.seats {
            taken.make_room(None)?;
        }
        let (number, busy, leave) = (taken.next, Arc::new(Busy::new()), Leave::new());
        taken.next += 1;
        let entry = Entry {
            caller: caller.to_owned(),
            busy: Arc::clone(&busy),
            leave: leave.clone(),
        };
        taken.seats.insert(number, entry);
        Some(Seat {
            number,
            book: Arc::clone(self),
            busy,
            leave,
        })
    }

    pub(crate) fn expel(&self, caller: &str) -> usize {
        let taken = self.lock();
        let of_caller = taken.seats.values().filter(|entry| entry.caller == caller);
        of_caller.map(|entry| entry.leave.cancel()).count()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Takes away the seat that has been without a call for longest, of this caller or of anybody.
    fn make_room(&mut self, caller: Option<&str>) -> Option<()> {
        let idle = self
            .seats
            .iter()
            .filter(|(_, entry)| caller.is_none_or(|caller| entry.caller == caller));
        let idle = idle.filter_map(|(number, entry)| Some((entry.busy.end(Default::default())?, *number)));
        let (_, number) = idle.min()?;
        self.seats.remove(&number)?.leave.cancel();
        Some(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.book.lock().seats.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_nothing_makes_room_and_who_asks_keeps_the_seat() {
        let book = Arc::new(Book::new(3, 2));
        let (idle, busy) = (book.seat("anna").unwrap(), book.seat("anna").unwrap());
        let call = busy.busy.begin();
        let third = book.seat("anna").unwrap();
        assert!(idle.leave.is_cancelled() && !busy.leave.is_cancelled());
        let another = third.busy.begin();
        assert!(book.seat("anna").is_none(), "both ask something");
        let ben = book.seat("ben").unwrap();
        let carl = book.seat("carl").unwrap();
        assert!(
            ben.leave.is_cancelled() && !carl.leave.is_cancelled(),
            "three are enough"
        );
        drop((call, another, idle));
        assert_eq!(book.expel("anna"), 2);
        assert!(busy.leave.is_cancelled() && third.leave.is_cancelled());
        drop((busy, third));
        assert_eq!(book.expel("anna"), 0);
    }

    #[test]
    fn the_time_without_a_call_begins_when_the_last_one_ends() {
        let times = (Duration::from_secs(1), Duration::from_secs(60));
        let busy = Arc::new(Busy::new());
        let begun = busy.lock().since;
        assert_eq!(busy.end(times), Some(begun + times.0));
        let call = busy.begin();
        assert_eq!(busy.end(times), None);
        drop(call);
        let ended = busy.lock().since;
        assert!(ended >= begun);
        assert_eq!(busy.end(times), Some(ended + times.1));
    }
}
