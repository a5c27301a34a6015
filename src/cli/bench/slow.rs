//! What one member that never reads does to the others, and what it is told when it reads at last.
//!
//! The others' rate is counted by `throughput`'s means; this file owns the one that stalls and its account of what it missed.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Measure;
use super::args::SlowArgs;
use super::crowd::Crowd;
use super::plan::{self, Plan};
use super::report::{Row, Value};
use super::subject::Subject;
use super::throughput::{Length, drive};
use super::wire::Wire;

/// How long nothing may arrive for the stalled member before it has got what it will.
const QUIET: Duration = Duration::from_secs(2);

impl Measure for SlowArgs {
    fn measure<W: Wire>(&self, subject: &Subject) -> Result<Row, String> {
        let payload = self.server.payload;
        let mut plan = Plan::new(1, plan::one_to(self.readers + 1), payload, None);
        plan.stalled = 1;
        let messages = self.bytes.div_ceil(payload as u64);
        let mut crowd = Crowd::<W>::connect(&plan, subject.address)?;
        let span = drive(&mut crowd, Length::Messages(messages), subject, "slow").map_err(|error| error.to_string())?;
        let (tally, faults) = crowd.verdict();
        let mut row = Row::new("slow");
        row.add("readers", "readers", self.readers.into());
        span.tell(&mut row);
        let faults = faults.to_vec();
        let stalled = wake(&mut crowd)?;
        row.add("stalled_got", "stalled got", stalled.got.into());
        row.add("stalled_missed", "missed", (messages - stalled.got.min(messages)).into());
        row.add("stalled_told", "told", stalled.told.into());
        let words = if stalled.words.is_empty() { "nothing".to_owned() } else { stalled.words.join(" ") };
        row.add("stalled_words", "in the words", Value::Text(words));
        row.verdict(tally, &faults);
        Ok(row)
    }
}

/// What the stalled member got in the end.
struct Stalled {
    got: u64,
    /// How many messages it was told that it missed.
    told: u64,
    words: Vec<String>,
}

fn wake<W: Wire>(crowd: &mut Crowd<W>) -> Result<Stalled, String> {
    let before = crowd.delivered();
    let mut last = Instant::now();
    crowd.wake_stalled(&mut |_| {}).map_err(|error| error.to_string())?;
    let mut known = crowd.delivered();
    while last.elapsed() < QUIET {
        crowd.turn(QUIET / 4, &mut |_| {}).map_err(|error| error.to_string())?;
        if crowd.delivered() > known {
            (known, last) = (crowd.delivered(), Instant::now());
        }
    }
    let words = crowd.verdict().1.to_vec();
    let told = words.iter().filter_map(|line| missed(line)).sum();
    Ok(Stalled { got: known - before, told, words })
}

/// The messages that a `lagged` event is about.
fn missed(line: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Lagged {
        ev: String,
        missed: u64,
    }
    let lagged: Lagged = serde_json::from_str(line).ok()?;
    (lagged.ev == "lagged").then_some(lagged.missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lagged_says_how_many_were_missed() {
        assert_eq!(missed(r#"{"ev":"lagged","room":"r","missed":7,"next":9}"#), Some(7));
        assert_eq!(missed(r#"{"ev":"gap","room":"r","first":1,"last":2}"#), None);
        assert_eq!(missed("connection closed"), None);
    }
}
