//! The promises, one by one.
//!
//! Each case is run on every engine by the table at the end of this file.

use std::time::Duration;

use super::rig::{everything, now, room, told, words};
use super::searches::{
    a_search_finds_the_newest_first_within_its_bounds, a_search_looks_only_where_it_may, what_is_gone_is_never_found,
    what_was_said_is_found_after_a_restart,
};
use super::stretches::{
    a_stretch_ends_with_the_message_that_fills_its_bytes, a_stretch_is_bounded_by_times,
    a_stretch_is_read_from_either_end_by_count, a_stretch_leaves_out_what_lies_at_its_place_and_before,
};
use super::{Engine, Rig, Said};
use crate::model::Seq;
use crate::store::{Double, Event, Retention, RoomKey, Stretch, Write};

pub(super) fn numbered(words: &[(u64, &str)]) -> Vec<(u64, String)> {
    words.iter().map(|(seq, word)| (*seq, (*word).to_owned())).collect()
}

pub(super) fn seqs(found: &[(u64, String)]) -> Vec<u64> {
    found.iter().map(|(seq, _)| *seq).collect()
}

fn finish(rig: &mut Rig<'_>, of: &RoomKey, seqs: &[u64]) {
    let seqs = seqs.iter().map(|seq| Seq(*seq)).collect();
    rig.done(|ticket| Write::Finish { ticket, room: of.clone(), seqs });
}

fn each_room_is_numbered_from_1_without_a_gap(rig: &mut Rig<'_>) {
    let (ops, lab) = (room("ops"), room("lab"));
    assert_eq!(rig.says(&ops, "a b c").first, Seq(1));
    assert_eq!(rig.says(&lab, "x").first, Seq(1));
    assert_eq!(rig.says(&ops, "d").first, Seq(4));
    assert_eq!(rig.all(&ops), numbered(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")]));
    assert_eq!(rig.all(&lab), numbered(&[(1, "x")]));
    assert_eq!(rig.all(&room("nowhere")), []);
}

fn every_ticket_is_answered_once_and_in_order(rig: &mut Rig<'_>) {
    let (ops, lab) = (room("ops"), room("lab"));
    let mut wanted = Vec::new();
    for turn in 0..50 {
        let mut batch = Vec::new();
        for place in [&ops, &lab] {
            let (ticket, write) = rig.append(place, Retention::default(), &[told(turn, now())]);
            wanted.push(ticket);
            batch.push(write);
        }
        let (ticket, name) = (rig.ticket(), "value".into());
        wanted.push(ticket);
        batch.push(Write::Put { ticket, name, value: Some([turn].into()) });
        rig.write(batch);
    }
    let mut answered = Vec::new();
    let mut pos = 0;
    while answered.len() < wanted.len() {
        match rig.event() {
            Event::Committed(committed) => {
                assert!(committed.pos.0 > pos, "places grow");
                pos = committed.pos.0;
                answered.extend(committed.ticket);
            }
            Event::Done(ticket) => answered.push(ticket),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answered, wanted);
}

fn all_is_there_after_a_restart_and_numbers_go_on(rig: &mut Rig<'_>) {
    let (ops, lab) = (room("ops"), room("lab"));
    let before = rig.says(&ops, "a b");
    rig.says(&lab, "x");
    rig.done(|ticket| Write::Put { ticket, name: "room/ops".into(), value: Some([1, 2].into()) });
    rig.done(|ticket| Write::Put { ticket, name: "gone".into(), value: Some([3].into()) });
    rig.done(|ticket| Write::Put { ticket, name: "gone".into(), value: None });
    let secret = rig.contents().secret;
    rig.reopen();
    assert_eq!(rig.contents().secret, secret);
    assert_eq!(rig.contents().values, [("room/ops".into(), [1, 2].into())]);
    let rooms = rig.contents().rooms.clone();
    let state = rooms.iter().find(|state| state.room == ops).expect("the room is there");
    assert_eq!((state.oldest, state.newest, &state.epoch), (Seq(1), Seq(2), &before.epoch));
    assert_eq!(state.last_ts, before.group.last_ts());
    let after = rig.says(&ops, "c");
    assert_eq!((after.first, &after.epoch), (Seq(3), &before.epoch), "the numbering stays");
    assert!(after.pos.0 > before.pos.0 + 1);
    assert_eq!(seqs(&rig.all(&ops)), [1, 2, 3]);
}

fn time_never_goes_down_in_a_room(rig: &mut Rig<'_>) {
    let ops = room("ops");
    rig.say(&ops, Retention::default(), &[told("a", 1_000)]);
    let late = rig.say(&ops, Retention::default(), &[told("b", 400), told("c", 1_200)]);
    assert_eq!(late.floor, 1_000);
    let last = rig.say(&ops, Retention::default(), &[told("d", 300)]);
    assert_eq!(last.floor, 1_200);
    let found = rig.read(everything(&ops));
    let times: Vec<_> = found.chunks.iter().flat_map(|chunk| chunk.lines()).map(|line| line.ts).collect();
    assert_eq!(times, [1_000, 1_000, 1_200, 1_200]);
    rig.reopen();
    assert_eq!(rig.contents().rooms[0].last_ts, 1_200);
    assert_eq!(rig.say(&ops, Retention::default(), &[told("e", 1)]).floor, 1_200);
}

fn a_redacted_message_keeps_its_number_and_nothing_else(rig: &mut Rig<'_>) {
    let ops = room("ops");
    let said = |word: &str, key| Said { key: Some(key), ..told(word, now()) };
    rig.say(&ops, Retention::default(), &[said("a", 11), said("b", 12), said("c", 13)]);
    rig.done(|ticket| Write::Redact { ticket, room: ops.clone(), seq: Seq(2) });
    rig.done(|ticket| Write::Redact { ticket, room: ops.clone(), seq: Seq(9) });
    rig.done(|ticket| Write::Redact { ticket, room: room("nowhere"), seq: Seq(1) });
    assert_eq!(rig.all(&ops), numbered(&[(1, "a"), (2, "-"), (3, "c")]));
    rig.reopen();
    assert_eq!(rig.all(&ops), numbered(&[(1, "a"), (2, "-"), (3, "c")]));
    let keys: Vec<_> = rig.contents().keys.iter().map(|(_, known)| known.key).collect();
    assert_eq!(keys, [11, 13]);
}

fn keys_are_known_after_a_restart_also_when_their_messages_are_gone(rig: &mut Rig<'_>) {
    let (ops, lab) = (room("ops"), room("lab"));
    let now = now();
    let said = |word: &str, key| Said { key: Some(key), ..told(word, now) };
    rig.say(&ops, Retention { messages: 1, ..Retention::default() }, &[said("a", 21), told("b", now), said("c", 23)]);
    rig.say(&lab, Retention::default(), &[said("x", 21)]);
    rig.says(&ops, "d");
    rig.reopen();
    let known: Vec<_> =
        rig.contents().keys.iter().map(|(room, known)| (room.clone(), known.key, known.seq.0, known.ts)).collect();
    assert_eq!(known, [(ops.clone(), 21, 1, now), (ops, 23, 3, now), (lab, 21, 1, now)]);
}

fn finished_work_is_never_read_again(rig: &mut Rig<'_>) {
    let jobs = room("jobs");
    rig.says(&jobs, "a b c");
    rig.says(&jobs, "d e");
    finish(rig, &jobs, &[4, 2, 99]);
    assert_eq!(seqs(&rig.all(&jobs)), [1, 3, 5]);
    let found = rig.read(Stretch { count: 2, is_forward: false, ..everything(&jobs) });
    assert_eq!((seqs(&words(&found)), found.more), (vec![3, 5], true));
    finish(rig, &jobs, &[1, 3]);
    rig.reopen();
    assert_eq!(seqs(&rig.all(&jobs)), [5]);
    finish(rig, &jobs, &[5, 5]);
    assert_eq!(rig.all(&jobs), []);
    rig.reopen();
    let state = rig.contents().rooms[0].clone();
    assert_eq!((state.oldest, state.newest), (Seq(6), Seq(5)));
    assert_eq!(rig.says(&jobs, "f").first, Seq(6));
    assert_eq!(seqs(&rig.all(&jobs)), [6]);
}

fn a_deleted_room_is_gone_and_its_name_begins_anew(rig: &mut Rig<'_>) {
    let (ops, lab) = (room("ops"), room("lab"));
    let said = Said { key: Some(5), ..told("a", now()) };
    let before = rig.say(&ops, Retention::default(), &[said, told("b", now())]);
    rig.says(&lab, "x");
    rig.done(|ticket| Write::Delete { ticket, room: ops.clone() });
    assert_eq!(rig.all(&ops), []);
    rig.done(|ticket| Write::Delete { ticket, room: ops.clone() });
    rig.reopen();
    let rooms: Vec<_> = rig.contents().rooms.iter().map(|state| state.room.0.to_string()).collect();
    assert_eq!(rooms, ["lab"]);
    assert_eq!(rig.contents().keys, []);
    let after = rig.says(&ops, "c");
    assert_eq!(after.first, Seq(1));
    assert_ne!(after.epoch, before.epoch);
    assert!(after.pos.0 > before.pos.0 + 1, "places are not given twice");
    assert_eq!(rig.all(&ops), numbered(&[(1, "c")]));
    assert_eq!(rig.all(&lab), numbered(&[(1, "x")]));
}

fn a_room_that_is_deleted_and_made_in_one_batch_begins_at_1(rig: &mut Rig<'_>) {
    let ops = room("ops");
    let (_, first) = rig.append(&ops, Retention::default(), &[told("a", now())]);
    let (delete, again) = (rig.ticket(), rig.append(&ops, Retention::default(), &[told("b", now())]));
    rig.write(vec![first, Write::Delete { ticket: delete, room: ops.clone() }, again.1]);
    assert_eq!(rig.committed(again.0).first, Seq(1));
    assert_eq!(rig.all(&ops), numbered(&[(1, "b")]));
    rig.reopen();
    assert_eq!(rig.all(&ops), numbered(&[(1, "b")]));
}

fn a_room_that_is_deleted_with_messages_on_their_way_begins_at_1_with_another_epoch(rig: &mut Rig<'_>) {
    let ops = room("ops");
    let before = rig.says(&ops, "a").epoch;
    let (late, late_write) = rig.append(&ops, Retention::default(), &[told("b", now())]);
    let delete = rig.ticket();
    let (new, new_write) = rig.append(&ops, Retention::default(), &[told("c", now())]);
    for write in [late_write, Write::Delete { ticket: delete, room: ops.clone() }, new_write] {
        rig.write(vec![write]);
    }
    let late = rig.committed(late);
    assert_eq!((late.first, &late.epoch), (Seq(2), &before));
    let new = rig.committed(new);
    assert_eq!(new.first, Seq(1));
    assert_ne!(new.epoch, before);
    assert_eq!(rig.all(&ops), numbered(&[(1, "c")]));
}

fn a_room_keeps_as_many_messages_as_it_is_told(rig: &mut Rig<'_>) {
    let ops = room("ops");
    let keep = Retention { messages: 4, ..Retention::default() };
    let three = [told("a", 1), told("b", 2), told("c", 3)];
    rig.say(&ops, keep, &three);
    assert_eq!(seqs(&rig.all(&ops)), [1, 2, 3]);
    for end in [6, 9, 12] {
        rig.say(&ops, keep, &three);
        let trimmed = rig.wait_for(|event| match event {
            Event::Trimmed(room, oldest) => Some((room, oldest)),
            _ => None,
        });
        assert_eq!(trimmed, (ops.clone(), Seq(end - 3)), "in the middle of a group too");
        assert_eq!(seqs(&rig.all(&ops)), (end - 3..=end).collect::<Vec<_>>());
    }
    rig.reopen();
    let state = rig.contents().rooms[0].clone();
    assert_eq!((state.oldest, state.newest), (Seq(9), Seq(12)));
    assert_eq!(seqs(&rig.all(&ops)), [9, 10, 11, 12]);
}

fn a_room_keeps_as_many_bytes_as_it_is_told(rig: &mut Rig<'_>) {
    let ops = room("ops");
    let one = rig.says(&ops, "aaaa").group.bytes().len() as u64;
    let keep = Retention { bytes: 3 * one, ..Retention::default() };
    for _ in 2..=10 {
        rig.say(&ops, keep, &[told("aaaa", now())]);
    }
    rig.wait_for(|event| match event {
        Event::Trimmed(_, oldest) => (oldest == Seq(8)).then_some(()),
        _ => None,
    });
    assert_eq!(seqs(&rig.all(&ops)), [8, 9, 10]);
    let keep = Retention { bytes: 1, ..keep };
    rig.say(&ops, keep, &[told("aaaa", now()), told("aaaa", now())]);
    rig.wait_for(|event| match event {
        Event::Trimmed(_, oldest) => (oldest == Seq(11)).then_some(()),
        _ => None,
    });
    assert_eq!(seqs(&rig.all(&ops)), [11, 12], "the newest group stays");
}

fn messages_go_when_they_are_too_old_also_where_nobody_speaks(rig: &mut Rig<'_>) {
    let (ops, lab) = (room("ops"), room("lab"));
    let keep = Retention { age: Duration::from_secs(3600), ..Retention::default() };
    // Old by its record, and one that will be before long.
    rig.say(&ops, keep, &[told("a", 1_000), told("b", now() - 3_599_000)]);
    rig.say(&ops, keep, &[told("c", now())]);
    rig.say(&lab, keep, &[told("x", now() - 3_599_000)]);
    assert_eq!(seqs(&rig.all(&ops)), [1, 2, 3]);
    let mut gone = Vec::new();
    while gone.len() < 2 {
        gone.push(rig.wait_for(|event| match event {
            Event::Trimmed(room, oldest) => Some((room, oldest)),
            _ => None,
        }));
    }
    gone.sort();
    assert_eq!(gone, [(lab.clone(), Seq(2)), (ops.clone(), Seq(3))]);
    assert_eq!(seqs(&rig.all(&ops)), [3]);
    assert_eq!(rig.all(&lab), []);
    assert_eq!(rig.says(&lab, "y").first, Seq(2));
}

fn guests_of_another_life_are_nobody(rig: &mut Rig<'_>) {
    let ops = room("ops");
    rig.says(&ops, "a");
    let sender = |rig: &mut Rig<'_>| rig.read(everything(&ops)).chunks[0].senders()[0].conn.0;
    assert_eq!(sender(rig), 3);
    rig.reopen();
    assert_eq!(sender(rig), 0);
}

fn no_read_is_ahead_of_the_stream_or_behind_what_was_told(rig: &mut Rig<'_>) {
    let ops = room("ops");
    let mut committed = 0;
    for turn in 0..200 {
        let (_, write) = rig.append(&ops, Retention::default(), &[told(turn, now())]);
        rig.write(vec![write]);
        let (read, before) = (rig.ticket(), committed);
        let newest = Stretch { is_forward: false, count: 1, ..everything(&ops) };
        rig.running().store.read(read, newest).expect("it is taken");
        let found = rig.wait_for(|event| match event {
            Event::Committed(group) => {
                committed = group.first.0;
                None
            }
            Event::Read(_, found) => found.ok(),
            _ => None,
        });
        let newest = words(&found).last().map_or(0, |(seq, _)| *seq);
        assert!((before..=committed).contains(&newest), "{before} were told before, {committed} since: {newest}");
    }
}

/// Runs every case on every engine.
macro_rules! suite {
    ($($case:ident,)*) => {
        mod double {
            $(#[test]
            fn $case() {
                super::$case(&mut super::Rig::new(&mut super::Doubles::default()));
            })*
        }

        mod sqlite {
            $(#[test]
            fn $case() {
                super::$case(&mut super::Rig::new(&mut crate::store::sqlite::tests::Files::new()));
            })*
        }
    };
}

suite! {
    each_room_is_numbered_from_1_without_a_gap,
    every_ticket_is_answered_once_and_in_order,
    all_is_there_after_a_restart_and_numbers_go_on,
    a_stretch_is_read_from_either_end_by_count,
    a_stretch_leaves_out_what_lies_at_its_place_and_before,
    a_stretch_ends_with_the_message_that_fills_its_bytes,
    a_stretch_is_bounded_by_times,
    time_never_goes_down_in_a_room,
    a_redacted_message_keeps_its_number_and_nothing_else,
    keys_are_known_after_a_restart_also_when_their_messages_are_gone,
    finished_work_is_never_read_again,
    a_deleted_room_is_gone_and_its_name_begins_anew,
    a_room_that_is_deleted_and_made_in_one_batch_begins_at_1,
    a_room_that_is_deleted_with_messages_on_their_way_begins_at_1_with_another_epoch,
    a_room_keeps_as_many_messages_as_it_is_told,
    a_room_keeps_as_many_bytes_as_it_is_told,
    messages_go_when_they_are_too_old_also_where_nobody_speaks,
    guests_of_another_life_are_nobody,
    no_read_is_ahead_of_the_stream_or_behind_what_was_told,
    a_search_finds_the_newest_first_within_its_bounds,
    a_search_looks_only_where_it_may,
    what_is_gone_is_never_found,
    what_was_said_is_found_after_a_restart,
}

/// The double, whose memory is its disk.
#[derive(Default)]
pub(super) struct Doubles(crate::store::double::Disk);

impl Engine for Doubles {
    fn open(&mut self, boot: crate::store::Boot, _: Duration) -> super::Running {
        let (double, events) = Double::over(self.0.clone(), boot);
        let (store, contents) = (double.clone(), double.contents());
        super::Running { store, events, contents, double: Some(double) }
    }

    fn close(&mut self, running: super::Running) {
        if let Some(double) = running.double {
            double.commit_all();
            self.0 = double.disk();
        }
    }

    fn files(&self) -> &crate::store::sqlite::tests::Files {
        unreachable!("it has none")
    }
}
