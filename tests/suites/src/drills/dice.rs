//! A small generator of our own: a seed that failed can be run again, on any machine.

/// Numbers that follow from a seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The dice of a seed; `what`: for what, so that two things of one seed do not hang together.
    #[must_use]
    pub fn new(seed: u64, what: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ what.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `least` to `most`, both of them included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        let span = most.saturating_sub(least).saturating_add(1).max(1);
        least.saturating_add(self.next() % span)
    }

    /// True in so many of a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.between(1, 100) <= percent
    }

    /// One of them.
    ///
    /// # Panics
    /// When there is none.
    pub fn one<T: Clone>(&mut self, of: &[T]) -> T {
        let most = u64::try_from(of.len()).unwrap_or(1).saturating_sub(1);
        let place = usize::try_from(self.between(0, most)).unwrap_or(0);
        of[place].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_everything_and_all_that_may_come_comes() {
        let all = |seed: u64| -> Vec<u64> {
            let mut dice = Dice::new(seed, 1);
            (0..200).map(|_| dice.between(3, 7)).collect()
        };
        assert_eq!(all(5), all(5));
        assert_ne!(all(5), all(6));
        for number in 3..=7 {
            assert!(all(5).contains(&number), "{number} never comes");
        }
        assert!(all(5).iter().all(|number| (3..=7).contains(number)));
        let mut dice = Dice::new(1, 2);
        assert!(!dice.percent(0) && dice.percent(100));
    }
}
