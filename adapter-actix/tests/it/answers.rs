//! What a client gets: hits, misses, validation, variants, errors, panics.

use std::time::Duration;

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpRequest, HttpResponse, ResponseError, body, web};
use adapter_actix::{Policy, ResponseCache};
use http::StatusCode;

use crate::server::{
    Connection, Count, Place, ask, cache, panicking_once, timed_cache, ttl, until,
};

#[test]
fn a_miss_is_stored_and_hit() {
    for place in Place::ALL {
        let (cache, runs) = (cache(), Count::default());
        let put = place.put(&cache, ttl());
        let count = runs.clone();
        let server = serve_at!(put, {
            let count = count.clone();
            App::new().service(web::resource("/a").wrap(put.inside()).to(move || {
                let run = count.one();
                async move {
                    HttpResponse::Ok().append_header(("x-own", "1")).body(format!("run {run}"))
                }
            }))
        });
        let miss = ask(&server, "GET /a", &[]);
        assert_eq!((miss.status, miss.cached(), miss.text()), (200, "MISS", "run 1"));
        let etag = miss.field("etag").unwrap().to_owned();
        let hit = ask(&server, "GET /a", &[]);
        assert_eq!((hit.status, hit.cached(), hit.text()), (200, "HIT", "run 1"));
        assert_eq!(hit.field("etag"), Some(etag.as_str()));
        assert_eq!(hit.field("content-length"), Some("5"));
        assert_eq!(hit.field("x-own"), Some("1"));
        assert!(hit.field("age").is_some());
        assert!(hit.field("cache-status").unwrap().contains("hit"));
        assert_eq!(ask(&server, "GET /a?x=1", &[]).cached(), "MISS");
        assert_eq!(runs.get(), 2);
    }
}

#[test]
fn each_hit_says_how_old_it_is() {
    for place in Place::ALL {
        let (cache, clock) = timed_cache();
        let put = place.put(&cache, ttl());
        let server = serve_at!(
            put,
            App::new().service(web::resource("/").wrap(put.inside()).to(|| async { "hello" }))
        );
        let etag = ask(&server, "GET /", &[]).field("etag").unwrap().to_owned();
        let condition = format!("if-none-match: {etag}");
        for seconds in 0..3 {
            for fields in [&[][..], &[], &[condition.as_str()], &[&condition]] {
                let hit = ask(&server, "GET /", fields);
                assert_eq!(hit.field("age"), Some(seconds.to_string().as_str()));
                let ttl = format!("; ttl={}", 60 - seconds);
                assert!(hit.field("cache-status").unwrap().contains(&ttl), "{hit:?}");
            }
            clock.advance(Duration::from_secs(1));
        }
    }
}

#[test]
fn answers_without_a_body_keep_the_connection_in_step() {
    for place in Place::ALL {
        let cache = cache();
        let put = place.put(&cache, ttl());
        let server = serve_at!(
            put,
            App::new().service(web::resource("/{any}").wrap(put.inside()).to(|| async { "hello" }))
        );
        let mut connection = Connection::open(&server);
        let mut ask = |target: &str, fields: &[&str]| {
            connection.send(target, fields, "");
            connection.answer(target).unwrap()
        };
        // A HEAD miss, then a HEAD hit of its own class.
        for cached in ["MISS", "HIT"] {
            let head = ask("HEAD /h", &[]);
            assert_eq!((head.status, head.cached()), (200, cached));
            assert_eq!(head.field("content-length"), Some("5"));
        }
        let miss = ask("GET /g", &[]);
        assert_eq!((miss.cached(), miss.text()), ("MISS", "hello"));
        let head = ask("HEAD /g", &[]);
        assert_eq!((head.cached(), head.field("content-length")), ("HIT", Some("5")));
        let condition = format!("if-none-match: {}", miss.field("etag").unwrap());
        let not_modified = ask("GET /g", &[&condition]);
        assert_eq!((not_modified.status, not_modified.cached()), (304, "HIT"));
        assert_eq!(not_modified.field("content-length"), None);
        assert_eq!(not_modified.field("transfer-encoding"), None);
        // The answer of a miss can be a 304 too.
        let not_modified = ask("GET /new", &[&condition]);
        assert_eq!((not_modified.status, not_modified.cached()), (304, "MISS"));
        assert_eq!(ask("GET /new", &[]).text(), "hello");
    }
}

#[test]
fn a_head_of_unknown_length_states_none() {
    for place in Place::ALL {
        let cache = cache();
        let put = place.put(&cache, ttl());
        let server =
            serve_at!(
                put,
                App::new().service(web::resource("/").wrap(put.inside()).route(
                    web::head().to(|| async { HttpResponse::Ok().body(body::None::new()) })
                ))
            );
        for cached in ["MISS", "HIT"] {
            let head = ask(&server, "HEAD /", &[]);
            assert_eq!((head.status, head.cached()), (200, cached));
            assert_eq!(head.field("content-length"), None);
        }
    }
}

#[test]
fn variants_are_told_apart() {
    let (cache, runs) = (cache(), Count::default());
    let nominated = cache.layer(ttl()).unwrap();
    let keyed = cache.layer(ttl().vary(["accept-language"])).unwrap();
    let count = runs.clone();
    let server = serve!({
        let count = count.clone();
        let show = move |request: HttpRequest| {
            count.one();
            let lang = request.headers().get("accept-language").map(|v| v.to_str().unwrap());
            let lang = lang.unwrap_or("none").to_owned();
            async move { HttpResponse::Ok().append_header(("vary", "Accept-Language")).body(lang) }
        };
        App::new()
            .service(web::resource("/nominated").wrap(nominated.clone()).to(show.clone()))
            .service(web::resource("/keyed").wrap(keyed.clone()).to(show))
    });
    for target in ["GET /nominated", "GET /keyed"] {
        for cached in ["MISS", "HIT"] {
            for lang in ["de", "fr"] {
                let field = format!("accept-language: {lang}");
                let answer = ask(&server, target, &[&field]);
                assert_eq!((answer.cached(), answer.text()), (cached, lang), "{target}");
                assert!(answer.field("vary").unwrap().eq_ignore_ascii_case("accept-language"));
            }
            assert_eq!(ask(&server, target, &[]).text(), "none");
        }
    }
    assert_eq!(runs.get(), 6);
}

#[test]
fn the_handler_has_its_say() {
    for place in Place::ALL {
        let cache = cache();
        let put = place.put(&cache, ttl());
        let server = serve_at!(put, {
            let refuse = |cache: ResponseCache| async move {
                cache.refuse();
                "refused"
            };
            App::new().service(web::resource("/").wrap(put.inside()).to(refuse))
        });
        for _ in 0..2 {
            let answer = ask(&server, "GET /", &[]);
            assert_eq!((answer.cached(), answer.text()), ("-", "refused"));
        }
    }
}

#[test]
fn scopes_with_the_same_inner_path_never_share() {
    let cache = cache();
    let layer = cache.layer(ttl()).unwrap();
    let server = serve!(
        App::new()
            .service(
                web::scope("/a").wrap(layer.clone()).route("/x", web::get().to(|| async { "a" }))
            )
            .service(
                web::scope("/b").wrap(layer.clone()).route("/x", web::get().to(|| async { "b" }))
            )
    );
    for cached in ["MISS", "HIT"] {
        for name in ["a", "b"] {
            let answer = ask(&server, &format!("GET /{name}/x"), &[]);
            assert_eq!((answer.cached(), answer.text()), (cached, name));
        }
    }
}

#[test]
fn two_workers_share_one_cache() {
    let (cache, runs) = (cache(), Count::default());
    let layer = cache.layer(ttl()).unwrap();
    let count = runs.clone();
    let server = serve!({
        let count = count.clone();
        let who = || async { format!("{:?}", std::thread::current().id()) };
        App::new().route("/who", web::get().to(who)).service(
            web::resource("/").wrap(layer.clone()).to(move || {
                let run = count.one();
                async move { format!("run {run}") }
            }),
        )
    });
    let mut workers = std::collections::HashSet::new();
    for _ in 0..10 {
        // One connection, one worker.
        let mut connection = Connection::open(&server);
        connection.send("GET /who", &[], "");
        workers.insert(connection.answer("GET /who").unwrap().text().to_owned());
        connection.send("GET /", &[], "");
        assert_eq!(connection.answer("GET /").unwrap().text(), "run 1");
    }
    assert_eq!((workers.len(), runs.get()), (2, 1));
}

#[derive(Debug)]
struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it is gone")
    }
}

impl ResponseError for Gone {
    fn status_code(&self) -> actix_web::http::StatusCode {
        actix_web::http::StatusCode::GONE
    }
}

#[test]
fn errors_are_answers() {
    let (cache, runs) = (cache(), Count::default());
    let keep = ttl().ttl_by_status(StatusCode::GONE, Duration::from_secs(5));
    let (plain, kept) = (cache.layer(ttl()).unwrap(), cache.layer(keep).unwrap());
    let count = runs.clone();
    let server = serve!({
        let count = count.clone();
        let fail = move || {
            count.one();
            async { Err::<HttpResponse, _>(Gone) }
        };
        // The same out of a middleware, where it stays an `Error`.
        let outside = from_fn(|_: ServiceRequest, _: Next<body::BoxBody>| async {
            Err::<ServiceResponse, _>(Gone.into())
        });
        App::new()
            .service(web::resource("/plain").wrap(plain.clone()).to(fail.clone()))
            .service(web::resource("/kept").wrap(kept.clone()).to(fail.clone()))
            .service(web::resource("/middleware").wrap(outside).wrap(kept.clone()).to(fail))
    });
    for _ in 0..2 {
        let answer = ask(&server, "GET /plain", &[]);
        assert_eq!((answer.status, answer.cached(), answer.text()), (410, "-", "it is gone"));
        assert!(answer.field("cache-status").unwrap().contains("fwd-status=410"));
    }
    assert_eq!(runs.get(), 2);
    for target in ["GET /kept", "GET /middleware"] {
        for cached in ["MISS", "HIT"] {
            let answer = ask(&server, target, &[]);
            let got = (answer.status, answer.cached(), answer.text());
            assert_eq!(got, (410, cached, "it is gone"), "{target}");
            assert!(answer.field("content-type").unwrap().starts_with("text/plain"));
        }
    }
    assert_eq!(runs.get(), 3);
}

#[actix_web::test]
async fn an_error_stays_one_for_the_middleware_outside() {
    let layer = cache().layer(ttl().ttl_by_status(StatusCode::GONE, Duration::from_secs(5)));
    let inside = from_fn(|_: ServiceRequest, _: Next<body::BoxBody>| async {
        Err::<ServiceResponse, _>(Gone.into())
    });
    let outside = from_fn(|request: ServiceRequest, next: Next<body::BoxBody>| async move {
        match next.call(request).await {
            Ok(response) => {
                assert_eq!(response.headers().get("x-cache").unwrap(), "HIT");
                Ok(response)
            }
            Err(error) => {
                assert!(error.as_error::<Gone>().is_some());
                assert_eq!(error.error_response().headers().get("x-cache").unwrap(), "MISS");
                Err(error)
            }
        }
    });
    let routes = web::resource("/").wrap(inside).wrap(layer.unwrap()).wrap(outside);
    let app = actix_web::test::init_service(App::new().service(routes)).await;
    let request = || actix_web::test::TestRequest::get().to_request();
    assert!(actix_web::test::try_call_service(&app, request()).await.is_err());
    let hit = actix_web::test::try_call_service(&app, request()).await.unwrap();
    assert_eq!(hit.status().as_u16(), 410);
    assert_eq!(actix_web::test::read_body(hit).await, "it is gone");
}

#[test]
fn a_panic_breaks_only_its_own_connection() {
    for place in Place::ALL {
        let server = panicking_once(place, Duration::ZERO);
        assert!(crate::server::send(&server, "GET /", &[], "").is_none());
        for cached in ["MISS", "HIT"] {
            let answer = ask(&server, "GET /", &[]);
            assert_eq!((answer.cached(), answer.text()), (cached, "fine"));
        }
    }
}

#[test]
fn a_stale_answer_stands_in_for_a_failure() {
    for place in Place::ALL {
        let (cache, clock) = timed_cache();
        let runs = Count::default();
        let policy = Policy::ttl(Duration::from_secs(10)).stale_if_error(Duration::from_secs(600));
        let put = place.put(&cache, policy);
        let count = runs.clone();
        let server = serve_at!(put, {
            let count = count.clone();
            let show = |path: web::Path<String>| async move {
                match path.as_str() {
                    "middleware" => HttpResponse::Ok().body("never reached a second time"),
                    _ => HttpResponse::Ok().body("good"),
                }
            };
            // First times pass; later ones fail in the way that the path names.
            let broken = from_fn(move |request: ServiceRequest, next: Next<body::BoxBody>| {
                let run = count.one();
                async move {
                    match request.path() {
                        _ if run <= 3 => next.call(request).await,
                        "/panic" => panic!("as this test wants it"),
                        "/status" => {
                            Ok(request.into_response(HttpResponse::BadGateway().body("bad")))
                        }
                        _ => Err(actix_web::error::ErrorServiceUnavailable("bad")),
                    }
                }
            });
            App::new()
                .service(web::resource("/{how}").wrap(broken).wrap(put.inside()).to(show))
                .wrap(actix_web::middleware::Logger::default())
        });
        let hows = ["/panic", "/status", "/middleware"];
        for how in hows {
            assert_eq!(ask(&server, &format!("GET {how}"), &[]).cached(), "MISS");
        }
        clock.advance(Duration::from_secs(20));
        for how in hows {
            let answer = ask(&server, &format!("GET {how}"), &[]);
            assert_eq!((answer.status, answer.cached()), (200, "HIT"), "{how}");
            assert!(answer.field("cache-status").unwrap().contains("stale-if-error"));
        }
        clock.advance(Duration::from_secs(600));
        assert!(crate::server::send(&server, "GET /panic", &[], "").is_none());
        assert_eq!(ask(&server, "GET /status", &[]).status, 502);
        let error = ask(&server, "GET /middleware", &[]);
        assert_eq!((error.status, error.text()), (503, "bad"));
        assert!(error.field("cache-status").unwrap().contains("fwd-status=503"));
        until("all runs", || runs.get() == 9);
    }
}

#[actix_web::test]
async fn decisions_are_explained() {
    let cache = cache();
    let user = cache
        .cached_resource(
            "/users/{user_id}",
            |resource| resource.route(web::get().to(|| async { "user" })),
            ttl().tag("user:{user_id}"),
        )
        .unwrap();
    let app = actix_web::test::init_service(App::new().service(user)).await;
    let request = || actix_web::test::TestRequest::get().uri("/users/7").to_request();
    let verdict = |explanation: Option<adapter_actix::Explanation>| {
        let explanation = explanation.unwrap();
        assert!(explanation.decisions.iter().any(|d| d.outcome.contains("user:7")));
        explanation.decisions.last().unwrap().outcome.clone()
    };
    assert!(verdict(cache.explain(&app, request()).await).starts_with("miss"));
    actix_web::test::call_service(&app, request()).await;
    assert!(verdict(cache.explain(&app, request()).await).starts_with("hit"));
    let elsewhere = actix_web::test::TestRequest::get().uri("/").to_request();
    assert!(cache.explain(&app, elsewhere).await.is_none());
}

#[test]
fn a_placeholder_that_the_path_lacks_is_an_error_at_build() {
    let routes = |resource: actix_web::Resource| resource;
    let error = cache().cached_resource("/users/{id}", routes, ttl().tag("user:{user_id}"));
    assert!(error.unwrap_err().to_string().contains("user_id"));
}
