//! How much threads remember.
//!
//! A thread that answers keeps what it made for answers that are asked for again: tables of fields,
//! what it read of stored heads, digests of keys and what they were made of. None of it decides what
//! is answered. Values of `Cookie`, `Authorization` and `Proxy-Authorization`, values of guards and those
//! marked as sensitive are not among it; paths, queries, texts of keys and other fields are, whatever is in them. Others
//! take the places of what is no longer asked for: where a key was longer than the one that took its
//! place, the end of it may lie there, never read, until another covers it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many answers a thread remembers, unless told otherwise.
pub const USUAL: usize = 1 << 10;

/// The most that it can be told to.
pub const MOST: usize = 1 << 16;

static ANSWERS: AtomicUsize = AtomicUsize::new(USUAL);

/// Sets how many answers each thread remembers, for all caches of the process. What else it
/// remembers grows and shrinks alike. Rounded up to a power of two; 0: nothing is remembered, and each
/// hit makes anew what it needs.
///
/// Threads that have answered before keep what they have: to be called before the server starts.
///
/// # Errors
///
/// If they are more than [`MOST`].
///
/// # Examples
///
/// ```
/// // A quarter: at most some 8 MiB a thread in place of 32, whatever the heads are, beside what an
/// // adapter remembers.
/// cache_core::threads::remember_answers(256)?;
/// # Ok::<(), cache_core::threads::TooMany>(())
/// ```
pub fn remember_answers(answers: usize) -> Result<(), TooMany> {
    ANSWERS.store(rounded(answers)?, Ordering::Relaxed);
    Ok(())
}

fn rounded(answers: usize) -> Result<usize, TooMany> {
    match answers {
        0 => Ok(0),
        1..=MOST => Ok(answers.next_power_of_two()),
        _ => Err(TooMany { answers }),
    }
}

/// How many places a memory of a thread has now that has `usual` ones where [`USUAL`] answers are
/// remembered: a power of two if `usual` is one, or none. For adapters with a memory of their own.
#[must_use]
pub fn places(usual: usize) -> usize {
    scaled(usual, ANSWERS.load(Ordering::Relaxed))
}

fn scaled(usual: usize, answers: usize) -> usize {
    if answers == 0 { 0 } else { (usual.saturating_mul(answers) / USUAL).max(1) }
}

/// Which of so many places, a power of two, a number belongs to. Where there are none it is one that
/// is not there.
#[must_use]
#[inline]
pub fn place(number: u64, places: usize) -> usize {
    // As many low bits as any power of two here needs.
    usize::try_from(number & u64::from(u32::MAX)).unwrap_or_default() & places.wrapping_sub(1)
}

/// More answers than a thread can be told to remember.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("remember_answers: {answers} is more than {MOST}")]
pub struct TooMany {
    answers: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_grow_and_shrink_together_down_to_none() {
        let places = |answers| scaled(512, rounded(answers).unwrap());
        assert_eq!([USUAL, 100, 1, 0, MOST].map(places), [512, 64, 1, 0, 512 * 64]);
    }

    #[test]
    fn more_than_the_most_is_refused_with_the_value() {
        let refused = remember_answers(MOST + 1).unwrap_err();
        assert_eq!(refused.to_string(), "remember_answers: 65537 is more than 65536");
    }

    #[test]
    fn a_place_is_one_of_those_there_are() {
        for number in [0, 1, 511, 512, u64::from(u32::MAX), u64::MAX] {
            for places in [1, 2, 512, MOST] {
                assert!(place(number, places) < places);
            }
        }
        // Nobody has this one.
        assert_eq!(place(u64::MAX, 0), usize::try_from(u32::MAX).unwrap());
    }
}
