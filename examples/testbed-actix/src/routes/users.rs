//! Routes that read and write users, and `/items`.

use actix_web::rt;
use actix_web::web::{self, Data, Path};
use actix_web::{HttpResponse, guard};
use adapter_actix::{Cache, PolicyError, ResponseCache};
use http::StatusCode;
use testbed_common::bed::Bed;
use testbed_common::{admin, answer, policies};

use super::{read, reads};
use crate::app::Mount;
use crate::reply::{RawQuery, reply};

const USER: &str = "/users/{user_id}";

pub(crate) fn routes(cache: &Cache) -> Result<Mount, PolicyError> {
    let show = |bed: Data<Bed>, id: Path<String>| async move { reply(bed.get_user(&id)) };
    let write = |bed: Data<Bed>, id: Path<String>, query: RawQuery| async move {
        reply(bed.put_user(&id, query.get()))
    };
    // Three resources have this path; a request goes to the first whose guard lets it in.
    let show = cache.cached_resource(
        USER,
        move |r| r.guard(reads()).route(web::to(show)),
        policies::user(),
    )?;
    let written = cache.invalidate_layer(policies::user_written().params(["user_id"]))?;
    let items =
        cache.cached_resource("/items", |r| r.route(read().to(items)), policies::plain())?;
    Ok(Box::new(move |app| {
        let write = web::resource(USER).guard(guard::Put()).route(web::to(write));
        app.service(show.clone())
            .service(write.wrap(written.clone()))
            .service(web::resource(USER).route(web::patch().to(change)))
            .service(web::resource("/users/{user_id}/refresh").route(web::post().to(refresh)))
            .service(items.clone());
    }))
}

/// Sets the value, then invalidates the key. A handler is dropped when its client goes away; in a
/// task of its own the write never stays without its invalidation.
async fn change(bed: Data<Bed>, cache: Cache, id: Path<String>, query: RawQuery) -> HttpResponse {
    if let Err(refusal) = bed.patch_user(&id, query.get()) {
        return reply(refusal.answer());
    }
    let key = policies::user_key(&id);
    let work =
        rt::spawn(async move { cache.namespace(policies::USERS).invalidate_keys([key]).await });
    match work.await {
        Ok(outcome) => reply(admin::invalidated(outcome)),
        Err(error) => reply(answer::error(StatusCode::INTERNAL_SERVER_ERROR, error)),
    }
}

async fn refresh(cache: Cache, id: Path<String>) -> HttpResponse {
    reply(admin::invalidated(cache.invalidate_tags([policies::user_tag(&id)]).await))
}

async fn items(bed: Data<Bed>, query: RawQuery, response: ResponseCache) -> HttpResponse {
    let (tags, items) = bed.items(query.get());
    // An answer with a tag that cannot be is not stored; it is sent all the same.
    let _ = response.tags(tags);
    std::future::ready(reply(items)).await
}
