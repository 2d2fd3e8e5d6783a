//! The answer to a [`Question`](super::Question). Pure.

use std::sync::Arc;

use crate::meta::Score;

/// Reads the reply to a `ZMSCORE` of so many members, in RESP3; `None` if anything in it is out of the
/// ordinary.
pub(super) fn read(reply: &[u8], members: usize) -> Option<Arc<[Score]>> {
    let (count, mut rest) = line(reply.strip_prefix(b"*")?)?;
    if !is_number(count, members) {
        return None;
    }
    let mut scores = Vec::with_capacity(members);
    for _ in 0..members {
        let (line, after) = line(rest)?;
        scores.push(match line.split_first()? {
            (b'_', []) => Score::Absent,
            (b',', text) => Score::read(text),
            _ => return None,
        });
        rest = after;
    }
    rest.is_empty().then(|| scores.into())
}

/// Whether these digits say it.
pub(super) fn is_number(digits: &[u8], number: usize) -> bool {
    std::str::from_utf8(digits).is_ok_and(|digits| digits.parse() == Ok(number))
}

/// The first line without its end, and what follows it.
pub(crate) fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\r')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line, rest.strip_prefix(b"\r\n")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &str = "*4\r\n,-9\r\n_\r\n,4\r\n,inf\r\n";

    #[test]
    fn scores_are_read() {
        let scores = [Score::Whole(-9), Score::Absent, Score::Whole(4), Score::Odd];
        assert_eq!(read(REPLY.as_bytes(), 4).unwrap()[..], scores);
        assert_eq!(read(b"*0\r\n", 0).unwrap()[..], []);
    }

    #[test]
    fn anything_else_is_left_to_others() {
        for (from, to) in [
            ("*4", "*5"),
            ("*4", "*3"),
            ("*4", "*x"),
            ("*4", "*-1"),
            ("*4\r\n", "-WRONGTYPE no\r\n"),
            ("*4\r\n", "-ASK 1 h:1\r\n"),
            (",4\r\n", ""),
            (",4\r\n", "-ERR\r\n"),
            (",4\r\n", ":4\r\n"),
            (",inf\r\n", ",inf\r\n_\r\n"),
        ] {
            assert_eq!(read(REPLY.replacen(from, to, 1).as_bytes(), 4), None, "{from:?} {to:?}");
        }
        for cut in 0..REPLY.len() {
            assert_eq!(read(&REPLY.as_bytes()[..cut], 4), None, "{cut}");
        }
        assert_eq!((read(REPLY.as_bytes(), 3), read(REPLY.as_bytes(), 5)), (None, None));
    }
}
