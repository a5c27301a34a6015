//! Acknowledged messages: several publishers in one room, each with a bounded number that is not answered yet.
//!
//! A publisher goes on as its answers come, so the rate shows what a promise costs: here that of the room's history.

use super::args::{DurableArgs, ProtocolName};
use super::crowd::Crowd;
use super::plan::Plan;
use super::report::Row;
use super::subject::Subject;
use super::throughput::drive;
use super::wire::{Acked, Part};

pub(super) fn run(args: &DurableArgs) -> Result<Row, String> {
    if args.server.protocol != ProtocolName::Linehub {
        return Err("only linehub's messages are acknowledged here".to_owned());
    }
    let subject = Subject::new(&args.server)?;
    let mut parts = vec![Part::Publishes; args.publishers];
    parts.push(Part::Subscribes);
    let mut plan = Plan::new(1, parts, args.server.payload, args.run.window);
    plan.unacked = Some(args.unacked as u64);
    let mut crowd = Crowd::<Acked>::connect(&plan, subject.address)?;
    let span = drive(&mut crowd, args.run.length(), &subject, "durable").map_err(|error| error.to_string())?;
    let mut row = Row::new("durable");
    row.add("publishers", "publishers", args.publishers.into());
    row.add("unacked", "unacked", args.unacked.into());
    span.tell(&mut row);
    let (tally, faults) = crowd.verdict();
    row.verdict(tally, faults);
    Ok(row)
}
