//! `/admin/*`.

use actix_web::test::{TestRequest, init_service};
use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, http as framework};
use adapter_actix::Cache;
use bytes::Bytes;
use http::StatusCode;
use testbed_common::admin::{self, Invalidate, Thought};
use testbed_common::answer::{self, Object};
use testbed_common::bed::Bed;

use super::read;
use crate::app::{Application, Mount};
use crate::reply::{RawQuery, reply};

pub(crate) fn routes() -> Mount {
    let counts = |bed: Data<Bed>| async move { reply(admin::counts(&bed)) };
    let stats = |cache: Cache| async move { reply(admin::stats(&cache.stats())) };
    let keys = |app: Data<Application>| async move { reply(admin::keys(&app.store).await) };
    let invalidate = |cache: Cache, body: Bytes| async move {
        match admin::read::<Invalidate>(&body) {
            Ok(what) => reply(what.answer(&cache).await),
            Err(refusal) => reply(refusal.answer()),
        }
    };
    let enable = |cache: Cache, query: RawQuery| async move {
        switch(query.get(), "on", |on| cache.set_enabled(on))
    };
    let origin = |bed: Data<Bed>, query: RawQuery| async move {
        switch(query.get(), "fail", |fails| bed.set_origin_fails(fails))
    };
    Box::new(move |app| {
        // Resources, not routes of the application: these answer 405 to other methods.
        app.service(web::resource("/admin/invalidate").route(web::post().to(invalidate)))
            .service(web::resource("/admin/enable").route(web::post().to(enable)))
            .service(web::resource("/admin/counts").route(read().to(counts)))
            .service(web::resource("/admin/keys").route(read().to(keys)))
            .service(web::resource("/admin/stats").route(read().to(stats)))
            .service(web::resource("/admin/explain").route(web::post().to(explain)))
            .service(web::resource("/admin/origin").route(web::post().to(origin)));
    })
}

fn switch(query: Option<&str>, name: &str, set: impl FnOnce(bool)) -> HttpResponse {
    match admin::switch(query, name) {
        Ok(on) => {
            set(on);
            reply(Object::new().field(name, &on).ok())
        }
        Err(problem) => reply(answer::error(StatusCode::BAD_REQUEST, problem)),
    }
}

async fn explain(app: Data<Application>, body: Bytes) -> HttpResponse {
    let request = admin::read::<Thought>(&body)
        .map_err(|refusal| refusal.to_string())
        .and_then(|thought| thought.request().map_err(|error| error.to_string()))
        .and_then(|request| of_test_kit(&request));
    let request = match request {
        Ok(request) => request.to_request(),
        Err(error) => return reply(answer::error(StatusCode::BAD_REQUEST, error)),
    };
    // The same layers around handlers that are not asked.
    let service = init_service(App::new().configure(|config| app.configure(config))).await;
    let explanation = app.cache.explain(&service, request).await;
    reply(admin::explained(explanation.as_ref()))
}

/// A request outside of a server, which only actix's test kit makes.
fn of_test_kit(request: &http::Request<()>) -> Result<TestRequest, String> {
    let uri = framework::Uri::try_from(request.uri().to_string());
    let method = framework::Method::from_bytes(request.method().as_str().as_bytes());
    let mut made = TestRequest::with_uri(&uri.map_err(|error| error.to_string())?.to_string())
        .method(method.map_err(|error| error.to_string())?);
    for (name, value) in request.headers() {
        made = made.append_header((name.as_str(), value.as_bytes()));
    }
    Ok(made)
}
