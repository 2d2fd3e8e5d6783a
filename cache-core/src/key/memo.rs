//! Digests that a thread has made before.
//!
//! A hit derives the same key as the hits before it, and its SHA-256 is most of what that costs. A
//! digest found here is that of the very same bytes: they are kept and compared as a whole.

use std::cell::RefCell;

use super::Digest;

/// The longest bytes whose digest is remembered.
pub(super) const LONGEST: usize = 256;

/// How many digests a thread remembers, in 148 KiB; a power of two. Those whose bytes fall into one
/// place displace each other.
const PLACES: usize = 512;

thread_local! {
    static KNOWN: RefCell<Known> = const { RefCell::new(Known(Vec::new())) };
}

/// The SHA-256 of the first `length` of these bytes; behind them there are zeros only.
pub(super) fn digest(padded: &[u8; LONGEST], length: usize) -> Digest {
    let digest = || Digest::of(padded.get(..length).unwrap_or(padded));
    KNOWN
        .try_with(|known| known.borrow_mut().get(padded, length, digest))
        .unwrap_or_else(|_| digest())
}

/// Made at its first use.
struct Known(Vec<Place>);

#[derive(Clone)]
struct Place {
    padded: [u8; LONGEST],
    length: usize,
    digest: Digest,
}

impl Known {
    fn get(
        &mut self,
        padded: &[u8; LONGEST],
        length: usize,
        digest: impl Fn() -> Digest,
    ) -> Digest {
        if self.0.is_empty() {
            let empty =
                Place { padded: [0; LONGEST], length: 0, digest: Digest::from_bytes([0; 32]) };
            self.0.resize(PLACES, empty);
        }
        let words = padded.get(..length.next_multiple_of(8)).unwrap_or(padded);
        let Some(place) = self.0.get_mut(index(words)) else { return digest() };
        // Nothing is as short as the empty place.
        if place.length != length || place.padded.get(..words.len()) != Some(words) {
            *place = Place { padded: *padded, length, digest: digest() };
        }
        place.digest
    }
}

/// Where bytes belong: no more than a guess where to look.
fn index(bytes: &[u8]) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, _) = bytes.as_chunks::<8>();
    let mixed = words.iter().fold(0_u64, |mixed, word| {
        (mixed.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(ODD)
    });
    usize::try_from(mixed >> (u64::BITS - PLACES.ilog2())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(text: &[u8]) -> [u8; LONGEST] {
        let mut padded = [0; LONGEST];
        padded[..text.len()].copy_from_slice(text);
        padded
    }

    #[test]
    fn a_remembered_digest_is_that_of_the_same_bytes() {
        let texts = (0..4 * PLACES).map(|number| format!("{number:0width$}", width = number % 99));
        let texts: Vec<String> = texts.chain([String::new(), "\0".into(), "\0\0".into()]).collect();
        for _ in 0..3 {
            for text in &texts {
                let known = digest(&padded(text.as_bytes()), text.len());
                assert_eq!(known, Digest::of(text.as_bytes()), "{text}");
            }
        }
    }

    #[test]
    fn what_shares_a_place_is_told_apart() {
        let mut known = Known(Vec::new());
        let one = padded(b"\x01one");
        let place = index(&one[..8]);
        let other = (0_u64..).map(u64::to_le_bytes).find(|other| index(other) == place);
        let other = padded(&other.unwrap_or_default());
        for _ in 0..2 {
            assert_eq!(known.get(&one, 4, || Digest::of(b"one")), Digest::of(b"one"));
            assert_eq!(known.get(&other, 8, || Digest::of(b"other")), Digest::of(b"other"));
        }
        let never = || Digest::of(b"never made");
        assert_eq!(known.get(&other, 8, never), Digest::of(b"other"));
    }
}
