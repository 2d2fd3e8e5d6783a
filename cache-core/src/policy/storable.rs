//! Whether a response may be stored, for how long, and with which head (RFC 9111 §3).

use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::rules::Rules;
use super::setting::SetCookie;
use super::{Lifetime, ResponseHead};
use crate::entry::Life;
use crate::field::cache_control::CacheControl;
use crate::field::list::members;
use crate::field::{conditional, hop_by_hop};
use crate::head::RequestHead;
use crate::key::vary::{Nominated, nominated};
use crate::reason::Reason;
use crate::wishes::WishList;

/// A response that may be stored.
#[derive(Clone, Debug)]
pub(crate) struct Storable {
    /// How long.
    pub(crate) life: Life,
    /// The fields it nominated that are not in the key already.
    pub(crate) nominated: Vec<HeaderName>,
}

/// Decides, in the order in which a reader would expect the reasons.
///
/// `lifetime` is the outcome of the route's TTL function, where it has one.
pub(crate) fn storable(
    rules: &Rules,
    request: &RequestHead<'_>,
    response: &ResponseHead<'_>,
    wishes: &WishList,
    lifetime: Option<&Lifetime>,
    now: SystemTime,
) -> Result<Storable, Reason> {
    let headers = response.headers();
    let by_status = life_of_status(rules, response.status());
    if wishes.refuse {
        return Err(Reason::Handler);
    }
    if wishes.failed {
        return Err(Reason::Tags);
    }
    if by_status.is_none() && !rules.statuses.admit(response.status())
        || response.status() == StatusCode::NOT_MODIFIED
    {
        return Err(Reason::Status);
    }
    forbidden_by_fields(rules, headers, wishes)?;
    let nominated = match nominated(headers) {
        Nominated::Any => return Err(Reason::Vary),
        Nominated::Fields(mut names) => {
            names.retain(|name| !rules.emitted_vary.contains(name) || *name == header::COOKIE);
            names
        }
    };
    if let Some(test) = &rules.code.store_if {
        let asked = std::panic::AssertUnwindSafe(|| test(request, response));
        if !std::panic::catch_unwind(asked).unwrap_or(false) {
            return Err(Reason::StoreIf);
        }
    }
    let fixed = || lifetime.unwrap_or(&rules.lifetime).from(now);
    let ttl = wishes.ttl.or(by_status).or_else(fixed).ok_or(Reason::TtlFailed)?;
    // Stored times are whole milliseconds; less than one is none.
    if ttl < Duration::from_millis(1) {
        return Err(Reason::ZeroTtl);
    }
    let initial_age = age_at_receipt(headers);
    let life = Life {
        initial_age,
        fresh_for: ttl.saturating_add(initial_age),
        stale_while_revalidate: rules.stale_while_revalidate,
        stale_if_error: rules.stale_if_error,
        stored_at: now,
    };
    Ok(Storable { life, nominated })
}

fn life_of_status(rules: &Rules, status: StatusCode) -> Option<Duration> {
    rules.lifetime_by_status.iter().find(|(listed, _)| *listed == status).map(|(_, life)| *life)
}

fn forbidden_by_fields(
    rules: &Rules,
    headers: &HeaderMap,
    wishes: &WishList,
) -> Result<(), Reason> {
    let directives = CacheControl::of(headers);
    if directives.no_store {
        return Err(Reason::NoStore);
    }
    if directives.private {
        return Err(Reason::Private);
    }
    if directives.no_cache {
        return Err(Reason::NoCache);
    }
    let refuses = rules.set_cookie == SetCookie::Refuse && !wishes.strip_cookies;
    if refuses && headers.contains_key(header::SET_COOKIE) {
        return Err(Reason::SetCookie);
    }
    if headers.contains_key(header::CONTENT_RANGE) {
        return Err(Reason::ContentRange);
    }
    let media = |value: &HeaderValue| {
        let media = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        media.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    };
    if headers.get_all(header::CONTENT_TYPE).iter().any(media) {
        return Err(Reason::EventStream);
    }
    Ok(())
}

/// The age a response already had when it arrived (RFC 9111 §4.2.3): of `Age` the first member,
/// ignored if it is no number.
fn age_at_receipt(headers: &HeaderMap) -> Duration {
    let first = members(headers, &header::AGE).next().unwrap_or_default();
    let digits = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(first).unwrap_or_default();
    let seconds = if digits { text.parse().unwrap_or(u64::MAX) } else { 0 };
    Duration::from_secs(seconds.min(1 << 31))
}

/// The head as it is stored: without what belongs to one connection or one client.
pub(crate) fn stored_headers(
    rules: &Rules,
    response: &HeaderMap,
    wishes: &WishList,
    now: SystemTime,
) -> HeaderMap {
    let mut headers = response.clone();
    hop_by_hop::strip(&mut headers);
    headers.remove(header::AGE);
    if rules.set_cookie == SetCookie::Strip || wishes.strip_cookies {
        headers.remove(header::SET_COOKIE);
    }
    if conditional::date(&headers, &header::DATE).is_none()
        && let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now))
    {
        headers.insert(header::DATE, date);
    }
    headers
}

/// Adds the fields that the key depends on to `Vary`, each name once.
pub(crate) fn merge_vary(rules: &Rules, headers: &mut HeaderMap) {
    if rules.emitted_vary.is_empty() {
        return;
    }
    let mut names: Vec<String> = Vec::new();
    let present = members(headers, &header::VARY).map(|m| String::from_utf8_lossy(m).into_owned());
    let added = rules.emitted_vary.iter().map(|name| name.as_str().to_owned());
    for name in present.collect::<Vec<_>>().into_iter().chain(added) {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            names.push(name);
        }
    }
    if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
        headers.insert(header::VARY, value);
    }
}

/// Whether a complete body of this length contradicts what the head said of it.
pub(crate) fn contradicts_length(method: &Method, headers: &HeaderMap, body: usize) -> bool {
    method != Method::HEAD
        && headers.contains_key(header::CONTENT_LENGTH)
        && content_length(headers) != Some(body as u64)
}

/// The announced length, if all lines agree on one.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let read = |value: &HeaderValue| value.to_str().ok()?.trim().parse().ok();
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter().map(read);
    let first = lines.next()??;
    lines.all(|line| line == Some(first)).then_some(first)
}
