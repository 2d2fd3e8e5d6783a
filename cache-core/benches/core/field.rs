//! Fields that are read.

use cache_core::field::cache_control::CacheControl;
use cache_core::field::conditional::{date, not_modified};
use cache_core::field::range::asked;
use cache_core::field::{entity_tag, groups, targeted};
use divan::{Bencher, black_box};
use http::{HeaderMap, Method, StatusCode, header};

use super::{request, response, table};

#[divan::bench(args = [
    "max-age=60",
    "public, max-age=300, s-maxage=600, stale-while-revalidate=60",
    "private, no-cache=\"set-cookie, x-user\", no-store, must-revalidate, community=\"UCI\"",
])]
fn cache_control(bencher: Bencher<'_, '_>, value: &str) {
    let headers = table(&[("cache-control", value)]);
    bencher.bench(|| CacheControl::of(black_box(&headers)));
}

#[divan::bench]
fn cache_control_of_a_request_without(bencher: Bencher<'_, '_>) {
    let headers = request();
    bencher.bench(|| CacheControl::of_request(black_box(&headers)));
}

/// A structured dictionary (RFC 9213).
#[divan::bench]
fn targeted_cache_control(bencher: Bencher<'_, '_>) {
    let names = [header::HeaderName::from_static("cdn-cache-control")];
    let headers = table(&[("cdn-cache-control", "max-age=600, stale-while-revalidate=60")]);
    bencher.bench(|| targeted::of(black_box(&headers), &names));
}

/// A structured list of strings (RFC 9875).
#[divan::bench]
fn cache_groups(bencher: Bencher<'_, '_>) {
    let headers = table(&[("cache-groups", "\"users\", \"orders\", \"users/2988507\"")]);
    bencher.bench(|| groups::of(black_box(&headers), &groups::CACHE_GROUPS));
}

fn conditional(bencher: Bencher<'_, '_>, name: &str, value: &str, expected: bool) {
    let (mut request, response) = (request(), response());
    request.extend(table(&[(name, value)]));
    let judge = |request: &HeaderMap| {
        not_modified(&Method::GET, request, StatusCode::OK, black_box(&response))
    };
    assert_eq!(judge(&request), expected);
    bencher.bench(|| judge(black_box(&request)));
}

#[divan::bench]
fn if_none_match(bencher: Bencher<'_, '_>) {
    conditional(bencher, "if-none-match", "\"0123456789abcdef0123456789abcdef\"", true);
}

#[divan::bench]
fn if_none_match_of_four(bencher: Bencher<'_, '_>) {
    let value = "\"a\", W/\"b\", \"c\", W/\"0123456789abcdef0123456789abcdef\"";
    conditional(bencher, "if-none-match", value, true);
}

#[divan::bench]
fn if_modified_since(bencher: Bencher<'_, '_>) {
    conditional(bencher, "if-modified-since", "Sat, 14 Nov 2026 11:53:20 GMT", true);
}

#[divan::bench]
fn a_date(bencher: Bencher<'_, '_>) {
    let headers = response();
    bencher.bench(|| date(black_box(&headers), &header::LAST_MODIFIED));
}

#[divan::bench(args = ["bytes=0-511", "bytes=0-99,200-299,-50"])]
fn range(bencher: Bencher<'_, '_>, value: &str) {
    let (mut request, response) = (request(), response());
    request.extend(table(&[("range", value)]));
    bencher.bench(|| asked(black_box(&request), black_box(&response), 1024));
}

#[divan::bench(args = [1 << 10, 16 << 10, 256 << 10])]
fn generated_entity_tag(bencher: Bencher<'_, '_>, size: usize) {
    let body = vec![b'x'; size];
    bencher
        .counter(divan::counter::BytesCount::new(size))
        .bench(|| entity_tag::generate(black_box(&body), false));
}
