//! Names and values of a head in one block, as they lie in memory and in a store.
//!
//! One line behind the other, those of one name together:
//!
//! | size | content |
//! |---|---|
//! | 1 | bits 0–6: the number of a known name, or 0; bit 7: the value is sensitive |
//! | 1–3 | where there is no number: the length of the name |
//! | … | and the name, in lower case |
//! | 1–5 | the length of the value |
//! | … | the value |
//!
//! Lengths are in LEB128, in as few bytes as can be. All of this is frozen as layout 3 of a stored
//! head is, the numbers included.

use std::cell::RefCell;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::names::{UNKNOWN, known, number_of};

/// The most lines that are read. A table of so many, and of the cache's own, takes them all whatever
/// their names are; one of thousands more refuses some, if their names were chosen for that.
pub(crate) const MOST_LINES: usize = 1 << 12;

/// The longest name that `http` knows.
const LONGEST_NAME: usize = (1 << 16) - 1;

const SENSITIVE: u8 = 0x80;
const SPELLED: u8 = UNKNOWN;

/// In a byte of a length: there is another one.
const MORE: u8 = 0x80;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'p> {
    pub(crate) name: Name<'p>,
    pub(crate) value: &'p [u8],
    pub(crate) sensitive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name<'p> {
    Known(&'static HeaderName),
    Spelled(&'p str),
}

impl<'p> Name<'p> {
    pub(crate) fn as_str(self) -> &'p str {
        match self {
            Self::Known(name) => name.as_str(),
            Self::Spelled(name) => name,
        }
    }

    pub(crate) fn is(self, name: &HeaderName) -> bool {
        match self {
            Self::Known(own) => own == name,
            Self::Spelled(own) => own == name.as_str(),
        }
    }

    /// `None` only of what [`check`] refuses.
    pub(crate) fn to_name(self) -> Option<HeaderName> {
        match self {
            Self::Known(name) => Some(name.clone()),
            Self::Spelled(name) => HeaderName::from_lowercase(name.as_bytes()).ok(),
        }
    }
}

/// Reads line by line; ends where there is none.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'p>(pub(crate) &'p [u8]);

impl<'p> Iterator for Lines<'p> {
    type Item = Line<'p>;

    fn next(&mut self) -> Option<Line<'p>> {
        let (line, rest) = line(self.0)?;
        self.0 = rest;
        Some(line)
    }
}

fn line(bytes: &[u8]) -> Option<(Line<'_>, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (name, rest) = match first & !SENSITIVE {
        SPELLED => {
            let (name, rest) = sized(rest)?;
            (Name::Spelled(std::str::from_utf8(name).ok()?), rest)
        }
        number => (Name::Known(known(number)?), rest),
    };
    let (value, rest) = sized(rest)?;
    Some((Line { name, value, sensitive: first & SENSITIVE != 0 }, rest))
}

/// So many bytes as are announced before them, and the rest.
pub(super) fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = length(bytes)?;
    rest.split_at_checked(length)
}

/// A length, and what follows it.
pub(super) fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    if *first < MORE {
        return Some((usize::from(*first), rest));
    }
    let mut length = u64::from(first & !MORE);
    for shift in [7, 14, 21, 28] {
        let (next, after) = rest.split_first()?;
        length |= u64::from(next & !MORE) << shift;
        rest = after;
        if *next < MORE {
            // A last byte that adds nothing is one too many.
            return Some((usize::try_from(length).ok().filter(|_| *next != 0)?, rest));
        }
    }
    None
}

/// Packs the lines of a head, into no more memory than they need.
pub(crate) fn pack(headers: &HeaderMap) -> Box<[u8]> {
    pack_with_room(0, |to| headers.iter().for_each(|(name, value)| put_line(name, value, to)))
        .into()
}

/// Packs what `put` puts, into no more memory than that needs and so many bytes more. Lines of one
/// name must follow each other.
pub(super) fn pack_with_room(room: usize, put: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let packed = SCRATCH.try_with(|scratch| {
        let mut scratch = scratch.borrow_mut();
        // Nothing of another head, even if a packing broke off.
        scratch.clear();
        put(&mut scratch);
        let mut packed = Vec::with_capacity(scratch.len() + room);
        packed.extend_from_slice(&scratch);
        scratch.clear();
        scratch.shrink_to(SCRATCH_KEPT);
        packed
    });
    // Otherwise the thread ends.
    packed.unwrap_or_else(|_| {
        let mut packed = Vec::new();
        put(&mut packed);
        packed
    })
}

/// How much memory a thread keeps for packing.
const SCRATCH_KEPT: usize = 16 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn put_line(name: &HeaderName, value: &HeaderValue, to: &mut Vec<u8>) {
    let number = number_of(name);
    to.push(number | if value.is_sensitive() { SENSITIVE } else { 0 });
    if number == SPELLED {
        put_sized(name.as_str().as_bytes(), to);
    }
    put_sized(value.as_bytes(), to);
}

pub(super) fn put_sized(bytes: &[u8], to: &mut Vec<u8>) {
    put_length(bytes.len(), to);
    to.extend_from_slice(bytes);
}

pub(super) fn put_length(mut length: usize, to: &mut Vec<u8>) {
    let low_bits = |length: usize| u8::try_from(length & 0x7f).unwrap_or_default();
    while length >= usize::from(MORE) {
        to.push(low_bits(length) | MORE);
        length >>= 7;
    }
    to.push(low_bits(length));
}

/// Whether these are lines and nothing else, which an answer may be made of; and if not, what is
/// wrong with them.
pub(crate) fn check(packed: &[u8]) -> Result<(), &'static str> {
    let mut rest = packed;
    let mut lines = 0;
    while !rest.is_empty() {
        let (line, after) = line(rest).ok_or("fields")?;
        if let Name::Spelled(name) = line.name
            && !is_name(name)
        {
            return Err("field name");
        }
        if !is_value(line.value) {
            return Err("field value");
        }
        lines += 1;
        if lines > MOST_LINES {
            return Err("too many fields");
        }
        rest = after;
    }
    Ok(())
}

/// What `http` takes for a name that a program spells out: RFC 9110 §5.6.2, in lower case, and the
/// quotation mark, which it does not take from others. What a handler may answer can be read.
fn is_name(name: &str) -> bool {
    let is_char = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!\"#$%&'*+-.^_`|~".contains(&byte)
    };
    !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(is_char)
}

/// No control characters but the tab: no line can be ended, and no other begun.
fn is_value(value: &[u8]) -> bool {
    let wrong = |byte: &u8| *byte < 0x20 && *byte != b'\t' || *byte == 0x7f;
    // Without a way out in between, so that many bytes are looked at together.
    !value.iter().fold(false, |found, byte| found | wrong(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unpacked(packed: &[u8]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for line in Lines(packed) {
            let mut value = HeaderValue::from_bytes(line.value).unwrap();
            value.set_sensitive(line.sensitive);
            map.append(line.name.to_name().unwrap(), value);
        }
        map
    }

    #[test]
    fn known_names_take_one_byte_and_values_keep_being_sensitive() {
        let mut map = HeaderMap::new();
        let mut secret = HeaderValue::from_static("s");
        secret.set_sensitive(true);
        map.append("x-own", secret);
        map.append("etag", HeaderValue::from_static("\"a\""));
        let packed = pack(&map);
        assert_eq!(packed.len(), (1 + 1 + 5 + 1 + 1) + (1 + 1 + 3));
        let read = unpacked(&packed);
        assert_eq!(read, map);
        assert!(read["x-own"].is_sensitive() && !read["etag"].is_sensitive());
    }

    #[test]
    fn what_ends_a_line_or_is_no_name_is_refused() {
        let line = |name: &[u8], value: &[u8]| {
            let mut packed = vec![SPELLED];
            put_sized(name, &mut packed);
            put_sized(value, &mut packed);
            check(&packed)
        };
        assert_eq!(line(b"x-a", b"a\tb \xff"), Ok(()));
        assert_eq!(line(HeaderName::from_static("x-\"a\"").as_str().as_bytes(), b"a"), Ok(()));
        for value in [&b"a\r\nb"[..], b"a\nb", b"\r", b"\0", b"\x7f"] {
            assert_eq!(line(b"x-a", value), Err("field value"), "{value:?}");
        }
        for name in [&b"x a"[..], b"x:a", b"X-A", b"", b"x\r\na", "\u{e4}".as_bytes()] {
            assert_eq!(line(name, b"a"), Err("field name"), "{name:?}");
        }
        assert_eq!(line(b"\xff", b"a"), Err("fields"));
        // A number of no name; lengths that are too long, or longer than need be.
        let unknown = [SENSITIVE - 1, 0];
        for packed in [&unknown[..], &[1], &[1, 2, b'a'], &[1, 0x80, 0], &[1, 0xff]] {
            assert_eq!(check(packed), Err("fields"), "{packed:?}");
        }
        assert_eq!(check(&[1, 0].repeat(MOST_LINES)), Ok(()));
        assert_eq!(check(&[1, 0].repeat(MOST_LINES + 1)), Err("too many fields"));
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(
            lines in prop::collection::vec(
                (
                    prop_oneof!["[a-z0-9!\"#$%&'*+.^_`|~-]{1,9}(x{150})?", "etag|age|set-cookie|x-a"],
                    // The lengths at which a length takes one byte more.
                    prop_oneof![Just(0_usize), 1_usize..9, Just(127), Just(128)],
                    prop_oneof![0x20_u8..0x7f, 0x80_u8..=0xff, Just(9)],
                    any::<bool>(),
                ),
                0..12,
            ),
        ) {
            let mut map = HeaderMap::new();
            for (name, length, byte, sensitive) in lines {
                let mut value = HeaderValue::from_bytes(&vec![byte; length]).unwrap();
                value.set_sensitive(sensitive);
                map.append(HeaderName::from_lowercase(name.as_bytes()).unwrap(), value);
            }
            let packed = pack(&map);
            prop_assert_eq!(check(&packed), Ok(()));
            let read = unpacked(&packed);
            prop_assert_eq!(&read, &map);
            prop_assert!(map.iter().eq(read.iter()));
            prop_assert_eq!(pack(&read), packed);
        }

        #[test]
        fn what_passes_the_check_can_be_sent(
            packed in prop::collection::vec(prop_oneof![0_u8..8, any::<u8>()], 0..60),
        ) {
            let passes = check(&packed).is_ok();
            // Reading ends at what is no line, without a panic.
            let read: Vec<_> = Lines(&packed).collect();
            if passes {
                for line in read {
                    prop_assert!(line.name.to_name().is_some());
                    prop_assert!(HeaderValue::from_bytes(line.value).is_ok());
                }
            }
        }

        #[test]
        fn names_and_values_are_those_of_http(text in prop::collection::vec(any::<u8>(), 0..8)) {
            prop_assert_eq!(is_value(&text), HeaderValue::from_bytes(&text).is_ok());
            if let Ok(name) = std::str::from_utf8(&text) {
                prop_assert_eq!(is_name(name), HeaderName::from_lowercase(&text).is_ok());
            }
        }
    }
}
