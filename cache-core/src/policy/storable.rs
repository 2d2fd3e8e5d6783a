//! Whether a response may be stored, for how long, and with which head (RFC 9111 §3).

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::rules::Rules;
use super::setting::SetCookie;
use super::{Lifetime, ResponseHead, plan, rfc};
use crate::engine::kept::Kept;
use crate::engine::written;
use crate::entry::{Life, Packing};
use crate::field::cache_control::CacheControl;
use crate::field::list::members;
use crate::field::notes::Noted;
use crate::field::said::{Said, Saying, Stated};
use crate::field::{age, conditional, groups, hop_by_hop};
use crate::key::vary::{Nominated, nominated};
use crate::reason::Reason;
use crate::tag::Tag;
use crate::wishes::WishList;

/// A response that may be stored.
#[derive(Clone, Debug)]
pub(crate) struct Storable {
    /// How long.
    pub(crate) life: Life,
    /// How long after that it is kept to be validated.
    pub(crate) keep: Duration,
    /// The fields it nominated that are not in the key already.
    pub(crate) nominated: Vec<HeaderName>,
    /// The fields that must not be stored with it.
    pub(crate) withheld: Vec<HeaderName>,
    /// `Set-Cookie` is not stored with it either.
    pub(crate) strips_cookies: bool,
    /// The cache groups that it belongs to.
    pub(crate) groups: Vec<Tag>,
    /// What its fields say.
    pub(crate) said: Said,
}

/// When a request went to the handler, where anybody asks for that, and when its response came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) asked: Option<SystemTime>,
    pub(crate) answered: SystemTime,
}

/// Decides, in the order in which a reader would expect the reasons.
///
/// `lifetime` is the outcome of the route's TTL function, where it has one.
pub(crate) fn storable(
    rules: &Rules,
    request: &Kept,
    response: &ResponseHead<'_>,
    wishes: &WishList,
    lifetime: Option<&Lifetime>,
    times: Times,
) -> Result<Storable, Reason> {
    let headers = response.headers();
    let said = Said::of(headers);
    let misses_of_inner =
        wishes.of_http && !rules.is_http() || wishes.of_groups && !rules.cache_groups;
    if wishes.refuse || misses_of_inner {
        return Err(Reason::Handler);
    }
    if wishes.failed {
        return Err(Reason::Tags);
    }
    let status = response.status();
    if life_of_status(rules, status).is_none() && !rules.statuses.admit(status)
        || status == StatusCode::NOT_MODIFIED
    {
        return Err(Reason::Status);
    }
    let says = if rules.is_http() {
        Some(rfc::permitted(rules, request.has(Noted::Authorization), response)?)
    } else {
        forbidden_by_fields(headers, said)?;
        None
    };
    let withheld = says.as_ref().map(|says| says.directives.withheld.clone()).unwrap_or_default();
    let refuses = rules.set_cookie == SetCookie::Refuse
        && !wishes.strip_cookies
        && !withheld.contains(&header::SET_COOKIE);
    if refuses && said.has(Saying::SetCookie) {
        return Err(Reason::SetCookie);
    }
    if said.is_event_stream() {
        return Err(Reason::EventStream);
    }
    let nominated = match said.has(Saying::Vary).then(|| nominated(headers)) {
        None => Vec::new(),
        Some(Nominated::Any) => return Err(Reason::Vary),
        Some(Nominated::Fields(mut names)) => {
            names.retain(|name| !rules.emitted_vary.contains(name) || *name == header::COOKIE);
            names
        }
    };
    if let Some(test) = &rules.code.store_if {
        let asked = std::panic::AssertUnwindSafe(|| test(&request.head(), response));
        if !std::panic::catch_unwind(asked).unwrap_or(false) {
            return Err(Reason::StoreIf);
        }
    }
    let keep = if can_be_validated(status, said) { rules.keep } else { Duration::ZERO };
    let set = set_lifetime(rules, status, wishes, lifetime, times.answered);
    let life = match says {
        Some(says) => rfc::life(rules, response, &says, set?, keep, times)?,
        None => fixed_life(rules, headers, said, set?, times.answered)?,
    };
    let groups = if rules.cache_groups {
        let names = groups::of(headers, &groups::CACHE_GROUPS).ok_or(Reason::Tags)?;
        let of = |name: &String| plan::group(rules, &request.head(), name);
        names.iter().map(of).collect()
    } else {
        Vec::new()
    };
    let strips_cookies = rules.set_cookie == SetCookie::Strip || wishes.strip_cookies;
    Ok(Storable { life, keep, nominated, withheld, strips_cookies, groups, said })
}

/// A 304 stands for a 200 (RFC 9110 §15.4.5): it confirms nothing else.
fn can_be_validated(status: StatusCode, said: Said) -> bool {
    // The cache's own tag, which is none to the handler, is not among them yet.
    status == StatusCode::OK && (said.has(Saying::Etag) || said.has(Saying::LastModified))
}

/// A life that the application gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetLifetime {
    pub(crate) ttl: Duration,
    pub(crate) by: SetBy,
}

/// For which responses it was given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SetBy {
    /// For this one.
    Handler,
    /// For those of this status.
    Status,
    /// For all.
    Default,
}

/// What the handler or the policy says: the handler's wish, then by status, function, fixed.
fn set_lifetime(
    rules: &Rules,
    status: StatusCode,
    wishes: &WishList,
    lifetime: Option<&Lifetime>,
    now: SystemTime,
) -> Result<Option<SetLifetime>, Reason> {
    if let Some(ttl) = wishes.ttl {
        return Ok(Some(SetLifetime { ttl, by: SetBy::Handler }));
    }
    let set = |ttl, by| Some(SetLifetime { ttl, by });
    if let Some(ttl) = life_of_status(rules, status) {
        return Ok(set(ttl, SetBy::Status));
    }
    match lifetime.or(rules.lifetime.as_ref()) {
        Some(lifetime) => {
            let ttl = lifetime.from(now).ok_or(Reason::TtlFailed)?;
            Ok(set(ttl, SetBy::Default))
        }
        None => Ok(None),
    }
}

/// Under `ttl`, the application's word is all.
fn fixed_life(
    rules: &Rules,
    headers: &HeaderMap,
    said: Said,
    set: Option<SetLifetime>,
    now: SystemTime,
) -> Result<Life, Reason> {
    let ttl = set.ok_or(Reason::TtlFailed)?.ttl;
    // Stored times are whole milliseconds; less than one is none.
    if ttl < Duration::from_millis(1) {
        return Err(Reason::ZeroTtl);
    }
    let initial_age = if said.has(Saying::Age) { age::stated(headers) } else { Duration::ZERO };
    Ok(Life {
        initial_age,
        stale_while_revalidate: rules.stale_while_revalidate,
        stale_if_error: rules.stale_if_error,
        ..Life::new(now, ttl.saturating_add(initial_age))
    })
}

fn life_of_status(rules: &Rules, status: StatusCode) -> Option<Duration> {
    rules.lifetime_by_status.iter().find(|(listed, _)| *listed == status).map(|(_, life)| *life)
}

/// Under `ttl`, what restrains a cache restrains this one too, whatever fields it speaks of.
fn forbidden_by_fields(headers: &HeaderMap, said: Said) -> Result<(), Reason> {
    if said.has(Saying::CacheControl) {
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
    }
    if said.has(Saying::ContentRange) {
        return Err(Reason::ContentRange);
    }
    Ok(())
}

/// The fields of a response as they are stored, and what its body must agree with.
#[derive(Debug)]
pub(crate) struct StoredForm {
    pub(crate) fields: Packing,
    pub(crate) has_etag: bool,
    pub(crate) has_accept_ranges: bool,
    /// What it says of its length.
    pub(crate) length: Stated,
}

/// The head as it is stored: without what belongs to one connection or one client. With room for the
/// fields that are added later.
pub(crate) fn stored_form(
    rules: &Rules,
    response: &HeaderMap,
    storable: &Storable,
    room: LateFields,
) -> StoredForm {
    let said = storable.said;
    let is_plain = !said.has(Saying::OfConnection) && storable.withheld.is_empty();
    let of_connection = if is_plain { Vec::new() } else { hop_by_hop::named(response) };
    let merges_vary = !rules.emitted_vary.is_empty();
    let stays = |name: &HeaderName| {
        let is_withheld = || {
            hop_by_hop::is_own(name)
                || of_connection.contains(name)
                || storable.withheld.contains(name)
        };
        *name != header::AGE
            && (is_plain || !is_withheld())
            && !(storable.strips_cookies && *name == header::SET_COOKIE)
    };
    let lacks_date = !said.has(Saying::Date)
        || !stays(&header::DATE)
        || conditional::date(response, &header::DATE).is_none();
    let kept = |name: &HeaderName| {
        stays(name)
            && !(lacks_date && *name == header::DATE || merges_vary && *name == header::VARY)
    };
    let vary = if merges_vary {
        let present = stays(&header::VARY).then(|| members(response, &header::VARY));
        merged_vary(rules, present.into_iter().flatten()).map(|value| (header::VARY, value))
    } else {
        None
    };
    let date = lacks_date.then(|| (header::DATE, written::date(storable.life.stored_at)));
    let has = |saying, name: HeaderName| said.has(saying) && kept(&name);
    let has_etag = has(Saying::Etag, header::ETAG);
    let has_accept_ranges = has(Saying::AcceptRanges, header::ACCEPT_RANGES);
    let says_length = has(Saying::ContentLength, header::CONTENT_LENGTH);
    let room = if has_etag { 0 } else { room.etag }
        + if has_accept_ranges { 0 } else { room.accept_ranges };
    StoredForm {
        fields: Packing::of(response, kept, &[vary, date], room),
        has_etag,
        has_accept_ranges,
        length: if says_length { said.length() } else { Stated::Nothing },
    }
}

/// The bytes of the fields that a response may get at the end of its body, where it has none of its
/// own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LateFields {
    pub(crate) etag: usize,
    pub(crate) accept_ranges: usize,
}

/// Adds the fields that the key depends on to `Vary`, each name once.
pub(crate) fn merge_vary(rules: &Rules, headers: &mut HeaderMap) {
    if rules.emitted_vary.is_empty() {
        return;
    }
    if let Some(value) = merged_vary(rules, members(headers, &header::VARY)) {
        headers.insert(header::VARY, value);
    }
}

fn merged_vary<'m>(
    rules: &'m Rules,
    present: impl Iterator<Item = &'m [u8]>,
) -> Option<HeaderValue> {
    let mut names: Vec<Cow<'_, str>> = Vec::new();
    let added = rules.emitted_vary.iter().map(|name| Cow::Borrowed(name.as_str()));
    for name in present.map(String::from_utf8_lossy).chain(added) {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            names.push(name);
        }
    }
    HeaderValue::from_str(&names.join(", ")).ok()
}
