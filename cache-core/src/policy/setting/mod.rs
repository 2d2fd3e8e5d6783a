//! The values that settings take; their spellings in configuration files are in the
//! [table](super#settings).

mod coalesce;
mod statuses;
mod ttl;

use serde::{Deserialize, Serialize};

pub use self::coalesce::Coalesce;
pub use self::statuses::Statuses;
pub use self::ttl::{Ttl, Weekday};
pub use crate::key::query::QueryRule;
pub use crate::tag::template::UnknownPlaceholder;

/// Whose word decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// The application's: response lifetimes and, by default, client directives are ignored.
    Ttl,
    /// The response's: a shared cache by RFC 9111, without a default lifetime.
    Http,
}

/// What a request's `Authorization` means to the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Authorization {
    /// Such requests go to the handler and are not stored.
    #[default]
    Bypass,
    /// It is part of the key: each client has its own entries.
    Key,
    /// It does not matter: the answer is the same for everybody.
    Public,
    /// The response says so: it is stored if it is `public`, `must-revalidate` or has `s-maxage`
    /// (RFC 9111 §3.5). Under [`Mode::Http`] only, and the default there.
    Rfc,
}

/// What a request's cookies mean to the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cookies {
    /// Such requests go to the handler and are not stored.
    #[default]
    Bypass,
    /// They do not matter, and are removed from what the handler sees.
    Ignore,
    /// These are part of the key; the handler sees only them.
    Key(Vec<String>),
    /// They are ordinary request fields: a response that depends on them says `Vary: Cookie` or is
    /// `private`. Under [`Mode::Http`] only. A handler that says neither shares what it made for
    /// one client with all.
    Rfc,
}

/// What becomes of a response with `Set-Cookie`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SetCookie {
    /// It is not stored.
    #[default]
    Refuse,
    /// It is stored without the field; the first client keeps its own.
    Strip,
    /// It is stored and **replayed to every client**.
    DangerReplay,
}

/// A namespace, and how it stands to the application's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = r#"null or {"name":"users","combine":"concat"}"#)]
#[non_exhaustive]
pub struct Namespace {
    /// Its name; `:` separates levels.
    pub name: String,
    /// Below the application's, or in its place.
    #[serde(default)]
    pub combine: Combine,
}

impl Namespace {
    /// A namespace below the application's own.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), combine: Combine::Concat }
    }

    /// The same in place of the application's own.
    #[must_use]
    pub const fn replacing(mut self) -> Self {
        self.combine = Combine::Replace;
        self
    }
}

/// How a route's namespace stands to the application's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Combine {
    /// `app:route`.
    #[default]
    Concat,
    /// `route`.
    Replace,
}

/// Whether a request's own `Cache-Control` and `Pragma` are heeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientDirectives {
    /// They are not.
    #[default]
    Ignore,
    /// They are (RFC 9111 §5.2.1).
    Honour,
}

/// What a successful request with an unsafe method invalidates (RFC 9111 §4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnsafeInvalidates {
    /// Nothing of its own accord.
    #[default]
    None,
    /// Its target, and what `Location` and `Content-Location` name on the same origin.
    Uri,
}

/// When two requests present the same values for a field that a response's `Vary` names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VaryValues {
    /// When the lines are the same, byte for byte.
    #[default]
    Exact,
    /// When they mean the same: several lines or one, space around commas, and the order and case
    /// of languages make no difference (RFC 9111 §4.1).
    Normalised,
}

/// What a client hears when the invalidation after a write fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OnInvalidationError {
    /// The handler's answer, with a reason in `Cache-Status`.
    #[default]
    #[serde(rename = "pass")]
    Pass,
    /// 503.
    #[serde(rename = "503")]
    Unavailable,
}

/// The entity tag given to a response that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EtagRule {
    /// The SHA-256 of the body.
    #[default]
    Strong,
    /// The same, marked weak.
    Weak,
    /// None.
    Off,
}

/// The `Cache-Control` sent to clients where the handler set none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Downstream {
    /// None.
    #[default]
    Leave,
    /// `max-age` with the remaining life; with `private` where guards have let the request through.
    MaxAgeRemaining,
    /// This text.
    Fixed(String),
    /// `no-store`.
    NoStore,
}

/// The field that says `HIT` or `MISS`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = r#"null or {"name":"X-Cache","hit":"HIT","miss":"MISS"}"#
)]
#[non_exhaustive]
pub struct StatusHeader {
    /// Its name.
    pub name: String,
    /// Its value on an answer from the store.
    pub hit: String,
    /// Its value on an answer that was stored.
    pub miss: String,
}

impl StatusHeader {
    /// A field of this name with these two values.
    #[must_use]
    pub fn new(name: impl Into<String>, hit: impl Into<String>, miss: impl Into<String>) -> Self {
        Self { name: name.into(), hit: hit.into(), miss: miss.into() }
    }
}

impl Default for StatusHeader {
    fn default() -> Self {
        Self::new("X-Cache", "HIT", "MISS")
    }
}

/// How much `Cache-Status` says (RFC 9211).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CacheStatusRule {
    /// The field is not sent.
    Off,
    /// What happened, and the reason where nothing was reused or stored.
    #[default]
    Plain,
    /// The same with the key's digest.
    Detail,
}
