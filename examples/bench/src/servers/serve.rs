//! The servers that are measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, Resource, web};
use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use cache_memory::MemoryStore;
use tower::Layer as _;

use super::subject::{Ask, Framework, Place, Subject};
use crate::error::Error;
use crate::say::say;

const ANYWHERE: &str = "127.0.0.1:0";

/// Serves until the process is ended. Says its address in the first line.
pub(crate) fn serve(subject: &str) -> Result<(), Error> {
    let subject: Subject = subject.parse()?;
    match subject.framework {
        Framework::Axum => axum(subject),
        Framework::Actix => actix(subject),
    }
}

/// The handler: bytes that are ready; for stale answers, it never comes back a second time.
#[derive(Clone, Debug)]
struct Handler {
    body: Bytes,
    hangs: bool,
    called: Arc<AtomicBool>,
}

impl Handler {
    fn new(subject: Subject) -> Self {
        let body = Bytes::from(vec![b'x'; subject.size]);
        Self { body, hangs: subject.ask == Ask::Stale, called: Arc::default() }
    }

    async fn answer(self) -> Bytes {
        if self.hangs && self.called.swap(true, Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
        }
        self.body
    }
}

fn axum(subject: Subject) -> Result<(), Error> {
    let handler = Handler::new(subject);
    let router = Router::new().route("/item", get(move || handler.clone().answer()));
    let cache = adapter_axum::Cache::new(MemoryStore::new());
    let layer = cache.layer(subject.policy()).map_err(|error| Error::other(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Error::io("making a runtime"))?.block_on(async {
        let listener = tokio::net::TcpListener::bind(ANYWHERE).await;
        let listener = listener.map_err(Error::io("listening"))?;
        say(listener.local_addr().map_err(Error::io("listening"))?);
        let served = match subject.place {
            Place::Bare => axum::serve(listener, router).await,
            Place::Route => axum::serve(listener, router.layer(layer)).await,
            Place::Around => {
                let service = layer.layer(router);
                axum::serve(listener, tower::make::Shared::new(service)).await
            }
        };
        served.map_err(Error::io("serving"))
    })
}

fn actix(subject: Subject) -> Result<(), Error> {
    let handler = Handler::new(subject);
    let cache = adapter_actix::Cache::new(MemoryStore::new());
    let layer = cache.layer(subject.policy()).map_err(|error| Error::other(error.to_string()))?;
    let resource = move || -> Resource {
        let handler = handler.clone();
        let answer = move || {
            let handler = handler.clone();
            async move { HttpResponse::Ok().body(handler.answer().await) }
        };
        web::resource("/item").route(web::get().to(answer.clone())).route(web::head().to(answer))
    };
    let listener = std::net::TcpListener::bind(ANYWHERE).map_err(Error::io("listening"))?;
    let address = listener.local_addr().map_err(Error::io("listening"))?;
    let system = actix_web::rt::System::new();
    let serving = system.block_on(async {
        let server = match subject.place {
            Place::Bare => HttpServer::new(move || App::new().service(resource()))
                .workers(1)
                .listen(listener)
                .map(HttpServer::run),
            Place::Route => {
                HttpServer::new(move || App::new().service(resource().wrap(layer.clone())))
                    .workers(1)
                    .listen(listener)
                    .map(HttpServer::run)
            }
            Place::Around => {
                HttpServer::new(move || App::new().service(resource()).wrap(layer.clone()))
                    .workers(1)
                    .listen(listener)
                    .map(HttpServer::run)
            }
        };
        say(address);
        server?.await
    });
    serving.map_err(Error::io("serving"))
}
