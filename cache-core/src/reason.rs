//! Why a request was not answered from the store, or its answer not stored.

use std::fmt;

use crate::store::{Refusal, StoreErrorKind};

/// Declares the reasons with their stable names, once.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// Why a request was not answered from the store, or its answer not stored.
        ///
        /// The names are stable and the same in `Cache-Status`, statistics, traces and
        /// [`explain`](crate::explain).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All reasons, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

reasons! {
    /// The cache is switched off.
    SwitchedOff = "switched-off",
    /// The method is not one of the route's cached ones.
    Method = "method",
    /// The route's condition says no.
    Condition = "condition",
    /// The request carries `Authorization`, and the route does not say what it means.
    Authorization = "authorization",
    /// The request carries cookies, and the route does not say what they mean.
    Cookie = "cookie",
    /// The request has a precondition that only the handler can judge.
    Precondition = "precondition",
    /// The request asks for another protocol.
    Upgrade = "upgrade",
    /// The key function failed, or took longer than `store_timeout`.
    KeyFailed = "key-failed",
    /// The query is not of the declared type.
    Query = "query",
    /// The request asks for a part of the representation.
    Range = "range",
    /// The route lies inside another cached route of the same cache, which caches for both.
    Nested = "nested",
    /// The route lies inside a cached route of another cache, whose copy its own cache could not
    /// invalidate: neither stores the answer.
    OtherCache = "other-cache",
    /// The handler validated another response than the stored one.
    OtherValidator = "other-validator",
    /// A placeholder of the key or of a tag has no value.
    UnknownPlaceholder = "unknown-placeholder",
    /// The body that would be part of the key is too large, has trailers, or could not be read.
    RequestBody = "request-body",
    /// The request says `no-store`.
    RequestNoStore = "request-no-store",
    /// The request wants a newer answer than the stored one.
    RequestDirective = "request-directive",
    /// Nothing is stored under the key.
    Absent = "absent",
    /// What is stored was made for other values of the nominated fields.
    OtherVariant = "other-variant",
    /// What is stored is past its life.
    Expired = "expired",
    /// The store cannot be reached.
    StoreUnavailable = "store-unavailable",
    /// The store did not answer in time.
    StoreTimeout = "store-timeout",
    /// The store failed otherwise.
    StoreError = "store-error",
    /// The flight that the request waited for took too long.
    FlightTimeout = "flight-timeout",
    /// The flight had no room for another follower.
    FlightFull = "flight-full",
    /// The flight ended without an answer that this request could have.
    FlightFailed = "flight-failed",
    /// The status is not one that is stored.
    Status = "status",
    /// The response says `no-store`.
    NoStore = "no-store",
    /// The response says `private`.
    Private = "private",
    /// The response says `no-cache`.
    NoCache = "no-cache",
    /// The response sets a cookie.
    SetCookie = "set-cookie",
    /// The response varies on everything, or on too many fields.
    Vary = "vary",
    /// The response is a part of a representation.
    ContentRange = "content-range",
    /// The response is an event stream.
    EventStream = "event-stream",
    /// The route's `store_if` says no.
    StoreIf = "store-if",
    /// The handler asked not to store.
    Handler = "handler",
    /// The life is zero.
    ZeroTtl = "zero-ttl",
    /// Neither the response nor the policy gives it a life.
    NoLifetime = "no-lifetime",
    /// The TTL function failed, or took longer than `store_timeout`.
    TtlFailed = "ttl-failed",
    /// The response has too many tags, or one that cannot be.
    Tags = "tags",
    /// The body is larger than `max_body`: the policy's or the store's.
    TooLarge = "too-large",
    /// The body ended early, late or with an error.
    BodyFailed = "body-failed",
    /// The response came later than `max_fill`.
    TooOld = "too-old",
    /// An invalidation came between the request and its answer.
    Superseded = "superseded",
    /// The store has no room.
    Capacity = "capacity",
    /// The invalidation after the write failed.
    InvalidationFailed = "invalidation-failed",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooLarge => Self::TooLarge,
            Refusal::TooOld => Self::TooOld,
            Refusal::KeyMismatch => Self::StoreError,
            Refusal::Capacity => Self::Capacity,
        }
    }
}

impl From<StoreErrorKind> for Reason {
    fn from(kind: StoreErrorKind) -> Self {
        match kind {
            StoreErrorKind::Unavailable => Self::StoreUnavailable,
            StoreErrorKind::TimedOut => Self::StoreTimeout,
            StoreErrorKind::Full => Self::Capacity,
            StoreErrorKind::Corrupt | StoreErrorKind::Unsupported | StoreErrorKind::Other => {
                Self::StoreError
            }
        }
    }
}

/// How a request reached the handler: the `fwd` values of RFC 9211 §2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Forwarded {
    /// The cache was told to stay out.
    Bypass,
    /// The method's semantics demand it.
    Method,
    /// Nothing matched the target.
    UriMiss,
    /// Something matched the target, but not the nominated fields.
    VaryMiss,
    /// Nothing usable, for some other cause.
    Miss,
    /// The request's own directives demand it.
    Request,
    /// What is stored is stale.
    Stale,
}

impl Forwarded {
    /// The token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
        }
    }
}

impl From<Reason> for Forwarded {
    /// How a request that was not answered from the store for this reason was forwarded.
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Method => Self::Method,
            Reason::Absent => Self::UriMiss,
            Reason::OtherVariant => Self::VaryMiss,
            Reason::Expired => Self::Stale,
            Reason::RequestDirective => Self::Request,
            Reason::SwitchedOff
            | Reason::Condition
            | Reason::Authorization
            | Reason::Cookie
            | Reason::Precondition
            | Reason::Upgrade
            | Reason::KeyFailed
            | Reason::Query
            | Reason::Nested
            | Reason::OtherCache
            | Reason::UnknownPlaceholder
            | Reason::RequestBody
            | Reason::RequestNoStore => Self::Bypass,
            _ => Self::Miss,
        }
    }
}
