//! Requests at the same time.

use std::time::Duration;

use actix_web::{App, HttpResponse, web};
use futures_util::stream::{self, StreamExt as _};

use crate::server::{Count, Place, ask, cache, panicking_once, send, ttl};

#[test]
fn a_hundred_cold_requests_run_once() {
    for place in Place::ALL {
        let (cache, runs) = (cache(), Count::default());
        let put = place.put(&cache, ttl());
        let count = runs.clone();
        let server = serve_at!(put, {
            let count = count.clone();
            let whole = count.clone();
            App::new()
                .service(web::resource("/whole").wrap(put.inside()).to(move || {
                    let run = whole.one();
                    async move {
                        actix_web::rt::time::sleep(Duration::from_millis(300)).await;
                        format!("run {run}")
                    }
                }))
                .service(web::resource("/streamed").wrap(put.inside()).to(move || {
                    let run = count.one();
                    let text = stream::once(Box::pin(async move {
                        actix_web::rt::time::sleep(Duration::from_millis(300)).await;
                        Ok::<_, std::io::Error>(bytes::Bytes::from(format!("run {run}")))
                    }));
                    async move { HttpResponse::Ok().streaming(text.chain(stream::empty())) }
                }))
        });
        for (target, text) in [("GET /whole", "run 1"), ("GET /streamed", "run 2")] {
            std::thread::scope(|scope| {
                for _ in 0..100 {
                    scope.spawn(|| assert_eq!(ask(&server, target, &[]).text(), text));
                }
            });
        }
        assert_eq!(runs.get(), 2);
        let stats = cache.stats();
        assert_eq!((stats.misses, stats.collapsed + stats.hits), (2, 198));
    }
}

#[test]
fn a_leaders_panic_releases_the_followers() {
    for place in Place::ALL {
        let server = panicking_once(place, Duration::from_millis(200));
        let answers: Vec<_> = std::thread::scope(|scope| {
            let ask = || scope.spawn(|| send(&server, "GET /", &[], ""));
            (0..10)
                .map(|_| ask())
                .collect::<Vec<_>>()
                .into_iter()
                .map(|t| t.join().unwrap())
                .collect()
        });
        assert_eq!(answers.iter().filter(|answer| answer.is_none()).count(), 1);
        assert!(answers.iter().flatten().all(|answer| answer.text() == "fine"));
    }
}
