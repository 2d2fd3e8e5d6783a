//! Names of fields that this thread has converted before: those that policies and handlers have in
//! `vary`, which are few.

use std::cell::RefCell;

use actix_web::http::header as framework;
use http::HeaderName;

/// How many names a thread remembers.
const MOST: usize = 32;

thread_local! {
    static KNOWN: RefCell<Vec<(HeaderName, framework::HeaderName)>> =
        const { RefCell::new(Vec::new()) };
}

/// What `read` makes of the framework's name; `None` if there is no such name.
pub(crate) fn with<T>(
    name: &HeaderName,
    read: impl Fn(&framework::HeaderName) -> T,
    convert: impl Fn(&HeaderName) -> Option<framework::HeaderName>,
) -> Option<T> {
    let known = KNOWN.try_with(|known| {
        let known = known.borrow();
        known.iter().find(|(known, _)| known == name).map(|(_, converted)| read(converted))
    });
    // An error is the end of the thread.
    if let Ok(Some(read)) = known {
        return Some(read);
    }
    let converted = convert(name)?;
    let value = read(&converted);
    let _ = KNOWN.try_with(|known| {
        let mut known = known.borrow_mut();
        if known.len() < MOST {
            known.push((name.clone(), converted));
        }
    });
    Some(value)
}
