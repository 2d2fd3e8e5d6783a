//! A shard's metadata as read by one `ZMSCORE`, and the rule of validity. Pure.
//!
//! The sorted set `{p:s}:m` has the reserved members below and one member per mark, named by the
//! tag's encoded form. The clock and the marks are its positive scores; the other reserved
//! members are negative, so that trimming the oldest marks by score cannot reach them.

use cache_core::store::Stamp;
use redis::Value;

use crate::error::Fault;
use crate::incarnation::Incarnation;

/// The reserved members, in the order in which they are asked for: epoch, incarnation, clock,
/// floor.
pub(crate) const RESERVED: [&str; 4] = ["#e", "#i", "#c", "#f"];

/// The member that records the number of shards, as its negative.
pub(crate) const SHARDS: &str = "#s";

/// The clock's end. Scores are doubles, exact up to 2⁵³; a shard is minted anew before that.
pub(crate) const LIMIT: u64 = 1 << 52;

/// The shard's state at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) epoch: u64,
    pub(crate) clock: u64,
    pub(crate) floor: u64,
}

impl Meta {
    pub(crate) const fn stamp(&self) -> Stamp {
        Stamp { epoch: self.epoch, clock: self.clock }
    }

    /// The part of the rule that does not depend on tags. A stamp from the future of this epoch's
    /// clock cannot be, so it proves that something was tampered with.
    pub(crate) const fn admits(&self, stamp: Stamp) -> bool {
        stamp.epoch == self.epoch && stamp.clock >= self.floor && stamp.clock <= self.clock
    }
}

/// Whether a mark leaves an entry with this stamp valid. No mark: never invalidated since the
/// floor.
pub(crate) fn passes(mark: Option<u64>, stamp: Stamp) -> bool {
    mark.is_none_or(|mark| mark <= stamp.clock)
}

/// What a `ZMSCORE` of the reserved members and some tags proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The metadata of this very incarnation, and the marks of the tags, in order.
    Known { meta: Meta, marks: Vec<Option<u64>> },
    /// None, of another type, or not what we write: nothing is proved.
    Lost,
    /// Written in another incarnation: it may have been rolled back.
    Foreign,
}

impl Reading {
    /// Reads the reply to `ZMSCORE m #e #i #c #f tag…`.
    pub(crate) fn read(reply: &Value, here: Incarnation, tags: usize) -> Result<Self, Fault> {
        match reply {
            Value::Array(scores) if scores.len() == RESERVED.len() + tags => {
                Ok(Self::of(scores.iter().map(Score::of), tags, here))
            }
            Value::ServerError(error) if error.code() == "WRONGTYPE" => Ok(Self::Lost),
            Value::ServerError(error) => Err(Fault::server(error)),
            _ => Err(Fault::Protocol("ZMSCORE")),
        }
    }

    /// What the scores prove, which are all asked for. All of them are taken.
    pub(crate) fn of(
        mut scores: impl Iterator<Item = Score>,
        tags: usize,
        here: Incarnation,
    ) -> Self {
        let mut next = || scores.next().unwrap_or(Score::Absent);
        let [epoch, incarnation, clock, floor] = [next(), next(), next(), next()];
        let mut marks = Vec::with_capacity(tags);
        let mut planted = false;
        for score in scores {
            marks.push(score.positive());
            planted |= score != Score::Absent && score.positive().is_none();
        }
        let (Some(epoch), Some(incarnation), Some(clock), Some(floor)) =
            (epoch.negative(), incarnation.negative(), clock.positive(), floor.negative())
        else {
            return Self::Lost;
        };
        if epoch == 0 || clock == 0 || clock >= LIMIT || floor > clock {
            return Self::Lost;
        }
        if incarnation != here.0 {
            return Self::Foreign;
        }
        if planted || marks.len() != tags {
            return Self::Lost;
        }
        Self::Known { meta: Meta { epoch, clock, floor }, marks }
    }
}

/// The score of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Score {
    /// There is no such member.
    Absent,
    /// A whole number of at most 52 bits.
    Whole(i64),
    /// A planted fraction, infinity, NaN or something that is no number: it proves nothing.
    Odd,
}

/// The largest score, 2⁵².
const TOP: i64 = 1 << 52;

impl Score {
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Nil => Self::Absent,
            Value::Double(score) => Self::whole(*score),
            Value::BulkString(text) => Self::read(text),
            _ => Self::Odd,
        }
    }

    /// Reads its text.
    pub(crate) fn read(text: &[u8]) -> Self {
        let (sign, digits) = text.strip_prefix(b"-").map_or((1, text), |digits| (-1, digits));
        // Most are written so; as many digits as these are no more than can be counted.
        if (1..=18).contains(&digits.len()) {
            let mut number = 0_i64;
            let mut is_one = true;
            for digit in digits {
                is_one &= digit.is_ascii_digit();
                let digit = i64::from(digit.wrapping_sub(b'0'));
                number = number.wrapping_mul(10).wrapping_add(digit);
            }
            if is_one {
                return if number <= TOP { Self::Whole(sign * number) } else { Self::Odd };
            }
        }
        let score = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        score.map_or(Self::Odd, Self::whole)
    }

    fn whole(score: f64) -> Self {
        const END: f64 = 4_503_599_627_370_496.0;
        let whole = (-END..=END).contains(&score) && score.fract() == 0.0;
        #[expect(clippy::cast_possible_truncation, reason = "whole, and of at most 52 bits")]
        if whole { Self::Whole(score as i64) } else { Self::Odd }
    }

    fn positive(self) -> Option<u64> {
        match self {
            Self::Whole(score) => u64::try_from(score).ok(),
            Self::Absent | Self::Odd => None,
        }
    }

    /// Of a reserved member that is kept as its negative.
    fn negative(self) -> Option<u64> {
        match self {
            Self::Whole(score) => u64::try_from(-score).ok(),
            Self::Absent | Self::Odd => None,
        }
    }
}

/// Reads the score of a reserved member that is kept as its negative.
pub(crate) fn negative(value: &Value) -> Option<u64> {
    Score::of(value).negative()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Incarnation = Incarnation(7);

    fn reply(scores: &[Option<&str>]) -> Value {
        let scores = scores.iter().map(|score| {
            score.map_or(Value::Nil, |score| Value::BulkString(score.as_bytes().to_vec()))
        });
        Value::Array(scores.collect())
    }

    fn read(scores: &[Option<&str>]) -> Reading {
        Reading::read(&reply(scores), HERE, scores.len() - 4).unwrap()
    }

    #[test]
    fn what_we_write_is_known() {
        let reading = read(&[Some("-9"), Some("-7"), Some("5"), Some("-2"), None, Some("4")]);
        let meta = Meta { epoch: 9, clock: 5, floor: 2 };
        assert_eq!(reading, Reading::Known { meta, marks: vec![None, Some(4)] });
        let exponent = read(&[Some("-4.503599627370495e+15"), Some("-7"), Some("1"), Some("-0")]);
        let meta = Meta { epoch: 4_503_599_627_370_495, clock: 1, floor: 0 };
        assert_eq!(exponent, Reading::Known { meta, marks: vec![] });
    }

    #[test]
    fn scores_are_the_same_as_text_and_as_numbers() {
        let numbers = [-4_503_599_627_370_495.0, -7.0, 5.0, -2.0, 4.0].map(Value::Double);
        let known = Reading::read(&Value::Array(numbers.into()), HERE, 1).unwrap();
        let texts = ["-4503599627370495", "-7", "5", "-2", "4"].map(Some);
        assert_eq!(known, read(&texts));
        for planted in [f64::NAN, f64::INFINITY, 4.5, -4.0] {
            let scores = [-9.0, -7.0, 5.0, -2.0, planted].map(Value::Double);
            let reading = Reading::read(&Value::Array(scores.into()), HERE, 1);
            assert_eq!(reading.unwrap(), Reading::Lost, "{planted}");
        }
    }

    #[test]
    fn a_score_is_the_same_however_it_is_written() {
        for text in [
            "0",
            "-0",
            "7",
            "-7",
            "4503599627370496",
            "-4503599627370496",
            "4.503599627370496e+15",
            "4503599627370497",
            "999999999999999999",
            "9999999999999999999",
            "1e300",
            "4.5",
            "inf",
            "nan",
            "",
            "-",
            "1x",
            "00012",
        ] {
            let parsed = text.parse::<f64>().map_or(Score::Odd, Score::whole);
            assert_eq!(Score::read(text.as_bytes()), parsed, "{text}");
        }
    }

    #[test]
    fn anything_else_proves_nothing() {
        let lost: [&[Option<&str>]; 9] = [
            &[None, None, None, None],
            &[Some("-9"), None, Some("5"), Some("0")],
            &[Some("9"), Some("-7"), Some("5"), Some("0")],
            &[Some("-9"), Some("-7"), Some("0"), Some("0")],
            &[Some("-9"), Some("-7"), Some("1.5"), Some("0")],
            &[Some("-9"), Some("-7"), Some("5"), Some("-6")],
            &[Some("-9"), Some("-7"), Some("5"), Some("nan")],
            &[Some("-9"), Some("-7"), Some("inf"), Some("0")],
            &[Some("-9"), Some("-7"), Some("5"), Some("0"), Some("-3")],
        ];
        for scores in lost {
            assert_eq!(read(scores), Reading::Lost, "{scores:?}");
        }
        assert_eq!(read(&[Some("-9"), Some("-8"), Some("5"), Some("0")]), Reading::Foreign);
        assert!(Reading::read(&Value::Nil, HERE, 0).is_err());
    }

    #[test]
    fn the_rule() {
        let meta = Meta { epoch: 9, clock: 5, floor: 2 };
        let stamp = |epoch, clock| Stamp { epoch, clock };
        assert!(meta.admits(stamp(9, 2)) && meta.admits(stamp(9, 5)));
        assert!(
            !meta.admits(stamp(9, 1)) && !meta.admits(stamp(9, 6)) && !meta.admits(stamp(8, 3))
        );
        assert!(passes(None, stamp(9, 3)) && passes(Some(3), stamp(9, 3)));
        assert!(!passes(Some(4), stamp(9, 3)));
    }
}
