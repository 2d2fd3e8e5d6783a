//! Stale responses, refreshed in the background.

use std::time::Duration;

use actix_web::dev::Service as _;
use actix_web::middleware::Logger;
use actix_web::{App, web};
use adapter_actix::Policy;

use crate::server::{Count, Place, Server, ask, timed_cache, until};

fn policy() -> Policy {
    Policy::ttl(Duration::from_secs(10)).stale_while_revalidate(Duration::from_secs(600))
}

/// Serves stale, then the refreshed response; in all forms of an answer.
fn refreshes(server: &Server, runs: &Count, clock: &cache_core::clock::ManualClock) {
    let target = "GET /in/users/7?x=1";
    let first = ask(server, target, &[]);
    assert_eq!((first.cached(), first.text()), ("MISS", "run 1 of 7, 1 set"));
    let forms: [(&[&str], u16); 2] = [(&[], 200), (&["if-none-match: *"], 304)];
    let mut text = first.text().to_owned();
    for (fields, status) in forms {
        let ran = runs.get();
        clock.advance(Duration::from_secs(20));
        let stale = ask(server, target, fields);
        assert_eq!((stale.status, stale.cached()), (status, "HIT"));
        assert!(stale.field("cache-status").unwrap().contains("stale-while-revalidate"));
        assert!(status != 200 || stale.text() == text);
        runs.reaches(ran + 1);
        // One of these may have found the stale entry just before it was replaced, and refresh
        // again: which run is seen is left open, not that it is a later one.
        until("the refreshed response", || {
            let answer = ask(server, target, &[]);
            assert_eq!(answer.cached(), "HIT");
            let is_new = answer.text() != text;
            if is_new {
                text = answer.text().to_owned();
            }
            is_new
        });
        assert!((ran + 1..=runs.get()).any(|run| text == format!("run {run} of 7, 1 set")));
    }
    // A HEAD request is served stale, and refreshes nothing.
    std::thread::sleep(Duration::from_millis(20));
    let ran = runs.get();
    clock.advance(Duration::from_secs(20));
    let stale = ask(server, "HEAD /in/users/7?x=1", &[]);
    assert_eq!((stale.cached(), stale.field("content-length")), ("HIT", Some("17")));
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(runs.get(), ran);
}

/// The application, with the layer where `$place` says.
macro_rules! app {
    ($count:expr, $layer:expr, $place:ident) => {{
        let (count, _layer) = ($count.clone(), $layer.clone());
        let show = move |id: web::Path<u32>, query: web::Query<Vec<(String, u32)>>, set: web::Data<u32>| {
            let run = count.one();
            assert_eq!(query.len(), 1);
            async move { format!("run {run} of {id}, {} set", **set) }
        };
        app!(@ $place, _layer, show)
            .app_data(web::Data::new(1_u32))
            .wrap(Logger::default())
            .wrap_fn(|request, next| {
                // As one that saves a session: it holds the request for longer than the handler.
                let answer = next.call(request);
                async move {
                    let answer = answer.await?;
                    actix_web::rt::time::sleep(Duration::from_millis(3)).await;
                    Ok(answer)
                }
            })
            .wrap(actix_web::middleware::NormalizePath::trim())
    }};
    (@ front, $layer:ident, $show:ident) => {
        App::new().service(web::scope("/in").service(web::resource("/users/{id}").to($show)))
    };
    (@ app, $layer:ident, $show:ident) => {
        App::new()
            .service(web::scope("/in").service(web::resource("/users/{id}").to($show)))
            .wrap($layer)
    };
    (@ scope, $layer:ident, $show:ident) => {
        App::new().service(
            web::scope("/in").service(web::resource("/users/{id}").to($show)).wrap($layer),
        )
    };
    (@ resource, $layer:ident, $show:ident) => {
        App::new().service(
            web::scope("/in").service(web::resource("/users/{id}").to($show).wrap($layer)),
        )
    };
}

#[test]
fn a_refresh_works_around_an_app() {
    let ((cache, clock), runs) = (timed_cache(), Count::default());
    let (layer, count) = (cache.layer(policy()).unwrap(), runs.clone());
    refreshes(&serve!(app!(count, layer, app)), &runs, &clock);
}

#[test]
fn a_refresh_works_in_front_of_an_app() {
    let ((cache, clock), runs) = (timed_cache(), Count::default());
    let (front, count) = (cache.front(policy()).unwrap(), runs.clone());
    refreshes(&serve!(front.before(app!(count, (), front))), &runs, &clock);
}

#[test]
fn a_refresh_works_around_a_scope() {
    let ((cache, clock), runs) = (timed_cache(), Count::default());
    let (layer, count) = (cache.layer(policy()).unwrap(), runs.clone());
    refreshes(&serve!(app!(count, layer, scope)), &runs, &clock);
}

#[test]
fn a_refresh_works_around_a_resource() {
    let ((cache, clock), runs) = (timed_cache(), Count::default());
    let (layer, count) = (cache.layer(policy()).unwrap(), runs.clone());
    refreshes(&serve!(app!(count, layer, resource)), &runs, &clock);
}

#[test]
fn a_route_inside_a_cached_app_leaves_the_caching_to_it() {
    let ((cache, _clock), runs) = (timed_cache(), Count::default());
    let around = cache.layer(Policy::ttl(Duration::from_secs(5)).tag("outer")).unwrap();
    let (layer, count) = (cache.layer(policy()).unwrap(), runs.clone());
    let server = serve!(app!(count, layer, scope).wrap(around.clone()).wrap(Logger::default()));
    for expected in ["MISS", "HIT"] {
        let answer = ask(&server, "GET /in/users/7?x=1", &[]);
        assert_eq!((answer.text(), answer.cached()), ("run 1 of 7, 1 set", expected));
    }
    assert_eq!((cache.stats().stored, runs.get()), (1, 1));
}

#[test]
fn a_failing_refresh_is_tried_again() {
    for place in Place::ALL {
        let ((cache, clock), runs) = (timed_cache(), Count::default());
        let (put, count) = (place.put(&cache, policy()), runs.clone());
        let server = serve_at!(put, {
            let count = count.clone();
            App::new()
                .service(web::scope("/in").service(web::resource("/x").to(move || {
                    let run = count.one();
                    async move {
                        assert!(run != 2, "as this test wants it");
                        format!("run {run}")
                    }
                })))
                .wrap(put.inside())
        });
        assert_eq!(ask(&server, "GET /in/x", &[]).text(), "run 1");
        clock.advance(Duration::from_secs(20));
        assert_eq!(ask(&server, "GET /in/x", &[]).text(), "run 1");
        runs.reaches(2);
        until("another refresh", || ask(&server, "GET /in/x", &[]).text() == "run 3");
    }
}
