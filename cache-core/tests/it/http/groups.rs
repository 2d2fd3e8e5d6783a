//! Cache groups (RFC 9875) and targeted fields (RFC 9213).

use std::time::Duration;

use cache_core::Policy;
use http::Method;

use super::{Lines, answering};

const AGED: Lines = &[("cache-control", "max-age=600")];

const GROUPED: Lines = &[("cache-control", "max-age=600"), ("cache-groups", "\"a\", \"b\"")];

#[tokio::test]
async fn a_write_invalidates_the_groups_that_it_names_on_its_origin() {
    for (policy, write, host, hits) in [
        (
            Policy::http().cache_groups(true),
            &[("cache-group-invalidation", "\"b\"")][..],
            "one",
            false,
        ),
        (
            Policy::http().cache_groups(true),
            &[("cache-group-invalidation", "\"x\", \"a\";p")],
            "one",
            false,
        ),
        (Policy::http().cache_groups(true), &[("cache-group-invalidation", "\"x\"")], "one", true),
        (Policy::http().cache_groups(true), &[("cache-group-invalidation", "b")], "one", true),
        (Policy::http().cache_groups(true), &[("cache-group-invalidation", "\"b\"")], "two", true),
        (Policy::http(), &[("cache-group-invalidation", "\"b\"")], "one", true),
    ] {
        let answers: &'static [(u16, Lines)] = Vec::leak(vec![(200, GROUPED), (200, write)]);
        let rig = answering(policy, answers);
        rig.get_with("/a", &[("host", "one")]).await;
        let to: Lines = Vec::leak(vec![("host", host)]);
        rig.request(Method::POST, "/elsewhere", to).await;
        let hit = rig.get_with("/a", &[("host", "one")]).await.field("x-cache") == "HIT";
        assert_eq!(hit, hits, "{write:?} on {host}");
    }
}

#[tokio::test]
async fn a_safe_request_invalidates_no_group() {
    const READ: Lines = &[("cache-group-invalidation", "\"a\"")];
    let rig = answering(Policy::http().cache_groups(true), &[(200, GROUPED), (200, READ)]);
    rig.get("/a").await;
    rig.get("/b").await;
    assert_eq!(rig.get("/a").await.field("x-cache"), "HIT");
}

#[tokio::test]
async fn targeted_fields_speak_in_place_of_cache_control_and_expires() {
    let policy = || Policy::http().targeted_fields(["my-cache-control", "cdn-cache-control"]);
    for (lines, said) in [
        (&[("cdn-cache-control", "max-age=9"), ("cache-control", "max-age=60")][..], "ttl=9"),
        (&[("cdn-cache-control", "max-age=9"), ("my-cache-control", "max-age=8")], "ttl=8"),
        (&[("cdn-cache-control", "max-age=9"), ("cache-control", "no-store")], "ttl=9"),
        (&[("cdn-cache-control", "no-store"), ("cache-control", "max-age=60")], "detail=no-store"),
        (
            &[("cdn-cache-control", "public"), ("expires", "Sun, 09 Sep 2001 01:47:40 GMT")],
            "detail=no-lifetime",
        ),
        (&[("cdn-cache-control", "max-age=;"), ("cache-control", "max-age=60")], "ttl=60"),
        (&[("cdn-cache-control", ""), ("cache-control", "max-age=60")], "ttl=60"),
        (
            &[("cdn-cache-control", "max-age=\"9\""), ("cache-control", "max-age=60")],
            "detail=no-lifetime",
        ),
        (&[("surrogate-control", "max-age=9"), ("cache-control", "max-age=60")], "ttl=60"),
    ] {
        let answers: &'static [(u16, Lines)] = Vec::leak(vec![(200, lines)]);
        let first = answering(policy(), answers).get("/a").await;
        assert!(first.field("cache-status").ends_with(said), "{lines:?}: {first:?}");
    }
    let off = answering(Policy::http(), &[(200, &[("cdn-cache-control", "max-age=9")])]);
    assert!(off.get("/a").await.field("cache-status").ends_with("detail=no-lifetime"));
}

#[tokio::test]
async fn a_targeted_field_goes_on_to_the_client() {
    const LINES: Lines = &[("cdn-cache-control", "max-age=9"), ("cache-control", "max-age=1")];
    let rig = answering(Policy::http().targeted_fields(["cdn-cache-control"]), &[(200, LINES)]);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(5));
    let hit = rig.get("/a").await;
    assert_eq!((hit.field("cdn-cache-control"), hit.field("age")), ("max-age=9", "5"));
}

#[tokio::test]
async fn too_many_groups_do_not_spare_the_target() {
    let names: Vec<String> = (0..65).map(|n| format!("\"{n}\"")).collect();
    let lines: Lines = Vec::leak(vec![("cache-group-invalidation", &*names.join(", ").leak())]);
    let answers: &'static [(u16, Lines)] = Vec::leak(vec![(200, AGED), (200, lines), (200, AGED)]);
    let rig = answering(Policy::http().cache_groups(true), answers);
    rig.get("/a").await;
    let said = rig.request(Method::POST, "/a", &[]).await;
    assert!(said.field("cache-status").ends_with("invalidation-failed"), "{said:?}");
    assert_eq!(rig.get("/a").await.body, "third");
}
