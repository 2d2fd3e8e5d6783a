//! The last steps of a case, for its failure text.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many steps a failure shows.
const SHOWN: usize = 6;

/// The last steps of a case. It outlives the case, so that one that hangs still has a story.
#[derive(Debug, Default)]
pub(crate) struct Trail(Mutex<VecDeque<String>>);

impl Trail {
    /// Notes what was done and what came back.
    pub(crate) fn step(&self, step: String) {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if steps.len() == SHOWN {
            steps.pop_front();
        }
        steps.push_back(step);
    }

    /// The steps, and what was expected in the end.
    pub(crate) fn observed(&self, expected: &str) -> String {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        steps.push_back(expected.to_owned());
        Vec::from(steps).join("; ")
    }
}
