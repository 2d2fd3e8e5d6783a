//! Compares what was found with what was put.

use cache_core::clock::unix_millis;
use cache_core::entry::{Content, Entry};

use crate::case::{Stop, expect};

/// Fails unless `found` is `put` in every part. Times are compared in milliseconds.
pub(crate) fn same(found: &Entry, put: &Entry) -> Result<(), Stop> {
    expect(found.key() == put.key(), || "expected the key that was put".to_owned())?;
    expect(found.tags() == put.tags(), || {
        format!("expected the tags {:?}, found {:?}", put.tags(), found.tags())
    })?;
    let (kept, wanted) = (unix_millis(found.keep_until()), unix_millis(put.keep_until()));
    expect(kept == wanted, || format!("expected keep_until {wanted}, found {kept}"))?;
    expect(found.body() == put.body(), || {
        format!("expected the {} bytes that were put", put.body().len())
    })?;
    expect(same_content(found.content(), put.content()), || {
        format!("expected {:?}, found {:?}", put.content(), found.content())
    })
}

fn same_content(found: &Content, put: &Content) -> bool {
    match (found, put) {
        (Content::Response(found), Content::Response(put)) => {
            found.status == put.status
                && found.headers == put.headers
                && found.life() == put.life()
                && found.presented == put.presented
        }
        (Content::Variants(found), Content::Variants(put)) => found == put,
        (Content::Value(found), Content::Value(put)) => found == put,
        _ => false,
    }
}
