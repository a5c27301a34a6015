//! How long a message takes to a subscriber at a fixed rate.
//!
//! Each message has a time at which it should be sent, and its latency counts from there: a server, or a generator, that
//! holds everything up for a moment is charged with all that should have been sent in it.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::Measure;
use super::args::LatencyArgs;
use super::crowd::Crowd;
use super::pacer::Pacer;
use super::plan::{self, Plan};
use super::progress::Progress;
use super::report::Row;
use super::subject::Subject;
use super::usage::Process;
use super::wire::Wire;

/// The longest latency that is told apart, in nanoseconds.
const LATENCY_MAX: u64 = 60_000_000_000;

/// Digits to which latencies are kept.
const DIGITS: u8 = 3;

/// How long the last messages may take.
const DRAIN: Duration = Duration::from_secs(10);

/// One row.
pub(super) struct Latency {
    rate: u32,
    plan: Plan,
    warm_up: Duration,
    duration: Duration,
}

impl LatencyArgs {
    pub(super) fn row(&self, rate: u32) -> Latency {
        let plan = Plan::new(1, plan::one_to(self.subscribers), self.server.payload, None);
        Latency { rate, plan, warm_up: self.warm_up, duration: self.duration }
    }
}

impl Measure for Latency {
    fn measure<W: Wire>(&self, subject: &Subject) -> Result<Row, String> {
        let mut crowd = Crowd::<W>::connect(&self.plan, subject.address)?;
        let mut latencies =
            Histogram::<u64>::new_with_bounds(1, LATENCY_MAX, DIGITS).map_err(|error| error.to_string())?;
        let run = self.run(&mut crowd, subject, &mut latencies).map_err(|error| error.to_string())?;
        let mut row = Row::new("latency");
        row.add("rate", "rate", u64::from(self.rate).into());
        row.add("subscribers", "subscribers", self.plan.readers().into());
        for (key, title, quantile) in
            [("p50_us", "p50 µs", 0.5), ("p99_us", "p99 µs", 0.99), ("p999_us", "p99.9 µs", 0.999)]
        {
            row.add(key, title, micros(latencies.value_at_quantile(quantile)).into());
        }
        row.add("max_us", "max µs", micros(latencies.max()).into());
        row.share("server_cpu_percent", "server CPU %", run.server, run.elapsed);
        row.share("generator_cpu_percent", "generator CPU %", run.generator, run.elapsed);
        let (tally, faults) = crowd.verdict();
        row.verdict(tally, faults);
        Ok(row)
    }
}

/// What the processes used.
struct Used {
    elapsed: Duration,
    server: Option<Duration>,
    generator: Option<Duration>,
}

impl Latency {
    fn run<W: Wire>(
        &self,
        crowd: &mut Crowd<W>,
        subject: &Subject,
        latencies: &mut Histogram<u64>,
    ) -> io::Result<Used> {
        let interval = Duration::from_secs(1) / self.rate;
        let whole = self.warm_up + self.duration;
        let messages = whole.as_nanos() as u64 / interval.as_nanos() as u64;
        // Messages of the warm-up are delivered and checked, but not timed.
        let timed_from = self.warm_up.as_nanos() as u64 / interval.as_nanos() as u64;
        let mut progress = Progress::new(&format!("latency {}", self.rate), messages);
        let mut pacer = Pacer::new(crowd.registry())?;
        let (server, generator) = (subject.cpu(), Process::own().cpu());
        let begun = Instant::now();
        crowd.allow(messages);
        loop {
            let passed = begun.elapsed();
            let due = (passed.as_nanos() as u64 / interval.as_nanos() as u64 + 1).min(messages);
            crowd.publish(0, due - crowd.sent())?;
            pacer.wake_at(Duration::from_nanos(interval.as_nanos() as u64 * due), begun.elapsed())?;
            crowd.turn(DRAIN, &mut |counter| {
                if counter >= timed_from {
                    let intended = interval.as_nanos() as u64 * counter;
                    // Above the longest it counts as the longest.
                    latencies.saturating_record((begun.elapsed().as_nanos() as u64).saturating_sub(intended));
                }
            })?;
            if progress.is_due(Instant::now()) {
                progress.set(crowd.sent(), String::new());
            }
            if crowd.sent() == messages && (crowd.is_settled() || passed > whole + DRAIN) {
                break;
            }
        }
        let spent = |from: Option<Duration>, to: Option<Duration>| Some(to?.saturating_sub(from?));
        Ok(Used {
            elapsed: begun.elapsed(),
            server: spent(server, subject.cpu()),
            generator: spent(generator, Process::own().cpu()),
        })
    }
}

fn micros(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64() * 1e6
}
