//! The servers that are measured, from the inside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, Resource, web};
use axum::http::header::VARY;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, routing};
use bytes::Bytes;
use cache_memory::MemoryStore;
use cache_redis::RedisStore;
use redis::aio::MultiplexedConnection;
use tower::Layer as _;

use super::floor::Floor;
use super::subject::{By, Peer, Subject};
use crate::case::{Ask, Case, Framework, Place, SPREAD};
use crate::error::Error;
use crate::say::say;

const ANYWHERE: &str = "127.0.0.1:0";

/// Of the value that a bare handler asks Redis for.
const NAME: &str = "body";

/// Serves until the process is ended. Says its address in the first line.
pub(crate) fn serve(subject: &str, redis: Option<&str>) -> Result<(), Error> {
    let subject: Subject = subject.parse()?;
    match subject.case.framework {
        Framework::Axum => axum(subject, redis),
        Framework::Actix => actix(subject, redis),
    }
}

/// The handler: bytes that are ready, or one `GET`.
#[derive(Clone, Debug)]
struct Handler {
    body: Bytes,
    redis: Option<MultiplexedConnection>,
    vary: Option<&'static str>,
    /// The second call never comes back.
    answers_once: bool,
    called: Arc<AtomicBool>,
}

impl Handler {
    async fn new(subject: Subject, redis: Option<&str>) -> Result<Self, Error> {
        let body = subject.case.body();
        let redis = match (subject.case.place, redis) {
            (Place::Bare, Some(url)) => {
                Some(filled(url, subject.case, &body).await.map_err(failed)?)
            }
            _ => None,
        };
        Ok(Self {
            body,
            redis,
            vary: subject.case.vary(),
            answers_once: subject.answers_once(),
            called: Arc::default(),
        })
    }

    async fn answer(self) -> Result<Bytes, StatusCode> {
        if let Some(redis) = self.redis {
            return get(redis, NAME).await;
        }
        if self.answers_once && self.called.swap(true, Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
        }
        Ok(self.body)
    }

    /// For one of many names.
    async fn respond_to(self, uri: Uri) -> Response {
        match (self.redis.clone(), uri.query()) {
            (Some(redis), Some(name)) => get(redis, name).await.into_response(),
            _ => self.respond().await,
        }
    }

    async fn respond(self) -> Response {
        let vary = self.vary;
        match (self.answer().await, vary) {
            (Ok(body), Some(name)) => ([(VARY, name)], body).into_response(),
            (answer, _) => answer.into_response(),
        }
    }
}

async fn get(mut redis: MultiplexedConnection, name: &str) -> Result<Bytes, StatusCode> {
    let value = redis::cmd("GET").arg(name).query_async::<Vec<u8>>(&mut redis).await;
    value.map(Bytes::from).map_err(|_| StatusCode::BAD_GATEWAY)
}

/// A connection to a Redis that has the body, under as many names as are asked for.
async fn filled(url: &str, case: Case, body: &Bytes) -> redis::RedisResult<MultiplexedConnection> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let mut names = vec![NAME.to_owned()];
    if case.ask == Ask::Spread {
        let paths = (0..SPREAD).map(|number| case.path(number));
        names.extend(paths.filter_map(|path| Some(path.split_once('?')?.1.to_owned())));
    }
    for name in names {
        redis::cmd("SET").arg(name).arg(&**body).exec_async(&mut connection).await?;
    }
    Ok(connection)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::other(error.to_string())
}

fn needed(redis: Option<&str>) -> Result<&str, Error> {
    redis.ok_or_else(|| Error::other("this subject needs --redis URL"))
}

fn axum(subject: Subject, redis: Option<&str>) -> Result<(), Error> {
    let mut runtime = if subject.both_cores {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(2);
        runtime
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = runtime.enable_all().build().map_err(Error::io("making a runtime"))?;
    runtime.block_on(async {
        let handler = Handler::new(subject, redis).await?;
        let route = if subject.case.ask == Ask::Spread {
            routing::get(move |uri| handler.clone().respond_to(uri))
        } else {
            routing::get(move || handler.clone().respond())
        };
        let router = Router::new().route("/item", route);
        let layer = match subject.by {
            By::Redis => {
                let store = RedisStore::connect(needed(redis)?).await.map_err(failed)?;
                adapter_axum::Cache::new(store).layer(subject.policy())
            }
            By::Memory | By::Floor | By::Peer(_) => {
                adapter_axum::Cache::new(MemoryStore::new()).layer(subject.policy())
            }
        };
        let layer = layer.map_err(failed)?;
        let listener = tokio::net::TcpListener::bind(ANYWHERE).await;
        let listener = listener.map_err(Error::io("listening"))?;
        say(listener.local_addr().map_err(Error::io("listening"))?);
        let served = match (subject.by, subject.case.place) {
            (By::Peer(Peer::AxumResponseCache), _) => {
                let peer = axum_response_cache::CacheLayer::with_lifespan(HOUR);
                axum::serve(listener, router.layer(peer)).await
            }
            (By::Floor, _) => {
                let service = Floor::new(router);
                axum::serve(listener, tower::make::Shared::new(service)).await
            }
            (_, Place::Bare) => axum::serve(listener, router).await,
            (_, Place::Route) => axum::serve(listener, router.layer(layer)).await,
            (_, Place::Around | Place::Front) => {
                let service = layer.layer(router);
                axum::serve(listener, tower::make::Shared::new(service)).await
            }
        };
        served.map_err(Error::io("serving"))
    })
}

const HOUR: Duration = Duration::from_secs(3_600);

fn actix(subject: Subject, redis: Option<&str>) -> Result<(), Error> {
    let listener = std::net::TcpListener::bind(ANYWHERE).map_err(Error::io("listening"))?;
    let address = listener.local_addr().map_err(Error::io("listening"))?;
    let workers = if subject.both_cores { 2 } else { 1 };
    actix_web::rt::System::new().block_on(async {
        let handler = Handler::new(subject, redis).await?;
        let cache = match subject.by {
            By::Redis => {
                let store = RedisStore::connect(needed(redis)?).await.map_err(failed)?;
                adapter_actix::Cache::new(store)
            }
            By::Memory | By::Floor | By::Peer(_) => adapter_actix::Cache::new(MemoryStore::new()),
        };
        let layer = cache.layer(subject.policy()).map_err(failed)?;
        let front = cache.front(subject.policy()).map_err(failed)?;
        let resource = move || resource(&handler);
        let serving = match subject.case.place {
            Place::Bare => HttpServer::new(move || App::new().service(resource()))
                .workers(workers)
                .listen(listener)
                .map(HttpServer::run),
            Place::Route => {
                HttpServer::new(move || App::new().service(resource().wrap(layer.clone())))
                    .workers(workers)
                    .listen(listener)
                    .map(HttpServer::run)
            }
            Place::Around => {
                HttpServer::new(move || App::new().service(resource()).wrap(layer.clone()))
                    .workers(workers)
                    .listen(listener)
                    .map(HttpServer::run)
            }
            Place::Front => HttpServer::new(move || front.before(App::new().service(resource())))
                .workers(workers)
                .listen(listener)
                .map(HttpServer::run),
        };
        say(address);
        serving.map_err(Error::io("serving"))?.await.map_err(Error::io("serving"))
    })
}

fn resource(handler: &Handler) -> Resource {
    let handler = handler.clone();
    let answer = move || {
        let handler = handler.clone();
        async move {
            let vary = handler.vary;
            match handler.answer().await {
                Ok(body) => {
                    let mut response = HttpResponse::Ok();
                    if let Some(name) = vary {
                        response.insert_header((actix_web::http::header::VARY, name));
                    }
                    response.body(body)
                }
                Err(_) => HttpResponse::BadGateway().finish(),
            }
        }
    };
    web::resource("/item").route(web::get().to(answer.clone())).route(web::head().to(answer))
}
