//! What the framework has of a request while the engine works on the rest.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, RequestHead, ServiceRequest};
use actix_web::{Error, HttpRequest, HttpResponse};
use cache_core::{Extracted, Wishes};
use http::Version;

use crate::asked::Asked;
use crate::convert;
use crate::head::{Found, Head, Kept};

/// What the engine may still ask of a request that the framework has taken.
pub(crate) struct Seen {
    head: Head<Kept>,
    beside: Beside,
}

impl Seen {
    pub(crate) fn new(head: Head<&RequestHead>, beside: Beside) -> Self {
        Self { head: head.keep(), beside }
    }

    /// A write's. The path parameters, all that an invalidation needs, are there in any case.
    pub(crate) fn of_write(request: &ServiceRequest, extracted: Vec<Extracted>) -> Self {
        let params = params(request);
        let beside = Beside { params, extracted, has_body: false, guarded: false, outer: None };
        Self { head: Head::heard(request.head()), beside }
    }

    /// A request like this one, for want of it.
    pub(crate) fn request(&self) -> HttpRequest {
        self.head.request()
    }

    pub(crate) fn head(&self) -> cache_core::RequestHead<'_> {
        self.beside.with(self.head.read(&mut Found::default()))
    }
}

/// What is known of a request beside its head.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    params: Vec<(String, String)>,
    extracted: Vec<Extracted>,
    has_body: bool,
    guarded: bool,
    outer: Option<Wishes>,
}

impl Beside {
    /// `None` where there is nothing to be told, as in most cases. `outer` are the wishes of an outer
    /// route's fill, if the request is inside one; `extracted` is what guards gave, if any ran. Path
    /// parameters are not looked at yet.
    #[inline]
    pub(crate) fn of(
        outer: Option<Wishes>,
        extracted: Option<Vec<Extracted>>,
        has_body: bool,
    ) -> Option<Self> {
        let guarded = extracted.is_some();
        if outer.is_none() && !guarded && !has_body {
            return None;
        }
        let extracted = extracted.unwrap_or_default();
        Some(Self { params: Vec::new(), extracted, has_body, guarded, outer })
    }

    pub(crate) fn read_params(&mut self, request: &impl Asked) {
        self.params = params(request);
    }

    pub(crate) fn with<'a>(
        &'a self,
        head: cache_core::RequestHead<'a>,
    ) -> cache_core::RequestHead<'a> {
        head.with_params(&self.params)
            .with_extracted(&self.extracted)
            .with_body(self.has_body)
            .with_guarded(self.guarded)
            .with_outer(self.outer.as_ref())
    }
}

/// The path parameters, fully decoded, if a router has matched any.
fn params(request: &impl Asked) -> Vec<(String, String)> {
    request.params().map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

/// Marks a response of the engine as the handler's own. Nobody reads the version of a response, the
/// engine leaves it alone, and what it makes itself never has this one.
pub(crate) const OWN: Version = Version::HTTP_09;

/// What the handler answered, but for head and body.
pub(crate) struct Shell {
    pub(crate) response: HttpResponse<()>,
    /// It came out as an error.
    pub(crate) error: Option<Error>,
    /// It has no body, and states no length.
    pub(crate) silent: bool,
}

/// The framework's part of a request, and of its answer.
pub(crate) struct Desk<R: Asked> {
    seen: Seen,
    request: Cell<Option<R::Kept>>,
    payload: RefCell<Payload>,
    shell: Cell<Option<Shell>>,
}

impl<R: Asked> Desk<R> {
    pub(crate) fn new(request: R, seen: Seen) -> Rc<Self> {
        let (request, payload) = request.into_parts();
        Rc::new(Self {
            seen,
            request: Cell::new(Some(request)),
            payload: RefCell::new(payload),
            shell: Cell::new(None),
        })
    }

    pub(crate) const fn seen(&self) -> &Seen {
        &self.seen
    }

    pub(crate) fn take_request(&self) -> Option<R> {
        Some(R::from_parts(self.request.take()?, self.take_payload()))
    }

    /// The service has answered, and gives this back.
    pub(crate) fn put_request(&self, request: HttpRequest) {
        R::ran(&self.request, request);
    }

    pub(crate) fn take_payload(&self) -> Payload {
        self.payload.replace(Payload::None)
    }

    pub(crate) fn put_payload(&self, payload: Payload) {
        self.payload.replace(payload);
    }

    pub(crate) fn put_shell(&self, shell: Shell) {
        self.shell.set(Some(shell));
    }

    /// Makes actix's answer of the engine's. `body` learns whether the handler's own empty body
    /// states no length.
    pub(crate) fn answer(
        &self,
        parts: http::response::Parts,
        body: impl FnOnce(bool) -> BoxBody,
    ) -> Result<R::Answer, Error> {
        let own = parts.version == OWN;
        let shell = self.shell.take().filter(|_| own);
        let body = body(shell.as_ref().is_some_and(|shell| shell.silent));
        let (mut response, error) = match shell {
            Some(shell) => (shell.response, shell.error),
            None => (convert::blank(), None),
        };
        if let Some(mut error) = error {
            // An error stays one, for the middleware outside; its response is the engine's.
            let body = Cell::new(Some(body));
            error.add_response_mapper(move |mut response| {
                convert::apply(&parts, &mut response);
                match body.take() {
                    Some(body) => response.set_body(body),
                    None => response,
                }
            });
            return Err(error);
        }
        convert::apply(&parts, &mut response);
        Ok(R::answer(&self.request, &self.seen, response.set_body(body)))
    }

    /// Starts a refresh, which takes the request, as soon as the answer allows it.
    pub(crate) fn refresh(
        &self,
        answer: &mut R::Answer,
        refresh: impl Future<Output = ()> + 'static,
    ) {
        R::refresh(&self.request, answer, refresh);
    }
}

/// A parameter as `web::Path` gives it. The router has left `%25`, `%2B` and `%2F` as they are.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut pieces = value.split('%');
    bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        let escape = piece.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(piece.get(2..).unwrap_or_default().as_bytes());
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(piece.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_once() {
        for (raw, value) in [
            ("a%2Fb", "a/b"),
            ("%2541", "%41"),
            ("100%", "100%"),
            ("%zz%2", "%zz%2"),
            ("é%2b", "é+"),
        ] {
            assert_eq!(decoded(raw), value);
        }
    }
}
