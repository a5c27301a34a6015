//! The writer actor of one connection: takes everything that waits in its outbox and writes it with as few system calls as
//! it can.
//!
//! It holds no buffer while nothing waits. A peer that takes nothing for `write_timeout` is out of everything from then on,
//! and gets the rest of its line and a goodbye if it takes them in as much time again. One that is gone is written to no
//! more, but what waits for it is still taken, so that its reader can finish what was asked.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Services;
use crate::model::{ByeReason, ConnId, Event, Item, Tag};
use crate::outbox::{Drain, Written};
use crate::protocol::{Encoder, Output, Terms, codec};
use crate::router::RouterHandle;
use crate::sessions::{Sessions, log_of};

/// Stretches of memory in one system call; the kernel takes 1,024, more than a few dozen bring nothing.
const SLICES: usize = 64;

/// Stretches after which what was gathered is written before more is.
const GATHERED_MAX: usize = 256;

/// Bytes after which it is, too: room is given back once all of it is written, so a larger part of an outbox would look full
/// while the peer has most of it.
const GATHERED_BYTES_MAX: usize = 256 << 10;

thread_local! {
    static SPARE: Cell<Option<Box<Work>>> = const { Cell::new(None) };
}

/// What is being written, with buffers that pass from one writer of a thread to the next.
#[derive(Debug, Default)]
struct Work {
    output: Output,
    done: Written,
    has_bye: bool,
}

/// What a writer has to do.
enum Woken {
    Item(Item),
    Timer,
}

/// Why not everything could be written.
struct Cut {
    error: io::Error,
    /// What is left of the line that was begun.
    rest: Bytes,
}

/// One connection's writer.
pub(super) struct Writer<W> {
    output: W,
    conn: ConnId,
    drain: Drain,
    encoder: Box<dyn Encoder>,
    router: RouterHandle,
    sessions: Arc<Sessions>,
    terms: Terms,
    write_timeout: Duration,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub(super) fn new(
        output: W,
        conn: ConnId,
        drain: Drain,
        encoder: Box<dyn Encoder>,
        services: &Services,
        terms: Terms,
        write_timeout: Duration,
    ) -> Self {
        let (router, sessions) = (services.router.clone(), Arc::clone(&services.sessions));
        Self { output, conn, drain, encoder, router, sessions, terms, write_timeout }
    }

    /// Writes until goodbye is said.
    ///
    /// Borrows the writer, here and below, since one that is moved into a future takes its place there twice.
    pub(super) async fn run(&mut self) {
        while let Some(woken) = self.wait().await {
            let mut work = SPARE.take().unwrap_or_default();
            match woken {
                Woken::Item(first) => self.gather(first, &mut work),
                Woken::Timer => self.encoder.flush(&mut work.output),
            }
            let written = self.write(work.output.slices()).await;
            let (done, has_bye) = (std::mem::take(&mut work.done), std::mem::take(&mut work.has_bye));
            work.output.clear();
            SPARE.set(Some(work));
            self.drain.written(done);
            if let Err(cut) = written {
                return Box::pin(self.give_up(*cut)).await;
            }
            if has_bye {
                return Box::pin(self.end()).await;
            }
            if self.drain.is_awaited() {
                // A router that has gone may have left its last words here.
                let _ = Box::pin(self.router.drained(self.conn)).await;
            }
        }
        // The router has gone without a word, which only a fault of its own explains.
        let mut output = Output::default();
        let bye = Event::bye(Tag::None, ByeReason::Shutdown);
        self.encoder.encode(Item::Events(Box::new(vec![bye])), &mut output);
        if self.write(output.slices()).await.is_ok() {
            Box::pin(self.end()).await;
        }
    }

    /// Waits for something to write: an item, or the time to tell what the encoder held back.
    async fn wait(&mut self) -> Option<Woken> {
        let Some(until) = self.encoder.pending_until() else {
            return self.drain.next().await.map(Woken::Item);
        };
        tokio::select! {
            item = self.drain.next() => item.map(Woken::Item),
            () = Box::pin(tokio::time::sleep_until(until.into())) => Some(Woken::Timer),
        }
    }

    /// Encodes everything that waits.
    fn gather(&mut self, first: Item, work: &mut Work) {
        let mut next = Some(first);
        while let Some(item) = next {
            work.done.add(&item);
            match item {
                Item::Switch(wire) => self.encoder = codec(wire, &self.terms).1,
                item => {
                    work.has_bye =
                        matches!(&item, Item::Events(events) if matches!(events.last(), Some(Event::Bye { .. })));
                    self.encoder.encode(item, &mut work.output);
                }
            }
            let is_full = work.has_bye || work.output.len() >= GATHERED_MAX || work.done.bytes() >= GATHERED_BYTES_MAX;
            next = if is_full { None } else { self.drain.try_next() };
        }
    }

    async fn write(&mut self, slices: &mut [Bytes]) -> Result<(), Box<Cut>> {
        let (mut at, mut is_mid_line) = (0, false);
        while at < slices.len() {
            let output = &mut self.output;
            let mut attempt = |context: &mut std::task::Context<'_>| {
                let waiting = &slices[at..];
                // What is one piece costs the kernel less as such: nothing to be put together.
                if let [only] = waiting {
                    return Pin::new(&mut *output).poll_write(context, only);
                }
                let mut parts = [IoSlice::new(&[]); SLICES];
                for (part, bytes) in parts.iter_mut().zip(waiting) {
                    *part = IoSlice::new(bytes);
                }
                Pin::new(&mut *output).poll_write_vectored(context, &parts[..waiting.len().min(SLICES)])
            };
            // Nearly every write is taken at once: only one that is not needs a timer.
            let written = match poll_fn(|context| Poll::Ready(attempt(context))).await {
                Poll::Ready(written) => written,
                Poll::Pending => Box::pin(tokio::time::timeout(self.write_timeout, poll_fn(attempt)))
                    .await
                    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            };
            let error = match written {
                Ok(written @ 1..) => {
                    (at, is_mid_line) = advance(slices, at, written);
                    continue;
                }
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Err(error) => error,
            };
            let rest = if is_mid_line { to_line_end(&slices[at..]) } else { Bytes::new() };
            return Err(Box::new(Cut { error, rest }));
        }
        Ok(())
    }

    /// Says that nothing follows; the reader then reads to the end.
    async fn end(&mut self) {
        // A peer that is gone already has nothing left to be told.
        let _ = tokio::time::timeout(self.write_timeout, self.output.shutdown()).await;
    }

    /// The peer cannot be written to any more.
    async fn give_up(&mut self, cut: Cut) {
        let Cut { error, rest } = cut;
        let is_slow = error.kind() == io::ErrorKind::TimedOut;
        log_of!(DEBUG, self.sessions, self.conn, %error, "cannot write");
        self.drain.deaf();
        let told = if is_slow {
            self.router.close(self.conn, ByeReason::SlowConsumer).await
        } else {
            self.router.deaf(self.conn).await
        };
        if told.is_err() {
            return;
        }
        let mut bye = None;
        while let Some(item) = self.drain.next().await {
            let mut done = Written::default();
            done.add(&item);
            match item {
                Item::Switch(wire) => self.encoder = codec(wire, &self.terms).1,
                Item::Events(mut events) => bye = events.pop().filter(|event| matches!(event, Event::Bye { .. })),
                Item::Feed { .. } => {}
            }
            self.drain.written(done);
        }
        if is_slow {
            let bye = bye.unwrap_or_else(|| Event::bye(Tag::None, ByeReason::SlowConsumer));
            // Whether the peer reads again to see it is its own affair.
            let _ = tokio::time::timeout(self.write_timeout, self.part_late(rest, bye)).await;
        }
    }

    /// Ends the line that was begun and says goodbye, leaving out everything between.
    async fn part_late(&mut self, rest: Bytes, bye: Event) {
        let mut output = Output::default();
        output.share(rest);
        self.encoder.encode(Item::Events(Box::new(vec![bye])), &mut output);
        if self.write(output.slices()).await.is_ok() {
            self.end().await;
        }
    }
}

/// Drops what was written, and says which stretch is the next and whether it is in the middle of a line.
fn advance(slices: &mut [Bytes], mut at: usize, mut written: usize) -> (usize, bool) {
    let mut last = Bytes::new();
    while at < slices.len() && written >= slices[at].len() {
        written -= slices[at].len();
        last = std::mem::take(&mut slices[at]);
        at += 1;
    }
    if written > 0 {
        last = slices[at].split_to(written);
    }
    (at, at < slices.len() && last.last() != Some(&b'\n'))
}

/// What there is up to the end of a line.
fn to_line_end(slices: &[Bytes]) -> Bytes {
    let mut line = BytesMut::new();
    for bytes in slices {
        let end = memchr::memchr(b'\n', bytes);
        line.extend_from_slice(&bytes[..end.map_or(bytes.len(), |end| end + 1)]);
        if end.is_some() {
            break;
        }
    }
    line.freeze()
}
