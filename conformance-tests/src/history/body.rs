//! What a fill puts into a body, so that a serve shows what it was computed from.

use serde::{Deserialize, Serialize};

/// What a fill saw when it started. It travels in the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "other generators build it; it is complete")]
pub struct Computed {
    /// The key it was computed for.
    pub key: u32,
    /// Names the fill; unique in a history.
    pub fill: u64,
    /// When the computation began: after its ticket was issued.
    pub at: u64,
    /// The version of each tag's truth at that time. Every fill has
    /// [`EVERYTHING`](super::EVERYTHING) among them.
    pub seen: Vec<(u32, u64)>,
}

const MAGIC: [u8; 8] = *b"history1";

impl Computed {
    /// The bytes of a body.
    #[must_use]
    pub fn to_body(&self) -> Vec<u8> {
        let mut body = MAGIC.to_vec();
        body.extend(self.key.to_be_bytes());
        body.extend(self.fill.to_be_bytes());
        body.extend(self.at.to_be_bytes());
        for (tag, version) in &self.seen {
            body.extend(tag.to_be_bytes());
            body.extend(version.to_be_bytes());
        }
        body
    }

    /// Takes back what [`to_body`](Self::to_body) gave.
    #[must_use]
    pub fn from_body(body: &[u8]) -> Option<Self> {
        let rest = body.strip_prefix(&MAGIC)?;
        let (key, rest) = rest.split_first_chunk()?;
        let (fill, rest) = rest.split_first_chunk()?;
        let (at, mut rest) = rest.split_first_chunk()?;
        let mut seen = Vec::new();
        while let Some((tag, after)) = rest.split_first_chunk() {
            let (version, after) = after.split_first_chunk()?;
            seen.push((u32::from_be_bytes(*tag), u64::from_be_bytes(*version)));
            rest = after;
        }
        let (key, fill) = (u32::from_be_bytes(*key), u64::from_be_bytes(*fill));
        rest.is_empty().then_some(Self { key, fill, at: u64::from_be_bytes(*at), seen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_round_trips_and_half_of_one_does_not() {
        let computed = Computed { key: 7, fill: 1 << 40, at: 99, seen: vec![(1, 2), (3, 4)] };
        let body = computed.to_body();
        assert_eq!(Computed::from_body(&body), Some(computed));
        for end in (0..body.len()).filter(|end| *end != body.len() - 12 && *end != body.len() - 24)
        {
            assert_eq!(Computed::from_body(&body[..end]), None, "{end}");
        }
    }
}
