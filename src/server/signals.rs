//! Signals: SIGINT and SIGTERM end the server, a second one at once; SIGHUP has the configuration read again.
//!
//! It turns signals into futures and configurations; what happens then is the server's business.

use std::convert::Infallible;
use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Reloader;
use crate::config::Config;

/// What a process that a signal ended at once exits with: 128 and the number of SIGINT.
const KILLED: i32 = 130;

/// Resolves with the first SIGINT or SIGTERM; from then on a further one ends the process at once.
pub(super) fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        either(&mut interrupt, &mut terminate).await;
        #[expect(clippy::disallowed_methods, reason = "it outlives whatever the tracker waits for")]
        tokio::spawn(async move {
            either(&mut interrupt, &mut terminate).await;
            tracing::warn!("a second signal: ending at once");
            std::process::exit(KILLED);
        });
    })
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// The stream of SIGHUPs.
pub(super) fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Reads the configuration again at each SIGHUP; an error in it leaves everything as it was.
pub(super) async fn reload(
    mut hangups: Signal,
    reloader: Reloader,
    read: impl Fn() -> Result<Config, String>,
) -> Infallible {
    loop {
        if hangups.recv().await.is_none() {
            return std::future::pending().await;
        }
        match read() {
            Ok(config) => reloader.reload(config).await,
            Err(problems) => tracing::error!(%problems, "the configuration stays as it is"),
        }
    }
}
