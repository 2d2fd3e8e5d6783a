//! Tags from templates.

use std::borrow::Cow;

use cache_core::tag::template::{Template, UnknownPlaceholder};
use cache_core::tag::{Tag, Tags};
use divan::{Bencher, black_box};

fn value(name: &str) -> Option<Cow<'static, str>> {
    match name {
        "tenant" => Some(Cow::Borrowed("acme")),
        "user_id" => Some(Cow::Borrowed("2988507")),
        _ => None,
    }
}

#[divan::bench(args = ["users", "user:{user_id}", "tenant:{tenant}:user:{user_id}"])]
fn expansion(bencher: Bencher<'_, '_>, template: &str) {
    let template = Template::parse(template).unwrap();
    bencher.bench(|| black_box(&template).expand_tag(value, UnknownPlaceholder::Reject));
}

/// Expanded, checked, sorted: what a miss does.
#[divan::bench(args = [1, 2, 8])]
fn tags_of_a_response(bencher: Bencher<'_, '_>, count: usize) {
    let templates: Vec<Template> =
        (0..count).map(|n| Template::parse(&format!("t{n}:{{user_id}}")).unwrap()).collect();
    bencher.bench(|| {
        let expanded = black_box(&templates).iter().map(|template| {
            let text = template.expand_tag(value, UnknownPlaceholder::Reject).unwrap();
            Tag::new(&text).unwrap()
        });
        Tags::new(expanded.collect())
    });
}

#[divan::bench]
fn parsing_a_template(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Template::parse(black_box("tenant:{tenant}:user:{user_id}")));
}
