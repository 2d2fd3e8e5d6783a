//! A small caching reverse proxy on axum.
//!
//! [`proxy`] is the wiring; asking the origin, the fields that end here and the policy are in
//! `cache-proxy-common`, which `cache-proxy-actix` shares. All caching is the layer's.

mod proxy;

use std::process::ExitCode;
use std::time::Duration;

use adapter_axum::Cache;
use axum::serve::ListenerExt as _;
use cache_proxy_common::args::Options;
use cache_proxy_common::program::{self, GRACE};
use cache_proxy_common::store;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tower::make::Shared;

const NAME: &str = "cache-proxy";

fn main() -> ExitCode {
    let options = match program::options(NAME, std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let mut builder = Builder::new_multi_thread();
    let runtime = match builder.worker_threads(options.workers.get()).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return program::refuse(NAME, &error),
    };
    let outcome = runtime.block_on(run(options));
    // What still runs for clients that have gone is given up.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => program::refuse(NAME, &message),
    }
}

async fn run(options: Options) -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let cache = Cache::from(store::cache(&options).await?);
    let service = proxy::service(&cache, &options).map_err(|error| error.to_string())?;
    let listen = options.listen;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    program::announce(address).map_err(|error| error.to_string())?;

    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let (stopping, asked_to_stop) = oneshot::channel();
    let server = axum::serve(listener, Shared::new(service)).with_graceful_shutdown(async move {
        terminate.recv().await;
        let _ = stopping.send(());
    });
    let grace_is_over = async {
        match asked_to_stop.await {
            Ok(()) => tokio::time::sleep(GRACE).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        result = server => result.map_err(|error| error.to_string())?,
        () = grace_is_over => {}
    }
    cache.close().await;
    Ok(())
}
