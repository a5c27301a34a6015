//! One connection: finds out what it speaks, then runs its reader and its writer.
//!
//! Works on any stream of bytes. The reader turns bytes into commands for the router, the writer turns what the router puts
//! into the outbox into bytes; neither knows the other but through the outbox.

mod arena;
mod bucket;
mod parting;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Protocol};
use crate::model::{ByeReason, ConnId};
use crate::outbox::{Total, outbox};
use crate::protocol::sniff::{Sniffed, sniff};
use crate::protocol::{Terms, Wire, codec};
use crate::router::RouterHandle;
use crate::sessions::{Sessions, log_of};

pub(crate) use parting::{last_words, part};
use reader::Reader;
use writer::Writer;

/// What connections need of the server.
#[derive(Clone, Debug)]
pub struct Services {
    /// The way to the router.
    pub router: RouterHandle,
    /// What is known of every connection.
    pub sessions: Arc<Sessions>,
    /// Bytes that wait for all connections.
    pub total: Arc<Total>,
    /// Where tasks are counted, so that a shutdown can wait for them.
    pub tasks: TaskTracker,
    /// Cancelled when the server goes down.
    pub shutdown: CancellationToken,
}

/// White space after which a client that shows nothing else is taken for a person.
const BLANK_BYTES_MAX: usize = 256;

/// Serves one peer until its reader has ended; the writer says goodbye in a task of its own.
pub async fn serve<R, W>(
    mut input: R,
    output: W,
    conn: ConnId,
    protocol: Protocol,
    config: Arc<Config>,
    services: Services,
) where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let terms = Terms { max_line: config.limits.max_line, max_errors: config.limits.max_errors };
    let mut held = BytesMut::new();
    let wire = match protocol {
        Protocol::Json => Wire::Json,
        Protocol::Text => Wire::Text,
        Protocol::Auto => {
            let sniffed = recognise(&mut input, &mut held, config.server.sniff_timeout);
            let sniffed = services.shutdown.run_until_cancelled(sniffed).await;
            match sniffed {
                Some(Ok(wire)) => wire,
                Some(Err(_)) => return,
                None => return Box::pin(part(input, output, &parting::to_anyone(&terms))).await,
            }
        }
    };
    services.sessions.speaks(conn, wire);
    log_of!(DEBUG, services.sessions, conn, "recognised");
    let (decoder, encoder) = codec(wire, &terms);
    let limits = &config.limits;
    let (outbox, source, drain) = outbox(limits.outbox_bytes, limits.uncommitted_bytes, &services.total);
    // Where the router is gone, so is the outbox, and the writer says goodbye.
    let _ = services.router.connect(conn, outbox).await;
    let mut writer = Writer::new(output, conn, drain, encoder, &services, terms, config.limits.write_timeout);
    let writing = services.tasks.spawn(async move { writer.run().await });
    let guard = Guard { conn, services: services.clone() };
    let mut reader = Reader::new(input, conn, source, decoder, services.router, &config);
    drop(config);
    reader.run(held).await;
    // Nobody else would tell the router of a writer that failed, either.
    if writing.await.is_err() {
        let _ = guard.services.router.close(conn, ByeReason::Closed).await;
    }
    drop(guard);
}

/// Has the router end a connection whose reader failed, which nobody else would tell it.
struct Guard {
    conn: ConnId,
    services: Services,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (conn, router) = (self.conn, self.services.router.clone());
            self.services.tasks.spawn(async move { router.close(conn, ByeReason::Closed).await });
        }
    }
}

/// Reads until the first bytes show a protocol, or the silence does.
async fn recognise<R: AsyncRead + Unpin>(input: &mut R, held: &mut BytesMut, patience: Duration) -> io::Result<Wire> {
    let recognised = tokio::time::timeout(patience, async {
        loop {
            let read = input.read_buf(held).await?;
            match sniff(held) {
                Sniffed::Wire(wire) => return Ok(wire),
                Sniffed::Nothing if read == 0 || held.len() > BLANK_BYTES_MAX => return Ok(Wire::Text),
                Sniffed::Nothing => {}
            }
        }
    });
    recognised.await.unwrap_or(Ok(Wire::Text))
}
