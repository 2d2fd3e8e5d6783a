//! Messages between actix-web, which is on http 0.2, and the origin's client, on http 1.x.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http as framework;
use actix_web::http::header as framework_header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use cache_proxy_common::body::OriginBody;
use futures_util::Stream as _;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Response, Uri};
use http_body::{Body, Frame};

/// The head of a request; `None` if http 1.x has no words for it.
pub(crate) fn request(request: &HttpRequest) -> Option<http::request::Parts> {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = Method::from_bytes(request.method().as_str().as_bytes()).ok()?;
    parts.uri = Uri::try_from(request.uri().to_string()).ok()?;
    for (name, value) in request.headers() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        parts.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    Some(parts)
}

/// The origin's answer, as actix sends it.
pub(crate) fn response(answer: Response<OriginBody<RequestBody>>, is_head: bool) -> HttpResponse {
    let (parts, body) = answer.into_parts();
    let status = framework::StatusCode::from_u16(parts.status.as_u16());
    let mut response =
        HttpResponseBuilder::new(status.unwrap_or(framework::StatusCode::BAD_GATEWAY));
    for (name, value) in &parts.headers {
        let name = framework_header::HeaderName::from_bytes(name.as_str().as_bytes());
        let value = framework_header::HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            response.append_header((name, value));
        }
    }
    let stated =
        parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let size = match (is_head, stated) {
        // The length of a content that does not come: actix leaves the field as it is.
        (true, Some(length)) => {
            response.no_chunking(length);
            BodySize::Stream
        }
        (true, None) => BodySize::None,
        (false, Some(length)) => BodySize::Sized(length),
        (false, None) if body.is_end_stream() => BodySize::None,
        (false, None) => BodySize::Stream,
    };
    response.body(BoxBody::new(Answer { body, size }))
}

/// A request's content on its way to the origin.
pub(crate) struct RequestBody {
    payload: Payload,
    announced: bool,
}

impl RequestBody {
    pub(crate) fn new(headers: &HeaderMap, payload: Payload) -> Self {
        let length = headers.get(CONTENT_LENGTH).map(|length| length.as_bytes() != b"0");
        let announced = length.unwrap_or_else(|| headers.contains_key(TRANSFER_ENCODING));
        Self { payload, announced }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = PayloadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PayloadError>>> {
        let polled = ready!(Pin::new(&mut self.payload).poll_next(cx));
        Poll::Ready(polled.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        !self.announced
    }
}

/// The origin's content on its way to the client.
struct Answer {
    body: OriginBody<RequestBody>,
    size: BodySize,
}

impl MessageBody for Answer {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(frame)) => match frame.into_data() {
                    // To actix an empty chunk is the end.
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    // actix sends no trailers.
                    Err(_) => {}
                },
            }
        }
    }
}
