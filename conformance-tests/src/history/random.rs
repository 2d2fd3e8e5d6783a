//! A small seeded generator (`SplitMix64`).

/// Random numbers (`SplitMix64`), the same for the same seed and stream.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Streams of one seed are independent of each other.
    #[must_use]
    pub const fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xA076_1D64_78BD_642F));
        random.next();
        random
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `end`, which is at least taken as 1. The bias is far below what matters here.
    pub fn below(&mut self, end: u32) -> u32 {
        let scaled = (self.next() >> 32) * u64::from(end.max(1));
        u32::try_from(scaled >> 32).unwrap_or(0)
    }

    /// Whether a chance in percent came up.
    pub fn percent(&mut self, chance: u32) -> bool {
        self.below(100) < chance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_streams_differ() {
        let draw = |seed, stream| {
            let mut random = Random::new(seed, stream);
            (0..8).map(|_| random.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }

    #[test]
    fn below_stays_below_and_gets_everywhere() {
        let mut random = Random::new(7, 0);
        let mut seen = [false; 10];
        for _ in 0..1_000 {
            seen[random.below(10) as usize] = true;
        }
        assert_eq!(seen, [true; 10]);
        assert_eq!(random.below(0), 0);
    }
}
