//! Medians and spreads.

/// Least, median and greatest. Nothing has none of them.
pub(crate) fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 || values.is_empty() {
        at(middle)
    } else {
        f64::midpoint(at(middle - 1), at(middle))
    };
    (at(0), median, values.last().copied().unwrap_or(f64::NAN))
}

pub(crate) fn median(values: Vec<f64>) -> f64 {
    spread(values).1
}

/// What so many percent of the values are not above; `values` get sorted.
pub(crate) fn percentile(values: &mut [u32], percent: f64) -> u32 {
    values.sort_unstable();
    let rank = (values.len() as f64 * percent / 100.0).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(spread(vec![4.0, 1.0, 2.0, 3.0]), (1.0, 2.5, 4.0));
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), (1.0, 2.0, 3.0));
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let mut values: Vec<u32> = (1..=200).rev().collect();
        assert_eq!(percentile(&mut values, 99.0), 198);
        assert_eq!(percentile(&mut values, 50.0), 100);
        assert_eq!(percentile(&mut [], 99.0), 0);
    }
}
