//! The service.

use std::ops::ControlFlow;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{RequestHead, Service, ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpResponse};
use cache_core::Extracted;
use cache_core::body::ReplyBody;
use cache_core::engine::{Lifeline, Pending, Reply, Route, ServedBody, Step};
use cache_core::explain::Explain;

use crate::asked::Asked;
use crate::body::{Outgoing, Unsent};
use crate::cache::Cache;
use crate::convert;
use crate::desk::{Beside, Desk, Seen};
use crate::extract::Handles;
use crate::future::ResponseFuture;
use crate::guard::Guards;
use crate::head::{Found, Head};
use crate::origin::ActixOrigin;
use crate::spawn::ArbiterSpawn;

/// A service whose answers are cached. Made by [`CacheLayer`](crate::CacheLayer).
#[derive(Debug)]
pub struct CacheService<S> {
    inner: Rc<S>,
    route: Route,
    guards: Guards,
}

impl<S> CacheService<S> {
    pub(crate) fn new(inner: S, route: Route, guards: Guards) -> Self {
        Self { inner: Rc::new(inner), route, guards }
    }
}

impl<S, B> Service<ServiceRequest> for CacheService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&self, ctx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(ctx)
    }

    fn call(&self, req: ServiceRequest) -> ResponseFuture {
        if self.guards.is_empty() {
            call(&self.route, &self.inner, req)
        } else {
            self.call_guarded(req)
        }
    }
}

impl<S, B> CacheService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    fn call_guarded(&self, mut request: ServiceRequest) -> ResponseFuture {
        let (inner, route) = (Rc::clone(&self.inner), self.route.clone());
        let (guards, life) = (self.guards.clone(), route.lifeline());
        ResponseFuture::task(life.clone(), async move {
            let extracted = match guards.check(&mut request).await {
                Ok(extracted) => extracted,
                Err(rejection) => return Ok(request.error_response(rejection)),
            };
            let begun = match begin(&route, Some(extracted), &request) {
                ControlFlow::Break(reply) => return Ok(hit(request, reply)),
                ControlFlow::Continue(begun) => begun,
            };
            match begun {
                Begun::Pending(pending, seen) => {
                    serve(route, pending, inner, Desk::new(request, seen), life).await
                }
                Begun::Waiting(pending, beside) => {
                    search(route, pending, inner, (request, beside), life).await
                }
                Begun::Explain(seen) => Ok(explain(&route, request, &seen).await),
                Begun::Unheard => pass(inner, request).await,
            }
        })
    }
}

/// Answers a request for which no guard ran: from what is stored, or by the service inside.
#[inline]
pub(crate) fn call<R, S, B>(route: &Route, inner: &Rc<S>, request: R) -> ResponseFuture<R::Answer>
where
    R: Asked,
    S: Service<R, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    // A hit costs neither a handle of the service inside nor one of the route.
    match begin(route, None, &request) {
        ControlFlow::Break(reply) => ResponseFuture::ready(hit(request, reply)),
        ControlFlow::Continue(begun) => go_on(route, inner, request, begun),
    }
}

/// What a hit does not need lies here, with the memory for it.
#[inline(never)]
fn go_on<R, S, B>(
    route: &Route,
    inner: &Rc<S>,
    request: R,
    begun: Begun,
) -> ResponseFuture<R::Answer>
where
    R: Asked,
    S: Service<R, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    match begun {
        Begun::Pending(pending, seen) => {
            let (inner, route) = (Rc::clone(inner), route.clone());
            let life = route.lifeline();
            let desk = Desk::new(request, seen);
            ResponseFuture::task(life.clone(), serve(route, pending, inner, desk, life))
        }
        Begun::Waiting(pending, beside) => {
            let (inner, route) = (Rc::clone(inner), route.clone());
            let life = route.lifeline();
            let search = search(route, pending, inner, (request, beside), life.clone());
            ResponseFuture::task(life, search)
        }
        Begun::Explain(seen) => {
            let route = route.clone();
            ResponseFuture::task(route.lifeline(), async move {
                Ok(explain(&route, request, &seen).await)
            })
        }
        Begun::Unheard => ResponseFuture::task(route.lifeline(), pass(Rc::clone(inner), request)),
    }
}

/// What is not answered at once.
enum Begun {
    Pending(Pending, Seen),
    /// For the store; what is beside the head.
    Waiting(Pending, Option<Beside>),
    Explain(Seen),
    /// The engine has no words for it.
    Unheard,
}

/// The answer from what is stored, or how to go on. `extracted` is what guards gave, if any ran.
#[inline]
fn begin(
    route: &Route,
    extracted: Option<Vec<Extracted>>,
    request: &impl Asked,
) -> ControlFlow<Reply, Begun> {
    let Some(head) = Head::of(request.head()) else {
        return ControlFlow::Continue(Begun::Unheard);
    };
    let mut found = Found::default();
    let mut read = head.read(&mut found);
    if !found.is_heard() {
        return ControlFlow::Continue(Begun::Unheard);
    }
    let (outer, explains) = {
        let extensions = request.extensions();
        (Handles::wishes(&extensions), extensions.contains::<Explain>())
    };
    let mut beside = Beside::of(outer, extracted, read.announces_content());
    if route.keys_by_params() {
        beside.get_or_insert_default().read_params(request);
    }
    if let Some(beside) = &beside {
        read = beside.with(read);
    }
    if explains {
        return ControlFlow::Continue(Begun::Explain(seen(route, request, head, beside)));
    }
    ControlFlow::Continue(match route.attend(&read) {
        Step::Reply(reply) => return ControlFlow::Break(reply),
        Step::Forward(pending) if pending.waits() => Begun::Waiting(pending, beside),
        Step::Forward(pending) => Begun::Pending(pending, seen(route, request, head, beside)),
    })
}

/// The whole of a request that is not answered at once.
fn seen(
    route: &Route,
    request: &impl Asked,
    head: Head<&RequestHead>,
    beside: Option<Beside>,
) -> Seen {
    let mut beside = beside.unwrap_or_default();
    if !route.keys_by_params() && route.needs_params() {
        beside.read_params(request);
    }
    Seen::new(head, beside)
}

#[inline]
fn hit<R: Asked>(request: R, reply: Reply) -> R::Answer {
    request.answered(convert::from_store(reply, |body, stated| match body {
        ReplyBody::Whole(bytes) => BoxBody::new(bytes),
        ReplyBody::Absent => Unsent::boxed(stated),
        pieces @ ReplyBody::Pieces(_) => Outgoing::boxed(ServedBody::reply(pieces), None, false),
    }))
}

/// What waits for the store. A hit needs neither the request in terms of http 1.x nor the future of
/// a run.
async fn search<R, S, B>(
    route: Route,
    pending: Pending,
    inner: Rc<S>,
    (request, beside): (R, Option<Beside>),
    life: Lifeline,
) -> Result<R::Answer, Error>
where
    R: Asked,
    S: Service<R, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    // It was heard before.
    let Some(head) = Head::of(request.head()) else { return pass(inner, request).await };
    let read = head.read(&mut Found::default());
    let read = beside.as_ref().map_or(read, |beside| beside.with(read));
    match route.look_up(pending, read).await {
        Step::Reply(reply) => {
            drop(head);
            Ok(hit(request, reply))
        }
        Step::Forward(pending) => {
            let seen = seen(&route, &request, head, beside);
            let desk = Desk::new(request, seen);
            Box::pin(serve(route, pending, inner, desk, life)).await
        }
    }
}

async fn serve<R, S, B>(
    route: Route,
    pending: Pending,
    inner: Rc<S>,
    desk: Rc<Desk<R>>,
    life: Lifeline,
) -> Result<R::Answer, Error>
where
    R: Asked,
    S: Service<R, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    let origin = ActixOrigin::new(inner, Rc::clone(&desk), Cache::from(route.cache()));
    let Ok(served) = route.serve(pending, origin, ArbiterSpawn, life).await;
    let (parts, body) = served.response.into_parts();
    let stated = convert::stated_length(parts.headers.iter());
    let mut answer = desk.answer(parts, |silent| Outgoing::boxed(body, stated, silent))?;
    if let Some((refresh, origin)) = served.refresh {
        let refresh = async move {
            // The refreshed response is nobody's answer.
            let Ok(()) = Route::run_refresh(refresh, origin, ArbiterSpawn).await;
        };
        desk.refresh(&mut answer, refresh);
    }
    Ok(answer)
}

async fn explain<R: Asked>(route: &Route, request: R, seen: &Seen) -> R::Answer {
    let explanation = route.explain(&seen.head()).await;
    let mut response = HttpResponse::Ok().finish();
    response.extensions_mut().insert(explanation);
    request.answered(response.into())
}

async fn pass<R, S, B>(inner: Rc<S>, request: R) -> Result<R::Answer, Error>
where
    R: Asked,
    S: Service<R, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    Ok(R::passed(inner.call(request).await?.map_into_boxed_body()))
}
