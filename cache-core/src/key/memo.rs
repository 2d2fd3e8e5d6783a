//! Digests that a thread has made before.
//!
//! A hit derives the same key as the hits before it, and its SHA-256 is most of what that costs; to
//! write the bytes that are digested is much of the rest. A digest found here was made of the very
//! same parts, for the same purpose: they are kept, and compared as a whole. Longer parts that have
//! lost their place may lie in it behind shorter ones, never looked at, until others cover them.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Digest;
use crate::threads;

/// The longest parts whose digest is remembered, all together.
const LONGEST: usize = 256;

/// The most of them.
pub(crate) const PARTS: usize = 8;

/// How many digests a thread usually remembers, in 160 KiB. Those whose parts fall into one place
/// displace each other.
const PLACES: usize = 512;

thread_local! {
    static KNOWN: RefCell<Known> = const { RefCell::new(Known(Vec::new())) };
}

/// What a digest is for: how it follows from its parts, of which there are always the same number,
/// or a number that the parts themselves tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purpose(u64);

impl Purpose {
    /// The digest is that of the only part.
    pub(super) const PLAIN: Self = Self(0);

    /// That of the values of nominated fields as they are: each name, then its line, if any.
    pub(super) const EXACT_VARIANT: Self = Self(1);

    /// That of what these mean.
    pub(super) const NORMALISED_VARIANT: Self = Self(2);

    /// One that no other has in this process.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(3);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Bytes; those that are absent differ from none.
pub(crate) type Part<'p> = Option<&'p [u8]>;

/// The digest for this purpose, which must depend on these parts alone. They are kept in memory, unless
/// they are said to be secret when they would be.
#[inline]
pub(crate) fn digest<E>(
    purpose: Purpose,
    parts: &[Part<'_>],
    are_secret: impl FnOnce() -> bool,
    make: impl FnOnce() -> Result<Digest, E>,
) -> Result<Digest, E> {
    if let Some(digest) = find(purpose, parts) {
        return Ok(digest);
    }
    let digest = make()?;
    if !are_secret() {
        keep(purpose, parts, digest);
    }
    Ok(digest)
}

/// The digest that was kept for these parts; none while the thread ends.
pub(crate) fn find(purpose: Purpose, parts: &[Part<'_>]) -> Option<Digest> {
    KNOWN.try_with(|known| known.try_borrow().ok()?.find(purpose, parts)).ok()?
}

/// Keeps the digest for these parts, of which none may be secret.
#[inline(never)]
pub(crate) fn keep(purpose: Purpose, parts: &[Part<'_>], digest: Digest) {
    let _ = KNOWN.try_with(|known| {
        if let Ok(mut known) = known.try_borrow_mut() {
            known.keep(purpose, parts, digest);
        }
    });
}

/// Made at its first use.
struct Known(Vec<Place>);

#[derive(Clone)]
struct Place {
    purpose: Purpose,
    count: usize,
    lengths: [u16; PARTS],
    /// The parts, one after the other.
    bytes: [u8; LONGEST],
    digest: Digest,
}

/// The length of a part that is absent.
const ABSENT: u16 = u16::MAX;

/// An empty place: of no parts at all, which nobody asks for.
const EMPTY: Place = Place {
    purpose: Purpose::PLAIN,
    count: usize::MAX,
    lengths: [ABSENT; PARTS],
    bytes: [0; LONGEST],
    digest: Digest::from_bytes([0; 32]),
};

impl Known {
    #[inline]
    fn find(&self, purpose: Purpose, parts: &[Part<'_>]) -> Option<Digest> {
        let place = self.0.get(threads::place(number(purpose, parts), self.0.len()))?;
        (place.purpose == purpose && place.holds(parts)).then_some(place.digest)
    }

    fn keep(&mut self, purpose: Purpose, parts: &[Part<'_>], digest: Digest) {
        if self.0.is_empty() {
            self.0.resize(threads::places(PLACES), EMPTY);
        }
        let index = threads::place(number(purpose, parts), self.0.len());
        if let (Some(place), Some(lengths)) = (self.0.get_mut(index), lengths(parts)) {
            // What is left of others behind these parts is never looked at.
            (place.purpose, place.count, place.lengths) = (purpose, parts.len(), lengths);
            place.digest = digest;
            place.keep(parts);
        }
    }
}

impl Place {
    fn keep(&mut self, parts: &[Part<'_>]) {
        let mut rest = self.bytes.as_mut_slice();
        for part in parts.iter().flatten() {
            // They fit: that is asked before.
            let Some((to, others)) = rest.split_at_mut_checked(part.len()) else { return };
            to.copy_from_slice(part);
            rest = others;
        }
    }

    /// Whether these are its parts.
    #[inline]
    fn holds(&self, parts: &[Part<'_>]) -> bool {
        let mut rest = self.bytes.as_slice();
        let same = parts.iter().zip(&self.lengths).all(|(part, length)| match part {
            None => *length == ABSENT,
            Some(part) => match rest.split_at_checked(part.len()) {
                Some((kept, others)) if usize::from(*length) == part.len() => {
                    rest = others;
                    kept == *part
                }
                _ => false,
            },
        });
        same && self.count == parts.len()
    }
}

/// The lengths of parts; `None` if there are none, or they are too long or too many.
fn lengths(parts: &[Part<'_>]) -> Option<[u16; PARTS]> {
    let (mut lengths, mut whole) = ([ABSENT; PARTS], 0);
    for (length, part) in lengths.get_mut(..parts.len())?.iter_mut().zip(parts) {
        if let Some(part) = part {
            whole += part.len();
            *length = u16::try_from(part.len()).ok()?;
        }
    }
    (!parts.is_empty() && whole <= LONGEST).then_some(lengths)
}

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number that tells where parts belong, no more than a guess where to look.
#[inline]
fn number(purpose: Purpose, parts: &[Part<'_>]) -> u64 {
    // Where no part is there, the purpose alone tells the place.
    let mixed = purpose.0.wrapping_mul(ODD);
    let mixed = parts.iter().flatten().fold(mixed, |mixed, part| mix(mixed, part));
    // A product's upper bytes follow from all that was multiplied, its lower ones from little of it.
    mixed.swap_bytes()
}

#[inline]
fn mix(mixed: u64, part: &[u8]) -> u64 {
    let step = |mixed: u64, word: u64| (mixed.rotate_left(5) ^ word).wrapping_mul(ODD);
    let (words, rest) = part.as_chunks::<8>();
    let mixed = words.iter().fold(mixed, |mixed, word| step(mixed, u64::from_le_bytes(*word)));
    // The last bytes, some of them twice where there are more than a word.
    let last = match (part.last_chunk::<8>(), rest) {
        (_, []) => part.len() as u64,
        (Some(word), _) => u64::from_le_bytes(*word),
        (None, rest) => match (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
            }
            _ => rest.iter().fold(0, |mixed, byte| mixed << 8 | u64::from(*byte)),
        },
    };
    step(mixed, last)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn of(bytes: &[u8]) -> Result<Digest, Infallible> {
        Ok(Digest::of(bytes))
    }

    impl Known {
        fn get<E>(
            &mut self,
            purpose: Purpose,
            parts: &[Part<'_>],
            make: impl FnOnce() -> Result<Digest, E>,
        ) -> Result<Digest, E> {
            if let Some(digest) = self.find(purpose, parts) {
                return Ok(digest);
            }
            let digest = make()?;
            self.keep(purpose, parts, digest);
            Ok(digest)
        }
    }

    fn never() -> Result<Digest, &'static str> {
        Err("not remembered")
    }

    #[test]
    fn a_remembered_digest_is_that_of_the_same_bytes() {
        let texts = (0..4 * PLACES).map(|number| format!("{number:0width$}", width = number % 300));
        let texts: Vec<String> = texts.chain([String::new(), "\0".into(), "\0\0".into()]).collect();
        for _ in 0..3 {
            for text in &texts {
                let only = [Some(text.as_bytes())];
                let known = digest(Purpose::PLAIN, &only, || false, || of(text.as_bytes()));
                assert_eq!(known, of(text.as_bytes()), "{text}");
            }
        }
    }

    #[test]
    fn what_is_secret_is_not_remembered() {
        let secret = [Some(&b"whom this is for"[..])];
        for are_secret in [true, false] {
            assert_eq!(find(Purpose::PLAIN, &secret), None);
            digest(Purpose::PLAIN, &secret, || are_secret, || of(b"x")).unwrap();
        }
        assert_eq!(find(Purpose::PLAIN, &secret), Some(Digest::of(b"x")));
    }

    #[test]
    fn keys_of_pages_that_are_alike_lie_apart() {
        for (before, from) in
            [("/users/", 1_000), ("/users/", 100), ("/api/v1/items/", 100_000), ("/?page=", 1)]
        {
            let mut known = Known(Vec::new());
            let paths: Vec<String> = (from..from + 100).map(|id| format!("{before}{id}")).collect();
            let mut ask = |path: &String, make: &dyn Fn() -> Result<Digest, &'static str>| {
                let parts = [None, Some(&b"example.org"[..]), Some(path.as_bytes()), None];
                known.get(Purpose::PLAIN, &parts, make)
            };
            for path in &paths {
                ask(path, &|| Ok(Digest::of(path.as_bytes()))).unwrap();
            }
            let found = paths.iter().filter(|path| ask(path, &never).is_ok()).count();
            assert!(found > 60, "{found} of 100 of {before}{from}");
        }
    }

    #[test]
    fn what_shares_a_place_is_told_apart() {
        let mut known = Known(Vec::new());
        let place = |text: &[u8]| threads::place(number(Purpose::PLAIN, &[Some(text)]), PLACES);
        let one = b"one of eight".as_slice();
        let other = (0_u64..).map(u64::to_le_bytes).find(|other| place(other) == place(one));
        let other = other.unwrap();
        for _ in 0..2 {
            for text in [one, &other] {
                let only = [Some(text)];
                assert_eq!(known.get(Purpose::PLAIN, &only, || of(text)), of(text));
                assert_eq!(known.get(Purpose::PLAIN, &only, never), Ok(Digest::of(text)));
            }
        }
    }

    #[test]
    fn parts_are_told_apart_by_where_they_begin_and_by_what_they_are_for() {
        let (a, b): (&[u8], &[u8]) = (b"a", b"b");
        let (empty, both): (&[u8], &[u8]) = (b"", b"ab");
        let all = [
            vec![Some(a), Some(b)],
            vec![Some(both), None],
            vec![None, Some(both)],
            vec![Some(both), Some(empty)],
            vec![Some(empty), Some(both)],
            vec![Some(b), Some(a)],
            vec![Some(empty)],
            vec![Some(both), None, None, None, None, None, None, Some(a)],
        ];
        let mut known = Known(Vec::new());
        for _ in 0..2 {
            for purpose in [Purpose::new(), Purpose::new()] {
                for (number, parts) in all.iter().enumerate() {
                    let own = format!("{purpose:?} {number}");
                    let first = known.get(purpose, parts, || of(own.as_bytes()));
                    assert_eq!(first, of(own.as_bytes()));
                    assert_eq!(known.get(purpose, parts, never), Ok(Digest::of(own.as_bytes())));
                    for other in all.iter().filter(|other| *other != parts) {
                        assert_ne!(known.get(purpose, other, never), Ok(first.unwrap()));
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_too_long_is_not_remembered_nor_is_nothing_nor_a_failure() {
        let mut known = Known(Vec::new());
        let (half, more) = ([7; LONGEST / 2], [7; LONGEST / 2 + 1]);
        for (parts, remembered) in [
            (vec![Some(&half[..]), Some(&half)], true),
            (vec![Some(&half[..]), Some(&more)], false),
            (vec![Some(&[7; 70_000][..])], false),
            (vec![], false),
        ] {
            assert_eq!(known.get(Purpose::PLAIN, &parts, never), Err("not remembered"));
            known.get(Purpose::PLAIN, &parts, || of(b"x")).unwrap();
            assert_eq!(known.get(Purpose::PLAIN, &parts, never).is_ok(), remembered);
        }
    }
}
