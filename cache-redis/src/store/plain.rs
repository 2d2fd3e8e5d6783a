//! The commands of a lookup, and their replies where nothing is out of the ordinary. Pure.
//!
//! A hit asks for little and is asked for often, so its bytes are written and read here. Replies
//! of any other kind are not: the lookup is made again by way of [`Topology::call`], which knows
//! what to do about each of them.
//!
//! Lookups that are sent together ask for their entries by one command, and for their shard's state
//! and all their marks by another. That is said in [`batch`](crate::connection).
//!
//! [`Topology::call`]: crate::topology::Topology::call

use std::sync::Arc;

use bytes::Bytes;
use cache_core::key::Key;

use crate::connection::{Question, Said, begin_word, line};
use crate::incarnation::Incarnation;
use crate::layout::Layout;
use crate::meta::{RESERVED, Reading};

/// Asks for each shard's state; lookups add their tags, for their marks.
#[derive(Debug)]
pub(super) struct Questions(Box<[Arc<Question>]>);

impl Questions {
    pub(super) fn new(layout: &Layout) -> Self {
        let question = |shard| Question::new(layout.meta(shard), &RESERVED);
        Self((0..layout.shards().max(1)).map(question).collect())
    }

    /// Those of a layout know each of its shards.
    pub(super) fn of(&self, shard: u16) -> Option<&Arc<Question>> {
        self.0.get(usize::from(shard))
    }
}

/// Appends the entry's name, as a word of a command.
pub(super) fn write(out: &mut Vec<u8>, layout: &Layout, shard: u16, key: &Key) {
    begin_word(out, layout.entry_length(shard, key));
    layout.put_entry(shard, key, out);
    out.extend_from_slice(b"\r\n");
}

/// The replies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plain {
    /// What is under the key: a part of the replies' own block.
    pub(super) found: Option<Bytes>,
    pub(super) reading: Reading,
}

/// Reads them; `None` if anything in them is out of the ordinary.
pub(super) fn read(said: &Said, tags: usize, here: Incarnation) -> Option<Plain> {
    let found = match said.own.strip_prefix(b"$") {
        Some(rest) => Some(said.own.slice_ref(string(rest)?)),
        None if said.own == b"_\r\n"[..] => None,
        None => return None,
    };
    let reading = Reading::of(said.scores(RESERVED.len())?, tags, here);
    Some(Plain { found, reading })
}

/// A string after its `$`, if nothing follows it.
fn string(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = number(bytes)?;
    let (string, rest) = rest.split_at_checked(length)?;
    (rest == b"\r\n").then_some(string)
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (line, rest) = line(bytes)?;
    // More digits than this are no length of anything.
    if line.is_empty() || line.len() > 10 {
        return None;
    }
    let mut number = 0;
    for digit in line {
        number = number * 10 + usize::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use cache_core::key::Digest;
    use redis::Pipeline;

    use super::*;
    use crate::layout::member;
    use crate::meta::{Meta, Score};

    const HERE: Incarnation = Incarnation(7);
    /// What is said for the entry.
    const OWN: &str = "$5\r\na\r\nb!\r\n";
    /// The shard's state, and the marks of three tags.
    const SCORES: [Score; 7] = [
        Score::Whole(-9),
        Score::Whole(-7),
        Score::Whole(5),
        Score::Whole(-2),
        Score::Absent,
        Score::Whole(4),
        Score::Whole(3),
    ];
    const META: Meta = Meta { epoch: 9, clock: 5, floor: 2 };

    fn read(own: &str, scores: &[Score], words: &[u16]) -> Option<Plain> {
        let own = Bytes::copy_from_slice(own.as_bytes());
        super::read(&Said::of(own, scores, words), words.len(), HERE)
    }

    #[test]
    fn the_entry_is_named_as_the_client_library_does() {
        let layout = Layout::new("rc", 16);
        let primary = Key::new(Digest::of(b"a"));
        for key in [primary, primary.variant_of(Digest::of(b"b"))] {
            let shard = layout.shard(&key);
            let mut pipe = Pipeline::new();
            pipe.cmd("GET").arg(layout.entry(shard, &member(&key)));
            let mut out = b"*2\r\n$3\r\nGET\r\n".to_vec();
            write(&mut out, &layout, shard, &key);
            assert_eq!(out, pipe.get_packed_pipeline());
        }
    }

    #[test]
    fn plain_replies_are_read() {
        let known = |marks| Reading::Known { meta: META, marks };
        let reading = known(vec![None, Some(4)]);
        let found = Some(Bytes::from_static(b"a\r\nb!"));
        assert_eq!(read(OWN, &SCORES, &[0, 1]), Some(Plain { found, reading: reading.clone() }));
        assert_eq!(read("_\r\n", &SCORES, &[0, 1]), Some(Plain { found: None, reading }));
        assert_eq!(read("$0\r\n\r\n", &SCORES, &[]).unwrap().found, Some(Bytes::new()));
        // Others have asked, too; some of it for the same.
        for (words, marks) in [
            (&[][..], vec![]),
            (&[2], vec![Some(3)]),
            (&[1, 0], vec![Some(4), None]),
            (&[2, 2], vec![Some(3), Some(3)]),
        ] {
            assert_eq!(read(OWN, &SCORES, words).unwrap().reading, known(marks), "{words:?}");
        }
        assert_eq!(read(OWN, &SCORES, &[1, 3]).unwrap().reading, Reading::Lost, "out of place");
    }

    #[test]
    fn metadata_that_proves_nothing_is_plain_too() {
        let planted = |place: usize, score| {
            let mut scores = SCORES;
            scores[place] = score;
            read(OWN, &scores, &[0, 1]).unwrap().reading
        };
        assert_eq!(planted(0, Score::Absent), Reading::Lost);
        assert_eq!(planted(1, Score::Whole(-8)), Reading::Foreign);
        for score in [Score::Odd, Score::Whole(-4)] {
            assert_eq!(planted(5, score), Reading::Lost, "{score:?}");
        }
    }

    #[test]
    fn anything_else_is_left_to_others() {
        for own in [
            "-WRONGTYPE no\r\n",
            "-TRYAGAIN no\r\n",
            "$6\r\na\r\nb!\r\n",
            "$-1\r\n",
            "$5\r\na\r\nb!\r\n:0\r\n",
            "",
        ] {
            assert_eq!(read(own, &SCORES, &[0, 1]), None, "{own:?}");
        }
        for cut in 0..OWN.len() {
            assert_eq!(read(&OWN[..cut], &SCORES, &[0, 1]), None, "{cut}");
        }
        assert_eq!(read(OWN, &SCORES[..3], &[]), None);
        let said = Said::unanswered(b"_\r\n");
        assert_eq!(super::read(&said, 0, HERE), None);
    }
}
