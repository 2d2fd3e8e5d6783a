//! Cookies: ignored, in the key, and those that actix remembers.

use actix_web::dev::Service as _;
use actix_web::test::TestRequest;
use actix_web::{App, HttpRequest, web};
use adapter_actix::policy::setting::Cookies;

use crate::server::{Count, Place, Server, ask, cache, ttl};

/// What a handler sees: the field, and what actix makes of it.
fn seen(request: &HttpRequest) -> String {
    let field = request.headers().get("cookie").map_or("-", |value| value.to_str().unwrap());
    let jar = |cookies: &[actix_web::cookie::Cookie<'_>]| {
        cookies.iter().map(|cookie| cookie.name().to_owned()).collect::<Vec<_>>().join(",")
    };
    let decoded = jar(&request.cookies().unwrap());
    let raw = jar(&request.cookies_raw().unwrap());
    format!("{field} {decoded} {raw}")
}

fn server(place: Place, cookies: Cookies, count: &Count) -> Server {
    let cache = cache();
    let put = place.put(&cache, ttl().cookies(cookies));
    let count = count.clone();
    serve_at!(put, {
        let count = count.clone();
        let show = move |request: HttpRequest| {
            count.one();
            let seen = seen(&request);
            async move { seen }
        };
        let at = |path: &str| web::resource(path).wrap(put.inside()).to(show.clone());
        App::new()
            .service(at("/"))
            .service(web::scope("/read").service(at("/it")).wrap_fn(|request, next| {
                // As a session middleware does.
                drop(request.cookies());
                next.call(request)
            }))
            .service(web::scope("/raw").service(at("/it")).wrap_fn(|request, next| {
                drop(request.cookies_raw());
                next.call(request)
            }))
    })
}

#[test]
fn by_default_requests_with_cookies_bypass() {
    for place in Place::ALL {
        let runs = Count::default();
        let server = server(place, Cookies::Bypass, &runs);
        for _ in 0..2 {
            let answer = ask(&server, "GET /", &["cookie: sid=1"]);
            assert_eq!((answer.cached(), answer.text()), ("-", "sid=1 sid sid"));
        }
    }
}

#[test]
fn ignored_cookies_are_hidden() {
    for place in Place::ALL {
        let runs = Count::default();
        let server = server(place, Cookies::Ignore, &runs);
        let miss = ask(&server, "GET /", &["cookie: sid=1"]);
        assert_eq!((miss.cached(), miss.text()), ("MISS", "-  "));
        assert_eq!(ask(&server, "GET /", &["cookie: sid=2"]).cached(), "HIT");
        assert_eq!(ask(&server, "GET /", &[]).cached(), "HIT");
        assert_eq!(runs.get(), 1);
    }
}

#[test]
fn only_keyed_cookies_are_seen() {
    for place in Place::ALL {
        let runs = Count::default();
        let server = server(place, Cookies::Key(vec!["lang".to_owned()]), &runs);
        let miss = ask(&server, "GET /", &["cookie: sid=1; lang=de"]);
        assert_eq!((miss.cached(), miss.text()), ("MISS", "lang=de lang lang"));
        assert_eq!(ask(&server, "GET /", &["cookie: lang=de; sid=2"]).cached(), "HIT");
        assert_eq!(ask(&server, "GET /", &["cookie: lang=fr; sid=2"]).cached(), "MISS");
        assert_eq!(ask(&server, "GET /", &["cookie: sid=2"]).text(), "-  ");
    }
}

#[test]
fn remembered_cookies_never_reach_a_shared_entry() {
    for place in Place::ALL {
        for path in ["/read/it", "/raw/it"] {
            let target = format!("GET {path}");
            let runs = Count::default();
            let ignoring = server(place, Cookies::Ignore, &runs);
            for (sid, cached) in [("sid=1", "MISS"), ("sid=2", "HIT")] {
                let answer = ask(&ignoring, &target, &[&format!("cookie: {sid}; a=b")]);
                assert_eq!((answer.cached(), answer.text()), (cached, "-  "), "{path}");
            }
            let keying = server(place, Cookies::Key(vec!["lang".to_owned()]), &runs);
            for (cookies, cached) in [("sid=1; lang=de", "MISS"), ("sid=2; lang=de", "HIT")] {
                let answer = ask(&keying, &target, &[&format!("cookie: {cookies}")]);
                assert_eq!(
                    (answer.cached(), answer.text()),
                    (cached, "lang=de lang lang"),
                    "{path}"
                );
            }
            let bypassing = server(place, Cookies::Bypass, &runs);
            let answer = ask(&bypassing, &target, &["cookie: sid=1"]);
            assert_eq!((answer.cached(), answer.text()), ("-", "sid=1 sid sid"), "{path}");
            assert_eq!(runs.get(), 3);
        }
    }
}

#[actix_web::test]
async fn what_cannot_be_hidden_is_not_stored() {
    let layer = cache().layer(ttl().cookies(Cookies::Key(vec!["lang".to_owned()]))).unwrap();
    let routes = web::resource("/").wrap(layer).to(|| async { "hello" });
    let app = actix_web::test::init_service(App::new().service(routes)).await;
    for _ in 0..2 {
        let cookies = actix_web::http::header::HeaderValue::from_bytes(b"lang=\xff; a=b").unwrap();
        let request = TestRequest::get().insert_header(("cookie", cookies)).to_request();
        let response = actix_web::test::call_service(&app, request).await;
        assert!(response.status().is_success() && !response.headers().contains_key("x-cache"));
    }
}
