//! Where the replies to a pipeline end, without reading what they say. Pure.
//!
//! In RESP3 each line says how many values or bytes follow it, so a count of what is still missing
//! is enough: nesting needs no stack.

use crate::error::Fault;

/// Redis' own limit of a string, 512 MiB, and of what one reply may be made of.
const MOST: usize = 512 << 20;

/// How much of the replies to one pipeline is still missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// Values whose line is still to come.
    values: usize,
    /// Bytes of a string that are still to come, with the line's end behind it.
    string: usize,
    /// Whether what an array is made of is left to others.
    is_line: bool,
}

impl Scan {
    pub(super) const fn of(replies: usize) -> Self {
        Self { values: replies, string: 0, is_line: false }
    }

    /// The first line of a reply.
    pub(super) const fn line() -> Self {
        Self { values: 1, string: 0, is_line: true }
    }

    pub(super) const fn is_over(self) -> bool {
        self.values == 0 && self.string == 0
    }

    /// Bytes that are known to follow.
    pub(super) const fn string(self) -> usize {
        self.string
    }

    /// So many bytes of a string have come.
    pub(super) const fn skip(&mut self, bytes: usize) {
        self.string = self.string.saturating_sub(bytes);
    }

    /// Goes on with what has come. Says how much of it belongs to these replies and has been
    /// looked at: a line that is cut is not, and is to be shown again with its rest.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let mut rest = bytes;
        loop {
            let part = self.string.min(rest.len());
            self.string -= part;
            rest = rest.get(part..).unwrap_or_default();
            if self.string > 0 || self.values == 0 {
                break;
            }
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break };
            let (line, after) = rest.split_at_checked(end + 1).unwrap_or((rest, &[]));
            self.take(line)?;
            rest = after;
        }
        Ok(bytes.len() - rest.len())
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Fault> {
        let Some(([kind, count @ ..], b"\r\n")) = line.split_last_chunk::<2>() else {
            return Err(Fault::Protocol("a line"));
        };
        self.values -= 1;
        let more = match kind {
            b'*' if self.is_line => 0,
            b',' | b'_' | b':' | b'+' | b'-' | b'#' | b'(' => 0,
            b'$' | b'!' | b'=' => {
                self.string = number(count)?.map_or(0, |length| length + 2);
                0
            }
            b'*' | b'~' => number(count)?.unwrap_or(0),
            b'%' => number(count)?.unwrap_or(0) * 2,
            // Nothing was asked for that is pushed or carries attributes.
            _ => return Err(Fault::Protocol("a reply of no known kind")),
        };
        self.values = self.values.saturating_add(more);
        if self.values > MOST { Err(Fault::Protocol("a reply of too many values")) } else { Ok(()) }
    }
}

/// A length or a count; none where it is `-1`, which stands for no value at all.
fn number(digits: &[u8]) -> Result<Option<usize>, Fault> {
    if digits == b"-1" {
        return Ok(None);
    }
    let mut number = 0_usize;
    let mut is_one = !digits.is_empty();
    for digit in digits {
        is_one &= digit.is_ascii_digit() && number <= MOST;
        number = number.wrapping_mul(10).wrapping_add(usize::from(digit.wrapping_sub(b'0')));
    }
    if is_one && number <= MOST { Ok(Some(number)) } else { Err(Fault::Protocol("a length")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLIES: &[&str] = &[
        "+OK\r\n",
        "-ERR no\r\n",
        ":12\r\n",
        "_\r\n",
        "$-1\r\n",
        "*-1\r\n",
        ",-4.5e+15\r\n",
        "#t\r\n",
        "(3492890328409238509324850943850943825024385\r\n",
        "$0\r\n\r\n",
        "$7\r\na\r\nb\n*1\r\n",
        "!4\r\nERR!\r\n",
        "=6\r\ntxt:ab\r\n",
        "*0\r\n",
        "*3\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n_\r\n",
        "~1\r\n:1\r\n",
        "%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n+c\r\n*1\r\n:1\r\n",
    ];

    #[test]
    fn a_reply_ends_where_it_ends_however_it_is_cut() {
        for reply in REPLIES {
            let bytes = [reply.as_bytes(), b"+next\r\n"].concat();
            for cut in 0..=reply.len() {
                let mut scan = Scan::of(1);
                let seen = scan.read(&bytes[..cut]).unwrap();
                assert!(seen <= cut && (cut == reply.len() || !scan.is_over()), "{reply:?} {cut}");
                let seen = seen + scan.read(&bytes[seen..]).unwrap();
                assert_eq!((seen, scan.is_over()), (reply.len(), true), "{reply:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn the_first_line_of_an_array_can_be_apart() {
        for line in ["*3\r\n", "*0\r\n", "-ERR no\r\n"] {
            let mut scan = Scan::line();
            let bytes = [line, "$1\r\na\r\n"].concat();
            assert_eq!((scan.read(bytes.as_bytes()).unwrap(), scan.is_over()), (line.len(), true));
        }
    }

    #[test]
    fn several_replies_are_one() {
        let all = REPLIES.concat();
        let mut scan = Scan::of(REPLIES.len());
        assert_eq!(scan.read(all.as_bytes()).unwrap(), all.len());
        assert!(scan.is_over());
    }

    #[test]
    fn the_client_library_reads_what_was_cut_out() {
        for reply in REPLIES {
            assert!(redis::parse_redis_value(reply.as_bytes()).is_ok(), "{reply:?}");
        }
    }

    #[test]
    fn garbage_is_refused() {
        for garbage in [
            "x\r\n",
            "\r\n",
            "\n",
            "+no\n",
            "$x\r\n",
            "$\r\n",
            "$-2\r\n",
            "*99999999999999999999\r\n",
            "$536870913\r\n",
            ">1\r\n+x\r\n",
            "|1\r\n+x\r\n+y\r\n",
        ] {
            assert!(Scan::of(1).read(garbage.as_bytes()).is_err(), "{garbage:?}");
        }
    }
}
