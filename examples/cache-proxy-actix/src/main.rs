//! A small caching reverse proxy on actix-web.
//!
//! [`proxy`] and [`message`] are the wiring; asking the origin, the fields that end here and the
//! policy are in `cache-proxy-common`, which `cache-proxy` shares. All caching is the layer's.

mod message;
mod proxy;

use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

use actix_web::rt::System;
use actix_web::{App, HttpServer, web};
use adapter_actix::Cache;
use cache_proxy_common::args::Options;
use cache_proxy_common::origin::Origin;
use cache_proxy_common::program::{self, GRACE};
use cache_proxy_common::store;
use tokio::signal::unix::{SignalKind, signal};

const NAME: &str = "cache-proxy-actix";

/// How long a client's connection is kept between two requests. Longer than the few seconds that
/// clients keep theirs, who else would write into a closing one.
const KEPT: Duration = Duration::from_secs(75);

fn main() -> ExitCode {
    let options = match program::options(NAME, std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match System::new().block_on(run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => program::refuse(NAME, &message),
    }
}

async fn run(options: Options) -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let cache = Cache::from(store::cache(&options).await?);
    let layer = cache.layer(options.policy.clone()).map_err(|error| error.to_string())?;
    let patience = options.patience;
    let origin = web::Data::new(Origin::new(options.origin.clone(), patience));
    let listen = options.listen;
    let listener =
        TcpListener::bind(listen).map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(origin.clone())
            .wrap(layer.clone())
            .default_service(web::to(proxy::pass))
    });
    let server = server
        .keep_alive(KEPT)
        .client_request_timeout(patience)
        .workers(options.workers.get())
        .disable_signals();
    let server = server.listen(listener).map_err(|error| error.to_string())?.run();
    program::announce(address).map_err(|error| error.to_string())?;

    let handle = server.handle();
    let asked_to_stop = async move {
        terminate.recv().await;
        // It also waits for connections that are merely kept.
        let _ = tokio::time::timeout(GRACE, handle.stop(true)).await;
    };
    tokio::select! {
        result = server => result.map_err(|error| error.to_string())?,
        () = asked_to_stop => {}
    }
    cache.close().await;
    Ok(())
}
