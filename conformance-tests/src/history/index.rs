//! Answers "what was the largest so far" over a history, in logarithmic time.

/// Items at instants; for every instant the largest item at or before it.
#[derive(Debug)]
pub(super) struct Running<T> {
    /// Sorted by instant; the item is the largest up to there.
    steps: Vec<(u64, T)>,
}

impl<T: Ord + Copy> Running<T> {
    pub(super) fn new(mut steps: Vec<(u64, T)>) -> Self {
        steps.sort_unstable_by_key(|(at, _)| *at);
        let mut largest: Option<T> = None;
        for (_, item) in &mut steps {
            let next = largest.map_or(*item, |largest| largest.max(*item));
            *item = next;
            largest = Some(next);
        }
        Self { steps }
    }

    /// The largest item strictly before `at`.
    pub(super) fn before(&self, at: u64) -> Option<T> {
        let end = self.steps.partition_point(|(step, _)| *step < at);
        self.steps.get(end.checked_sub(1)?).map(|(_, item)| *item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_before_an_instant() {
        let running = Running::new(vec![(30, 1), (10, 2), (20, 7)]);
        assert_eq!(
            [5, 10, 11, 20, 21, 99].map(|at| running.before(at)),
            [None, None, Some(2), Some(2), Some(7), Some(7)]
        );
    }
}
