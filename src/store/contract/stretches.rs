//! What a read of a stretch gives, and what it leaves out.
//!
//! The cases are run with all others, by the table of `cases`.

use super::Rig;
use super::cases::seqs;
use super::rig::{everything, room, told, words};
use crate::model::Seq;
use crate::store::{Pos, Retention, Stretch};

pub(super) fn a_stretch_is_read_from_either_end_by_count(rig: &mut Rig<'_>) {
    let ops = room("ops");
    for words in ["a b c", "d", "e f g h"] {
        rig.says(&ops, words);
    }
    let forward = Stretch { first: Seq(2), end: Seq(8), count: 4, ..everything(&ops) };
    let found = rig.read(forward.clone());
    assert_eq!((seqs(&words(&found)), found.more), (vec![2, 3, 4, 5], true));
    let found = rig.read(Stretch { is_forward: false, ..forward.clone() });
    assert_eq!((seqs(&words(&found)), found.more), (vec![4, 5, 6, 7], true));
    let found = rig.read(Stretch { is_forward: false, count: 6, ..forward.clone() });
    assert_eq!((seqs(&words(&found)), found.more), (vec![2, 3, 4, 5, 6, 7], false));
    let found = rig.read(Stretch { count: 6, ..forward.clone() });
    assert_eq!((seqs(&words(&found)), found.more), (vec![2, 3, 4, 5, 6, 7], false));
    let found = rig.read(Stretch { first: Seq(8), end: Seq(8), ..forward.clone() });
    assert_eq!((words(&found), found.more), (vec![], false));
    let found = rig.read(Stretch { first: Seq(9), end: Seq(12), ..forward });
    assert_eq!((words(&found), found.more), (vec![], false));
}

pub(super) fn a_stretch_leaves_out_what_lies_at_its_place_and_before(rig: &mut Rig<'_>) {
    let (ops, other) = (room("ops"), room("other"));
    let mut places = Vec::new();
    for words in ["a b c", "d", "e f g h"] {
        places.push(rig.says(&ops, words).pos);
        rig.says(&other, "x y");
    }
    for (after, wanted) in [
        (Pos(0), vec![1, 2, 3, 4, 5, 6, 7, 8]),
        (places[0], vec![2, 3, 4, 5, 6, 7, 8]),
        (Pos(places[0].0 + 2), vec![4, 5, 6, 7, 8]),
        (places[1], vec![5, 6, 7, 8]),
        (Pos(places[2].0 + 2), vec![8]),
        (Pos(places[2].0 + 3), vec![]),
    ] {
        let found = rig.read(Stretch { after, ..everything(&ops) });
        assert_eq!(seqs(&words(&found)), wanted, "behind {after:?}");
        let found = rig.read(Stretch { after, count: 1, ..everything(&ops) });
        assert_eq!(seqs(&words(&found)), wanted[..wanted.len().min(1)], "the first behind {after:?}");
    }
}

pub(super) fn a_stretch_ends_with_the_message_that_fills_its_bytes(rig: &mut Rig<'_>) {
    let ops = room("ops");
    rig.says(&ops, "a b c");
    rig.says(&ops, "d e f");
    let line = rig.read(everything(&ops)).chunks[0].message(0).line.len();
    for (bytes, count) in [(1, 1), (line, 1), (line + 1, 2), (4 * line, 4), (6 * line, 6)] {
        let found = rig.read(Stretch { bytes, ..everything(&ops) });
        assert_eq!((words(&found).len(), found.more), (count, count < 6), "{bytes} bytes");
        let found = rig.read(Stretch { bytes, is_forward: false, ..everything(&ops) });
        assert_eq!(seqs(&words(&found)), ((7 - count as u64)..7).collect::<Vec<_>>(), "{bytes} bytes, backward");
    }
}

pub(super) fn a_stretch_is_bounded_by_times(rig: &mut Rig<'_>) {
    let ops = room("ops");
    for start in [100, 200, 300, 400, 500] {
        let said: Vec<_> = (0..3).map(|at| told(start + at, start + at)).collect();
        rig.say(&ops, Retention::default(), &said);
    }
    for is_forward in [true, false] {
        for (since, until, wanted) in
            [(0, 201, 1..6), (201, 402, 5..13), (203, 299, 7..7), (502, u64::MAX, 15..16), (503, u64::MAX, 16..16)]
        {
            let found = rig.read(Stretch { since, until, is_forward, ..everything(&ops) });
            assert_eq!(seqs(&words(&found)), wanted.collect::<Vec<_>>(), "{since} to {until}, {is_forward}");
            assert!(!found.more);
        }
    }
    let found = rig.read(Stretch { since: 201, count: 2, ..everything(&ops) });
    assert_eq!((seqs(&words(&found)), found.more), (vec![5, 6], true));
    let found = rig.read(Stretch { until: 301, count: 2, is_forward: false, ..everything(&ops) });
    assert_eq!((seqs(&words(&found)), found.more), (vec![7, 8], true));
}
