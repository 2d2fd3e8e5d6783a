//! Routes where time matters.

use actix_web::dev::{Service as _, ServiceRequest, ServiceResponse, Transform as _, fn_service};
use actix_web::web::{self, Data, Path};
use actix_web::{Error, HttpResponse, Resource};
use adapter_actix::{Cache, PolicyError};
use http::StatusCode;
use testbed_common::bed::Bed;
use testbed_common::{answer, policies};

use super::{read, reads};
use crate::app::Mount;
use crate::reply::{RawQuery, reply};

pub(crate) fn routes(cache: &Cache) -> Result<Mount, PolicyError> {
    let slow = cache.cached_resource("/slow/{ms}", |r| slow(r, "/slow/{ms}"), policies::plain())?;
    let nocoalesce = cache.cached_resource(
        "/nocoalesce/{ms}",
        |r| self::slow(r, "/nocoalesce/{ms}"),
        policies::nocoalesce(),
    )?;
    let swr = cache.cached_resource("/swr/{id}", |r| origin(r, "/swr/{id}"), policies::swr())?;
    let sie = cache.cached_resource("/sie/{id}", |r| origin(r, "/sie/{id}"), policies::sie())?;
    Ok(Box::new(move |app| {
        app.service(slow.clone())
            .service(nocoalesce.clone())
            .service(swr.clone())
            .service(sie.clone())
            .service(
                web::resource("/ttl/{spec}")
                    .route(web::route().guard(reads()).service(fn_service(ttl))),
            );
    }))
}

fn slow(resource: Resource, route: &'static str) -> Resource {
    let handler = move |bed: Data<Bed>, ms: Path<String>, query: RawQuery| async move {
        reply(bed.slow(route, &ms, query.get()).await)
    };
    resource.route(read().to(handler))
}

fn origin(resource: Resource, route: &'static str) -> Resource {
    let handler = move |bed: Data<Bed>, id: Path<String>, query: RawQuery| async move {
        reply(bed.origin(route, &id, query.get()))
    };
    resource.route(read().to(handler))
}

/// A layer is cheap to make: here each request gets one of its own, after its path.
async fn ttl(mut request: ServiceRequest) -> Result<ServiceResponse, Error> {
    let (bed, cache, spec, RawQuery(query)) =
        request.extract::<(Data<Bed>, Cache, Path<String>, RawQuery)>().await?;
    let layer = policies::ttl(&spec)
        .and_then(|policy| cache.layer(policy).map_err(|error| error.to_string()));
    let layer = match layer {
        Ok(layer) => layer,
        Err(error) => return Ok(request.into_response(refused(error))),
    };
    let spec = spec.into_inner();
    let handler = fn_service(move |request: ServiceRequest| {
        let answer = reply(bed.ttl(&spec, query.as_deref()));
        async move { Ok::<_, Error>(request.into_response(answer)) }
    });
    match layer.new_transform(handler).await {
        Ok(service) => service.call(request).await,
        Err(()) => Ok(request.into_response(refused("no layer".to_owned()))),
    }
}

fn refused(error: String) -> HttpResponse {
    reply(answer::error(StatusCode::BAD_REQUEST, error))
}
