//! A request's head, of which only as much becomes http 1.x as somebody asks for.

use std::borrow::Cow;
use std::sync::OnceLock;

use actix_web::HttpRequest;
use actix_web::dev as framework_dev;
use actix_web::http as framework;
use actix_web::http::header as framework_header;
use actix_web::test::TestRequest;
use cache_core::{LaterHead, RequestHead};
use http::{HeaderMap, HeaderName, Method, Uri};

use crate::convert::{Line, MOST_LINES, fields, has_words, name_out};
use crate::names;

/// The head of a request, of which only as much becomes http 1.x as somebody asks for.
// What few ask for lies in boxes: a hit moves and drops the rest.
pub(crate) struct Head<T> {
    method: Cow<'static, Method>,
    theirs: T,
    is_path: bool,
    uri: OnceLock<Box<Uri>>,
    headers: OnceLock<Box<HeaderMap>>,
}

/// Target and fields as actix has them: the request's own, or copies of them.
pub(crate) trait Theirs: Sync {
    fn uri(&self) -> &framework::Uri;

    fn lines(&self) -> impl Iterator<Item = Line<'_>>;

    /// One of the lines of a field, and whether there are more behind it.
    fn line(&self, name: &HeaderName, number: usize) -> Option<(&[u8], bool)>;
}

impl Theirs for &framework_dev::RequestHead {
    #[inline]
    fn uri(&self) -> &framework::Uri {
        &self.uri
    }

    #[inline]
    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.headers.iter()
    }

    fn line(&self, name: &HeaderName, number: usize) -> Option<(&[u8], bool)> {
        let lines = names::with(name, |name| self.headers.get_all(name), name_out)?.as_slice();
        Some((lines.get(number)?.as_bytes(), lines.len() > number + 1))
    }
}

/// What is kept of a request when others take it. All that lies in it is shared, not copied.
pub(crate) struct Kept {
    uri: framework::Uri,
    lines: Vec<(framework_header::HeaderName, framework_header::HeaderValue)>,
}

impl Theirs for Kept {
    fn uri(&self) -> &framework::Uri {
        &self.uri
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.lines.iter().map(|(name, value)| (name, value))
    }

    fn line(&self, name: &HeaderName, number: usize) -> Option<(&[u8], bool)> {
        let mut lines = self.lines().filter(|(other, _)| other.as_str() == name.as_str());
        let (_, line) = lines.nth(number)?;
        Some((line.as_bytes(), lines.next().is_some()))
    }
}

impl<'r> Head<&'r framework_dev::RequestHead> {
    /// `None` if http 1.x has no words for its target.
    #[inline(always)]
    pub(crate) fn of(theirs: &'r framework_dev::RequestHead) -> Option<Self> {
        let is_path = is_path(&theirs.uri);
        if is_path && theirs.uri.path_and_query().is_some_and(|it| it.as_str().len() >= LONGEST) {
            return None;
        }
        let uri = if is_path { OnceLock::new() } else { boxed(uri(&theirs.uri)?) };
        let method = method(&theirs.method);
        Some(Self { method, theirs, is_path, uri, headers: OnceLock::new() })
    }

    /// The same, without the request.
    pub(crate) fn keep(self) -> Head<Kept> {
        let Self { method, theirs, is_path, uri, headers } = self;
        let lines = theirs.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
        let theirs = Kept { uri: theirs.uri.clone(), lines: lines.collect() };
        Head { method, theirs, is_path, uri, headers }
    }
}

impl Head<Kept> {
    /// The head of a request in so far as there are words for it: its method in any case.
    pub(crate) fn heard(request: &framework_dev::RequestHead) -> Self {
        let is_heard = |head: &Head<&framework_dev::RequestHead>| {
            let mut found = Found::default();
            head.read(&mut found);
            found.is_heard()
        };
        match Head::of(request).filter(is_heard) {
            Some(head) => head.keep(),
            None => Self {
                method: method(&request.method),
                theirs: Kept { uri: framework::Uri::default(), lines: Vec::new() },
                is_path: true,
                uri: OnceLock::new(),
                headers: OnceLock::new(),
            },
        }
    }

    /// A request with this head, for want of the one that was lost.
    pub(crate) fn request(&self) -> HttpRequest {
        // Nothing but actix's own test kit makes a request outside of a server.
        let mut like = TestRequest::default();
        let uri = self.theirs.uri.to_string();
        if framework::Uri::try_from(&uri).is_ok() {
            like = like.uri(&uri);
        }
        if let Ok(method) = framework::Method::from_bytes(self.method.as_str().as_bytes()) {
            like = like.method(method);
        }
        for (name, value) in self.theirs.lines() {
            like = like.append_header((name.clone(), value.clone()));
        }
        like.to_http_request()
    }
}

impl<T: Theirs> Head<T> {
    /// As the engine reads it. What one pass over its lines finds is written down.
    pub(crate) fn read(&self, found: &mut Found) -> RequestHead<'_> {
        let lines = self.theirs.lines().map(|(name, value)| {
            let name = name.as_str();
            found.line(name);
            (name, value.as_bytes())
        });
        if let Some(target) = self.theirs.uri().path_and_query().filter(|_| self.is_path) {
            return RequestHead::later(&self.method, target.as_str(), lines, self);
        }
        lines.for_each(drop);
        RequestHead::new(&self.method, self.uri(), self.headers())
    }
}

fn boxed<T>(made: T) -> OnceLock<Box<T>> {
    OnceLock::from(Box::new(made))
}

/// What one pass over the lines of a request finds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    lines: usize,
    odd: bool,
}

impl Found {
    #[inline]
    fn line(&mut self, name: &str) {
        self.lines += 1;
        self.odd |= !has_words(name);
    }

    /// Whether http 1.x has words for all of them.
    pub(crate) const fn is_heard(&self) -> bool {
        !self.odd && self.lines <= MOST_LINES
    }
}

impl<T: Theirs> LaterHead for Head<T> {
    fn uri(&self) -> &Uri {
        self.uri.get_or_init(|| Box::new(path_of(self.theirs.uri())))
    }

    fn headers(&self) -> &HeaderMap {
        self.headers.get_or_init(|| Box::new(fields(self.theirs.lines()).0))
    }

    fn line(&self, name: &HeaderName, number: usize) -> Option<(&[u8], bool)> {
        self.theirs.line(name, number)
    }

    fn is_sensitive(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        self.theirs.lines().any(|(other, line)| other.as_str() == name && line.is_sensitive())
    }

    fn each_line(&self, take: &mut dyn FnMut(&str, &[u8], bool)) {
        for (name, value) in self.theirs.lines() {
            take(name.as_str(), value.as_bytes(), value.is_sensitive());
        }
    }
}

/// A target that is longer is none to http 1.x. With HTTP/2 there may be one.
const LONGEST: usize = u16::MAX as usize;

/// Whether a target is no more than a path and a query, as most are.
fn is_path(uri: &framework::Uri) -> bool {
    uri.authority().is_none()
        && uri.scheme().is_none()
        && uri.path_and_query().is_some_and(|target| target.as_str().starts_with('/'))
}

/// What is a path to http 0.2 is one to http 1.x.
fn path_of(theirs: &framework::Uri) -> Uri {
    uri(theirs).unwrap_or_default()
}

fn uri(theirs: &framework::Uri) -> Option<Uri> {
    match theirs.path_and_query() {
        Some(target) if is_path(theirs) => Uri::try_from(target.as_str()).ok(),
        _ => Uri::try_from(theirs.to_string()).ok().filter(|made| is_same(made, theirs)),
    }
}

/// Whether it says in each part what it was made of as a text. With HTTP/2 parts come one by one, and a path
/// need not begin with a slash: authority `a.co` and path `m/x` are the text of `a.com` and `/x`.
fn is_same(made: &Uri, theirs: &framework::Uri) -> bool {
    made.scheme_str() == theirs.scheme_str()
        && made.authority().map(|it| it.as_str()) == theirs.authority().map(|it| it.as_str())
        && made.path() == theirs.path()
        && made.query() == theirs.query()
}

static GET: Method = Method::GET;
static HEAD: Method = Method::HEAD;

/// Both versions allow the same methods; any but a safe one will do.
#[inline]
fn method(method: &framework::Method) -> Cow<'static, Method> {
    match *method {
        framework::Method::GET => Cow::Borrowed(&GET),
        framework::Method::HEAD => Cow::Borrowed(&HEAD),
        ref other => {
            let other = Method::from_bytes(other.as_str().as_bytes());
            Cow::Owned(other.unwrap_or(Method::POST))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_its_words() {
        for byte in 0..=u8::MAX {
            for prefix in ["/a", "/a?b=", "http://host/a"] {
                let mut target = prefix.as_bytes().to_vec();
                target.push(byte);
                if let Ok(uri) = framework::Uri::try_from(target) {
                    let text = uri.to_string();
                    let converted = Uri::try_from(&text).expect("a target");
                    assert_eq!(converted.path(), uri.path());
                    assert_eq!(converted.query(), uri.query());
                    assert_eq!(Some(converted), super::uri(&uri));
                }
            }
        }
    }

    #[test]
    fn a_head_is_the_same_before_and_after_it_is_converted() {
        let mut second = framework_header::HeaderValue::from_static("2");
        second.set_sensitive(true);
        let asked = TestRequest::with_uri("/a/b?c=d&e")
            .append_header(("host", "here"))
            .append_header(("x-two", "1"))
            .append_header(("x-two", second))
            .to_http_request();
        let head = Head::of(asked.head()).unwrap();
        let read = head.read(&mut Found::default());
        let name = HeaderName::from_static("x-two");
        assert_eq!(LaterHead::line(&head, &name, 0).unwrap(), (&b"1"[..], true));
        assert_eq!(LaterHead::line(&head, &name, 1).unwrap(), (&b"2"[..], false));
        assert_eq!(LaterHead::line(&head, &name, 2), None);
        let sensitive = |head: &dyn LaterHead, name: &HeaderName| head.is_sensitive(name);
        assert!(sensitive(&head, &name) && !sensitive(&head, &http::header::HOST));
        assert!(head.uri.get().is_none() && head.headers.get().is_none());
        assert_eq!(read.headers().get_all("x-two").iter().count(), 2);
        let kept = head.keep();
        let read = kept.read(&mut Found::default());
        assert_eq!((read.uri().path(), read.uri().query()), ("/a/b", Some("c=d&e")));
        assert_eq!(read.headers().len(), 3);
        assert_eq!(LaterHead::line(&kept, &name, 0).unwrap(), (&b"1"[..], true));
        assert_eq!(LaterHead::line(&kept, &name, 1).unwrap(), (&b"2"[..], false));
        assert_eq!(LaterHead::line(&kept, &name, 2), None);
        assert!(sensitive(&kept, &name) && !sensitive(&kept, &http::header::HOST));
    }

    #[test]
    fn a_target_with_an_authority_is_converted_at_once() {
        let asked = TestRequest::with_uri("http://there/a").to_http_request();
        let head = Head::of(asked.head()).unwrap();
        let read = head.read(&mut Found::default());
        assert_eq!(read.uri().authority().unwrap(), "there");
    }

    /// As HTTP/2 has them, where the parts of a target come one by one.
    #[test]
    fn a_target_whose_text_is_that_of_another_one_is_not_heard() {
        let long = format!("/{}", "a".repeat(LONGEST));
        let heard = |scheme: Option<&str>, authority: Option<&str>, path: &str| {
            let mut parts = framework::uri::Parts::default();
            parts.scheme = scheme.map(|it| it.parse().unwrap());
            parts.authority = authority.map(|it| it.parse().unwrap());
            parts.path_and_query = Some(path.parse().unwrap());
            let mut asked = TestRequest::default().to_srv_request();
            asked.head_mut().uri = framework::Uri::from_parts(parts).unwrap();
            Head::of(asked.head()).is_some()
        };
        assert!(heard(Some("https"), Some("there.co"), "/m/x?y"));
        assert!(heard(None, None, "/m/x?y") && heard(None, None, "*"));
        assert!(!heard(Some("https"), Some("there.co"), "m/x"));
        assert!(!heard(None, None, "http://there/x") && !heard(None, None, "x"));
        let longest = &long[..LONGEST - 1];
        assert!(!heard(None, None, &long) && heard(None, None, longest));
        assert!(Uri::try_from(&*long).is_err() && Uri::try_from(longest).is_ok());
    }

    #[test]
    fn a_name_without_words_is_not_heard() {
        let odd = TestRequest::default().append_header(("a\"b", "odd")).to_http_request();
        let mut found = Found::default();
        Head::of(odd.head()).unwrap().read(&mut found);
        assert!(!found.is_heard());
        assert_eq!(Head::heard(odd.head()).theirs.lines().count(), 0);
    }

    #[test]
    fn content_is_what_is_announced() {
        let announces = |lines: &[(&'static str, &'static str)]| {
            let mut asked = TestRequest::default();
            for line in lines {
                asked = asked.append_header(*line);
            }
            let asked = asked.to_http_request();
            let head = Head::of(asked.head()).unwrap();
            head.read(&mut Found::default()).announces_content()
        };
        assert!(!announces(&[]) && !announces(&[("content-length", "0")]));
        assert!(announces(&[("content-length", "1")]));
        assert!(announces(&[("transfer-encoding", "chunked")]));
        assert!(announces(&[("content-length", "0"), ("transfer-encoding", "chunked")]));
    }
}
