//! Bodies of all kinds.

use actix_files::NamedFile;
use actix_web::web::{Data, Path};
use actix_web::{Either, HttpResponse, Resource};
use adapter_actix::{Cache, PolicyError};
use bytes::Bytes;
use http::{Response, StatusCode};
use testbed_common::bed::Bed;
use testbed_common::{answer, policies};

use super::read;
use crate::app::Mount;
use crate::reply::{RawQuery, head, reply};

/// What a route without path parameters answers.
type Plain = fn(&Bed, Option<&str>) -> Response<Bytes>;

pub(crate) fn routes(cache: &Cache) -> Result<Mount, PolicyError> {
    let table: [(&str, Plain, _); 6] = [
        ("/bin", Bed::bin, policies::plain()),
        ("/json", Bed::json, policies::plain()),
        ("/html", Bed::html, policies::plain()),
        ("/redirect", Bed::redirect, policies::redirect()),
        ("/empty", Bed::empty, policies::plain()),
        ("/null", Bed::null, policies::plain()),
    ];
    let bytes = |bed: Data<Bed>, n: Path<String>, query: RawQuery| async move {
        reply(bed.bytes(&n, query.get()))
    };
    let stream = |bed: Data<Bed>, query: RawQuery| async move {
        match bed.stream(query.get()) {
            Ok(stream) => {
                let (parts, body) = stream.into_parts();
                head(&parts).streaming(body)
            }
            Err(refusal) => reply(refusal.answer()),
        }
    };
    let plain = policies::plain;
    let bytes = cache.cached_resource("/bytes/{n}", move |r| r.route(read().to(bytes)), plain())?;
    let stream = cache.cached_resource("/stream", move |r| r.route(read().to(stream)), plain())?;
    let file = cache.cached_resource("/file", |r| r.route(read().to(file)), plain())?;
    let mut whole = Vec::new();
    for (route, body, policy) in table {
        whole.push(cache.cached_resource(route, move |r| answering(r, body), policy)?);
    }
    Ok(Box::new(move |app| {
        app.service(bytes.clone()).service(stream.clone()).service(file.clone());
        for resource in &whole {
            app.service(resource.clone());
        }
    }))
}

fn answering(resource: Resource, answer: Plain) -> Resource {
    let handler =
        move |bed: Data<Bed>, query: RawQuery| async move { reply(answer(&bed, query.get())) };
    resource.route(read().to(handler))
}

/// The file, by the responder that actix's users take.
async fn file(bed: Data<Bed>, query: RawQuery) -> Either<NamedFile, HttpResponse> {
    bed.file_served(query.get());
    match NamedFile::open(bed.file()) {
        Ok(file) => Either::Left(file),
        Err(error) => Either::Right(reply(answer::error(StatusCode::INTERNAL_SERVER_ERROR, error))),
    }
}
