//! An axum API over SQLite whose answers come from the cache.
//!
//! [`app`] is the part to read: routes, handlers, what is cached, what a write invalidates.

mod app;
mod args;
mod db;
mod error;
mod request;
mod say;
mod store;

use std::error::Error;
use std::future;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::args::{Command, Options};
use crate::db::Db;
use crate::say::{complain, say};
use crate::store::Answers;

/// How long requests under way may take once the program was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    let options = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Serve(options)) => options,
        Ok(Command::Help) => {
            say(args::USAGE.trim_end());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            complain(format_args!("quickstart: {error} (see --help)"));
            return ExitCode::from(2);
        }
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("quickstart: {error}"));
            ExitCode::from(2)
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    // The port first: nothing is written where the program cannot run anyway.
    let listen = &options.listen;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let base = format!("http://{}", listener.local_addr()?);

    let db = Db::open(options.db.as_deref()).await.map_err(|error| match &options.db {
        Some(path) => format!("cannot use the database {}: {error}", path.display()),
        None => format!("cannot make a temporary database: {error}"),
    })?;
    let cities = db.count().await?;
    let answers = Answers::open(&options.store, db.identity().await?).await?;
    let app = app::build(&answers.cache(), db, &base)?;
    let stop = stop_signal()?;

    say(format_args!("Listening on {base}"));
    say(format_args!("{cities} cities are in SQLite. Try, in this order:\n\n{}", app::tour(&base)));
    say("Ctrl-C stops it. Each request is one line below.\n");
    serve(listener, app, stop).await?;
    answers.close().await;
    say("Stopped.");
    Ok(())
}

/// Serves until the program is asked to stop, then lets the requests under way finish for a while.
async fn serve(
    listener: TcpListener,
    app: axum::Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, asked_to_stop) = oneshot::channel();
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        stop.await;
        let _ = stopping.send(());
    });
    let grace_is_over = async {
        match asked_to_stop.await {
            Ok(()) => tokio::time::sleep(GRACE).await,
            Err(_) => future::pending().await,
        }
    };
    tokio::select! {
        result = server => result,
        () = grace_is_over => Ok(()),
    }
}

/// Ctrl-C or SIGTERM. Both are heeded from this call on, whenever the future is first polled.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            future::pending::<()>().await;
        }
    })
}
