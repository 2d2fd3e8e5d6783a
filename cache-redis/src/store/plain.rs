//! The commands of a lookup, and their replies where nothing is out of the ordinary. Pure.
//!
//! A hit asks for little and is asked for often, so its bytes are written and read here. Replies
//! of any other kind are not: the lookup is made again by way of [`Topology::call`], which knows
//! what to do about each of them.
//!
//! Lookups that are sent together ask for the shard's state once, after all their marks. Why that is
//! as good as reading it with them is said in [`batch`](crate::connection).
//!
//! [`Topology::call`]: crate::topology::Topology::call

use bytes::Bytes;
use cache_core::key::Key;
use cache_core::tag::Tag;

use crate::connection::{Question, Said};
use crate::incarnation::Incarnation;
use crate::layout::Layout;
use crate::meta::{RESERVED, Reading, Score};

/// Asks for each shard's state.
#[derive(Debug)]
pub(super) struct Questions(Box<[Question]>);

impl Questions {
    pub(super) fn new(layout: &Layout) -> Self {
        let question = |shard| {
            let mut out = Vec::new();
            put_scores(&mut out, layout.meta(shard), RESERVED.into_iter());
            out.into()
        };
        Self((0..layout.shards().max(1)).map(question).collect())
    }

    /// Those of a layout know each of its shards.
    pub(super) fn of(&self, shard: u16) -> Option<&Question> {
        self.0.get(usize::from(shard))
    }
}

/// How many replies there are to what [`write`] writes.
pub(super) const fn replies(tags: &[Tag]) -> usize {
    if tags.is_empty() { 1 } else { 2 }
}

/// Appends the commands: the entry, and the marks of `tags`, if any.
pub(super) fn write(out: &mut Vec<u8>, layout: &Layout, shard: u16, key: &Key, tags: &[Tag]) {
    out.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$");
    put_number(out, layout.entry_length(shard, key));
    out.extend_from_slice(b"\r\n");
    layout.put_entry(shard, key, out);
    out.extend_from_slice(b"\r\n");
    if !tags.is_empty() {
        put_scores(out, layout.meta(shard), tags.iter().map(Tag::as_str));
    }
}

fn put_scores<'w, I>(out: &mut Vec<u8>, meta: &str, members: I)
where
    I: ExactSizeIterator<Item = &'w str>,
{
    out.push(b'*');
    put_number(out, 2 + members.len());
    out.extend_from_slice(b"\r\n$7\r\nZMSCORE\r\n");
    put_word(out, meta);
    for member in members {
        put_word(out, member);
    }
}

fn put_word(out: &mut Vec<u8>, word: &str) {
    out.push(b'$');
    put_number(out, word.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(word.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// A length or a count. Most have one or two digits.
fn put_number(out: &mut Vec<u8>, number: usize) {
    let digit = |number: usize| b'0' + number.to_le_bytes()[0];
    match number {
        0..10 => out.push(digit(number)),
        10..100 => out.extend_from_slice(&[digit(number / 10), digit(number % 10)]),
        _ => {
            put_number(out, number / 10);
            out.push(digit(number % 10));
        }
    }
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
    let replies = &said.own;
    let (found, rest) = match replies.strip_prefix(b"$") {
        Some(rest) => {
            let (length, rest) = number(rest)?;
            let (found, rest) = rest.split_at_checked(length)?;
            (Some(replies.slice_ref(found)), rest.strip_prefix(b"\r\n")?)
        }
        None => (None, replies.strip_prefix(b"_\r\n")?),
    };
    let mut state = Scores::read(&said.shared, RESERVED.len())?;
    let mut marks = if tags > 0 { Scores::read(rest, tags)? } else { Scores::none(rest) };
    let reading = Reading::of(state.by_ref().chain(marks.by_ref()), tags, here);
    (state.are_all() && marks.are_all()).then_some(Plain { found, reading })
}

/// The reply to one `ZMSCORE`; ends early where something is no score.
struct Scores<'r> {
    missing: usize,
    rest: &'r [u8],
}

impl<'r> Scores<'r> {
    fn read(reply: &'r [u8], members: usize) -> Option<Self> {
        let (missing, rest) = number(reply.strip_prefix(b"*")?)?;
        (missing == members).then_some(Self { missing, rest })
    }

    const fn none(rest: &'r [u8]) -> Self {
        Self { missing: 0, rest }
    }

    /// Whether all were taken, and nothing follows them.
    const fn are_all(&self) -> bool {
        self.missing == 0 && self.rest.is_empty()
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
    /// A lookup's own replies | the shard's state.
    const PLAIN: &str = "$5\r\na\r\nb!\r\n*2\r\n_\r\n,4\r\n|*4\r\n,-9\r\n,-7\r\n,5\r\n,-2\r\n";

    fn read(replies: &str) -> Option<Plain> {
        read_for(2, replies)
    }

    fn read_for(tags: usize, replies: &str) -> Option<Plain> {
        let (own, shared) = replies.split_once('|').unwrap_or((replies, ""));
        let [own, shared] = [own, shared].map(|part| Bytes::copy_from_slice(part.as_bytes()));
        super::read(&Said { own, shared }, tags, HERE)
    }

    #[test]
    fn the_commands_are_as_the_client_library_packs_them() {
        let layout = Layout::new("rc", 16);
        let primary = Key::new(Digest::of(b"a"));
        let tags: Vec<Tag> = (0..20).map(|n| Tag::new(&"x".repeat(n * 7 + 1)).unwrap()).collect();
        for key in [primary, primary.variant_of(Digest::of(b"b"))] {
            for tags in [&tags[..], &tags[..3], &[]] {
                let shard = layout.shard(&key);
                let mut pipe = Pipeline::new();
                pipe.cmd("GET").arg(layout.entry(shard, &member(&key)));
                if !tags.is_empty() {
                    pipe.cmd("ZMSCORE").arg(layout.meta(shard));
                }
                for tag in tags {
                    pipe.arg(tag.as_str());
                }
                let mut out = Vec::new();
                write(&mut out, &layout, shard, &key, tags);
                assert_eq!(out, pipe.get_packed_pipeline());
                assert_eq!(replies(tags), pipe.len());
                let mut pipe = Pipeline::new();
                pipe.cmd("ZMSCORE").arg(layout.meta(shard)).arg(&RESERVED[..]);
                let questions = Questions::new(&layout);
                assert_eq!(questions.of(shard).unwrap()[..], pipe.get_packed_pipeline());
            }
        }
    }

    #[test]
    fn plain_replies_are_read() {
        let meta = Meta { epoch: 9, clock: 5, floor: 2 };
        let reading = Reading::Known { meta, marks: vec![None, Some(4)] };
        let found = Some(Bytes::from_static(b"a\r\nb!"));
        assert_eq!(read(PLAIN), Some(Plain { found, reading: reading.clone() }));
        let absent = PLAIN.replace("$5\r\na\r\nb!\r\n", "_\r\n");
        assert_eq!(read(&absent), Some(Plain { found: None, reading }));
        let empty = PLAIN.replace("$5\r\na\r\nb!\r\n", "$0\r\n\r\n");
        assert_eq!(read(&empty).unwrap().found, Some(Bytes::new()));
        let untagged = PLAIN.replace("*2\r\n_\r\n,4\r\n", "");
        let reading = Reading::Known { meta, marks: vec![] };
        assert_eq!(read_for(0, &untagged).unwrap().reading, reading);
        assert_eq!((read_for(0, PLAIN), read(&untagged)), (None, None));
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
            ("*2", "*3"),
            ("*2", "*1"),
            ("*4", "*6"),
            ("*4\r\n", "-WRONGTYPE no\r\n"),
            ("*4\r\n", "-ASK 1 h:1\r\n"),
            (",-2\r\n", ""),
            (",-2\r\n", "-ERR\r\n"),
            (",-2\r\n", ",-2\r\n,4\r\n"),
            (",-9", ":-9"),
            (",4\r\n", "-ERR\r\n"),
            (",4\r\n", ",4\r\n:0\r\n"),
            (",4\r\n", ""),
        ] {
            assert_eq!(read(&PLAIN.replacen(from, to, 1)), None, "{from:?} {to:?}");
        }
        for cut in 0..PLAIN.len() {
            assert_eq!(read(&PLAIN[..cut]), None, "{cut}");
        }
    }
}
