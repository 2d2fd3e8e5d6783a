//! Bodies: streamed, failing, left by their client; and those of requests.

use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::dev::Service as _;
use actix_web::test::TestRequest;
use actix_web::{App, HttpResponse, web};
use adapter_actix::Cache;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::stream::{self, StreamExt as _};
use http::Method;

use crate::server::{Connection, Count, Gate, Place, Server, ask, cache, send, ttl, until};

type Chunk = Result<Bytes, std::io::Error>;

/// `first`, then, when the gate is passed, `last`.
fn gated(gate: Gate) -> impl futures_util::Stream<Item = Chunk> + 'static {
    let last = stream::once(Box::pin(async move {
        gate.pass().await;
        Ok(Bytes::from_static(b"last"))
    }));
    stream::once(std::future::ready(Ok(Bytes::from_static(b"first")))).chain(last)
}

/// Serves such a stream from a cached route.
fn streaming(place: Place, cache: &Cache, runs: &Count, gate: &Gate) -> Server {
    let put = place.put(cache, ttl());
    let (count, door) = (runs.clone(), gate.clone());
    serve_at!(put, {
        let (count, door) = (count.clone(), door.clone());
        App::new().service(web::resource("/").wrap(put.inside()).to(move || {
            count.one();
            let body = gated(door.clone());
            async move { HttpResponse::Ok().streaming(body) }
        }))
    })
}

#[test]
fn a_stream_flows_at_once_and_is_stored_at_its_end() {
    for place in Place::ALL {
        let (cache, runs, gate) = (cache(), Count::default(), Gate::new());
        let server = streaming(place, &cache, &runs, &gate);
        let mut connection = Connection::open(&server);
        connection.send("GET /", &[], "");
        let head = connection.head().unwrap();
        assert_eq!((head.cached(), head.field("transfer-encoding")), ("MISS", Some("chunked")));
        assert_eq!(connection.chunk().unwrap(), b"first");
        gate.open(1);
        assert_eq!(connection.chunk().unwrap(), b"last");
        assert_eq!(connection.chunk().unwrap(), b"");
        let hit = ask(&server, "GET /", &[]);
        assert_eq!((hit.cached(), hit.text()), ("HIT", "firstlast"));
        assert_eq!(hit.field("content-length"), Some("9"));
        assert_eq!(runs.get(), 1);
    }
}

#[test]
fn a_stream_of_known_length_flows_too() {
    for place in Place::ALL {
        let (cache, gate) = (cache(), Gate::new());
        let put = place.put(&cache, ttl());
        let door = gate.clone();
        let server = serve_at!(put, {
            let door = door.clone();
            App::new().service(web::resource("/").wrap(put.inside()).to(move || {
                let body = SizedStream::new(9, Box::pin(gated(door.clone())));
                async move { HttpResponse::Ok().body(body) }
            }))
        });
        let mut connection = Connection::open(&server);
        connection.send("GET /", &[], "");
        let opener = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            gate.open(1);
        });
        let answer = connection.answer("GET /").unwrap();
        opener.join().unwrap();
        assert_eq!((answer.cached(), answer.text()), ("MISS", "firstlast"));
        assert_eq!(answer.field("content-length"), Some("9"));
        let hit = ask(&server, "GET /", &[]);
        assert_eq!((hit.cached(), hit.text()), ("HIT", "firstlast"));
    }
}

#[test]
fn a_broken_body_is_not_stored() {
    for place in Place::ALL {
        let (cache, runs) = (cache(), Count::default());
        let put = place.put(&cache, ttl());
        let count = runs.clone();
        let server = serve_at!(put, {
            let count = count.clone();
            let chunks = |second: Chunk| stream::iter([Ok(Bytes::from_static(b"first")), second]);
            let broken = count.clone();
            App::new()
                .service(
                    web::resource("/failing").wrap(put.inside()).to(move || {
                        broken.one();
                        async move {
                            HttpResponse::Ok().streaming(chunks(Err(std::io::Error::other("no"))))
                        }
                    }),
                )
                .service(web::resource("/short").wrap(put.inside()).to(move || {
                    count.one();
                    let whole = chunks(Ok(Bytes::from_static(b"last")));
                    async move { HttpResponse::Ok().body(SizedStream::new(100, whole)) }
                }))
        });
        for target in ["GET /failing", "GET /short"] {
            for _ in 0..2 {
                // Where the failure comes first, the connection ends without a head.
                if let Some(answer) = send(&server, target, &[], "") {
                    assert_ne!(answer.cached(), "HIT");
                    assert!(!answer.whole, "{target}: {answer:?}");
                }
            }
        }
        assert_eq!(runs.get(), 4);
    }
}

#[test]
fn a_client_that_leaves_early_kills_no_fill() {
    struct Alarm(Count);
    impl Drop for Alarm {
        fn drop(&mut self) {
            self.0.one();
        }
    }

    let (cache, runs, gate) = (cache(), Count::default(), Gate::new());
    let layer = cache.layer(ttl()).unwrap();
    let (count, door, dropped) = (runs.clone(), gate.clone(), Count::default());
    let drops = dropped.clone();
    let server = serve!({
        let (count, door, drops) = (count.clone(), door.clone(), drops.clone());
        let run = move || {
            count.one();
            let (door, alarm) = (door.clone(), Alarm(drops.clone()));
            async move {
                door.pass().await;
                drop(alarm);
                "done"
            }
        };
        App::new()
            .service(web::resource("/cached").wrap(layer.clone()).to(run.clone()))
            .service(web::resource("/bare").to(run))
    });
    for target in ["GET /bare", "GET /cached"] {
        let before = runs.get();
        let mut connection = Connection::open(&server);
        connection.send(target, &[], "");
        runs.reaches(before + 1);
        connection.leave();
        if target == "GET /bare" {
            // Without a cache the handler goes with its client: so this test tests something.
            dropped.reaches(1);
        }
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(dropped.get(), 1);
    gate.open(1);
    dropped.reaches(2);
    until("the entry", || cache.stats().misses == 1);
    let hit = ask(&server, "GET /cached", &[]);
    assert_eq!((hit.cached(), hit.text(), runs.get()), ("HIT", "done", 2));
}

#[test]
fn a_client_that_leaves_amid_a_stream_kills_no_fill() {
    for place in Place::ALL {
        let (cache, runs, gate) = (cache(), Count::default(), Gate::new());
        let server = streaming(place, &cache, &runs, &gate);
        let mut connection = Connection::open(&server);
        connection.send("GET /", &[], "");
        connection.head().unwrap();
        assert_eq!(connection.chunk().unwrap(), b"first");
        connection.leave();
        std::thread::sleep(Duration::from_millis(100));
        gate.open(1);
        let hit = ask(&server, "GET /", &[]);
        assert_eq!((hit.cached(), hit.text(), runs.get()), ("HIT", "firstlast", 1));
    }
}

#[test]
fn without_an_arbiter_a_fill_is_given_up() {
    let layer = cache().layer(ttl()).unwrap();
    let system = actix_web::rt::System::new();
    let pending = system.block_on(async {
        let wait = || std::future::pending::<&str>();
        let routes = web::resource("/").wrap(layer).to(wait);
        let app = actix_web::test::init_service(App::new().service(routes)).await;
        let mut call = Box::pin(app.call(TestRequest::get().to_request()));
        assert!((&mut call).now_or_never().is_none());
        Some(call)
    });
    // Nowhere to go on: no abort either.
    drop(pending);
}

#[test]
fn request_bodies_are_in_the_key_and_reach_the_handler() {
    for place in Place::ALL {
        let (cache, runs) = (cache(), Count::default());
        let policy = ttl().methods(&[Method::GET, Method::POST]).key_body_limit(10);
        let put = place.put(&cache, policy);
        let count = runs.clone();
        let server = serve_at!(put, {
            let count = count.clone();
            App::new().service(web::resource("/").wrap(put.inside()).to(move |body: Bytes| {
                count.one();
                async move { body }
            }))
        });
        let post = |body: &str| {
            let answer = send(&server, "POST /", &[], body).unwrap();
            assert_eq!(answer.text(), body);
            answer.cached().to_owned()
        };
        assert_eq!([post("one"), post("one"), post("two")], ["MISS", "HIT", "MISS"]);
        let long = "x".repeat(100_000);
        assert_eq!([post(&long), post(&long)], ["-", "-"]);
        assert_eq!(runs.get(), 4);
    }
}
