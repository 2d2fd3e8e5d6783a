//! Tags, keys, namespaces, and write routes.

use std::time::Duration;

use actix_web::{App, HttpResponse, web};
use adapter_actix::policy::setting::Namespace;
use adapter_actix::{Cache, Invalidation, ResponseCache};

use crate::server::{Connection, Count, Gate, ask, cache, send, ttl, wait};

#[test]
fn tags_keys_and_namespaces_invalidate() {
    let cache = cache();
    let policy = ttl().tag("user:{id}").namespace(Namespace::new("users"));
    let layer = cache.layer(policy).unwrap();
    let handle = cache.clone();
    let server = serve!({
        let show = |id: web::Path<String>, response: ResponseCache| async move {
            response.tag("all").unwrap();
            id.into_inner()
        };
        let clear = |cache: Cache, tag: web::Path<String>| async move {
            let done = cache.invalidate_tags([tag.as_str()]).await.unwrap();
            done.removed.to_string()
        };
        App::new()
            .app_data(handle.extension())
            .route("/clear/{tag}", web::post().to(clear))
            .service(web::resource("/users/{id}").wrap(layer.clone()).to(show))
    });
    let cached = |id: &str| {
        let answer = ask(&server, &format!("GET /users/{id}"), &[]);
        answer.cached().to_owned()
    };
    let fill = || {
        for id in ["7", "a%2Fb"] {
            cached(id);
            assert_eq!(cached(id), "HIT", "{id}");
        }
    };
    fill();
    assert_eq!(send(&server, "POST /clear/user:7", &[], "").unwrap().text(), "1");
    assert_eq!([cached("7"), cached("a%2Fb")], ["MISS", "HIT"]);
    // The parameter is decoded, as the handler gets it.
    assert_eq!(wait(cache.invalidate_tags(["user:a/b"])).unwrap().removed, 1);
    assert_eq!([cached("7"), cached("a%2Fb")], ["HIT", "MISS"]);
    wait(cache.namespace("users").invalidate_keys(["/users/7"])).unwrap();
    assert_eq!([cached("7"), cached("a%2Fb")], ["MISS", "HIT"]);
    for what in ["all", "namespace", "clear"] {
        fill();
        match what {
            "all" => wait(cache.invalidate_tags(["all"])).unwrap(),
            "namespace" => wait(cache.invalidate_namespace("users")).unwrap(),
            _ => wait(cache.clear()).unwrap(),
        };
        assert_eq!([cached("7"), cached("a%2Fb")], ["MISS", "MISS"], "{what}");
    }
}

#[test]
fn writes_invalidate_even_when_their_client_leaves() {
    let (cache, runs, gate) = (cache(), Count::default(), Gate::new());
    let layer = cache.layer(ttl().tag("user:{id}")).unwrap();
    let what = Invalidation::new().tag("user:{id}");
    let write = cache.invalidate_layer(what).unwrap();
    let (count, door) = (runs.clone(), gate.clone());
    let server = serve!({
        let (count, door) = (count.clone(), door.clone());
        let show = |id: web::Path<String>| async move { id.into_inner() };
        let store = move |id: web::Path<String>| {
            let door = door.clone();
            count.one();
            async move {
                door.pass().await;
                match id.as_str() {
                    "bad" => Err(actix_web::error::ErrorBadRequest("bad")),
                    _ => Ok(HttpResponse::Created().body("created")),
                }
            }
        };
        App::new().service(
            web::scope("/users/{id}")
                .service(web::resource("").wrap(layer.clone()).route(web::get().to(show)))
                .service(web::resource("/edit").wrap(write.clone()).route(web::put().to(store))),
        )
    });
    let cached = |id: &str| ask(&server, &format!("GET /users/{id}"), &[]).cached().to_owned();
    gate.open(2);
    assert_eq!(
        [cached("7"), cached("7"), cached("bad"), cached("bad")],
        ["MISS", "HIT", "MISS", "HIT"]
    );
    let done = send(&server, "PUT /users/7/edit", &[], "x").unwrap();
    assert_eq!((done.status, done.text()), (201, "created"));
    assert!(done.field("cache-status").unwrap().contains("fwd=method"));
    let failed = send(&server, "PUT /users/bad/edit", &[], "x").unwrap();
    assert_eq!((failed.status, failed.text()), (400, "bad"));
    assert_eq!([cached("7"), cached("bad")], ["MISS", "HIT"]);
    // Another one, whose client does not wait.
    let mut connection = Connection::open(&server);
    connection.send("PUT /users/7/edit", &[], "x");
    runs.reaches(3);
    connection.leave();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(cached("7"), "HIT");
    gate.open(1);
    crate::server::until("the invalidation", || cache.stats().invalidations == 2);
    assert_eq!(cached("7"), "MISS");
}
