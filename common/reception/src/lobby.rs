//! Places for handshakes. There is always one: if all are taken, whoever has had one for longest, of the address that has most,
//! loses it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Leave;

#[derive(Debug)]
pub(crate) struct Lobby {
    places: usize,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// By number, so the first of an address is its oldest.
    there: BTreeMap<u64, (IpAddr, Leave)>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    number: u64,
    waiting: Arc<Mutex<Waiting>>,
    pub(crate) leave: Leave,
}

impl Lobby {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places: places.max(1),
            waiting: Arc::default(),
        }
    }

    pub(crate) fn enter(&self, from: IpAddr) -> Place {
        let mut waiting = lock(&self.waiting);
        while waiting.there.len() >= self.places {
            let Some(number) = waiting.in_the_way() else { break };
            if let Some((_, leave)) = waiting.there.remove(&number) {
                leave.cancel();
            }
        }
        let (number, leave) = (waiting.next, Leave::new());
        waiting.next += 1;
        waiting.there.insert(number, (from, leave.clone()));
        Place {
            number,
            waiting: Arc::clone(&self.waiting),
            leave,
        }
    }
}

impl Waiting {
    fn in_the_way(&self) -> Option<u64> {
        let mut of: BTreeMap<IpAddr, (usize, u64)> = BTreeMap::new();
        for (number, (from, _)) in &self.there {
            let (count, _oldest) = of.entry(*from).or_insert((0, *number));
            *count += 1;
        }
        let busiest = of
            .values()
            .max_by_key(|(count, oldest)| (*count, std::cmp::Reverse(*oldest)));
        busiest.map(|(_, oldest)| *oldest)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.waiting).there.remove(&self.number);
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn the_oldest_of_the_busiest_address_makes_room() {
        let lobby = Lobby::new(3);
        let other = lobby.enter(address(1));
        let (first, second) = (lobby.enter(address(2)), lobby.enter(address(2)));
        let mine = lobby.enter(address(3));
        assert!(first.leave.is_cancelled());
        assert!(
            ![&other, &second, &mine]
                .into_iter()
                .any(|place| place.leave.is_cancelled())
        );
        drop(mine);
        let next = lobby.enter(address(2));
        assert!(!second.leave.is_cancelled(), "a place had come free");
        drop((first, next));
    }

    #[test]
    fn one_address_alone_may_have_all_places_and_a_thousand_do_not_keep_the_next_one_out() {
        let lobby = Lobby::new(32);
        let all: Vec<_> = (0..1000).map(|_| lobby.enter(address(9))).collect();
        assert_eq!(all.iter().filter(|place| !place.leave.is_cancelled()).count(), 32);
        assert!(!lobby.enter(address(9)).leave.is_cancelled());
    }
}
