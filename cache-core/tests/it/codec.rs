//! The stored form: round trips, and anything else is refused without a panic.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cache_core::Cache;
use cache_core::entry::Entry;
use cache_core::entry::codec::{DecodeError, ENVELOPE, EncodeError, decode, encode};
use cache_core::key::{Digest, Key};
use cache_core::store::Stamp;
use cache_memory::MemoryStore;
use proptest::prelude::*;

/// An entry as the engine makes it, read back from the golden file's ingredients.
pub(crate) fn sample() -> (Entry, Stamp) {
    use cache_core::entry::{Content, Life, StoredHead};
    use cache_core::key::vary::Presented;
    use cache_core::tag::{Tag, Tags};
    use http::{HeaderMap, HeaderValue, StatusCode};

    let mut headers = HeaderMap::new();
    headers.append("content-type", HeaderValue::from_static("text/plain"));
    headers.append("x-twice", HeaderValue::from_static("1"));
    headers.append("x-twice", HeaderValue::from_static("2"));
    headers.append("x-binary", HeaderValue::from_bytes(b"\xfe\xff").unwrap());
    let mut request = HeaderMap::new();
    request.append("accept-language", HeaderValue::from_static("de"));
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let life = Life::new(at, Duration::from_secs(60));
    let presented = Presented::take(&[http::header::ACCEPT_LANGUAGE], &request);
    let head = StoredHead::new(StatusCode::OK, headers, life, presented);
    let key = Key::new(Digest::of(b"primary")).variant_of(Digest::of(b"variant"));
    let tags: Tags =
        [Tag::new("user:7").unwrap(), Tag::key(Some("users"), "7")].into_iter().collect();
    let body = Bytes::from_static(b"\0body\xff");
    let until = at + Duration::from_secs(60);
    (Entry::new(key, tags, until, Content::Response(head), body), Stamp { epoch: 9, clock: 41 })
}

/// The same with what layout 1 could not say.
pub(crate) fn strict_sample() -> (Entry, Stamp) {
    use cache_core::entry::Content;
    let (entry, stamp) = sample();
    let mut head = entry.response().unwrap().clone();
    let mut life = head.life();
    life.must_validate = true;
    head.etag_is_ours = true;
    let head = head.with_life(life);
    let (tags, body) = (entry.tags().into(), entry.body().clone());
    let content = Content::Response(head);
    (Entry::new(entry.key(), tags, entry.keep_until(), content, body), stamp)
}

/// `http` takes it from a program, though not from a client; so a handler may answer with it.
#[test]
fn a_name_with_a_quotation_mark_comes_back() {
    use cache_core::entry::{Content, StoredHead};
    use http::{HeaderMap, HeaderName, HeaderValue};

    let (entry, stamp) = sample();
    let mut headers = HeaderMap::new();
    headers.append(HeaderName::from_static("x-\"quoted\""), HeaderValue::from_static("a"));
    let head = entry.response().unwrap();
    let head = StoredHead::new(head.status, headers, head.life(), head.presented.clone());
    let (tags, body) = (entry.tags().into(), entry.body().clone());
    let content = Content::Response(head);
    let entry = Entry::new(entry.key(), tags, entry.keep_until(), content, body);
    let bytes = encode(&entry, stamp).unwrap();
    let (read, _) = decode(&bytes, &entry.key()).unwrap();
    assert_eq!(read.response().unwrap().headers, entry.response().unwrap().headers);
}

#[test]
fn flags_that_nobody_knows_are_refused() {
    let (entry, stamp) = strict_sample();
    let bytes = encode(&entry, stamp).unwrap();
    let body_at = bytes.len() - entry.body().len();
    let flags_at = ENVELOPE + entry.tags().iter().map(|tag| tag.as_str().len() + 2).sum::<usize>();
    assert_eq!((bytes[4], bytes[flags_at]), (3, 3));
    for flags in [4, 0xff] {
        let mut other = bytes.to_vec();
        other[flags_at] = flags;
        mend(&mut other, body_at);
        let error = decode(&other.into(), &entry.key()).unwrap_err();
        assert_eq!(error, DecodeError::Malformed("flags"), "{flags}");
    }
}

#[test]
fn the_body_is_a_slice_of_the_input() {
    let (entry, stamp) = sample();
    let bytes = encode(&entry, stamp).unwrap();
    let (read, _) = decode(&bytes, &entry.key()).unwrap();
    assert_eq!(read.body(), entry.body());
    assert!(bytes.as_ptr_range().contains(&read.body().as_ptr()), "the body was copied");
}

#[test]
fn what_a_thread_has_read_before_is_shared() {
    let (entry, stamp) = sample();
    let read = || decode(&encode(&entry, stamp).unwrap(), &entry.key()).unwrap().0;
    let (first, second) = (read(), read());
    let field = |entry: &Entry| {
        entry.response().unwrap().headers.iter().next().map(|(_, value)| value.as_ptr()).unwrap()
    };
    assert_eq!(field(&first), field(&second));
    let text = |entry: &Entry| {
        let long = entry.tags().iter().find(|tag| tag.as_str().len() > 15).unwrap();
        long.as_str().as_ptr()
    };
    assert_eq!(text(&first), text(&second));
}

#[test]
fn what_a_thread_has_read_before_does_not_stand_for_anything_else() {
    let (entry, stamp) = sample();
    let good = encode(&entry, stamp).unwrap();
    for _ in 0..2 {
        assert_eq!(decode(&good, &entry.key()).unwrap().1, stamp);
        for at in 0..good.len() - entry.body().len() {
            let mut other = good.to_vec();
            other[at] ^= 1;
            assert!(decode(&other.into(), &entry.key()).is_err(), "byte {at}");
        }
        let later = Stamp { clock: stamp.clock + 1, ..stamp };
        assert_eq!(decode(&encode(&entry, later).unwrap(), &entry.key()).unwrap().1, later);
        let mut body = good.to_vec();
        *body.last_mut().unwrap() ^= 1;
        assert_ne!(decode(&body.into(), &entry.key()).unwrap().0.body(), entry.body());
    }
}

#[test]
fn c091_another_keys_entry_is_refused() {
    let (entry, stamp) = sample();
    let bytes = encode(&entry, stamp).unwrap();
    let other = Key::new(*entry.key().primary());
    assert_eq!(decode(&bytes, &other).unwrap_err(), DecodeError::OtherKey);
}

#[test]
fn c092_foreign_and_older_formats_are_refused() {
    let (entry, stamp) = sample();
    let bytes = encode(&entry, stamp).unwrap();
    for (at, value) in [(0, b'X'), (3, 0), (3, 2), (4, 0), (4, 4)] {
        let mut other = bytes.to_vec();
        other[at] = value;
        assert_eq!(decode(&other.into(), &entry.key()).unwrap_err(), DecodeError::Foreign);
    }
    assert_eq!(decode(&Bytes::new(), &entry.key()).unwrap_err(), DecodeError::Foreign);
}

#[test]
fn c091_every_truncation_and_every_damaged_head_byte_is_refused() {
    let (entry, stamp) = sample();
    let bytes = encode(&entry, stamp).unwrap();
    for length in 0..bytes.len() {
        assert!(decode(&bytes.slice(..length), &entry.key()).is_err(), "cut at {length}");
    }
    let head_end = bytes.len() - entry.body().len();
    for at in 0..head_end {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 0x20;
        assert!(decode(&damaged.into(), &entry.key()).is_err(), "byte {at}");
    }
    assert!(head_end > ENVELOPE);
}

/// Rewrites a planted field and mends the checksum, as an attacker with the store could.
fn planted(needle: &[u8], with: &[u8]) -> (Bytes, Key) {
    let (entry, stamp) = sample();
    let mut bytes = encode(&entry, stamp).unwrap().to_vec();
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[at..at + with.len()].copy_from_slice(with);
    let head_end = bytes.len() - entry.body().len();
    mend(&mut bytes, head_end);
    (bytes.into(), entry.key())
}

/// Writes the checksum of a changed head.
fn mend(bytes: &mut [u8], head_end: usize) {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    hasher.update(&bytes[..112]);
    hasher.update(&bytes[ENVELOPE..head_end]);
    let sum = hasher.finalize();
    bytes[112..ENVELOPE].copy_from_slice(&sum[..8]);
}

#[test]
fn c093_line_breaks_in_stored_fields_are_refused() {
    for with in [&b"text\r\nlain"[..], b"text\nplain", b"text\0plain"] {
        let (bytes, key) = planted(b"text/plain", with);
        assert_eq!(decode(&bytes, &key).unwrap_err(), DecodeError::Malformed("field value"));
    }
    let (bytes, key) = planted(b"x-binary", b"x binary");
    assert_eq!(decode(&bytes, &key).unwrap_err(), DecodeError::Malformed("field name"));
    let (bytes, key) = planted(b"t:user:7", b"z:user:7");
    assert_eq!(decode(&bytes, &key).unwrap_err(), DecodeError::Malformed("tag"));
}

/// A head that adds up but for what `change` does to it.
fn with_head(change: impl FnOnce(&mut Vec<u8>)) -> Result<(Entry, Stamp), DecodeError> {
    let (entry, stamp) = sample();
    with_head_of(&encode(&entry, stamp).unwrap(), change)
}

/// The same of a head that was written before, the sample's as well.
fn with_head_of(
    bytes: &[u8],
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<(Entry, Stamp), DecodeError> {
    let head_at = ENVELOPE + length(bytes, 96);
    let body_at = head_at + length(bytes, 100);
    let mut head = bytes[head_at..body_at].to_vec();
    change(&mut head);
    let head_length = u32::try_from(head.len()).unwrap();
    let mut other = [&bytes[..head_at], &head, &bytes[body_at..]].concat();
    other[100..104].copy_from_slice(&head_length.to_be_bytes());
    mend(&mut other, head_at + head.len());
    decode(&other.into(), &sample().0.key())
}

/// The sample as earlier layouts say it, and how long what stands before the rest of layout 1 is.
const OLDER: [(&[u8], usize); 2] = [
    (include_bytes!("../golden/response.v1.bin"), 0),
    (include_bytes!("../golden/response.v2.bin"), 1),
];

#[test]
fn c093_what_older_layouts_say_is_checked_as_well() {
    for (bytes, at) in OLDER {
        assert!(with_head_of(bytes, |_| ()).is_ok());
        let refused = |change: &dyn Fn(&mut Vec<u8>)| with_head_of(bytes, change).unwrap_err();
        let replaced = |needle: &[u8], with: &[u8]| {
            refused(&|head| {
                let at = head.windows(needle.len()).position(|found| found == needle).unwrap();
                head[at..at + with.len()].copy_from_slice(with);
            })
        };
        assert_eq!(replaced(b"text/plain", b"a\r\nx-evil:"), DecodeError::Malformed("field value"));
        assert_eq!(replaced(b"x-twice", b"x\r\nice"), DecodeError::Malformed("field name"));
        for status in [100, 206] {
            let head = refused(&|head| head[at + 1] = status);
            assert_eq!(head, DecodeError::Malformed("status"));
        }
        // The number of lines, in bincode's way, and then the lines.
        let many = |head: &mut Vec<u8>| {
            let lines = 5_000_u16;
            let from = at + if head[at + 1] < 251 { 2 } else { 4 };
            let line = b"\x01a\0".repeat(usize::from(lines) - 4);
            let first = [&[251][..], &lines.to_le_bytes(), &line].concat();
            head.splice(from..=from, first);
        };
        assert_eq!(refused(&many), DecodeError::Malformed("too many fields"));
        let trailing = refused(&|head| head.push(0));
        assert_eq!(trailing, DecodeError::Malformed("trailing bytes"));
        for length in 0..length(bytes, 100) {
            refused(&|head| head.truncate(length));
        }
    }
    for flags in [0, 4, 0xff] {
        let head = with_head_of(OLDER[1].0, |head| head[0] = flags).unwrap_err();
        assert_eq!(head, DecodeError::Malformed("flags"), "{flags}");
    }
}

/// One that the envelope states.
fn length(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Where the fields begin in the head of the sample: flags, status, times, and the nominated field
/// with its one value.
const FIELDS_AT: usize = 1 + 2 + 40 + 1 + (1 + 15) + 1 + (1 + 2);

#[test]
fn c093_fields_that_were_planted_are_refused() {
    let planted = |line: &[u8]| with_head(|head| head.extend_from_slice(line)).map(|_| ());
    let malformed = |what| Err(DecodeError::Malformed(what));
    assert_eq!(planted(b"\0\x03x-a\x01b"), Ok(()));
    assert_eq!(planted(b"\0\x03x-a\x0ab\r\nx-evil:1"), malformed("field value"));
    assert_eq!(planted(b"\0\x07x-a: \r\n\x01b"), malformed("field name"));
    assert_eq!(planted(b"\0\x03X-A\x01b"), malformed("field name"));
    assert_eq!(planted(b"\0\0\0"), malformed("field name"));
    // A name without a number, a line that is cut, a length that is too long.
    for line in [&b"\x7f\0"[..], b"\0", b"\0\x03x-", b"\x01\x05abc", b"\x01\x80\0", b"\x01\xff"] {
        assert_eq!(planted(line), malformed("fields"), "{line:?}");
    }
    assert_eq!(planted(&b"\x01\0".repeat(1 << 12)), malformed("too many fields"));
}

#[test]
fn what_would_not_be_read_back_is_not_written() {
    use cache_core::entry::Content;
    let (entry, stamp) = sample();
    let with_lines = |lines: usize| {
        let mut head = entry.response().unwrap().clone();
        let line = |_| (http::header::LINK, http::HeaderValue::from_static("a"));
        head.headers = (0..lines).map(line).collect::<http::HeaderMap>().into();
        let (tags, content) = (entry.tags().into(), Content::Response(head));
        let entry = Entry::new(entry.key(), tags, entry.keep_until(), content, Bytes::new());
        encode(&entry, stamp)
    };
    let most = decode(&with_lines(1 << 12).unwrap(), &entry.key()).unwrap().0;
    assert_eq!(most.response().unwrap().headers.len(), 1 << 12);
    let lines = (1 << 12) + 1;
    assert_eq!(with_lines(lines).unwrap_err(), EncodeError::TooManyFields { lines });
}

#[test]
fn a_head_that_says_what_no_response_can_is_refused() {
    let refused = |at: usize, with: &[u8]| {
        with_head(|head| head[at..at + with.len()].copy_from_slice(with)).map(|_| ()).unwrap_err()
    };
    for status in [100_u16, 206, 304, 99, 0, 1000] {
        assert_eq!(refused(1, &status.to_be_bytes()), DecodeError::Malformed("status"), "{status}");
    }
    assert_eq!(refused(43, &[17]), DecodeError::Malformed("too many nominated fields"));
    assert_eq!(refused(44, &[0xff]), DecodeError::Malformed("nominated fields"));
    assert_eq!(refused(45, b"\r"), DecodeError::Malformed("field name"));
    assert_eq!(refused(60, &[0x7f]), DecodeError::Malformed("nominated fields"));
    for length in 0..FIELDS_AT {
        assert!(with_head(|head| head.truncate(length)).is_err(), "{length}");
    }
    let (empty, _) = with_head(|head| head.truncate(FIELDS_AT)).unwrap();
    assert!(empty.response().unwrap().headers.is_empty());
}

proptest! {
    #[test]
    fn c091_a_head_of_any_bytes_never_panics(
        at in 0_usize..120,
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        // The checksum is right, so that all of it is read.
        let change = |head: &mut Vec<u8>| {
            let at = at.min(head.len());
            head.splice(at.., bytes.iter().copied());
        };
        for read in [with_head(change), with_head_of(OLDER[0].0, change), with_head_of(OLDER[1].0, change)] {
            let Ok((entry, _)) = read else { continue };
            // What was read can be sent.
            if let Some(head) = entry.response() {
                prop_assert_eq!(head.headers.to_map().len(), head.headers.len());
            }
        }
    }

    #[test]
    fn c091_decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (entry, stamp) = sample();
        prop_assert!(decode(&bytes.clone().into(), &entry.key()).is_err());
        // The same behind a good envelope.
        let mut whole = encode(&entry, stamp).unwrap().to_vec();
        let at = bytes.len() % whole.len();
        whole.splice(at.., bytes);
        let _ = decode(&whole.into(), &entry.key());
    }
}

#[test]
fn a_cache_name_is_a_token() {
    let error = Cache::builder(MemoryStore::new()).name("two words").build().unwrap_err();
    assert!(error.to_string().contains("two words"), "{error}");
}
