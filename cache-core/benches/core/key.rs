//! Keys: the canonical form and its digest, and the variants under it.

use cache_core::key::canonical::{Canonical, Part};
use cache_core::key::query::QueryRule;
use cache_core::key::vary::{Nominated, nominated, variant};
use cache_core::policy::setting::VaryValues;
use divan::{Bencher, black_box};

use super::{request, response};

/// As the default policy derives it: method, scheme, host, path, segments of the query.
fn canonical(query: Option<&str>) -> Canonical {
    let mut canonical = Canonical::new();
    canonical.part(Part::Method, b"GET");
    canonical.part(Part::Scheme, b"http");
    canonical.part_lowercase(Part::Authority, black_box(b"www.example.org"));
    canonical.part(Part::Path, black_box(b"/api/users/2988507/orders"));
    for segment in query.into_iter().flat_map(|query| QueryRule::default().segments(query)) {
        canonical.part(Part::QuerySegment, segment.as_bytes());
    }
    canonical
}

#[divan::bench]
fn canonical_form(bencher: Bencher<'_, '_>) {
    bencher.bench(|| canonical(None));
}

#[divan::bench]
fn canonical_form_with_a_query(bencher: Bencher<'_, '_>) {
    bencher.bench(|| canonical(Some(black_box("page=2&size=50&sort=name"))));
}

#[divan::bench]
fn digest(bencher: Bencher<'_, '_>) {
    let canonical = canonical(None);
    bencher.bench(|| black_box(&canonical).digest());
}

#[divan::bench]
fn key_from_a_request(bencher: Bencher<'_, '_>) {
    bencher.bench(|| canonical(Some(black_box("page=2&size=50&sort=name"))).digest());
}

#[divan::bench]
fn what_vary_nominates(bencher: Bencher<'_, '_>) {
    let response = response();
    bencher.bench(|| nominated(black_box(&response)));
}

#[divan::bench(args = [VaryValues::Exact, VaryValues::Normalised])]
fn variant_of_two_fields(bencher: Bencher<'_, '_>, values: VaryValues) {
    let Nominated::Fields(names) = nominated(&response()) else { panic!("two fields") };
    let request = request();
    bencher.bench(|| variant(black_box(&names), black_box(&request), values));
}
