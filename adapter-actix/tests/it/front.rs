//! The cache in front of an application: what is so there only.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use actix_web::dev::{AppConfig, Service as _, ServiceFactory as _};
use actix_web::error::ErrorUnauthorized;
use actix_web::test::TestRequest;
use actix_web::{App, HttpRequest, HttpResponse, web};
use adapter_actix::policy::setting::Authorization;
use adapter_actix::{Cache, Invalidation, Policy, ResponseCache};
use cache_memory::MemoryStore;
use http::StatusCode;

use crate::server::{Connection, Count, Gate, Place, Server, ask, cache, send, ttl, until, wait};

#[test]
fn a_hit_is_seen_by_no_middleware() {
    let (cache, seen) = (cache(), Count::default());
    let front = cache.front(ttl()).unwrap();
    let count = seen.clone();
    let server = serve!({
        let count = count.clone();
        front.before(App::new().route("/", web::get().to(|| async { "hello" })).wrap_fn(
            move |request, next| {
                count.one();
                next.call(request)
            },
        ))
    });
    for cached in ["MISS", "HIT", "HIT"] {
        let answer = ask(&server, "GET /", &[]);
        assert_eq!((answer.cached(), answer.text()), (cached, "hello"));
    }
    assert_eq!(seen.get(), 1);
}

/// What a middleware that authenticates lets in is not for those whom it was not asked about, as
/// long as it goes by the fields that carry credentials.
#[test]
fn what_authorization_or_a_cookie_opens_is_not_shared() {
    let cache = cache();
    let front = cache.front(ttl()).unwrap();
    let server = serve!(front.before(
        App::new().route("/", web::get().to(|| async { "secret" })).wrap_fn(|request, next| {
            let known = request.headers().contains_key("authorization")
                || request.headers().contains_key("cookie");
            let answer = known.then(|| next.call(request));
            async move {
                match answer {
                    Some(answer) => answer.await,
                    None => Err(ErrorUnauthorized("who are you?")),
                }
            }
        })
    ));
    for credentials in ["authorization: Bearer 1", "cookie: sid=1"] {
        for _ in 0..2 {
            let answer = ask(&server, "GET /", &[credentials]);
            assert_eq!((answer.text(), answer.cached()), ("secret", "-"));
        }
        let refused = ask(&server, "GET /", &[]);
        assert_eq!((refused.status, refused.cached()), (401, "-"));
    }
    assert_eq!(cache.stats().stored, 0);
}

#[test]
fn a_layer_inside_leaves_the_caching_to_the_one_in_front() {
    let (cache, count) = (cache(), Count::default());
    let front = cache.front(ttl()).unwrap();
    let layer = cache.layer(ttl().tag("user:{id}")).unwrap();
    let server = serve!({
        let count = count.clone();
        let show = move |id: web::Path<u32>| {
            let run = count.one();
            async move { format!("run {run} of {id}") }
        };
        front.before(App::new().service(web::resource("/users/{id}").wrap(layer.clone()).to(show)))
    });
    let cached = |text: &str| {
        let answer = ask(&server, "GET /users/7", &[]);
        assert_eq!(answer.text(), text);
        answer.cached().to_owned()
    };
    assert_eq!([cached("run 1 of 7"), cached("run 1 of 7")], ["MISS", "HIT"]);
    assert_eq!(cache.stats().stored, 1);
    // The tag that only the route can know is the front's.
    assert_eq!(wait(cache.invalidate_tags(["user:7"])).unwrap().removed, 1);
    assert_eq!(cached("run 2 of 7"), "MISS");
}

/// What the front kept, an invalidation by the cache of the layer could not reach.
#[test]
fn a_layer_of_another_cache_inside_keeps_its_answers_from_the_one_in_front() {
    let (cache, inner, count) = (cache(), cache(), Count::default());
    let front = cache.front(ttl()).unwrap();
    let layer = inner.layer(ttl().tag("user:{id}")).unwrap();
    let server = serve!({
        let count = count.clone();
        let show = move |_: web::Path<u32>| {
            let run = count.one();
            async move { format!("run {run}") }
        };
        front.before(App::new().service(web::resource("/users/{id}").wrap(layer.clone()).to(show)))
    });
    for text in ["run 1", "run 2"] {
        let answer = ask(&server, "GET /users/7", &[]);
        assert_eq!((answer.text(), answer.cached()), (text, "-"));
        wait(inner.invalidate_tags(["user:7"])).unwrap();
    }
    assert_eq!((cache.stats().stored, inner.stats().stored), (0, 0));
}

#[test]
fn a_guarded_layer_inside_keeps_its_answers_to_itself() {
    let cache = cache();
    let front = cache.front(ttl()).unwrap();
    let layer = cache.layer(ttl()).unwrap().guard::<web::Query<Vec<(String, String)>>>();
    let server = serve!(front.before(
        App::new().service(web::resource("/").wrap(layer.clone()).to(|| async { "mine" }))
    ));
    for _ in 0..2 {
        let answer = ask(&server, "GET /?a=b", &[]);
        assert_eq!((answer.text(), answer.cached()), ("mine", "-"));
    }
    assert_eq!(cache.stats().stored, 0);
}

#[test]
fn handlers_and_write_routes_behind_it_invalidate() {
    let (cache, runs) = (cache(), Count::default());
    let front = cache.front(ttl()).unwrap();
    let write = cache.invalidate_layer(Invalidation::new().tag("user:{id}")).unwrap();
    let count = runs.clone();
    let server = serve!({
        let count = count.clone();
        let show = move |id: web::Path<u32>, response: ResponseCache| {
            response.tag(&format!("user:{id}")).unwrap();
            let run = count.one();
            async move { format!("run {run}") }
        };
        // Found in the request: the handler runs inside a fill. The cache is no app data here.
        let clear = |cache: Cache| async move {
            cache.invalidate_tags(["user:7"]).await.unwrap();
            "cleared"
        };
        front.before(
            App::new()
                .service(web::resource("/users/{id}").route(web::get().to(show)))
                .service(
                    web::resource("/users/{id}/save")
                        .wrap(write.clone())
                        .route(web::post().to(|| async { "saved" })),
                )
                .route("/clear", web::get().to(clear)),
        )
    });
    let cached = || {
        let answer = ask(&server, "GET /users/7", &[]);
        answer.cached().to_owned()
    };
    assert_eq!([cached(), cached()], ["MISS", "HIT"]);
    assert_eq!(send(&server, "POST /users/7/save", &[], "x").unwrap().text(), "saved");
    assert_eq!([cached(), cached()], ["MISS", "HIT"]);
    assert_eq!(ask(&server, "GET /clear", &[]).text(), "cleared");
    assert_eq!(cached(), "MISS");
    assert_eq!(runs.get(), 3);
}

#[test]
fn a_client_that_leaves_ends_no_fill() {
    let (cache, runs, gate) = (cache(), Count::default(), Gate::new());
    let front = cache.front(ttl()).unwrap();
    let (count, door) = (runs.clone(), gate.clone());
    let server = serve!({
        let (count, door) = (count.clone(), door.clone());
        let run = move || {
            count.one();
            let door = door.clone();
            async move {
                door.pass().await;
                "done"
            }
        };
        front.before(App::new().route("/", web::get().to(run)))
    });
    let mut connection = Connection::open(&server);
    connection.send("GET /", &[], "");
    runs.reaches(1);
    connection.leave();
    std::thread::sleep(Duration::from_millis(100));
    gate.open(1);
    until("the entry", || cache.stats().stored == 1);
    let hit = ask(&server, "GET /", &[]);
    assert_eq!((hit.cached(), hit.text(), runs.get()), ("HIT", "done", 1));
}

#[test]
fn errors_of_the_application_are_answers_there_too() {
    let cache = cache();
    let keep = ttl().ttl_by_status(StatusCode::GONE, Duration::from_secs(5));
    let front = cache.front(keep).unwrap();
    let server = serve!(
        front.before(
            App::new()
                .route(
                    "/handler",
                    web::get().to(|| async { Err::<&str, _>(actix_web::error::ErrorGone("gone")) })
                )
                .wrap_fn(|request, next| {
                    let inside = (request.path() != "/middleware").then(|| next.call(request));
                    async move {
                        match inside {
                            Some(inside) => inside.await,
                            None => Err(actix_web::error::ErrorGone("gone")),
                        }
                    }
                })
        )
    );
    for target in ["GET /handler", "GET /middleware"] {
        for cached in ["MISS", "HIT"] {
            let answer = ask(&server, target, &[]);
            let got = (answer.status, answer.cached(), answer.text());
            assert_eq!(got, (410, cached, "gone"), "{target}");
        }
    }
    // And those that are not kept.
    let missing = ask(&server, "POST /elsewhere", &[]);
    assert_eq!((missing.status, missing.cached()), (404, "-"));
}

#[test]
fn a_placeholder_is_an_error_at_build() {
    let error = cache().front(ttl().tag("user:{id}")).unwrap_err();
    assert!(error.to_string().contains("id"), "{error}");
}

/// By RFC 9111 §3.5 it would be shared, and nobody is asked who gets it.
#[test]
fn what_authorization_means_under_http_must_be_said() {
    let front = |policy: Policy| cache().front(policy).map(drop);
    let error = front(Policy::http()).unwrap_err();
    assert_eq!((error.field(), error.value()), ("authorization", "rfc"));
    for said in [Authorization::Bypass, Authorization::Rfc] {
        front(Policy::http().authorization(said)).unwrap();
    }
    let of_http = |policy| {
        let core = Cache::builder(MemoryStore::new()).policy(policy).build().unwrap();
        Cache::from(core)
    };
    assert!(of_http(Policy::http()).front(Policy::new()).is_err());
    let bypass = Policy::http().authorization(Authorization::Bypass);
    assert!(of_http(bypass).front(Policy::http()).is_ok());
}

/// Unless the policy keeps out what the response allows.
#[test]
fn what_authorization_opens_is_not_shared_under_http_either() {
    let cache = cache();
    let front = cache.front(Policy::http().authorization(Authorization::Bypass)).unwrap();
    let secret = || async {
        HttpResponse::Ok().insert_header(("cache-control", "max-age=60, public")).body("secret")
    };
    let server = serve!(front.before(App::new().route("/", web::get().to(secret)).wrap_fn(
        |request, next| {
            let known = request.headers().contains_key("authorization");
            let answer = known.then(|| next.call(request));
            async move {
                match answer {
                    Some(answer) => answer.await,
                    None => Err(ErrorUnauthorized("who are you?")),
                }
            }
        }
    )));
    let answer = ask(&server, "GET /", &["authorization: Bearer 1"]);
    assert_eq!((answer.text(), answer.cached()), ("secret", "-"));
    assert_eq!(ask(&server, "GET /", &[]).status, 401);
    assert_eq!(cache.stats().stored, 0);
}

#[actix_web::test]
async fn what_would_become_of_a_request_is_explained() {
    let cache = cache();
    let app = App::new().route("/", web::get().to(|| async { "hello" }));
    let factory = cache.front(ttl()).unwrap().before(app);
    let service = factory.new_service(AppConfig::default()).await.unwrap();
    let request = || TestRequest::get().to_request();
    let verdict = async || {
        let explanation = cache.explain(&service, request()).await.unwrap();
        explanation.decisions.last().unwrap().outcome.clone()
    };
    assert!(verdict().await.starts_with("miss"));
    let answer = service.call(request()).await.unwrap();
    drop(actix_web::body::to_bytes(answer.into_body()).await);
    assert!(verdict().await.starts_with("hit"));
}

/// Everything that the server sends until it closes the connection.
fn exchange(server: &Server, sent: &str) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    answers
}

#[test]
fn pipelined_answers_are_framed_as_http_1_wants_it() {
    for place in Place::ALL {
        let cache = cache();
        let put = place.put(&cache, ttl());
        let server = serve_at!(put, {
            let show = |_: HttpRequest| async { HttpResponse::Ok().body("hello") };
            App::new().service(web::resource("/").wrap(put.inside()).to(show))
        });
        let etag = ask(&server, "GET /", &[]).field("etag").unwrap().to_owned();
        let condition = format!("if-none-match: {etag}");
        let asked: [(&[&str], u16, Option<&str>, &str); 4] = [
            (&[], 200, Some("5"), "hello"),
            (&[&condition], 304, None, ""),
            (&["range: bytes=1-2"], 206, Some("2"), "el"),
            (&[], 200, Some("5"), "hello"),
        ];
        let mut connection = Connection::open(&server);
        // All are sent before the first answer is read; then again, on the connection kept alive.
        for _ in 0..2 {
            for (fields, ..) in asked {
                connection.send("GET /", fields, "");
            }
            for (_, status, length, body) in asked {
                let answer = connection.answer("GET /").unwrap();
                assert_eq!((answer.status, answer.cached(), answer.text()), (status, "HIT", body));
                let framed = (answer.field("content-length"), answer.field("transfer-encoding"));
                assert_eq!(framed, (length, None), "{place:?}");
            }
        }
        // Not among those: actix-http 3.20 frames an answer by the last request that it has read, so
        // that a bare handler's pipelined HEAD has a body, too.
        connection.send("HEAD /", &[], "");
        let head = connection.answer("HEAD /").unwrap();
        assert_eq!((head.cached(), head.field("content-length")), ("HIT", Some("5")));
        // Not a byte of a body is between these.
        connection.send("GET /", &["connection: close"], "");
        let last = connection.answer("GET /").unwrap();
        assert_eq!((last.cached(), last.text()), ("HIT", "hello"));
        assert!(connection.head().is_none(), "it is closed");
        // HTTP/1.0 does not keep connections of itself.
        let old = exchange(&server, "GET / HTTP/1.0\r\nhost: test\r\n\r\n");
        assert!(old.contains("HIT") && old.ends_with("\r\n\r\nhello"), "{old}");
    }
}
