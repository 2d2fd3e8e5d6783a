//! Guards.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::error::ErrorUnauthorized;
use actix_web::{App, FromRequest, HttpRequest, web};
use adapter_actix::Guarded;
use bytes::Bytes;
use http::Method;

use crate::server::{Count, ask, cache, send, ttl, wait};

#[derive(Clone)]
struct User(String);

impl FromRequest for User {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        req.app_data::<Count>().unwrap().one();
        let user = req.headers().get("x-user").map(|user| user.to_str().unwrap().to_owned());
        ready(user.map(Self).ok_or_else(|| ErrorUnauthorized("who are you?")))
    }
}

#[test]
fn guards_run_once_for_every_request_before_the_lookup() {
    let (cache, checks, runs) = (cache(), Count::default(), Count::default());
    let policy = ttl().tag("user:{user}");
    let layer = cache.layer(policy).unwrap().guard_as("user", |user: &User| user.0.clone());
    let shared = cache.layer(ttl()).unwrap().guard::<User>();
    let (check, run) = (checks.clone(), runs.clone());
    let server = serve!({
        let run = run.clone();
        let show = move |Guarded(user): Guarded<User>| {
            run.one();
            async move { user.0 }
        };
        App::new()
            .app_data(check.clone())
            .service(web::resource("/own").wrap(layer.clone()).to(show.clone()))
            .service(web::resource("/shared").wrap(shared.clone()).to(show.clone()))
            .service(web::resource("/bare").to(show))
    });
    for cached in ["MISS", "HIT"] {
        for name in ["ann", "bob"] {
            let answer = ask(&server, "GET /own", &[&format!("x-user: {name}")]);
            assert_eq!((answer.cached(), answer.text()), (cached, name));
        }
    }
    assert_eq!((checks.get(), runs.get()), (4, 2));
    let refused = ask(&server, "GET /own", &[]);
    assert_eq!((refused.status, refused.text()), (401, "who are you?"));
    assert_eq!(refused.cached(), "-");
    wait(cache.invalidate_tags(["user:ann"])).unwrap();
    assert_eq!(ask(&server, "GET /own", &["x-user: ann"]).cached(), "MISS");
    assert_eq!(ask(&server, "GET /own", &["x-user: bob"]).cached(), "HIT");
    // A guard without a name lets in, and keeps nobody apart.
    assert_eq!(ask(&server, "GET /shared", &["x-user: ann"]).text(), "ann");
    let hit = ask(&server, "GET /shared", &["x-user: bob"]);
    assert_eq!((hit.cached(), hit.text()), ("HIT", "ann"));
    assert_eq!(ask(&server, "GET /shared", &[]).status, 401);
    // Where no guard ran, the extractor does.
    assert_eq!(ask(&server, "GET /bare", &["x-user: eve"]).text(), "eve");
    assert_eq!(ask(&server, "GET /bare", &[]).status, 401);
}

#[test]
fn what_a_guard_reads_the_handler_reads_again() {
    let cache = cache();
    let policy = ttl().methods(&[Method::POST]);
    let layer = cache.layer(policy).unwrap().guard::<Bytes>().guard::<String>();
    let server = serve!({
        let show = |Guarded(guard): Guarded<Bytes>, body: Bytes| async move {
            assert_eq!(guard, body);
            body
        };
        App::new().service(web::resource("/").wrap(layer.clone()).to(show))
    });
    for (body, cached) in [("one", "MISS"), ("two", "MISS"), ("one", "HIT")] {
        let answer = send(&server, "POST /", &[], body).unwrap();
        assert_eq!((answer.cached(), answer.text()), (cached, body));
    }
}

#[test]
fn an_outer_route_never_stores_what_an_inner_one_guards() {
    let (cache, checks) = (cache(), Count::default());
    let inner = cache.layer(ttl()).unwrap().guard::<User>();
    let outer = cache.layer(ttl()).unwrap();
    let check = checks.clone();
    let server = serve!({
        let show = |Guarded(user): Guarded<User>| async move { user.0 };
        App::new()
            .app_data(check.clone())
            .service(web::resource("/me").wrap(inner.clone()).to(show))
            .wrap(outer.clone())
    });
    for user in ["ann", "bob"] {
        let answer = ask(&server, "GET /me", &[&format!("x-user: {user}")]);
        assert_eq!((answer.text(), answer.cached()), (user, "-"));
    }
    assert_eq!((checks.get(), cache.stats().stored), (2, 0));
}
