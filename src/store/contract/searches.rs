//! The promises about searching, one by one; `cases` has them run on every engine.
//!
//! What an index looks like, and what becomes of it, is an engine's own.

use super::Rig;
use super::rig::{now, query, room, told};
use crate::model::Seq;
use crate::store::{Boot, Hit, Hits, Query, Retention, Scope, Write};

fn bodies(hits: &Hits) -> Vec<String> {
    let body = |hit: &Hit| {
        let record = hit.message.records(Boot(0)).next().expect("a message");
        format!("{} {} {}", hit.room.0, hit.seq, String::from_utf8_lossy(record.body).trim_matches('"'))
    };
    hits.hits.iter().map(body).collect()
}

pub(super) fn a_search_finds_the_newest_first_within_its_bounds(rig: &mut Rig<'_>) {
    rig.searches(|_| true);
    let (ops, lab) = (room("ops"), room("lab"));
    rig.say(&ops, Retention::default(), &[told("red apple", 100), told("green apple", 200)]);
    rig.say(&lab, Retention::default(), &[told("An APPLE a day", 250), told("pineapple", 300)]);
    rig.say(&ops, Retention::default(), &[told("no fruit", 350), told("apple green", 400)]);
    let hits = rig.finds("apple");
    let all = ["ops 4 apple green", "lab 1 An APPLE a day", "ops 2 green apple", "ops 1 red apple"];
    assert_eq!((bodies(&hits), hits.more), (all.map(str::to_owned).to_vec(), false));
    let hits = rig.search(&Query { count: 3, ..query("apple") });
    assert_eq!((bodies(&hits), hits.more), (all[..3].iter().map(ToString::to_string).collect(), true));
    let hits = rig.search(&Query { count: 4, ..query("apple") });
    assert_eq!((hits.hits.len(), hits.more), (4, false));
    let hits = rig.search(&Query { until: 200, ..query("apple") });
    assert_eq!((bodies(&hits), hits.more), (all[2..].iter().map(ToString::to_string).collect(), false));
    assert_eq!(bodies(&rig.finds("Green apple")), ["ops 4 apple green", "ops 2 green apple"]);
    assert_eq!(bodies(&rig.finds("fruit day")), [""; 0]);
}

pub(super) fn a_search_looks_only_where_it_may(rig: &mut Rig<'_>) {
    rig.searches(|room| &*room.0 != "unsearched");
    for name in ["ops", "lab", "unsearched"] {
        rig.says(&room(name), "needle hay");
    }
    let within = |rig: &mut Rig<'_>, scope| bodies(&rig.search(&Query { scope, ..query("needle") }));
    let but = |names: &[&str]| Scope::AllBut(names.iter().map(|name| room(name)).collect());
    assert_eq!(within(rig, Scope::Room(room("ops"))), ["ops 1 needle"]);
    assert_eq!(within(rig, Scope::Room(room("nowhere"))), [""; 0]);
    assert_eq!(within(rig, Scope::Room(room("unsearched"))), [""; 0]);
    assert_eq!(within(rig, but(&[])), ["lab 1 needle", "ops 1 needle"]);
    assert_eq!(within(rig, but(&["lab"])), ["ops 1 needle"]);
    assert_eq!(within(rig, but(&["lab", "ops"])), [""; 0]);
}

pub(super) fn what_is_gone_is_never_found(rig: &mut Rig<'_>) {
    rig.searches(|_| true);
    let (ops, lab, jobs) = (room("ops"), room("lab"), room("jobs"));
    rig.says(&ops, "needle thread needle");
    rig.says(&lab, "needle");
    rig.says(&jobs, "needle thread");
    assert_eq!(rig.finds("needle").hits.len(), 4);
    rig.done(|ticket| Write::Redact { ticket, room: ops.clone(), seq: Seq(3) });
    rig.done(|ticket| Write::Finish { ticket, room: jobs.clone(), seqs: vec![Seq(1)] });
    assert_eq!(bodies(&rig.finds("needle")), ["lab 1 needle", "ops 1 needle"]);
    rig.done(|ticket| Write::Delete { ticket, room: lab.clone() });
    assert_eq!(bodies(&rig.finds("needle")), ["ops 1 needle"]);
    rig.says(&lab, "thread");
    rig.say(&ops, Retention { messages: 2, ..Retention::default() }, &[told("thread", now())]);
    assert_eq!(bodies(&rig.finds("needle")), [""; 0]);
    assert_eq!(bodies(&rig.finds("thread")), ["ops 4 thread", "lab 1 thread", "jobs 2 thread"]);
}

pub(super) fn what_was_said_is_found_after_a_restart(rig: &mut Rig<'_>) {
    rig.searches(|_| true);
    rig.says(&room("ops"), "needle");
    assert_eq!(rig.finds("needle").hits.len(), 1);
    rig.says(&room("ops"), "needle");
    rig.reopen();
    rig.searches(|_| true);
    rig.says(&room("ops"), "needle");
    assert_eq!(bodies(&rig.finds("needle")), ["ops 3 needle", "ops 2 needle", "ops 1 needle"]);
}
