//! Scenarios that go as fast as the window lets them: one to many, pairs, and rooms where everyone talks.
//!
//! A run warms up, is measured, and then drained: what is measured ends when the last message has arrived.

use std::io;
use std::time::{Duration, Instant};

use super::Measure;
use super::args::{ChatArgs, FanoutArgs, PairsArgs, RunArgs};
use super::crowd::Crowd;
use super::plan::{self, Plan};
use super::progress::Progress;
use super::report::Row;
use super::subject::Subject;
use super::usage::Process;
use super::wire::{Part, Wire};

/// How long nothing may arrive before the rest is given up.
const STALL: Duration = Duration::from_secs(10);

/// How long to wait for an event; other things are looked at as often.
const TURN: Duration = Duration::from_millis(50);

/// One row: who is there, and for how long.
pub(super) struct Throughput {
    scenario: &'static str,
    /// What tells rows of a scenario apart.
    count: usize,
    plan: Plan,
    length: Length,
}

/// How long a run is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    /// So many messages, of which a tenth warms up.
    Messages(u64),
    /// So long, after so long.
    Time {
        /// Not measured.
        warm_up: Duration,
        /// Measured.
        duration: Duration,
    },
}

impl RunArgs {
    pub(super) fn length(&self) -> Length {
        let Self { messages, duration, warm_up, .. } = *self;
        messages.map_or(Length::Time { warm_up, duration }, Length::Messages)
    }
}

impl FanoutArgs {
    pub(super) fn row(&self, subscribers: usize) -> Throughput {
        let plan = Plan::new(1, plan::one_to(subscribers), self.server.payload, self.run.window);
        Throughput { scenario: "fanout", count: subscribers, plan, length: self.run.length() }
    }
}

impl PairsArgs {
    pub(super) fn row(&self) -> Throughput {
        let plan = Plan::new(self.pairs, plan::one_to(1), self.server.payload, self.run.window);
        Throughput { scenario: "pairs", count: self.pairs, plan, length: self.run.length() }
    }
}

impl ChatArgs {
    pub(super) fn row(&self) -> Throughput {
        let mut plan = Plan::new(self.rooms, vec![Part::Both; self.members], self.server.payload, self.run.window);
        plan.one_a_write = true;
        Throughput { scenario: "chat", count: self.rooms * self.members, plan, length: self.run.length() }
    }
}

impl Measure for Throughput {
    fn measure<W: Wire>(&self, subject: &Subject) -> Result<Row, String> {
        let mut crowd = Crowd::<W>::connect(&self.plan, subject.address)?;
        let title = format!("{} {}", self.scenario, self.count);
        let span = drive(&mut crowd, self.length, subject, &title).map_err(|error| error.to_string())?;
        let mut row = Row::new(self.scenario);
        row.add("subscribers", "subscribers", self.count.into());
        row.add("window", "window", self.plan.window.into());
        span.tell(&mut row);
        let (tally, faults) = crowd.verdict();
        row.verdict(tally, faults);
        Ok(row)
    }
}

/// What happened between two moments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) elapsed: Duration,
    pub(super) messages: u64,
    pub(super) deliveries: u64,
    pub(super) server: Option<Duration>,
    pub(super) generator: Option<Duration>,
    /// The most that the server held, as often as it was looked at.
    pub(super) resident_max: Option<u64>,
}

impl Span {
    /// Appends the figures of a run.
    pub(super) fn tell(&self, row: &mut Row) {
        let rate = |count: u64| u128::from(count) * 1_000_000_000 / self.elapsed.as_nanos().max(1);
        row.add("messages", "messages", self.messages.into());
        row.add("messages_per_s", "messages/s", (rate(self.messages) as u64).into());
        row.add("deliveries_per_s", "deliveries/s", (rate(self.deliveries) as u64).into());
        let each = self
            .server
            .filter(|_| self.deliveries > 0)
            .map(|server| server.as_secs_f64() / Duration::from_nanos(self.deliveries).as_secs_f64());
        row.add("server_ns_per_delivery", "server ns/delivery", each.into());
        row.share("server_cpu_percent", "server CPU %", self.server, self.elapsed);
        row.share("generator_cpu_percent", "generator CPU %", self.generator, self.elapsed);
        row.add("resident_bytes_max", "resident bytes", self.resident_max.into());
    }
}

/// A moment, and what was done until then.
struct Mark {
    at: Instant,
    sent: u64,
    delivered: u64,
    server: Option<Duration>,
    generator: Option<Duration>,
}

impl Mark {
    fn new<W: Wire>(crowd: &Crowd<W>, subject: &Subject) -> Self {
        Self {
            at: Instant::now(),
            sent: crowd.sent(),
            delivered: crowd.delivered(),
            server: subject.cpu(),
            generator: Process::own().cpu(),
        }
    }

    fn until(&self, end: &Self, resident_max: Option<u64>) -> Span {
        let spent = |from: Option<Duration>, to: Option<Duration>| Some(to?.saturating_sub(from?));
        Span {
            elapsed: end.at - self.at,
            messages: end.sent - self.sent,
            deliveries: end.delivered - self.delivered,
            server: spent(self.server, end.server),
            generator: spent(self.generator, end.generator),
            resident_max,
        }
    }
}

/// Has everyone send for as long as the run is, and waits until all of it has arrived.
pub(super) fn drive<W: Wire>(crowd: &mut Crowd<W>, length: Length, subject: &Subject, title: &str) -> io::Result<Span> {
    let begun = Instant::now();
    let (allowed, steps) = match length {
        Length::Messages(messages) => (messages, messages),
        Length::Time { warm_up, duration } => (u64::MAX, (warm_up + duration).as_millis() as u64),
    };
    let mut progress = Progress::new(title, steps);
    let mut start = Mark::new(crowd, subject);
    let (mut is_warm, mut is_over) = (false, false);
    let (mut last, mut last_at) = (0, begun);
    let mut resident_max = None;
    crowd.allow(allowed);
    loop {
        crowd.refill()?;
        crowd.turn(TURN, &mut |_| {})?;
        let now = Instant::now();
        let passed = now - begun;
        if !is_warm {
            is_warm = match length {
                Length::Messages(messages) => crowd.sent() >= messages / 10,
                Length::Time { warm_up, .. } => passed >= warm_up,
            };
            if is_warm {
                start = Mark::new(crowd, subject);
            }
        } else if !is_over {
            is_over = match length {
                Length::Messages(_) => crowd.is_spent(),
                Length::Time { warm_up, duration } => passed >= warm_up + duration,
            };
            if is_over {
                crowd.allow(0);
            }
        } else if crowd.is_settled() {
            break;
        }
        if progress.is_due(now) {
            resident_max = resident_max.max(subject.resident());
            let step = if matches!(length, Length::Messages(_)) { crowd.sent() } else { passed.as_millis() as u64 };
            progress.set(step, format!("{} delivered", crowd.delivered()));
            if crowd.delivered() > last {
                (last, last_at) = (crowd.delivered(), now);
            } else if now - last_at > STALL {
                break;
            }
        }
    }
    let end = Mark::new(crowd, subject);
    resident_max = resident_max.max(subject.resident());
    Ok(start.until(&end, resident_max))
}
