//! What a history shows.

use std::fmt;

use super::event::{Filled, Invalidation, Missed, Served};

/// The result of a check.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// The seed of the history.
    pub seed: u64,
    /// What must not have happened.
    pub violations: Vec<Violation>,
    /// What I2 owed and the store did not give.
    pub losses: Vec<Loss>,
    /// How useful the store was.
    pub meters: Meters,
}

/// Something that must not have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Which rule is broken.
    pub rule: Rule,
    /// What was served.
    pub served: Served,
    /// The fill that put it, if it is in the log.
    pub fill: Option<Filled>,
    /// The invalidation that forbids it, if it is one that does.
    pub invalidation: Option<Invalidation>,
    /// The later fill that forbids it, if it is one that does.
    pub later: Option<Filled>,
}

/// Something that I2 owed: its premise is proved by the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// A miss, though the last put of the key was `Stored`, within its life, and nothing came near
    /// it: no invalidation of its tags, no fault that may make a store forget.
    Forgotten {
        /// The fill that was owed.
        fill: Filled,
        /// The lookup that missed it.
        missed: Missed,
    },
    /// `Superseded`, though nothing came near the fill.
    Denied {
        /// The fill.
        fill: Filled,
    },
}

/// The rules that a history is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// I1 by intervals: the computation began before the call of an invalidation of one of its
    /// tags that had returned before the request started.
    Interval,
    /// I1 by versions: the body carries a version of a tag's truth that is older than one whose
    /// invalidation had returned before the request started.
    Version,
    /// It had been `Superseded` before the request started.
    Superseded,
    /// A put that began after its own had ended was `Stored` before the request started.
    Replaced,
    /// Body, key and tags are not those of one fill for this key.
    Foreign,
}

/// How much the store was worth, by I2. Compare between stores with the same seed; the shares of
/// what nothing explains should be nil.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meters {
    /// Lookups that were answered.
    pub lookups: u64,
    /// Those answered with an entry.
    pub hits: u64,
    /// Puts, whatever became of them.
    pub puts: u64,
    /// Those `Stored`.
    pub stored: u64,
    /// Those `Superseded`.
    pub superseded: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Acknowledged invalidations.
    pub invalidations: u64,
    /// Lookups that had to hit and puts that had to be stored, whether they were or not: how much
    /// the check of I2 could see.
    pub owed: u64,
    /// Misses right after a `Stored` put that nothing had made invalid: forgotten entries.
    pub unexplained_misses: u64,
    /// Puts `Superseded` though no invalidation of their tags came near.
    pub unexplained_superseded: u64,
}

impl Meters {
    /// Hits per lookup.
    #[must_use]
    pub fn hit_ratio(&self) -> f64 {
        share(self.hits, self.lookups)
    }

    /// Superseded puts per put.
    #[must_use]
    pub fn superseded_share(&self) -> f64 {
        share(self.superseded, self.puts)
    }

    /// Stored puts per acknowledged invalidation.
    #[must_use]
    pub fn refills_per_invalidation(&self) -> f64 {
        share(self.stored, self.invalidations)
    }

    /// Answers that nothing explains per lookup and put.
    #[must_use]
    pub fn unexplained_share(&self) -> f64 {
        let unexplained = self.unexplained_misses + self.unexplained_superseded;
        share(unexplained, self.lookups + self.puts)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl Verdict {
    /// Whether nothing happened that must not.
    #[must_use]
    pub const fn is_safe(&self) -> bool {
        self.violations.is_empty()
    }

    /// Whether the store caches at all (I2): it hits, and at most one answer in a hundred is one
    /// that nothing explains. A store that evicts or fails during the run may miss this rightly.
    #[must_use]
    pub fn is_useful(&self) -> bool {
        self.meters.hits > 0 && self.meters.unexplained_share() <= 0.01
    }

    /// Ends a test.
    ///
    /// # Panics
    ///
    /// The verdict is not [safe](Self::is_safe); the message shows the seed and the events.
    #[expect(clippy::panic, reason = "this is how a test fails")]
    #[track_caller]
    pub fn assert_safe(&self) {
        if !self.is_safe() {
            panic!("{self}");
        }
    }

    /// Ends a test.
    ///
    /// # Panics
    ///
    /// The verdict is not [useful](Self::is_useful).
    #[expect(clippy::panic, reason = "this is how a test fails")]
    #[track_caller]
    pub fn assert_useful(&self) {
        if !self.is_useful() {
            panic!("safe by missing: {self}");
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let count = self.violations.len();
        writeln!(f, "seed {}: {count} violations; {}", self.seed, self.meters)?;
        for violation in self.violations.iter().take(SHOWN) {
            writeln!(f, "{violation}")?;
        }
        for loss in self.losses.iter().take(SHOWN) {
            writeln!(f, "{loss}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forgotten { fill, missed } => write!(f, "Forgotten:\n  {fill:?}\n  {missed:?}"),
            Self::Denied { fill } => write!(f, "Denied:\n  {fill:?}"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}:", self.rule)?;
        if let Some(invalidation) = &self.invalidation {
            writeln!(f, "  {invalidation:?}")?;
        }
        if let Some(fill) = &self.fill {
            writeln!(f, "  {fill:?}")?;
        }
        if let Some(later) = &self.later {
            writeln!(f, "  later {later:?}")?;
        }
        write!(f, "  {:?}", self.served)
    }
}

impl fmt::Display for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} lookups, hit ratio {:.3}; {} puts, superseded {:.3}; {} invalidations, refills \
             per invalidation {:.2}; owed {}, unexplained misses {}, unexplained superseded {}; failures {}",
            self.lookups,
            self.hit_ratio(),
            self.puts,
            self.superseded_share(),
            self.invalidations,
            self.refills_per_invalidation(),
            self.owed,
            self.unexplained_misses,
            self.unexplained_superseded,
            self.failures,
        )
    }
}
