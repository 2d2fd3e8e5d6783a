//! Whether the other end of a socket gives signs of life. Pure.

/// What is known of it while calls wait.
#[derive(Debug)]
pub(super) struct Silence {
    /// In milliseconds.
    patience: u64,
    /// How many there have been: something was read; or written, where there had been no room.
    signs: u64,
    /// The system takes no more to be sent until the other end takes some.
    is_full: bool,
    /// Since when there were no more than so many.
    since: Option<(u64, u64)>,
}

impl Silence {
    pub(super) fn new(patience: u64) -> Self {
        Self { patience: patience.max(1), signs: 0, is_full: false, since: None }
    }

    pub(super) const fn was_read(&mut self) {
        self.signs += 1;
    }

    /// That only fills the system's buffer, as a rule.
    pub(super) const fn was_written(&mut self) {
        self.signs += std::mem::replace(&mut self.is_full, false) as u64;
    }

    pub(super) const fn was_full(&mut self) {
        self.is_full = true;
    }

    /// Nobody waits.
    pub(super) const fn forget(&mut self) {
        self.since = None;
    }

    /// Someone waits: until when, if there are no more signs.
    pub(super) fn end(&mut self, now: u64) -> u64 {
        let since = match self.since {
            Some((since, signs)) if signs == self.signs => since,
            _ => now,
        };
        self.since = Some((since, self.signs));
        since + self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_any_sign_and_begins_with_waiting() {
        let mut silence = Silence::new(100);
        assert_eq!(silence.end(10), 110);
        assert_eq!(silence.end(60), 110);
        silence.was_written();
        assert_eq!(silence.end(109), 110, "the other end need not have taken it");
        silence.was_read();
        assert_eq!(silence.end(109), 209);
        silence.was_full();
        assert_eq!(silence.end(150), 209);
        silence.was_written();
        assert_eq!(silence.end(150), 250, "it has taken some");
        silence.forget();
        assert_eq!(silence.end(1_000), 1_100);
    }
}
