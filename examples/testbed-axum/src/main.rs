//! The testbed's HTTP contract on axum.
//!
//! [`app`] and [`routes`] are the wiring; what the routes answer and their policies are in
//! `testbed-common`, which `testbed-actix` shares.

mod app;
mod reply;
mod routes;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use testbed_common::args::{self, Command, Options};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::app::App;

/// How long requests under way may take once the program was asked to stop.
const GRACE: Duration = Duration::from_millis(400);

fn main() -> ExitCode {
    let options = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Serve(options)) => options,
        Ok(Command::Help) => {
            let text = format!("Usage: testbed-axum [OPTIONS]\n\n{}", args::OPTIONS);
            let _ = io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(error) => return refuse(&format!("{error} (see --help)")),
    };
    let mut builder = Builder::new_multi_thread();
    let runtime = match builder.worker_threads(options.workers.get()).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&format!("no runtime: {error}")),
    };
    let outcome = runtime.block_on(run(*options));
    // What still runs for clients that have gone is given up.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => refuse(&message),
    }
}

fn refuse(message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "testbed-axum: {message}");
    ExitCode::from(2)
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
    announce(&format!("listening on http://{address}")).map_err(|error| error.to_string())?;

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

/// The first line of the output, which whoever started the program waits for.
fn announce(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
