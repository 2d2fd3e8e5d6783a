//! Routes beyond the contract.

use actix_web::http::header::HeaderName;
use actix_web::web::{self, Data, Path};
use actix_web::{HttpRequest, HttpResponse, Resource};
use adapter_actix::{Cache, PolicyError, ResponseCache, When};
use http::StatusCode;
use testbed_common::bed::Bed;
use testbed_common::routes::More;
use testbed_common::{admin, answer, policies};

use super::credentials::User;
use super::read;
use crate::app::Mount;
use crate::reply::{RawQuery, field, reply};

pub(crate) fn routes(cache: &Cache, more: &More) -> Result<Mount, PolicyError> {
    let (reads, writes) = (reads(cache, more)?, writes(cache)?);
    Ok(Box::new(move |app| {
        reads(app);
        writes(app);
    }))
}

fn reads(cache: &Cache, more: &More) -> Result<Mount, PolicyError> {
    let other = Cache::from(more.other.clone());
    let table = [
        (cache, "/more/shared-a/{id}", policies::shared()),
        (cache, "/more/shared-b/{id}", policies::shared()),
        (cache, "/more/replace/{id}", policies::replace()),
        (&other, "/more/other/{id}", policies::plain()),
    ];
    let mut ones = Vec::new();
    for (cache, route, policy) in table {
        ones.push(cache.cached_resource(route, move |r| one(r, route), policy)?);
    }
    let tenants =
        [("/more/key-fn", policies::key_fn()), ("/more/key-async", policies::key_async())];
    let mut keyed = Vec::new();
    for (route, policy) in tenants {
        keyed.push(cache.cached_resource(route, move |r| tenant(r, route), policy)?);
    }
    let store_if =
        |bed: Data<Bed>, query: RawQuery| async move { reply(bed.store_if(query.get())) };
    let store_if = cache.cached_resource(
        "/more/store-if",
        move |r| r.route(read().to(store_if)),
        policies::store_if(),
    )?;
    let wish = |bed: Data<Bed>, query: RawQuery, response: ResponseCache| async move {
        reply(bed.wish(&response, query.get()))
    };
    let wish = cache.cached_resource(
        "/more/wish",
        move |r| r.route(read().to(wish)),
        policies::plain(),
    )?;
    let blocking = cache.cached_resource(
        "/more/blocking/{ms}",
        |r| r.route(read().to(blocking)),
        policies::plain(),
    )?;
    let shared_fn = |bed: Data<Bed>, more: Data<More>, id: Path<String>| async move {
        reply(bed.shared_function(&more, &id).await)
    };
    let codec = |bed: Data<Bed>, more: Data<More>, query: RawQuery| async move {
        reply(bed.codec(&more, query.get()).await)
    };
    Ok(Box::new(move |app| {
        for resource in &ones {
            app.service(resource.clone());
        }
        for resource in &keyed {
            app.service(resource.clone());
        }
        app.service(store_if.clone())
            .service(wish.clone())
            .service(blocking.clone())
            .route("/more/shared-fn/{id}", web::get().to(shared_fn))
            .route("/more/codec", web::get().to(codec));
    }))
}

fn writes(cache: &Cache) -> Result<Mount, PolicyError> {
    let keys = cache.invalidate_layer(policies::write_keys().params(["user_id"]))?;
    let before = cache.invalidate_layer(policies::write_item(When::Before).params(["id"]))?;
    let both = cache.invalidate_layer(policies::write_item(When::Both).params(["id"]))?;
    let profile = cache
        .invalidate_layer(policies::write_profile())?
        .guard_as("user", |user: &User| policies::user_fields(&user.0));
    let write_fn = |bed: Data<Bed>, more: Data<More>, id: Path<String>, query: RawQuery| async move {
        reply(bed.write_function(&more, &id, query.get()).await)
    };
    let clear_other =
        |more: Data<More>| async move { reply(admin::invalidated(more.other.clear().await)) };
    let put = |path| web::resource::<&str>(path).route(web::put().to(write));
    Ok(Box::new(move |app| {
        app.service(put("/more/write/keys/{user_id}").wrap(keys.clone()))
            .service(put("/more/write/before/{id}").wrap(before.clone()))
            .service(put("/more/write/both/{id}").wrap(both.clone()))
            .service(put("/more/write-profile").wrap(profile.clone()))
            .route("/more/write-fn/{id}", web::post().to(write_fn))
            .route("/more/other-clear", web::post().to(clear_other));
    }))
}

fn one(resource: Resource, route: &'static str) -> Resource {
    let handler = move |bed: Data<Bed>, id: Path<String>| async move { reply(bed.one(route, &id)) };
    resource.route(read().to(handler))
}

fn tenant(resource: Resource, route: &'static str) -> Resource {
    let handler = move |bed: Data<Bed>, request: HttpRequest| async move {
        let tenant = field(request.headers(), HeaderName::from_static("x-tenant"));
        reply(bed.tenant(route, tenant.as_deref()))
    };
    resource.route(read().to(handler))
}

/// Blocking work belongs on a thread for it, with a cache as without.
async fn blocking(bed: Data<Bed>, ms: Path<String>, query: RawQuery) -> HttpResponse {
    match web::block(move || bed.blocking(&ms, query.get())).await {
        Ok(answer) => reply(answer),
        Err(error) => reply(answer::error(StatusCode::INTERNAL_SERVER_ERROR, error)),
    }
}

async fn write(bed: Data<Bed>, query: RawQuery) -> HttpResponse {
    reply(bed.write(query.get()).await)
}
