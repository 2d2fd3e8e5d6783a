//! Formats that outlive a process: changing one of these files is a decision, with an entry in the
//! changelog. `BLESS=1 cargo test -p cache-core --test it golden` writes them anew.

use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cache_core::entry::codec::{decode, encode};
use cache_core::entry::{Content, Entry};
use cache_core::key::canonical::{Canonical, Part};
use cache_core::key::{Digest, Key};
use cache_core::store::Stamp;
use cache_core::tag::{Tag, Tags};

use super::codec::{sample, strict_sample};

fn check(name: &str, made: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(kept == made, "{name} has changed: every stored entry or key would be lost");
}

type Case = (&'static str, &'static [(Part, &'static [u8])]);

#[test]
fn c038_canonical_keys_are_stable() {
    let mut text = String::new();
    let cases: [Case; 4] = [
        (
            "target",
            &[
                (Part::Method, b"GET"),
                (Part::Scheme, b"http"),
                (Part::Authority, b"example.org"),
                (Part::Path, b"/users/7"),
                (Part::QuerySegment, b"a=1"),
                (Part::QuerySegment, b"b=2"),
            ],
        ),
        (
            "custom",
            &[(Part::Namespace, b"users"), (Part::Method, b"GET"), (Part::Custom, b"user:7")],
        ),
        ("empty path", &[(Part::Path, b"")]),
        ("nothing", &[]),
    ];
    for (name, parts) in cases {
        let mut canonical = Canonical::new();
        for (part, bytes) in parts {
            canonical.part(*part, bytes);
        }
        text.push_str(&format!("{name}: {}\n", canonical.digest().to_hex()));
    }
    for (name, tag) in [
        ("key tag", Tag::key(None, "/users/7?b=2&a=1")),
        ("key tag in a namespace", Tag::key(Some("app:users"), "user:7")),
        ("user tag", Tag::new("user:7").unwrap()),
        ("namespace tag", Tag::namespace("app:users").unwrap()),
        ("uri tag", Tag::uri(&Digest::of(b"x"))),
    ] {
        text.push_str(&format!("{name}: {tag}\n"));
    }
    check("keys.txt", text.as_bytes());
}

/// What earlier versions wrote is read as what they were given.
fn reads(name: &str, (entry, stamp): &(Entry, Stamp)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let kept = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (read, read_stamp) = decode(&kept.into(), &entry.key()).unwrap();
    assert_eq!(read_stamp, *stamp);
    assert_eq!(format!("{read:?}"), format!("{entry:?}"));
}

#[test]
fn stored_responses_of_format_1_stay_readable() {
    reads("response.v1.bin", &sample());
}

#[test]
fn stored_records_of_format_1_stay_readable() {
    let key = Key::new(Digest::of(b"primary"));
    let names = [http::header::ACCEPT, http::header::ACCEPT_LANGUAGE];
    let record = cache_core::key::vary::VariantRecord::default();
    let (record, _) = record.with(&names, Digest::of(b"variant")).unwrap();
    let until = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let tags: Tags = [Tag::key(None, "/x")].into_iter().collect();
    let entry = Entry::new(key, tags, until, Content::Variants(record), Bytes::new());
    check("variants.v1.bin", &encode(&entry, Stamp { epoch: 1, clock: 2 }).unwrap());
}

#[test]
fn stored_responses_of_layout_2_stay_readable() {
    reads("response.v2.bin", &strict_sample());
}

#[test]
fn stored_responses_of_layout_3_stay_readable() {
    let (entry, stamp) = strict_sample();
    check("response.v3.bin", &encode(&entry, stamp).unwrap());
    reads("response.v3.bin", &(entry, stamp));
}
