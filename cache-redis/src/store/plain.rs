//! The commands of a lookup, and their replies where nothing is out of the ordinary. Pure.
//!
//! A hit asks for little and is asked for often, so its bytes are written and read here. Replies
//! of any other kind are not: the lookup is made again by way of [`Topology::call`], which knows
//! what to do about each of them.
//!
//! [`Topology::call`]: crate::topology::Topology::call

use bytes::Bytes;
use cache_core::key::Key;
use cache_core::tag::Tag;

use crate::incarnation::Incarnation;
use crate::layout::Layout;
use crate::meta::{RESERVED, Reading, Score};

/// To `GET` and `ZMSCORE`.
pub(super) const REPLIES: usize = 2;

/// Appends the commands: the entry, and the shard's state with the marks of `tags`. The socket adds
/// what only a primary answers.
pub(super) fn write(out: &mut Vec<u8>, layout: &Layout, shard: u16, key: &Key, tags: &[Tag]) {
    out.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$");
    put_number(out, layout.entry_length(shard, key));
    out.extend_from_slice(b"\r\n");
    layout.put_entry(shard, key, out);
    out.extend_from_slice(b"\r\n*");
    put_number(out, 2 + RESERVED.len() + tags.len());
    out.extend_from_slice(b"\r\n$7\r\nZMSCORE\r\n");
    put_word(out, layout.meta(shard));
    for word in RESERVED {
        put_word(out, word);
    }
    for tag in tags {
        put_word(out, tag.as_str());
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
pub(super) fn read(replies: &Bytes, tags: usize, here: Incarnation) -> Option<Plain> {
    let (found, rest) = match replies.strip_prefix(b"$") {
        Some(rest) => {
            let (length, rest) = number(rest)?;
            let (found, rest) = rest.split_at_checked(length)?;
            (Some(replies.slice_ref(found)), rest.strip_prefix(b"\r\n")?)
        }
        None => (None, replies.strip_prefix(b"_\r\n")?),
    };
    let (mut missing, mut rest) = number(rest.strip_prefix(b"*")?)?;
    if missing != RESERVED.len() + tags {
        return None;
    }
    let scores = std::iter::from_fn(|| {
        let after = missing.checked_sub(1)?;
        let score;
        (score, rest) = self::score(rest)?;
        missing = after;
        Some(score)
    });
    let reading = Reading::of(scores.fuse(), tags, here);
    (missing == 0 && rest.is_empty()).then_some(Plain { found, reading })
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
    const PLAIN: &str = "$5\r\na\r\nb!\r\n*6\r\n,-9\r\n,-7\r\n,5\r\n,-2\r\n_\r\n,4\r\n";

    fn read(replies: &str) -> Option<Plain> {
        super::read(&Bytes::copy_from_slice(replies.as_bytes()), 2, HERE)
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
                pipe.cmd("ZMSCORE").arg(layout.meta(shard)).arg(&RESERVED[..]);
                for tag in tags {
                    pipe.arg(tag.as_str());
                }
                let mut out = Vec::new();
                write(&mut out, &layout, shard, &key, tags);
                assert_eq!(out, pipe.get_packed_pipeline());
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
            ("*6", "*7"),
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
