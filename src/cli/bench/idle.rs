//! What connections cost that are in a room and wait: memory for each, CPU while nothing happens, and the time to get
//! them all in.
//!
//! In the end one message goes to each room, so that it is known that everyone was there.

use std::time::{Duration, Instant};

use super::Measure;
use super::args::IdleArgs;
use super::crowd::Crowd;
use super::plan::Plan;
use super::report::Row;
use super::subject::Subject;
use super::wire::{Part, Wire};

/// How long a server may take to settle before its idling is measured: what it frees, it has freed.
const SETTLE: Duration = Duration::from_millis(500);

/// How long the last message may take.
const DRAIN: Duration = Duration::from_secs(10);

impl Measure for IdleArgs {
    fn measure<W: Wire>(&self, subject: &Subject) -> Result<Row, String> {
        let members = self.connections.div_ceil(self.rooms);
        let mut parts = vec![Part::Subscribes; members];
        parts[0] = Part::Both;
        let plan = Plan::new(self.rooms, parts, self.server.payload, None);
        let before = subject.resident();
        let begun = Instant::now();
        let mut crowd = Crowd::<W>::connect(&plan, subject.address)?;
        let connected = begun.elapsed();
        let watched = |crowd: &mut Crowd<W>, duration: Duration| {
            let until = Instant::now() + duration;
            while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                crowd.turn(left, &mut |_| {}).map_err(|error| error.to_string())?;
            }
            Ok::<(), String>(())
        };
        watched(&mut crowd, SETTLE)?;
        let (resident, cpu, idle_from) = (subject.resident(), subject.cpu(), Instant::now());
        watched(&mut crowd, self.duration)?;
        let spent = subject.cpu().zip(cpu).map(|(to, from)| to.saturating_sub(from));
        let idle_for = idle_from.elapsed();
        crowd.allow(self.rooms as u64);
        let until = Instant::now() + DRAIN;
        while (crowd.sent() < self.rooms as u64 || !crowd.is_settled()) && Instant::now() < until {
            crowd.refill().and_then(|()| crowd.turn(DRAIN, &mut |_| {})).map_err(|error| error.to_string())?;
        }
        let each = resident.zip(before).map(|(after, before)| after.saturating_sub(before) / plan.connections() as u64);
        let mut row = Row::new("idle");
        row.add("connections", "connections", plan.connections().into());
        row.add("rooms", "rooms", self.rooms.into());
        row.add("connect_ms", "connect ms", (connected.as_secs_f64() * 1e3).into());
        row.add("bytes_per_connection", "bytes/connection", each.into());
        row.add("resident_bytes", "resident bytes", resident.into());
        row.add("idle_cpu_ms", "idle CPU ms", spent.map(|spent| spent.as_secs_f64() * 1e3).into());
        row.share("idle_cpu_percent", "idle CPU %", spent, idle_for);
        let (tally, faults) = crowd.verdict();
        row.verdict(tally, faults);
        Ok(row)
    }
}
