//! The wrapped service with one request, as the engine drives it.

use std::convert::Infallible;
use std::rc::Rc;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, Service, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::COOKIE;
use actix_web::test::TestRequest;
use actix_web::{Error, HttpMessage as _};
use bytes::Bytes;
use cache_core::engine::{Changes, Origin};
use cache_core::{RequestHead, Wishes};
use http::{Response, StatusCode};

use crate::asked::Asked;
use crate::body::Incoming;
use crate::cache::Cache;
use crate::convert;
use crate::desk::{Desk, OWN, Shell};
use crate::extract::Handles;
use crate::payload;

/// A service, and what it is to be called with.
pub(crate) struct ActixOrigin<S, R: Asked> {
    inner: Rc<S>,
    desk: Rc<Desk<R>>,
    cache: Cache,
}

impl<S, R: Asked> ActixOrigin<S, R> {
    pub(crate) const fn new(inner: Rc<S>, desk: Rc<Desk<R>>, cache: Cache) -> Self {
        Self { inner, desk, cache }
    }
}

impl<S, R, B> Origin for ActixOrigin<S, R>
where
    R: Asked,
    S: Service<R, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    type Body = Incoming;
    // An error is the handler's answer too.
    type Error = Infallible;

    fn head(&self) -> RequestHead<'_> {
        self.desk.seen().head()
    }

    async fn body(&mut self, limit: usize) -> Option<Bytes> {
        let (whole, again) = payload::read(self.desk.take_payload(), limit).await;
        self.desk.put_payload(again);
        whole
    }

    async fn run(self, changes: Changes) -> Result<Response<Incoming>, Infallible> {
        let Some(mut request) = self.desk.take_request() else {
            // The engine runs an origin once.
            let mut response = Response::new(Incoming::new(BoxBody::new(())));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return Ok(response);
        };
        hide(&mut request, &changes);
        if changes.wishes.is_some() {
            // A GET's content, if there is any unannounced, is in no key.
            if matches!(request.head().method, Method::GET | Method::HEAD) {
                request.set_payload(Payload::None);
            }
        }
        Handles::put(self.cache, changes.wishes.clone(), &mut request.extensions_mut());
        let (response, error) = match self.inner.call(request).await {
            Ok(response) => {
                let (request, response) = response.into_parts();
                self.desk.put_request(request);
                (response.map_into_boxed_body(), None)
            }
            Err(error) => (error.error_response(), Some(error)),
        };
        let (shell, body) = response.into_parts();
        let (mut converted, all) = convert::response(&shell);
        if !all {
            // What the engine cannot see, it must not store.
            changes.wishes.iter().for_each(Wishes::refuse);
        }
        *converted.version_mut() = OWN;
        let silent = body.size() == BodySize::None;
        self.desk.put_shell(Shell { response: shell, error, silent });
        Ok(converted.map(|()| Incoming::new(body)))
    }
}

/// Changes what the handler sees.
///
/// A middleware outside may have read the cookies, and actix remembers what it parsed. So its
/// memory is replaced too: by what it makes of a request that has no other cookies.
fn hide(request: &mut impl Asked, changes: &Changes) {
    if changes.fields.is_empty() {
        return;
    }
    for (name, value) in &changes.fields {
        convert::change(request.headers_mut(), name, value.as_ref());
    }
    let mut like = TestRequest::default();
    for line in request.headers().get_all(COOKIE) {
        like = like.append_header((COOKIE, line));
    }
    let like = like.to_http_request();
    if like.cookies().is_err() || like.cookies_raw().is_err() {
        // Not text, hence nothing to remember: an older memory would stay.
        changes.wishes.iter().for_each(Wishes::refuse);
        // Those of an outer route, which may store what comes of it.
        Handles::wishes(&request.extensions()).iter().for_each(Wishes::refuse);
    }
    let memory = std::mem::take(&mut *like.extensions_mut());
    request.extensions_mut().extend(memory);
}
