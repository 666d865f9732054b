//! Order statistics over minor units: sums that cannot overflow, medians, spreads and slopes.
//!
//! Owns arithmetic only. It knows nothing of statements.

/// The sum, held at the ends of `i64` if it lies beyond them.
#[must_use]
pub fn total(amounts: impl IntoIterator<Item = i64>) -> i64 {
    clamp(amounts.into_iter().map(i128::from).sum())
}

/// The nearest `i64`.
#[must_use]
pub fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// The nearest `i64` of a float; 0 for not-a-number.
#[must_use]
pub fn from_float(value: f64) -> i64 {
    // `as` saturates at the ends and maps NaN to 0.
    value.round() as i64
}

/// The median; the mean of the middle two, rounded towards zero, for an even count; `None` if
/// there is nothing.
#[must_use]
pub fn median(amounts: &[i64]) -> Option<i64> {
    let mut sorted = amounts.to_vec();
    sorted.sort_unstable();
    median_of_sorted(&sorted)
}

/// The median of amounts that are already sorted.
#[must_use]
pub fn median_of_sorted(sorted: &[i64]) -> Option<i64> {
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(*upper);
    }
    let lower = sorted.get(middle.checked_sub(1)?)?;
    Some(clamp(i128::midpoint(i128::from(*lower), i128::from(*upper))))
}

/// The median of the other amounts when the one at `left_out` of a sorted slice is left out.
#[must_use]
pub fn median_of_others(sorted: &[i64], left_out: usize) -> Option<i64> {
    let others = sorted.len().checked_sub(1)?;
    let at = |rank: usize| sorted.get(if rank < left_out { rank } else { rank + 1 }).copied();
    let upper = at(others / 2)?;
    if others % 2 == 1 {
        return Some(upper);
    }
    let lower = at((others / 2).checked_sub(1)?)?;
    Some(clamp(i128::midpoint(i128::from(lower), i128::from(upper))))
}

/// The median of floats; `None` if there is nothing.
#[must_use]
pub fn median_float(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get((sorted.len() / 2).checked_sub(1)?)?, upper))
}

/// Median absolute deviation from the median; `None` if there is nothing.
#[must_use]
pub fn mad(values: &[f64]) -> Option<f64> {
    let centre = median_float(values)?;
    median_float(&values.iter().map(|value| (value - centre).abs()).collect::<Vec<_>>())
}

/// Sample standard deviation (divided by n − 1); `None` below two values.
#[must_use]
pub fn deviation(values: &[f64]) -> Option<f64> {
    let count = values.len();
    if count < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / count as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (count - 1) as f64).sqrt())
}

/// Theil–Sen slope per step, if the Mann–Kendall test finds a trend at the 5 % level
/// (|S| − 1 > 1.96·√(n(n−1)(2n+5)/18)); `None` otherwise.
///
/// Source: Sen (1968), Kendall (1975). Quadratic in the number of values; give it months, not rows.
#[must_use]
pub fn trend(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    let mut slopes = Vec::new();
    let mut score = 0.0;
    for (at, early) in values.iter().enumerate() {
        for (steps, late) in values.iter().skip(at + 1).enumerate() {
            slopes.push((late - early) / (steps + 1) as f64);
            if late > early {
                score += 1.0;
            } else if late < early {
                score -= 1.0;
            }
        }
    }
    let spread = (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
    let found = f64::abs(score) - 1.0 > 1.96 * spread;
    if found { median_float(&slopes) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_medians_stay_within_their_type() {
        assert_eq!(total([i64::MAX, i64::MAX, -1]), i64::MAX);
        assert_eq!(median(&[i64::MAX, i64::MAX]), Some(i64::MAX));
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3, 1, 2]), Some(2));
    }

    #[test]
    fn leaving_one_out_equals_removing_it() {
        for sorted in [vec![1, 2], vec![1, 5, 9], vec![1, 5, 9, 20], vec![7]] {
            for left_out in 0..sorted.len() {
                let mut others = sorted.clone();
                others.remove(left_out);
                assert_eq!(median_of_others(&sorted, left_out), median(&others));
            }
        }
    }

    #[test]
    fn a_trend_is_found_only_where_there_is_one() {
        let rising: Vec<f64> = (0..8).map(|step| f64::from(step) * 10.0).collect();
        assert_eq!(trend(&rising), Some(10.0));
        assert_eq!(trend(&[5.0, 1.0, 4.0, 2.0, 6.0, 3.0]), None);
        assert_eq!(trend(&[1.0, 2.0]), None);
        assert_eq!(trend(&[]), None);
    }
}
