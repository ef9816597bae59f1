//! TOPSIS: a choice among alternatives by several criteria. Each criterion is scaled to the length of its values, weighed, and an
//! alternative is as good as it is far from the worst of all values, compared with how far it is from the best. (Hwang and Yoon, 1981.)

/// What is compared. Less is better, for each of them.
pub(crate) const CRITERIA: usize = 4;

/// How much each criterion counts: average and highest use of processors, average and highest use of memory. Memory that is full stops
/// guests, processors that are busy only slow them down; and the fullest node matters more than the average.
const WEIGHTS: [f64; CRITERIA] = [1.0, 2.0, 5.0, 10.0];

/// How good each alternative is, from 0 to 1; 0 for all, if they are all the same.
pub(crate) fn scores(alternatives: &[[f64; CRITERIA]]) -> Vec<f64> {
    let weight_sum: f64 = WEIGHTS.iter().sum();
    let weights = WEIGHTS.map(|weight| weight / weight_sum);
    let lengths = by_criterion(alternatives, |values| values.map(|v| v * v).sum::<f64>().sqrt());
    let scaled: Vec<[f64; CRITERIA]> = alternatives
        .iter()
        .map(|alternative| {
            zip(alternative, &lengths, |value, length| {
                if length == 0.0 { value } else { value / length }
            })
        })
        .collect();
    let best = by_criterion(&scaled, |values| values.fold(f64::INFINITY, f64::min));
    let worst = by_criterion(&scaled, |values| values.fold(f64::NEG_INFINITY, f64::max));
    let distance = |alternative: &[f64; CRITERIA], ideal: &[f64; CRITERIA]| {
        let weighed = zip(
            &zip(alternative, ideal, |a, b| a - b),
            &weights,
            |difference, weight| difference * weight,
        );
        weighed.map(|d| d * d).iter().sum::<f64>().sqrt()
    };
    scaled
        .iter()
        .map(|alternative| {
            let (from_best, from_worst) = (distance(alternative, &best), distance(alternative, &worst));
            let sum = from_best + from_worst;
            if sum == 0.0 { 0.0 } else { from_worst / sum }
        })
        .collect()
}

fn zip(a: &[f64; CRITERIA], b: &[f64; CRITERIA], with: impl Fn(f64, f64) -> f64) -> [f64; CRITERIA] {
    let mut out = [0.0; CRITERIA];
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = with(*a, *b);
    }
    out
}

fn by_criterion(
    alternatives: &[[f64; CRITERIA]],
    fold: impl Fn(&mut dyn Iterator<Item = f64>) -> f64,
) -> [f64; CRITERIA] {
    let mut out = [0.0; CRITERIA];
    for (at, out) in out.iter_mut().enumerate() {
        *out = fold(
            &mut alternatives
                .iter()
                .filter_map(|alternative| alternative.get(at).copied()),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::scores;

    #[test]
    fn the_best_of_everything_is_best_and_the_worst_of_everything_is_worst() {
        let seen = scores(&[[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0], [1.5, 1.2, 1.1, 1.4]]);
        assert_eq!((seen[0], seen[1]), (1.0, 0.0));
        assert!(seen[2] > 0.0 && seen[2] < 1.0);
    }

    #[test]
    fn the_fullest_memory_counts_most() {
        let seen = scores(&[[1.0, 1.0, 1.0, 1.5], [1.5, 1.5, 1.0, 1.0]]);
        assert!(seen[1] > seen[0]);
    }

    #[test]
    fn equals_have_no_score() {
        assert_eq!(scores(&[[1.0; 4], [1.0; 4]]), [0.0, 0.0]);
        assert!(scores(&[]).is_empty());
    }
}
