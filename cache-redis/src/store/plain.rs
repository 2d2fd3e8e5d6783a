//! The commands of a lookup, and their replies where nothing is out of the ordinary. Pure.
//!
//! A hit asks for little and is asked for often, so its bytes are written and read here. Replies
//! of any other kind are not: the lookup is made again by way of [`Topology::call`], which knows
//! what to do about each of them.
//!
//! Lookups that are sent together ask for their shard's state and for all their marks by one command.
//! That is said in [`batch`](crate::connection).
//!
//! [`Topology::call`]: crate::topology::Topology::call

use std::sync::Arc;

use bytes::Bytes;
use cache_core::key::Key;

use crate::connection::{Question, Said, begin_word, put_count, put_word};
use crate::incarnation::Incarnation;
use crate::layout::Layout;
use crate::meta::{RESERVED, Reading, Score};

/// Asks for each shard's state; lookups add their tags, for their marks.
#[derive(Debug)]
pub(super) struct Questions(Box<[Arc<Question>]>);

impl Questions {
    pub(super) fn new(layout: &Layout) -> Self {
        let question =
            |shard| Question::new(["ZMSCORE", layout.meta(shard)].into_iter().chain(RESERVED));
        Self((0..layout.shards().max(1)).map(question).collect())
    }

    /// Those of a layout know each of its shards.
    pub(super) fn of(&self, shard: u16) -> Option<&Arc<Question>> {
        self.0.get(usize::from(shard))
    }
}

/// Appends the command that asks for the entry.
pub(super) fn write(out: &mut Vec<u8>, layout: &Layout, shard: u16, key: &Key) {
    put_count(out, 2);
    put_word(out, "GET");
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
    let mut scores = Scores::read(&said.shared)?;
    let behind = scores.missing.checked_sub(RESERVED.len() + said.before + tags)?;
    let mut next = || scores.next();
    let state: [Score; RESERVED.len()] = [next()?, next()?, next()?, next()?];
    for _ in 0..said.before {
        scores.next()?;
    }
    let reading = Reading::of(state.into_iter().chain(scores.by_ref().take(tags)), tags, here);
    (scores.missing == behind).then_some(Plain { found, reading })
}

/// A string after its `$`, if nothing follows it.
fn string(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = number(bytes)?;
    let (string, rest) = rest.split_at_checked(length)?;
    (rest == b"\r\n").then_some(string)
}

/// The reply to one `ZMSCORE`; ends early where something is no score.
struct Scores<'r> {
    missing: usize,
    rest: &'r [u8],
}

impl<'r> Scores<'r> {
    fn read(reply: &'r [u8]) -> Option<Self> {
        let (missing, rest) = number(reply.strip_prefix(b"*")?)?;
        Some(Self { missing, rest })
    }
}

impl Iterator for Scores<'_> {
    type Item = Score;

    fn next(&mut self) -> Option<Score> {
        let missing = self.missing.checked_sub(1)?;
        let (score, rest) = score(self.rest)?;
        (self.missing, self.rest) = (missing, rest);
        Some(score)
    }
}

fn score(bytes: &[u8]) -> Option<(Score, &[u8])> {
    let (line, rest) = line(bytes)?;
    match line.split_first()? {
        (b'_', []) => Some((Score::Absent, rest)),
        (b',', text) => Some((Score::read(text), rest)),
        _ => None,
    }
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

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\r')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line, rest.strip_prefix(b"\r\n")?))
}

#[cfg(test)]
mod tests {
    use cache_core::key::Digest;
    use redis::Pipeline;

    use super::*;
    use crate::layout::member;
    use crate::meta::Meta;

    const HERE: Incarnation = Incarnation(7);
    /// A lookup's own reply | the shard's state, and the marks of its tags.
    const PLAIN: &str = "$5\r\na\r\nb!\r\n|*6\r\n,-9\r\n,-7\r\n,5\r\n,-2\r\n_\r\n,4\r\n";

    fn read(replies: &str) -> Option<Plain> {
        read_for(0, 2, replies)
    }

    fn read_for(before: usize, tags: usize, replies: &str) -> Option<Plain> {
        let (own, shared) = replies.split_once('|').unwrap_or((replies, ""));
        let [own, shared] = [own, shared].map(|part| Bytes::copy_from_slice(part.as_bytes()));
        super::read(&Said { own, shared, before }, tags, HERE)
    }

    #[test]
    fn the_entry_is_asked_for_as_the_client_library_does() {
        let layout = Layout::new("rc", 16);
        let primary = Key::new(Digest::of(b"a"));
        for key in [primary, primary.variant_of(Digest::of(b"b"))] {
            let shard = layout.shard(&key);
            let mut pipe = Pipeline::new();
            pipe.cmd("GET").arg(layout.entry(shard, &member(&key)));
            let mut out = Vec::new();
            write(&mut out, &layout, shard, &key);
            assert_eq!(out, pipe.get_packed_pipeline());
        }
    }

    #[test]
    fn plain_replies_are_read() {
        let meta = Meta { epoch: 9, clock: 5, floor: 2 };
        let known = |marks| Reading::Known { meta, marks };
        let reading = known(vec![None, Some(4)]);
        let found = Some(Bytes::from_static(b"a\r\nb!"));
        assert_eq!(read(PLAIN), Some(Plain { found, reading: reading.clone() }));
        let absent = PLAIN.replace("$5\r\na\r\nb!\r\n", "_\r\n");
        assert_eq!(read(&absent), Some(Plain { found: None, reading }));
        let empty = PLAIN.replace("$5\r\na\r\nb!\r\n", "$0\r\n\r\n");
        assert_eq!(read(&empty).unwrap().found, Some(Bytes::new()));
        // What others have asked for is before and behind.
        for (before, tags, marks) in
            [(0, 0, vec![]), (0, 1, vec![None]), (1, 1, vec![Some(4)]), (2, 0, vec![])]
        {
            let read = read_for(before, tags, PLAIN).unwrap();
            assert_eq!(read.reading, known(marks), "{before} {tags}");
        }
        assert_eq!((read_for(1, 2, PLAIN), read_for(3, 0, PLAIN)), (None, None));
    }

    #[test]
    fn metadata_that_proves_nothing_is_plain_too() {
        let lost = PLAIN.replace(",-9", "_");
        assert_eq!(read(&lost).unwrap().reading, Reading::Lost);
        let foreign = PLAIN.replace(",-7", ",-8");
        assert_eq!(read(&foreign).unwrap().reading, Reading::Foreign);
        for planted in [",inf", ",nan", ",-4", ",4.5", ",1e300", ",x"] {
            let planted = PLAIN.replace(",4\r", &format!("{planted}\r"));
            assert_eq!(read(&planted).unwrap().reading, Reading::Lost, "{planted}");
        }
    }

    #[test]
    fn anything_else_is_left_to_others() {
        for (from, to) in [
            ("$5\r\na\r\nb!", "-WRONGTYPE no"),
            ("$5", "$6"),
            ("$5", "$-1"),
            ("b!\r\n", "b!\r\n:0\r\n"),
            ("*6", "*5"),
            ("*6\r\n", "-WRONGTYPE no\r\n"),
            ("*6\r\n", "-ASK 1 h:1\r\n"),
            (",-2\r\n", ""),
            (",-2\r\n", "-ERR\r\n"),
            (",-9", ":-9"),
            (",4\r\n", "-ERR\r\n"),
            (",4\r\n", ":4\r\n"),
            (",4\r\n", ""),
        ] {
            assert_eq!(read(&PLAIN.replacen(from, to, 1)), None, "{from:?} {to:?}");
        }
        for cut in 0..PLAIN.len() {
            assert_eq!(read(&PLAIN[..cut]), None, "{cut}");
        }
    }
}
