//! Routes that show what the library does not offer yet: 501.

use actix_web::web;
use testbed_common::answer::not_implemented;

use crate::app::Mount;
use crate::reply::reply;

pub(crate) fn routes() -> Mount {
    let later = || async { reply(not_implemented("mode \"http\"")) };
    Box::new(move |app| {
        app.service(web::resource("/http/{rest:.+}").route(web::to(later)));
    })
}
