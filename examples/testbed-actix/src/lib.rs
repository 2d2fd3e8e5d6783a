//! The testbed's HTTP contract on actix-web.
//!
//! `app` and `routes` are the wiring; what the routes answer and their policies are in
//! `testbed-common`, which `testbed-axum` shares.

mod app;
mod reply;
mod routes;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use actix_web::rt::System;
use actix_web::{App, HttpServer};
use testbed_common::args::Options;
use testbed_common::program::{self, GRACE};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::Application;

const NAME: &str = "testbed-actix";

/// The program with these arguments (without its name): serves until it is asked to stop.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match program::options(NAME, arguments) {
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
    let application = Application::new(&options).await?;
    let serving = application.clone();
    let listen = options.listen;
    let server = HttpServer::new(move || App::new().configure(|app| serving.configure(app)))
        .workers(options.workers.get())
        // On a busy machine a thousand connections take longer than actix' five seconds.
        .client_request_timeout(Duration::from_secs(60))
        .disable_signals()
        .bind(listen)
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let address = server.addrs().into_iter().next().ok_or("no address")?;
    let server = server.run();
    let handle = server.handle();
    program::announce(address).map_err(|error| error.to_string())?;

    let stop = async {
        terminate.recv().await;
        // actix looks only once a second whether all requests have ended.
        let _ = tokio::time::timeout(GRACE, handle.stop(true)).await;
    };
    tokio::select! {
        result = server => result.map_err(|error| error.to_string())?,
        () = stop => {}
    }
    application.close().await;
    Ok(())
}
