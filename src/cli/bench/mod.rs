//! `linehub bench`: what delivering a message costs a server, measured from outside.
//!
//! One generator drives linehub, the floor server that comes with it, or a peer in its own protocol, with the same
//! messages, the same window and the same checks. Every run verifies that each subscriber got each message once and in
//! order. The scenarios are one file each; `docs/benchmarks.md` is made of their figures.

mod args;
mod check;
mod client;
mod crowd;
mod durable;
mod floor;
mod flow;
mod idle;
mod latency;
mod pacer;
mod plan;
mod progress;
mod report;
mod slow;
mod stamp;
mod subject;
mod throughput;
mod usage;
mod wire;

pub(super) use args::BenchArgs;

use args::{ProtocolName, Scenario, ServerArgs};
use report::{Report, Row};
use subject::Subject;
use wire::{Floor, Linehub, Mqtt, Nats, Redis, Wire};

use super::Failure;

/// One row of a report: something to do with a server under test.
trait Measure {
    /// Does it, in one protocol.
    fn measure<W: Wire>(&self, subject: &Subject) -> Result<Row, String>;
}

pub(super) fn run(args: &BenchArgs) -> Result<(), Failure> {
    raise_descriptor_limit();
    match &args.scenario {
        Scenario::Fanout(fanout) => {
            let mut report = Report::new(&fanout.server);
            for subscribers in &fanout.subscribers {
                report.add(one(&fanout.server, &fanout.row(*subscribers))?);
            }
            report.finish()
        }
        Scenario::Pairs(pairs) => single(&pairs.server, &pairs.row()),
        Scenario::Chat(chat) => single(&chat.server, &chat.row()),
        Scenario::Latency(latency) => {
            let mut report = Report::new(&latency.server);
            for rate in &latency.rates {
                report.add(one(&latency.server, &latency.row(*rate))?);
            }
            report.finish()
        }
        Scenario::Idle(idle) => single(&idle.server, idle),
        Scenario::Slow(slow) => single(&slow.server, slow),
        Scenario::Durable(durable) => {
            let mut report = Report::new(&durable.server);
            report.add(durable::run(durable).map_err(Failure::Running)?);
            report.finish()
        }
        Scenario::Floor(floor) => floor::run(floor.listen).map_err(|error| Failure::Running(error.to_string())),
    }
}

/// A report of one row.
fn single(server: &ServerArgs, row: &impl Measure) -> Result<(), Failure> {
    let mut report = Report::new(server);
    report.add(one(server, row)?);
    report.finish()
}

/// One row, with a server of its own unless one was named.
fn one(server: &ServerArgs, row: &impl Measure) -> Result<Row, Failure> {
    let subject = Subject::new(server).map_err(Failure::Running)?;
    let measured = match server.protocol {
        ProtocolName::Linehub => row.measure::<Linehub>(&subject),
        ProtocolName::Floor => row.measure::<Floor>(&subject),
        ProtocolName::Nats => row.measure::<Nats>(&subject),
        ProtocolName::Redis => row.measure::<Redis>(&subject),
        ProtocolName::Mqtt => row.measure::<Mqtt>(&subject),
    };
    measured.map_err(Failure::Running)
}

/// Thousands of connections need as many descriptors; what the process may have, it takes.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Where it may not be raised, connecting says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
