//! Who measures when. A tournament: in each round every node is in one pair at most, so that no measurement meets another at the same
//! port of a server. A pair measures all of its links at once, which are networks of their own. With N nodes there are N−1 rounds (N
//! if N is odd).

use std::collections::BTreeSet;

use quorate_model::NodeName;

/// The rounds in which these pairs are measured; every pair is in one of them.
pub(super) fn rounds(pairs: &BTreeSet<(NodeName, NodeName)>) -> Vec<Vec<(NodeName, NodeName)>> {
    let names: BTreeSet<&NodeName> = pairs.iter().flat_map(|(one, other)| [one, other]).collect();
    let mut circle: Vec<Option<&NodeName>> = names.into_iter().map(Some).collect();
    if circle.len() % 2 == 1 {
        // Whoever meets nobody rests.
        circle.push(None);
    }
    let mut rounds = Vec::new();
    for _ in 1..circle.len() {
        let half = circle.len() / 2;
        let meetings = circle.iter().take(half).zip(circle.iter().rev());
        let round: Vec<_> = meetings
            .filter_map(|(one, other)| Some(ordered((*one)?, (*other)?)))
            .filter(|pair| pairs.contains(pair))
            .collect();
        if !round.is_empty() {
            rounds.push(round);
        }
        // The first stays, the others move on by one place.
        if let Some(others) = circle.get_mut(1..) {
            others.rotate_right(1);
        }
    }
    rounds
}

fn ordered(one: &NodeName, other: &NodeName) -> (NodeName, NodeName) {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    (first.clone(), second.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(count: usize) -> BTreeSet<(NodeName, NodeName)> {
        let names: Vec<NodeName> = (1..=count).map(|n| format!("prox{n:02}").parse().unwrap()).collect();
        let pairs = names
            .iter()
            .enumerate()
            .flat_map(|(i, a)| names[i + 1..].iter().map(|b| (a.clone(), b.clone())));
        pairs.collect()
    }

    #[test]
    fn everybody_meets_everybody_once_and_nobody_two_at_a_time() {
        for count in 2..=33 {
            let wanted = all(count);
            let rounds = rounds(&wanted);
            assert_eq!(rounds.len(), if count % 2 == 0 { count - 1 } else { count });
            for round in &rounds {
                let players: BTreeSet<_> = round.iter().flat_map(|(a, b)| [a, b]).collect();
                assert_eq!(players.len(), round.len() * 2, "{round:?}");
            }
            assert_eq!(rounds.iter().map(Vec::len).sum::<usize>(), wanted.len());
            assert_eq!(rounds.into_iter().flatten().collect::<BTreeSet<_>>(), wanted);
        }
    }

    #[test]
    fn only_what_is_wanted_is_measured() {
        let one = all(4).into_iter().take(1).collect();
        assert_eq!(rounds(&one), [one.iter().cloned().collect::<Vec<_>>()]);
        assert!(rounds(&BTreeSet::new()).is_empty());
    }
}
