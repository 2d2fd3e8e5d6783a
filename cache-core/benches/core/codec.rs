//! The stored form. A decoded body shares the bytes that were read.

use std::time::Duration;

use bytes::Bytes;
use cache_core::clock::{Clock as _, SystemClock};
use cache_core::entry::codec::{decode, encode};
use cache_core::entry::{Content, Entry, Life, StoredHead};
use cache_core::key::vary::Presented;
use cache_core::key::{Digest, Key};
use cache_core::store::Stamp;
use cache_core::tag::Tags;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use http::StatusCode;

use super::response;

const SIZES: [usize; 3] = [1 << 10, 16 << 10, 256 << 10];
const STAMP: Stamp = Stamp { epoch: 9, clock: 41 };

fn entry(size: usize) -> Entry {
    let (now, hour) = (SystemClock.now(), Duration::from_secs(3_600));
    let life = Life::new(now, hour);
    let head = StoredHead::new(StatusCode::OK, response(), life, Presented::default());
    let tags = Tags::user(["user:2988507", "users"]).unwrap();
    let body = Bytes::from(vec![b'x'; size]);
    Entry::new(Key::new(Digest::of(b"key")), tags, now + hour, Content::Response(head), body)
}

#[divan::bench(args = SIZES)]
fn encoding(bencher: Bencher<'_, '_>, size: usize) {
    let entry = entry(size);
    bencher.counter(BytesCount::new(size)).bench(|| encode(black_box(&entry), STAMP));
}

#[divan::bench(args = SIZES)]
fn decoding(bencher: Bencher<'_, '_>, size: usize) {
    let entry = entry(size);
    let bytes = encode(&entry, STAMP).unwrap();
    let (read, _) = decode(&bytes, &entry.key()).unwrap();
    let body = bytes.slice_ref(read.body());
    assert_eq!(body.len(), size, "the body is a part of what was read");
    bencher.counter(BytesCount::new(size)).bench(|| decode(black_box(&bytes), &entry.key()));
}
