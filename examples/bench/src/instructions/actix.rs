//! Calls of an actix application.

use std::hint::black_box;
use std::task::{Context, Poll, Waker};

use actix_http::Request;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Response, Service, ServiceFactory as _};
use actix_web::http::Method;
use actix_web::http::header::{ETAG, VARY};
use actix_web::rt::SystemRunner;
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, HttpResponse, Resource, web};
use adapter_actix::Cache;
use cache_memory::MemoryStore;

use super::counted::run_counted;
use crate::case::{Case, Place};
use crate::error::Error;

pub(crate) fn run(case: Case, count: usize) -> Result<(), Error> {
    let cache = Cache::new(MemoryStore::new());
    let layer = || cache.layer(case.policy()).map_err(refused);
    let system = actix_web::rt::System::new();
    match case.place {
        Place::Bare => {
            let app = system.block_on(init_service(App::new().service(resource(case))));
            measure(case, &app, count, &system)
        }
        Place::Route => {
            let app = App::new().service(resource(case).wrap(layer()?));
            let app = system.block_on(init_service(app));
            measure(case, &app, count, &system)
        }
        Place::Around => {
            let app = App::new().service(resource(case)).wrap(layer()?);
            let app = system.block_on(init_service(app));
            measure(case, &app, count, &system)
        }
        Place::Front => {
            let front = cache.front(case.policy()).map_err(refused)?;
            let app = front.before(App::new().service(resource(case)));
            let app = system.block_on(app.new_service(AppConfig::default()));
            let app = app.map_err(|()| Error::other("the application does not start"))?;
            measure(case, &app, count, &system)
        }
    }
}

fn resource(case: Case) -> Resource {
    let body = case.body();
    let handler = move || {
        let mut response = HttpResponse::Ok();
        if let Some(name) = case.vary() {
            response.insert_header((VARY, name));
        }
        std::future::ready(response.body(body.clone()))
    };
    web::resource("/item").route(web::get().to(handler.clone())).route(web::head().to(handler))
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::other(error.to_string())
}

fn measure<S, B>(case: Case, app: &S, count: usize, system: &SystemRunner) -> Result<(), Error>
where
    S: Service<Request>,
    S::Response: Into<Response<B>>,
    S::Error: std::fmt::Debug,
    B: MessageBody,
{
    let etag = system.block_on(prepare(case, app))?;
    system.block_on(async {
        for number in 0..count {
            // One at a time, as a connection has them: what one leaves in actix's pools the next
            // one takes, and the allocator is not given the heads of hundreds of requests.
            let mut request = Some(request(case, number, etag.as_deref()));
            let mut answered = None;
            run_counted(&mut || answered = request.take().map(|request| at_once(app, request)));
            if answered != Some(true) {
                return Err(Error::other(format!("{case}: not answered at once")));
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    })
}

/// Whether a request was answered, to the end of the body, without waiting for anything.
fn at_once<S, B>(app: &S, request: Request) -> bool
where
    S: Service<Request>,
    S::Response: Into<Response<B>>,
    B: MessageBody,
{
    let answer = std::pin::pin!(async {
        match app.call(request).await {
            Ok(response) => drain(black_box(response).into()).await,
            Err(_) => false,
        }
    });
    answer.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(true)
}

/// Two calls: one that fills, one that must be what is counted. Gives the response's entity tag.
async fn prepare<S, B>(case: Case, app: &S) -> Result<Option<String>, Error>
where
    S: Service<Request>,
    S::Response: Into<Response<B>>,
    S::Error: std::fmt::Debug,
    B: MessageBody,
{
    let ask = async |request| {
        let answer = app.call(request).await;
        let answer = answer.map_err(|error| Error::other(format!("{case}: {error:?}")));
        answer.map(Into::<Response<B>>::into)
    };
    let response = ask(build("GET", &case.path(usize::MAX - 1), case.filling_field())).await?;
    let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
    let etag = etag.map(str::to_owned);
    drain(response).await;

    let response = ask(request(case, usize::MAX, etag.as_deref())).await?;
    let x_cache = response.headers().get("x-cache").and_then(|value| value.to_str().ok());
    if !case.expects(response.status().as_u16(), x_cache) {
        return Err(case.unexpected(response.status().as_u16(), x_cache));
    }
    drain(response).await;
    Ok(etag)
}

/// The body is read to its end; then the response goes, as it does in the server.
async fn drain<B: MessageBody>(response: Response<B>) -> bool {
    let (head, body) = response.into_parts();
    let mut body = std::pin::pin!(body);
    while let Some(chunk) = std::future::poll_fn(|cx| body.as_mut().poll_next(cx)).await {
        let _ = black_box(chunk.is_ok());
    }
    drop(head);
    true
}

fn request(case: Case, number: usize, etag: Option<&str>) -> Request {
    build(case.method(), &case.path(number), case.request_field(etag))
}

fn build(method: &str, path: &str, field: Option<(&'static str, String)>) -> Request {
    let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
    let mut request = TestRequest::with_uri(path).method(method).insert_header(("host", "bench"));
    if let Some(field) = field {
        request = request.insert_header(field);
    }
    request.to_request()
}
