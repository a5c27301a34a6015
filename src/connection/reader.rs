//! The reader actor of one connection: bytes to commands, and commands to the router, in the order they came.
//!
//! It waits where waiting is right: for the router when that is busy, and for its own writer when its answers are not being
//! read. TCP then makes the peer wait. It never waits for what another connection does.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use super::arena;
use super::bucket::Bucket;
use crate::config::Config;
use crate::model::{Ask, ByeReason, Code, Command, ConnId, ErrorEvent, Event, Outcome, Tag};
use crate::outbox::Source;
use crate::protocol::{Decoder, Flow, Intake, Terms, codec};
use crate::router::{Parcel, RouterGone, RouterHandle};

/// How often a connection whose input has ended is pinged, so that one whose peer is dead ends.
const STAY_PING: Duration = Duration::from_secs(60);

/// How long a peer may take to close its side once it was told goodbye.
const LINGER: Duration = Duration::from_secs(1);

/// One connection's reader.
pub(super) struct Reader<R> {
    input: R,
    conn: ConnId,
    source: Source,
    decoder: Box<dyn Decoder>,
    router: RouterHandle,
    terms: Terms,
    line_timeout: Duration,
    text_line_timeout: Duration,
    bucket: Option<Bucket>,
    heartbeat: Option<Heartbeat>,
    /// When the unfinished line that is held was begun.
    line_begun: Option<Instant>,
}

/// A wish to be asked for signs of life.
#[derive(Clone, Copy, Debug)]
struct Heartbeat {
    every: Duration,
    heard: Instant,
    is_pinged: bool,
}

/// Why a reader stops.
enum Stop {
    /// The input has ended.
    End,
    /// The router ends the connection, or has ended itself.
    Closing,
}

impl From<RouterGone> for Stop {
    fn from(_: RouterGone) -> Self {
        Self::Closing
    }
}

/// What woke a reader.
enum Woken {
    Read(io::Result<Option<BytesMut>>),
    Closing,
    Timer,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(
        input: R,
        conn: ConnId,
        source: Source,
        decoder: Box<dyn Decoder>,
        router: RouterHandle,
        config: &Config,
    ) -> Self {
        let limits = &config.limits;
        let per_second = limits.messages_per_second;
        Self {
            input,
            conn,
            source,
            decoder,
            router,
            terms: Terms { max_line: limits.max_line, max_errors: limits.max_errors },
            line_timeout: limits.line_timeout,
            text_line_timeout: limits.text_line_timeout,
            bucket: (per_second > 0).then(|| Bucket::new(per_second)),
            heartbeat: None,
            line_begun: None,
        }
    }

    /// Reads until the input ends or the connection does, and waits for the writer; `held` is what was read already.
    ///
    /// Borrows the reader, here and below, since one that is moved into a future takes its place there twice.
    pub(super) async fn run(&mut self, held: BytesMut) {
        let stop = match self.read(held).await {
            Ok(never) => match never {},
            Err(stop) => stop,
        };
        match stop {
            Stop::End => Box::pin(self.stay()).await,
            Stop::Closing => Box::pin(self.linger()).await,
        }
        // A connection is one for as long as its socket is there, and counted by its reader.
        self.source.over().await;
    }

    async fn read(&mut self, mut held: BytesMut) -> Result<std::convert::Infallible, Stop> {
        let mut input = std::mem::take(&mut held);
        loop {
            let lines = self.take(&mut input, false).await?;
            // The rest of a line is copied out, so that it does not hold a whole buffer.
            held = if input.is_empty() { BytesMut::new() } else { BytesMut::from(&input[..]) };
            drop(input);
            self.note_time(lines, !held.is_empty());
            input = loop {
                match self.wait(&mut held).await {
                    Woken::Closing => return Err(Stop::Closing),
                    Woken::Timer => Box::pin(self.timer()).await?,
                    Woken::Read(Ok(Some(read))) => break read,
                    // A peer that broke the connection said all that it will.
                    Woken::Read(Ok(None) | Err(_)) => {
                        Box::pin(self.take(&mut held, true)).await?;
                        return Err(Stop::End);
                    }
                }
            };
        }
    }

    async fn wait(&mut self, held: &mut BytesMut) -> Woken {
        let deadline = self.deadline();
        tokio::select! {
            biased;
            read = std::future::poll_fn(|context| arena::poll_read(&mut self.input, held, context)) => Woken::Read(read),
            () = self.source.closing() => Woken::Closing,
            () = expired(deadline) => Woken::Timer,
        }
    }

    /// Decodes and hands over all whole frames of some input; says how many lines there were.
    async fn take(&mut self, input: &mut BytesMut, is_end: bool) -> Result<usize, Stop> {
        let mut lines = 0;
        loop {
            // Made where the router will find it, so that it is not copied on the way.
            let mut parcel = Parcel::new(self.conn);
            let flow = if is_end {
                self.decoder.finish(input, &mut parcel.intake)
            } else {
                self.decoder.decode(input, &mut parcel.intake)
            };
            lines += parcel.intake.lines;
            if let Some(every) = parcel.intake.heartbeat {
                self.heartbeat = Some(Heartbeat { every, heard: Instant::now(), is_pinged: false });
            }
            self.limit(&mut parcel.intake);
            if !matches!(flow, Flow::Switch(_)) {
                self.tell(&mut parcel).await?;
            }
            match flow {
                Flow::More => {
                    self.hand_over(parcel).await?;
                    return Ok(lines);
                }
                Flow::Full => self.hand_over(parcel).await?,
                Flow::Await | Flow::Switch(_) => Box::pin(self.turn(parcel, flow)).await?,
                Flow::HangUp => {
                    self.hand_over(parcel).await?;
                    return Box::pin(self.hang_up(ByeReason::TooManyErrors)).await;
                }
            }
        }
    }

    /// Waits for what came of the last request, where that decides how to read on.
    async fn turn(&mut self, mut parcel: Box<Parcel>, flow: Flow) -> Result<(), Stop> {
        let mut parting = Parcel::new(self.conn);
        if matches!(flow, Flow::Switch(_)) {
            parting.intake.events = std::mem::take(&mut parcel.intake.events);
        }
        let outcome = self.hand_over_and_wait(parcel).await?;
        if let Flow::Switch(wire) = flow {
            // What was asked before has been answered in the protocol it was asked in; its last word follows.
            self.tell(&mut parting).await?;
            self.decoder = codec(wire, &self.terms).0;
            return self.source.switch(wire).map_err(|_| Stop::Closing);
        }
        let mut after = Parcel::new(self.conn);
        self.decoder.resolved(outcome, &mut after.intake);
        self.tell(&mut after).await?;
        self.hand_over(after).await
    }

    /// Puts the reader's own answers into the outbox, once there is room.
    async fn tell(&mut self, parcel: &mut Parcel) -> Result<(), Stop> {
        if parcel.intake.events.is_empty() {
            return Ok(());
        }
        let events = std::mem::take(&mut parcel.intake.events);
        let bytes = events.iter().map(Event::cost).sum();
        if !self.source.reserve(bytes, 0).await {
            return Err(Stop::Closing);
        }
        let told = self.source.answer(events);
        self.source.settle(bytes);
        told.map_err(|_| Stop::Closing)
    }

    /// Refuses what is over the rate that a connection may send at.
    fn limit(&mut self, intake: &mut Intake) {
        let Some(bucket) = &mut self.bucket else { return };
        let now = Instant::now();
        let asks = std::mem::take(&mut intake.asks);
        let refused = &mut intake.events;
        intake.asks = asks
            .into_iter()
            .filter_map(|ask| match bucket.take(now) {
                Ok(()) => Some(ask),
                Err(_) if matches!(ask.command, Command::Quit { .. }) => Some(ask),
                Err(wait) => {
                    let mut error = ErrorEvent::new(Code::RateLimited, "too many lines a second");
                    error.retry_after_ms = Some(wait.as_millis() as u64 + 1);
                    refused.push(Event::Error(ask.tag, Box::new(error.op(ask.command.op()))));
                    None
                }
            })
            .collect();
    }

    async fn hand_over(&mut self, mut parcel: Box<Parcel>) -> Result<(), Stop> {
        if parcel.intake.asks.is_empty() {
            return Ok(());
        }
        self.reserve(&mut parcel).await?;
        Ok(self.router.ask(parcel).await?)
    }

    async fn hand_over_and_wait(&mut self, mut parcel: Box<Parcel>) -> Result<Outcome, Stop> {
        self.reserve(&mut parcel).await?;
        Ok(self.router.ask_and_wait(parcel).await?)
    }

    /// Waits until there is room for a parcel's answers and for the parcel.
    async fn reserve(&mut self, parcel: &mut Parcel) -> Result<(), Stop> {
        parcel.weight = parcel.intake.weight();
        if self.source.reserve(parcel.intake.claim, parcel.weight).await { Ok(()) } else { Err(Stop::Closing) }
    }

    async fn hang_up<T>(&mut self, reason: ByeReason) -> Result<T, Stop> {
        self.router.close(self.conn, reason).await?;
        self.source.closing().await;
        Err(Stop::Closing)
    }

    /// Notes when something was heard, and since when a line is unfinished.
    fn note_time(&mut self, lines: usize, is_held: bool) {
        if let Some(heartbeat) = self.heartbeat.as_mut().filter(|_| lines > 0) {
            heartbeat.heard = Instant::now();
            heartbeat.is_pinged = false;
        }
        if !is_held && !self.decoder.is_mid_frame() {
            self.line_begun = None;
        } else if lines > 0 || self.line_begun.is_none() {
            self.line_begun = Some(Instant::now());
        }
    }

    fn line_deadline(&self) -> Option<Instant> {
        let patience = if self.decoder.is_person() { self.text_line_timeout } else { self.line_timeout };
        self.line_begun.map(|begun| begun + patience)
    }

    fn deadline(&self) -> Option<Instant> {
        let beat = self.heartbeat.map(|beat| beat.heard + beat.every * if beat.is_pinged { 2 } else { 1 });
        [self.line_deadline(), beat].into_iter().flatten().min()
    }

    async fn timer(&mut self) -> Result<(), Stop> {
        let now = Instant::now();
        if self.line_deadline().is_some_and(|at| at <= now) {
            return self.hang_up(ByeReason::LineTimeout).await;
        }
        let Some(beat) = &mut self.heartbeat else { return Ok(()) };
        if beat.is_pinged {
            return self.hang_up(ByeReason::Idle).await;
        }
        beat.is_pinged = true;
        self.ping().await
    }

    async fn ping(&mut self) -> Result<(), Stop> {
        let mut parcel = Parcel::new(self.conn);
        parcel.intake.events.push(Event::Ping);
        self.tell(&mut parcel).await
    }

    /// The input has ended: everything asked is carried out, then the connection goes, or stays to receive.
    async fn stay(&mut self) {
        let mut parcel = Parcel::new(self.conn);
        parcel.intake.ask(Ask { tag: Tag::None, command: Command::Quit { asked: false, reason: None } }, 0);
        if !matches!(self.router.ask_and_wait(parcel).await, Ok(Outcome::Stays)) {
            return;
        }
        loop {
            tokio::select! {
                () = self.source.closing() => return,
                () = tokio::time::sleep(STAY_PING) => {
                    if self.ping().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Reads to the end, so that the goodbye is not lost with what the peer still sends.
    async fn linger(&mut self) {
        let mut ignored = [0; 1_024];
        let mut until = None;
        loop {
            tokio::select! {
                read = self.input.read(&mut ignored) => {
                    if !matches!(read, Ok(1..)) {
                        return;
                    }
                }
                () = self.source.over(), if until.is_none() => until = Some(Instant::now() + LINGER),
                () = expired(until) => return,
            }
        }
    }
}

async fn expired(deadline: Option<Instant>) {
    match deadline {
        // Boxed, so that one who waits for nothing holds no timer.
        Some(at) => Box::pin(tokio::time::sleep_until(at)).await,
        None => std::future::pending().await,
    }
}
