//! The testbed's HTTP contract on axum.
//!
//! `app` and `routes` are the wiring; what the routes answer and their policies are in
//! `testbed-common`, which `testbed-actix` shares.

mod app;
mod reply;
mod routes;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use testbed_common::args::Options;
use testbed_common::program::{self, GRACE};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::app::App;

const NAME: &str = "testbed-axum";

/// The program with these arguments (without its name): serves until it is asked to stop.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match program::options(NAME, arguments) {
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
    let app = App::new(&options).await?;
    let router = app.router()?;
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
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
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
    app.close().await;
    Ok(())
}
